"""Where ports meet what they stand for. The only module that knows transport and reporting both."""

from __future__ import annotations

import atexit
import getpass
import os
import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from rollback_tasks.cli.boundary import say, visible
from rollback_tasks.cli.hiding import masker
from rollback_tasks.cli.options import OnFailure, Options
from rollback_tasks.cli.state import cache_folder, state_folder
from rollback_tasks.config import loader
from rollback_tasks.config.schema import HostConfig, Inventory
from rollback_tasks.config.select import select
from rollback_tasks.errors import StepFailed
from rollback_tasks.flows.world import World
from rollback_tasks.model.moments import compact, stamp
from rollback_tasks.model.outcome import RunReport
from rollback_tasks.model.plan import Plan
from rollback_tasks.model.request import RollbackRequest
from rollback_tasks.ports import Database, DatabaseAddress, Host
from rollback_tasks.reporting import incident
from rollback_tasks.reporting.choose import Sink, choose
from rollback_tasks.reporting.rendering import Rendering
from rollback_tasks.transport.clock import SystemClock
from rollback_tasks.transport.hops import Hops
from rollback_tasks.transport.laptop import LocalLaptop
from rollback_tasks.transport.readonly import ReadOnlyHost

if TYPE_CHECKING:
    from rollback_tasks.sandbox.followed import FollowedRun
    from rollback_tasks.sandbox.sandbox import Sandbox
    from rollback_tasks.transport.kept import Kept


def rendering() -> Rendering:
    """Return what renders a report on standard output."""
    return Rendering(clean=masker)


def sink() -> Sink:
    """Return where progress goes: standard error."""
    chosen = choose(clean=masker)
    atexit.register(chosen.close)
    return chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class Wired:
    """One command's inventory, hosts and world."""

    inventory: Inventory
    configs: tuple[HostConfig, ...]
    world: World
    operator: str
    laptop: str
    began: float

    def request(self, options: Options, *, to: str | None = None, accepted: Sequence[str] = ()) -> RollbackRequest:
        """Return what was asked for."""
        return RollbackRequest(
            task=options.task,
            run_id=run_id(self.began),
            now=self.began,
            operator=self.operator,
            laptop=self.laptop,
            to=to,
            accepted_losses=frozenset(name.strip() for given in accepted for name in given.split(",") if name.strip()),
            reason=options.reason,
            is_confirmed=options.is_confirmed,
            is_dry_run=options.is_dry_run,
            canary=options.fleet.canary,
            batch=str(options.fleet.batch),
            max_failures=options.fleet.max_failures,
            parallel=options.fleet.parallel,
            undoes_on_failure=options.fleet.on_failure is OnFailure.UNDO,
        )


def sandbox() -> Sandbox:
    """Return this user's sandbox; nothing is started yet."""
    from rollback_tasks.sandbox.sandbox import Sandbox
    from rollback_tasks.transport.local import LocalHost

    return Sandbox(
        LocalHost(),
        state=str(state_folder(os.environ) / "sandbox"),
        cache=str(cache_folder(os.environ) / "sandbox"),
        events=sink(),
        clock=SystemClock(),
    )


def follow(words: Sequence[str], *, inventory: str) -> FollowedRun:
    """Start ``inv WORDS`` as a process of its own and follow it; its output goes to standard error.

    :param inventory: path of the hosts.yaml that it reads.
    """
    from rollback_tasks.sandbox.followed import FollowedRun
    from rollback_tasks.transport.local import LocalHost

    return FollowedRun(
        LocalHost(),
        SystemClock(),
        (sys.executable, "-m", "invoke", *words),
        cwd=str(Path(__file__).parents[2]),
        env=(("ROLLBACK_HOSTS_FILE", inventory),),
        heard=say,
    )


def run_id(now: float) -> str:
    """Return the name of a run: its time in UTC and four hex digits. ``now`` in seconds since the epoch."""
    return f"{compact(now)}-{secrets.token_hex(2)}"


