"""Steps as JSON and back, so that another laptop can go on with a run. Secrets are never written; they are asked for
again."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

from rollback_tasks.drivers.alembic_run import Deployed
from rollback_tasks.errors import MalformedAnswer
from rollback_tasks.model.plan import Step
from rollback_tasks.shell import Secret
from rollback_tasks.steps.archive_wal import ArchiveWal
from rollback_tasks.steps.await_healthy import AwaitHealthy
from rollback_tasks.steps.await_running import AwaitRunning
from rollback_tasks.steps.backup_database import BackupDatabase
from rollback_tasks.steps.base import BaseStep
from rollback_tasks.steps.checkout_files import CheckoutFiles
from rollback_tasks.steps.checkout_release import CheckoutRelease
from rollback_tasks.steps.copy_database import CopyDatabase
from rollback_tasks.steps.create_branch import CreateBranch
from rollback_tasks.steps.create_tag import CreateTag
from rollback_tasks.steps.downgrade_schema import DowngradeSchema
from rollback_tasks.steps.drop_pins import DropPins
from rollback_tasks.steps.drop_put_aside import DropKeptRows, DropPutAside
from rollback_tasks.steps.end_sessions import EndSessions
from rollback_tasks.steps.exchange_volumes import ExchangeVolumes, StartDatabase, StopDatabase
from rollback_tasks.steps.make_reverts import MakeReverts
from rollback_tasks.steps.meet_others import MeetOthers
from rollback_tasks.steps.merge_table import MergeTable, StageTable
from rollback_tasks.steps.move_checkout import MoveCheckout
from rollback_tasks.steps.new_volume import CloseVolume, FillVolume, MakeVolume
from rollback_tasks.steps.prepare_images import PrepareImages
from rollback_tasks.steps.prove_backup import DropScratch, ProveBackup
from rollback_tasks.steps.prune_backups import PruneBackups, PruneCopies
from rollback_tasks.steps.prune_bases import PruneBases, PruneWal
from rollback_tasks.steps.pull_backup import PullBackup
from rollback_tasks.steps.push_backup import PushBackup
from rollback_tasks.steps.push_ref import PushRef
from rollback_tasks.steps.record_release import RecordRelease
from rollback_tasks.steps.recover_beside import DropRecovery, DumpRecovered, RecoverBeside
from rollback_tasks.steps.rehearse_downgrade import RehearseDowngrade
from rollback_tasks.steps.restore_beside import DropRestored, RestoreBeside, VerifyRestored
from rollback_tasks.steps.resume_services import ResumeServices
from rollback_tasks.steps.roll_containers import AwaitBeside, KeepServing, RemoveOthers, RetireOthers, StartBeside
from rollback_tasks.steps.save_checkout import SaveCheckout
from rollback_tasks.steps.save_evidence import SaveEvidence
from rollback_tasks.steps.start_services import StartServices
from rollback_tasks.steps.stop_services import StopServices
from rollback_tasks.steps.swap_database import NoteServed, SwapDatabase
from rollback_tasks.steps.switch_images import SwitchImages
from rollback_tasks.steps.take_base import TakeBase
from rollback_tasks.steps.try_beside import TryBeside
from rollback_tasks.steps.verify_backup import VerifyBackup
from rollback_tasks.steps.verify_release import VerifyRelease

KINDS: Mapping[str, type[BaseStep]] = {
    step.kind: step
    for step in (
        ArchiveWal,
        AwaitBeside,
        AwaitHealthy,
        AwaitRunning,
        BackupDatabase,
        CloseVolume,
        CheckoutFiles,
        CheckoutRelease,
        CopyDatabase,
        CreateBranch,
        CreateTag,
        DowngradeSchema,
        DropKeptRows,
        DropPutAside,
        DropRecovery,
        DropRestored,
        DropScratch,
        DumpRecovered,
        ExchangeVolumes,
        FillVolume,
        DropPins,
        EndSessions,
        KeepServing,
        MakeReverts,
        MakeVolume,
        MeetOthers,
        MergeTable,
        NoteServed,
        MoveCheckout,
        PrepareImages,
        ProveBackup,
        PruneBackups,
        PruneBases,
        PruneCopies,
        PruneWal,
        PullBackup,
        PushBackup,
        PushRef,
        RecordRelease,
        RecoverBeside,
        RehearseDowngrade,
        RemoveOthers,
        RestoreBeside,
        ResumeServices,
        RetireOthers,
        SaveCheckout,
        SaveEvidence,
        StageTable,
        StartBeside,
        StartDatabase,
        StopDatabase,
        StartServices,
        StopServices,
        SwapDatabase,
        SwitchImages,
        TakeBase,
        TryBeside,
        VerifyBackup,
        VerifyRelease,
        VerifyRestored,
    )
}

Environment = tuple[tuple[str, Secret], ...]

WITHHELD = "not written down"


def to_json(step: Step) -> dict[str, Any]:
    """Return a step as JSON values, tagged by its kind; secrets are left out, and what may be one: build arguments."""
    said = {"kind": step.kind, **_plain_fields(step)}
    if isinstance(step, PrepareImages):
        said["builds"] = {
            name: {**build, "args": WITHHELD} if build.get("args") else build for name, build in said["builds"].items()
        }
    return said


def is_withheld(said: Mapping[str, Any]) -> bool:
    """True where what ``to_json`` wrote is not enough to do the step again."""
    builds = said.get("builds")
    return isinstance(builds, dict) and any(build.get("args") == WITHHELD for build in builds.values())


def from_json(said: Mapping[str, Any], environment: Environment) -> Step:
    """Return the step that ``to_json`` wrote.

    :param environment: the deployed container's variables, asked for again.
    :raises MalformedAnswer: the kind is unknown (a newer version wrote it), or a field is missing.
    """
    kind = KINDS.get(str(said.get("kind")))
    if kind is None:
        raise MalformedAnswer(
            f"the run has a step of kind {said.get('kind')!r}, which this version does not know",
            hint="use the version that began the run, or `inv rollback.abort`.",
        )
    step: Step = _made(kind, said, environment)
    return step


def _plain_fields(value: Any) -> dict[str, Any]:
    found = {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, Deployed):
        del found["environment"]
    return {name: _plain(each) for name, each in found.items()}


def _plain(value: Any) -> Any:
    match value:
        case Secret():
            raise TypeError("a secret cannot be written down")
        case Mapping():
            return {str(key): _plain(each) for key, each in value.items()}
        case tuple() | list():
            return [_plain(each) for each in value]
        case frozenset():
            return sorted(_plain(each) for each in value)
        case _ if is_dataclass(value):
            return _plain_fields(value)
        case _:
            return value


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _made(kind: type, said: Mapping[str, Any], environment: Environment) -> Any:
    values: dict[str, Any] = {}
    for field in fields(kind):
        if kind is Deployed and field.name == "environment":
            values[field.name] = environment
        elif field.name in said:
            values[field.name] = _read(_hints(kind)[field.name], said[field.name], environment)
        elif field.default is MISSING and field.default_factory is MISSING:  # an older version did not know the rest
            raise MalformedAnswer(f"the run's plan lacks {kind.__name__}.{field.name}")
    return kind(**values)


def _read(hint: Any, said: Any, environment: Environment) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        inner = next(each for each in arguments if each is not type(None))
        return None if said is None else _read(inner, said, environment)
    if origin is tuple:
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return tuple(_read(arguments[0], each, environment) for each in said)
        return tuple(_read(each, item, environment) for each, item in zip(arguments, said, strict=True))
    if origin is frozenset:
        return frozenset(said)
    if origin is not None and issubclass(origin, Mapping):
        return {key: _read(arguments[1], each, environment) for key, each in said.items()}
    if isinstance(hint, type) and is_dataclass(hint):
        return _made(hint, said, environment)
    return said
