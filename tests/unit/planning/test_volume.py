"""Which volume can be exchanged, and what is said where it cannot."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollback_tasks.model.facts import HostFacts
from rollback_tasks.model.plan import HostPlan
from rollback_tasks.model.project import Site
from rollback_tasks.model.volumes import ClusterFacts, DataVolume, Mount, VolumeFacts
from rollback_tasks.planning import redo
from rollback_tasks.planning.planner import with_steps
from rollback_tasks.planning.volume import Wish, blockers, costs, data_volume, sequence, warnings
from rollback_tasks.steps.codec import from_json, to_json
from tests.builders import RUN, a_backup, a_database, a_project, a_release, some_facts, some_settings
from tests.folds import assert_reads_and_stands_alone, assert_undone_from_any_beginning

PROJECT = a_project()
DATA = "/var/lib/postgresql/data"
MOUNT = Mount(kind="volume", name="comicpile_pgdata", target=DATA, driver="local")
CLUSTER = ClusterFacts(data_folder=DATA)
FOUND = VolumeFacts(mounts=(MOUNT,), cluster=CLUSTER)
VOLUME = DataVolume(name="comicpile_pgdata", mounted_at=DATA, data_folder=DATA, image="sha256:9")
BACKUP = a_backup("good", server_version=150018, schema=("s2",))
FACTS = some_facts(3)


def refused(found: VolumeFacts = FOUND, *, facts: HostFacts = FACTS, leaves: str = "", **backup: object) -> list[str]:
    chosen = replace(BACKUP, **backup)  # type: ignore[arg-type]
    wish = Wish(leaves=frozenset(leaves.split()))
    return [blocker.brief for blocker in blockers(facts, PROJECT, found, chosen, wish)]


def with_(**changes: object) -> VolumeFacts:
    return replace(FOUND, cluster=replace(CLUSTER, **changes))  # type: ignore[arg-type]


def test_a_named_volume_of_one_database_alone_can_be_exchanged() -> None:
    assert refused() == []
    assert data_volume(FOUND, "sha256:9") == VOLUME
    deeper = with_(data_folder=f"{DATA}/pgdata")
    assert refused(deeper) == []
    assert data_volume(deeper, "sha256:9") == replace(VOLUME, data_folder=f"{DATA}/pgdata")


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (
            replace(FOUND, mounts=(replace(MOUNT, kind="bind", name="/srv/pg"),)),
            "the data lies in a folder of the host (/srv/pg), in no volume",
        ),
        (replace(FOUND, mounts=()), f"the data folder {DATA} lies in no volume at all"),
        (replace(FOUND, mounts=(replace(MOUNT, target=f"{DATA}2"),)), f"the data folder {DATA} lies in no volume"),
        (replace(FOUND, driver="nfs"), "volume comicpile_pgdata was made with driver nfs: its data may lie on another"),
        (replace(FOUND, options=("device", "type")), "with driver local and options device, type: its data may lie"),
        (replace(FOUND, users=("reader",)), "other containers have volume comicpile_pgdata as well: reader"),
        (replace(FOUND, containers=2), "the service of the database has 2 containers"),
        (
            replace(FOUND, mounts=(MOUNT, Mount(kind="volume", name="wal", target=f"{DATA}/pg_wal"))),
            f"parts of the data lie in volumes of their own ({DATA}/pg_wal)",
        ),
        (replace(FOUND, cluster=None, problem="it does not run"), "nobody can say where the database lies: it does"),
        (with_(tablespaces=("fast",)), "tablespaces lie outside the data folder: fast"),
        (with_(slots=("s",)), "replication slots would be gone: s"),
        (with_(replicas=1), "1 other servers follow this one"),
        (with_(prepared=("p",)), "prepared transactions would be gone: p"),
        (with_(strays=("postgres",)), "somebody made tables or functions in postgres"),
        (with_(others=("metrics",)), "the cluster holds other databases, which the backup does not have: metrics"),
    ],
)
def test_what_is_in_the_way_is_told(found: VolumeFacts, why: str) -> None:
    (brief,) = refused(found)
    assert why in brief


def test_what_the_operator_names_may_stay_behind() -> None:
    found = with_(others=("metrics", "old"), strays=("postgres",))
    assert refused(found, leaves="metrics old postgres") == []
    assert [brief[-8:] for brief in refused(found, leaves="old postgres")] == [" metrics"]
    wish = Wish(leaves=frozenset(("metrics", "old", "postgres", "nothing")))
    assert list(warnings(found, wish)) == ["left behind in the old volume: metrics, old, postgres"]


def test_a_backup_of_another_major_version_is_refused() -> None:
    for version in (140010, 160001):
        (brief,) = refused(server_version=version)
        assert brief.endswith(f"PostgreSQL {version // 10000}, and the image of the database is 15")


def test_room_for_a_second_cluster_is_needed() -> None:
    facts = replace(FACTS, database=a_database(("s3",), size_bytes=1_000_000_000, free_bytes=1_400_000_000))
    assert refused(facts=facts) == [
        "no room for a second volume: 1400 MB free where Docker's volumes lie, about 1500 MB needed"
    ]


def test_a_role_that_is_no_superuser_cannot_take_the_others_along() -> None:
    facts = replace(FACTS, database=a_database(("s3",), is_superuser=False))
    (brief,) = refused(facts=facts)
    assert brief.startswith("role comicpile is no superuser")


def test_a_database_of_another_host_is_refused_with_the_way_that_serves_it() -> None:
    project = replace(PROJECT, site=Site(place="db1", project="p", service="db", folder="/srv"))
    (blocker,) = blockers(FACTS, project, VolumeFacts(), BACKUP, Wish())
    assert blocker.brief == "the database of prod1 is served by db1, whose volume it is"
    assert "inv rollback.restore --host prod1 --backup good" in blocker.hint


def made(*, proves: bool = True) -> HostPlan:
    steps = sequence(
        project=PROJECT,
        run_id=RUN,
        facts=FACTS,
        current=a_release(3),
        backup=BACKUP,
        volume=VOLUME,
        archives=True,
        settings=some_settings(),
        is_pulled=False,
        proves=proves,
    )
    return with_steps(HostPlan(host="prod1", current=a_release(3)), PROJECT, FACTS, steps)


PLAN = made()
STEPS = {step.kind: step for step in PLAN.steps}


def test_the_new_volume_is_proven_before_anything_stops() -> None:
    kinds = [step.kind for step in PLAN.steps]
    assert kinds == [
        "save_evidence",
        "backup_database",
        "pull_backup",
        "prove_backup",
        "drop_scratch",
        "make_volume",
        "fill_volume",
        "close_volume",
        "stop_services",
        "stop_database",
        "exchange_volumes",
        "start_database",
        "note_served",
        "resume_services",
        "await_healthy",
        "verify_release",
    ]
    assert [step.takes_service_away for step in PLAN.steps] == [number >= 8 for number in range(len(kinds))]
    assert "prove_backup" not in [step.kind for step in made(proves=False).steps]


def test_the_plan_ends_at_the_backup_and_undoing_any_beginning_at_its_start() -> None:
    assert_undone_from_any_beginning(PLAN)
    assert PLAN.end is not None
    assert PLAN.end.schema == ("s2",)
    assert f"volume comicpile_pgdata__aside_{RUN}" in PLAN.end.kept


def test_conditions_only_read_and_every_way_back_stands_alone() -> None:
    for step in PLAN.steps:
        assert_reads_and_stands_alone(step)


def test_another_laptop_reads_the_same_steps() -> None:
    assert [from_json(to_json(step), ()) for step in PLAN.steps] == list(PLAN.steps)


def test_what_leaves_the_database_is_told_there_and_back() -> None:
    assert costs(VOLUME, RUN, ("2 rows of users",), since="2026-11-20") == (
        "2 rows of users",
        f"whatever was changed since 2026-11-20 (it stays in volume comicpile_pgdata__aside_{RUN})",
    )
    back = redo.plan(
        FACTS,
        a_release(3),
        run_id=RUN,
        said={"task": "rollback.volume"},
        steps=PLAN.steps,
        found=(),
        lost=(),
        database="comicpile",
        saved_as=RUN,
    )
    assert back.costs == (f"whatever was changed since that run (it stays in volume comicpile_pgdata__aside_{RUN})",)