def wire(options: Options) -> Wired:
    """Read the inventory, choose the hosts and put the world together; nothing is connected yet.

    :raises UsageError: the inventory has problems, or no host is meant.
    """
    inventory = loader.load(loader.find(options.hosts_file, tasks_folder=Path(__file__).parents[2]))
    configs = select(inventory, options.hosts)
    masker.spare(word for config in inventory.hosts.values() for word in config.words)
    if inventory.webhook is not None:
        masker.add(inventory.webhook.reveal())
    began = time.time()
    operator = getpass.getuser()
    laptop = LocalLaptop(state_folder(os.environ))
    writer = _ReportWriter(inventory=inventory, laptop=laptop, operator=operator, reason=options.reason)
    world = World(
        hosts=inventory.hosts,
        connect=_connector,
        read_only=ReadOnlyHost,
        connect_database=_connect_database,
        laptop=laptop,
        clock=SystemClock(),
        prompt=TerminalPrompt(),
        sink=sink(),
        save_report=writer,
        hide=lambda secret: masker.add(secret.reveal()),
        catching=catching,
    )
    return Wired(
        inventory=inventory,
        configs=configs,
        world=world,
        operator=operator,
        laptop=socket.gethostname(),
        began=began,
    )


class _Connector:
    """Opens connections, those of all hosts through the same ones to their jump hosts; the tasks of one command line
    hand them on to each other. The heavy libraries are loaded with the first one."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._hops = Hops()
        self._kept: Kept | None = None
        atexit.register(self._close)

    def _close(self) -> None:
        if self._kept is not None:
            self._kept.close()
        self._hops.close()

    def __call__(self, config: HostConfig) -> Host:
        with self._guard:
            from rollback_tasks.transport.connect import SshTarget, connect
            from rollback_tasks.transport.kept import Kept

            kept = self._kept = self._kept or Kept()
        return kept.get(
            SshTarget(
                name=config.name,
                hostname=config.hostname,
                port=config.port,
                user=config.user,
                identity_file=config.identity_file,
                proxy_jump=config.proxy_jump,
                known_hosts_file=config.known_hosts_file,
            ),
            lambda target: connect(target, hops=self._hops),
        )


_connector = _Connector()


def _connect_database(host: Host, at: DatabaseAddress, application: str) -> AbstractContextManager[Database]:
    from rollback_tasks.transport.database import open_database

    return open_database(host, at, application=application)


@contextmanager
def catching(request: Callable[[], None]) -> Iterator[None]:
    """While inside, the first Ctrl-C, SIGTERM or hang-up calls ``request``; a further Ctrl-C raises
    KeyboardInterrupt."""
    seen: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        if seen and number == signal.SIGINT:
            raise KeyboardInterrupt
        seen.append(number)
        say("\nstopping at the next safe point and putting the hosts back; Ctrl-C again leaves at once")
        request()

    caught = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [(number, signal.signal(number, handle)) for number in caught]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)


class TerminalPrompt:
    """Asks on standard error, reads from standard input; both must be terminals."""

    @property
    def is_interactive(self) -> bool:
        """True where somebody can answer."""
        return bool(sys.stdin and sys.stderr and sys.stdin.isatty() and sys.stderr.isatty())

    def confirm(self, question: str, *, expect: str | None = None) -> bool:
        """Ask; the default is no."""
        tail = ": " if expect is not None else " [y/N] "
        sys.stderr.write(visible(question) + tail)
        sys.stderr.flush()
        answer = sys.stdin.readline().strip()
        return answer == expect if expect is not None else answer.lower() in ("y", "yes")


@dataclass(slots=True, kw_only=True)
class _ReportWriter:
    """Writes the incident report of a run to the laptop."""

    inventory: Inventory
    laptop: LocalLaptop
    operator: str
    reason: str
    _clock: SystemClock = field(default_factory=SystemClock)

    def __call__(self, report: RunReport, plan: Plan | None) -> str | None:
        text = incident.markdown(
            report,
            plan,
            self.inventory.contacts,
            ended_at=stamp(self._clock.now()),
            operator=self.operator,
            reason=self.reason,
            clean=masker,
        )
        path = str(state_folder(os.environ) / "runs" / report.run_id / "report.md")
        try:
            self.laptop.write(path, text.encode())
        except StepFailed as error:
            say(f"the report could not be written: {error.brief}")
            return None
        finally:
            self._notify(report)
        return path

    def _notify(self, report: RunReport) -> None:
        """Tell the inventory's webhook; its failure never fails the run."""
        if self.inventory.webhook is None:
            return
        from rollback_tasks.transport.webhook import post

        problem = post(self.inventory.webhook, rendering().document(report))
        if problem:
            say(f"the notification was not taken: {problem}")
