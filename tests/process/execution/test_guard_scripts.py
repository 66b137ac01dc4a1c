"""The scripts of lock, journal and guard under real shells: who decides, what is undone, and what outlives what."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shlex
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import pytest

from rollback_tasks.errors import CommandFailed, LockHeld
from rollback_tasks.execution import journal, lock, record
from rollback_tasks.execution.asking import ask
from rollback_tasks.execution.executor import Executor
from rollback_tasks.execution.interruption import Interruption
from rollback_tasks.execution.journal import Lead
from rollback_tasks.model.outcome import Outcome
from rollback_tasks.model.plan import Action, Compensation, Gate, HostPlan
from rollback_tasks.model.project import Project
from rollback_tasks.model.request import RollbackRequest
from rollback_tasks.ports import Completed, HttpAnswer
from rollback_tasks.shell import Command, Effect, batch, script, standalone
from rollback_tasks.steps.base import BaseStep
from rollback_tasks.transport.clock import SystemClock
from rollback_tasks.transport.local import LocalHost
from tests.builders import a_release
from tests.fakes import FakeClock, KeptEvents, MemoryLaptop

RUN = "20261122T031501Z-4f2a"
# Every test works in a folder that a careless script would run as code, split or expand.
FOLDER = 'it\'s a "host" $(touch pwned) `touch pwned` [a-z]* \\'
BOOT = Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def until(is_true: Callable[[], bool], *, seconds: float = 15) -> None:
    """Wait for a condition; fail where it does not come."""
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, "the condition did not come"
        time.sleep(0.01)


def uptime() -> int:
    return int(float(Path("/proc/uptime").read_text().split()[0]))


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except FileNotFoundError:
        return False


def is_gone(pid: int) -> bool:
    return not is_alive(pid)


class Site:
    """One deployment host in a folder: its state is the file ``world``, whose lines are what was done to it."""

    def __init__(self, folder: Path, run_id: str = RUN) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.run_id = run_id
        self.host = LocalHost(name="prod1")
        self.project = Project(
            folder=str(folder),
            compose=("docker", "compose"),
            name="app",
            files=("docker-compose.yml",),
            app_services=("app",),
            db_service="db",
            database="app",
            database_user="app",
            migrations_service="app",
            migrations_command=("alembic",),
            migrations_folder="",
            backup_folder=f"{folder}/.rollback/backups",
            remote="origin",
        )
        self.state = folder / ".rollback"
        self.world = folder / "world"
        self.world.touch()

    @property
    def run_folder(self) -> Path:
        return self.state / "runs" / self.run_id

    def request(self, run_id: str | None = None) -> RollbackRequest:
        return RollbackRequest(
            task="rollback.full", run_id=run_id or self.run_id, now=0.0, operator="ann", laptop="thinkpad"
        )

    def take(self, run_id: str | None = None) -> None:
        lock.take(self.host, self.project, self.request(run_id), "2026-11-22T03:15:01Z")

    def lead(self, holder: str = "first", *, lease: float = 3600, run_id: str | None = None) -> Lead:
        return Lead(project=self.project, run_id=run_id or self.run_id, holder=holder, lease=lease)

    def open(self, holder: str = "first", *, lease: float = 3600) -> Lead:
        """Lock the host and open the run."""
        self.take()
        lead = self.lead(holder, lease=lease)
        self.host.run(lead.open_run(journal.line("opened", at="t", host="prod1"), '{"steps": []}'))
        return lead

    def write(self, word: str, *, before: str = "") -> Command:
        """Return a command that does something to the world, after the script ``before``."""
        return script(f'{before}\nprintf "%s\\n" "$2" >>"$1"', str(self.world), word, effect=Effect.WRITE)

    def undo(self, word: str, *, before: str = "") -> str:
        return standalone(self.write(word, before=before))

    def begin(self, lead: Lead, name: str, *, undo: str | None = None) -> Command:
        begun = journal.line("started", at="t", step=name)
        return lead.begin(name=name, undo=self.undo(f"undo-{name}") if undo is None else undo, begun=begun)

    def done(self, lead: Lead, name: str) -> Command:
        return lead.append(journal.line("done", at="t", step=name))

    def step(
        self, lead: Lead, name: str, *, undo: str | None = None, forward: Command | None = None
    ) -> list[Completed]:
        """Do one step as the executor does it: all in one round trip."""
        act = forward or self.write(f"do-{name}")
        return ask(self.host, [self.begin(lead, name, undo=undo), act, self.done(lead, name)])

    def unwind(self, who: str = "laptop", *, holder: str = "") -> int:
        return self.host.run(journal.unwind(self.project, self.run_id, who, holder=holder)).exit_code

    def exit_code(self, command: Command) -> int:
        try:
            return self.host.run(command).exit_code
        except CommandFailed as error:
            return error.exit_code_seen

    def verdict(self, *, wait: float = 0) -> str:
        return self.host.run(journal.verdict(self.project, self.run_id, wait=wait)).text.partition("\n")[0]

    def lines(self) -> list[str]:
        return self.world.read_text().split()

    def events(self) -> list[tuple[str, str]]:
        found = [json.loads(line) for line in (self.run_folder / "journal.jsonl").read_text().splitlines() if line]
        return [(str(said["event"]), str(said.get("step", said.get("outcome", "")))) for said in found]

    def end_lease(self) -> None:
        """Nobody gave a sign of life for a lease."""
        self.set_lease(uptime() - 1)

    def set_lease(self, second: int, *, boot: str = BOOT) -> None:
        (self.run_folder / "lease.test").write_text(f"{second} {boot}\n")
        (self.run_folder / "lease.test").rename(self.run_folder / "lease")

    def guards(self) -> list[int]:
        """Return the live guards' process numbers."""
        said = str(self.run_folder / "guard.sh").encode()
        found = []
        for each in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = each.read_bytes().split(b"\0")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if words[0].endswith(b"sh") and said in words:
                found.append(int(each.parent.name))
        return found

    def kill_guards(self) -> None:
        """As a restart of the host would."""
        started = self.run_folder / "guard.pid"
        until(started.exists)

        def are_gone() -> bool:
            for pid in self.guards():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return not self.guards()

        until(are_gone)
        started.unlink(missing_ok=True)


def tools(folder: Path, shell: str) -> str:
    """Return a PATH on which ``sh`` is ``shell``."""
    folder.mkdir()
    without_flock = folder / "bin"
    without_flock.mkdir()
    match shell:
        case "dash" | "bash":
            (folder / "sh").symlink_to(shutil.which(shell) or pytest.skip(f"no {shell} here"))
            return f"{folder}:{os.environ['PATH']}"
        case "busybox":
            busybox = shutil.which("busybox") or pytest.skip("no busybox here")
            for applet in subprocess.check_output([busybox, "--list"], text=True).split():
                (without_flock / applet).symlink_to(busybox)
        case _:
            for each in ("/usr/bin", "/bin"):
                for tool in Path(each).iterdir():
                    if tool.name != "flock" and not (without_flock / tool.name).exists():
                        (without_flock / tool.name).symlink_to(tool)
    return str(without_flock)


def no_guards(path: str) -> str:
    """Return ``path`` with a ``setsid`` that starts nothing, where a test is the guard itself."""
    first = Path(path.partition(":")[0])
    (first / "setsid").unlink(missing_ok=True)
    (first / "setsid").symlink_to("/bin/true")
    return path


SHELLS = ("dash", "bash", "busybox", "no flock")


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """Give a maker of sites; no guard of theirs is left behind."""
    sites: list[Site] = []

    def make(name: str = "") -> Site:
        site = Site(tmp_path / f"{FOLDER}{name}")
        sites.append(site)
        return site

    yield make
    for site in sites:
        if (site.run_folder / "guard.pid").exists():
            site.kill_guards()
    assert not list(tmp_path.rglob("pwned"))
    assert not Path("pwned").exists()


@pytest.fixture
def site(made: Callable[..., Site]) -> Site:
    return made()


@pytest.fixture(params=SHELLS)
def any_shell(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Everything in the test runs with this ``sh``; the last two have no ``flock``."""
    monkeypatch.setenv("PATH", tools(tmp_path / "tools", request.param))
    return str(request.param)


@pytest.fixture(params=("dash", "busybox"))
def two_shells(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The usual ``sh`` with everything, and one without ``flock`` whose tools are all its own."""
    monkeypatch.setenv("PATH", tools(tmp_path / "tools", request.param))
    return str(request.param)


# --- a run from its beginning to its end -------------------------------------------------------------------------


def test_a_run_that_is_committed_stays_and_its_guard_goes_home(site: Site, any_shell: str) -> None:
    lead = site.open()
    assert [done.exit_code for done in site.step(lead, "001-stop")] == [0, 0, 0]
    assert [done.exit_code for done in site.step(lead, "002-switch")] == [0, 0, 0]
    assert len(site.guards()) == 1
    site.host.run(lead.commit(journal.line("settled", at="t", outcome="done")))
    assert site.verdict() == "committed"
    assert site.unwind() == journal.COMMITTED
    assert site.unwind("guard") == journal.COMMITTED
    until(lambda: not site.guards())
    assert site.lines() == ["do-001-stop", "do-002-switch"]
    assert (site.state / "lock").is_dir(), "the fleet may still have to undo it: the laptop frees the lock"
    lock.release(site.host, site.project, RUN)
    assert not (site.state / "lock").exists()
    assert [name for name in os.listdir(site.run_folder) if "." in name and name.split(".")[0] in ("lease",)] == []


def test_a_lease_that_runs_out_makes_the_guard_undo_all_newest_first(site: Site, two_shells: str) -> None:
    lead = site.open()
    site.step(lead, "001-stop")
    site.step(lead, "002-look", undo="")
    site.step(lead, "003-switch")
    site.end_lease()
    assert site.verdict(wait=10) == "restored"
    until(lambda: not (site.state / "lock").exists())
    assert site.lines() == ["do-001-stop", "do-002-look", "do-003-switch", "undo-003-switch", "undo-001-stop"]
    assert site.events()[-3:] == [
        ("compensated", "003-switch"),
        ("compensated", "001-stop"),
        ("settled", "restored"),
    ]
    until(lambda: not site.guards())
    assert site.exit_code(site.begin(lead, "004-late")) == journal.FENCED
    assert site.exit_code(lead.commit("{}")) == journal.FENCED
    assert site.exit_code(lead.led(site.write("late"))) == journal.FENCED
    assert site.exit_code(lead.hold()) == journal.FENCED
    assert site.exit_code(site.done(lead, "004-late")) == journal.FENCED
    assert site.exit_code(lead.rejoin(limit=1)) == journal.FENCED
    assert "late" not in site.lines()


def test_the_guard_waits_while_signs_of_life_come_and_acts_when_they_end(site: Site) -> None:
    lead = site.open(lease=3)
    site.step(lead, "001-stop")

    def beats() -> Iterator[bytes]:
        for _ in range(9):
            time.sleep(0.5)
            yield b"\n"

    site.host.push(lead.renewing(timeout=60), beats())
    assert site.verdict() == "undecided"
    assert site.lines() == ["do-001-stop"]
    site.end_lease()
    assert site.verdict(wait=15) == "restored"


@pytest.mark.parametrize("shell", ["busybox"])
def test_every_undo_is_tried_and_one_that_fails_is_tried_until_it_works(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shell: str
) -> None:
    monkeypatch.setenv("PATH", tools(tmp_path / "tools", shell))
    lead = site.open()
    site.step(lead, "001-stop")
    twice = '[ "$(ls "$1".tries* 2>/dev/null | wc -l)" -ge 2 ] || { : >"$1.tries.$$"; exit 1; }'
    site.step(lead, "002-switch", undo=site.undo("undo-002-switch", before=twice))
    site.step(lead, "003-start")
    site.end_lease()
    assert site.verdict(wait=25) == "restored"
    # What was undone before its time is undone again, once, when that has come.
    assert site.lines()[3:] == ["undo-003-start", "undo-001-stop", "undo-002-switch", "undo-001-stop"]
    assert [event for event in site.events() if event[1] == "002-switch"] == [
        ("started", "002-switch"),
        ("done", "002-switch"),
        ("compensation_failed", "002-switch"),
        ("compensation_failed", "002-switch"),
        ("compensated", "002-switch"),
    ]
    until(lambda: not (site.state / "lock").exists())


def test_what_rests_on_an_undo_that_failed_is_undone_behind_it(site: Site) -> None:
    """An engine that is away: the newest two fail, the oldest acts too early, and all is right in the end."""
    lead = site.open()
    away = site.folder / "away"
    away.touch()
    there = f"[ ! -e '{away.name}' ] || exit 1"
    in_folder = f"cd {shlex.quote(str(site.folder))} && {there}"
    for name in ("001-stop", "002-database", "003-images", "004-start"):
        needs_engine = name in ("003-images", "004-start")
        site.step(lead, name, undo=site.undo(f"undo-{name}", before=in_folder if needs_engine else ""))
    done = site.host.run(journal.unwind(site.project, site.run_id, "laptop"))
    assert done.exit_code == journal.NOT_ALL_UNDONE
    assert [each.is_done for each in record.undone(done.text)] == [False, False, True, True]
    away.unlink()
    assert site.unwind() == 0
    assert site.lines()[4:6] == ["undo-002-database", "undo-001-stop"]
    assert site.lines()[6:] == ["undo-004-start", "undo-003-images", "undo-002-database", "undo-001-stop"]
    assert site.unwind() == 0
    assert len(site.lines()) == 10, "what is undone stays undone"


def test_what_was_taken_away_on_the_way_comes_back_although_something_older_fails_again(site: Site) -> None:
    """The ledger fails once, then the checkout for good: the application that the first try brought back stays."""
    lead = site.open()
    folder = shlex.quote(str(site.folder))
    app = {"down": f"cd {folder} && rm -f app", "up": f"cd {folder} && : >app"}
    site.step(lead, "001-stop", undo=site.undo("started", before=app["up"]))
    site.step(lead, "002-checkout", undo=site.undo("checkout", before=f"cd {folder} && [ ! -e full ] || exit 1"))
    site.step(lead, "003-start", undo=site.undo("removed", before=app["down"]))
    site.step(lead, "004-record", undo=site.undo("record", before=f"cd {folder} && [ ! -e away ] || exit 1"))
    (site.folder / "away").touch()
    assert site.unwind() == journal.NOT_ALL_UNDONE
    (site.folder / "away").unlink()
    (site.folder / "full").touch()
    for _ in range(3):
        assert site.unwind() == journal.NOT_ALL_UNDONE
        assert (site.folder / "app").exists()
    tries = site.lines().count("started")
    assert tries == 2, "what nothing newer has changed is left alone"
    (site.folder / "full").unlink()
    assert site.unwind() == 0
    assert (site.folder / "app").exists()


def test_rows_that_may_have_been_written_between_two_tries_are_noted(site: Site) -> None:
    lead = site.open()
    site.step(lead, "001-stop", undo=site.undo("started", before="exit 1"))
    assert site.unwind() == journal.NOT_ALL_UNDONE
    assert (site.run_folder / "served").exists()


def test_a_clean_way_back_notes_no_rows(site: Site) -> None:
    lead = site.open()
    site.step(lead, "001-stop")
    assert site.unwind() == 0
    assert not (site.run_folder / "served").exists()


def test_an_undo_that_fails_says_its_last_words(site: Site) -> None:
    lead = site.open()
    site.step(
        lead,
        "001-stop",
        undo=standalone(script("echo first; printf 'a \\033[31mred\\n\\n'; exit 3", effect=Effect.WRITE)),
    )
    done = site.host.run(journal.unwind(site.project, site.run_id, "laptop"))
    assert done.exit_code == journal.NOT_ALL_UNDONE
    assert record.undone(done.text) == [record.Undone("stop", is_done=False, why="a [31mred")]


# --- the last moment -----------------------------------------------------------------------------------------------


def race(*works: Callable[[], int]) -> list[int]:
    """Run all at the same moment; return what each returned."""
    answers: list[int] = [-1] * len(works)
    line = threading.Barrier(len(works))

    def run(number: int, work: Callable[[], int]) -> None:
        line.wait()
        answers[number] = work()

    threads = [threading.Thread(target=run, args=each) for each in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def again(site: Site, number: int) -> Site:
    """Return the same host with a new run on it."""
    fresh = Site(site.folder, f"{RUN}-{number}")
    fresh.world.write_text("")
    return fresh


# As often as the sandbox's tests are asked to run every case.
MANY = 200 if os.environ.get("ROLLBACK_SANDBOX_ALL_CASES") == "1" else None


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("shell", "tries"), [("dash", MANY or 12), ("no flock", 6)])
def test_laptop_and_guard_never_both_decide(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shell: str, tries: int
) -> None:
    monkeypatch.setenv("PATH", no_guards(tools(tmp_path / "tools", shell)))
    chance = random.Random(4)
    seen = set()
    for number in range(tries):
        site = again(site, number)
        lead = site.open()
        site.step(lead, "001-stop")
        site.end_lease()
        late, early = chance.choice([(0.0, 0.0), (0.03, 0.0), (0.0, 0.03), (chance.random() / 20, 0.0)])

        def commit(site: Site = site, lead: Lead = lead, late: float = late) -> int:
            time.sleep(late)
            return site.exit_code(lead.commit(journal.line("settled", at="t", outcome="done")))

        def guard(site: Site = site, early: float = early) -> int:
            time.sleep(early)
            return site.unwind("guard")

        codes = race(commit, guard)
        said = site.verdict()
        seen.add(said)
        match codes[0]:
            case 0:
                assert (said, site.lines()) == ("committed", ["do-001-stop"])
                assert codes[1] in (journal.COMMITTED, 1)
            case journal.FENCED | journal.BUSY:  # busy: the guard was at it for as long as the laptop waits its turn
                assert (codes[1], said, site.lines()) == (0, "restored", ["do-001-stop", "undo-001-stop"])
            case code:
                pytest.fail(f"commit ended with {code}")
        assert len([name for name in os.listdir(site.run_folder) if name in ("committed", "decided-guard")]) == 1
        lock.release(site.host, site.project, site.run_id)
    assert seen == {"committed", "restored"}, "the race never went the other way"


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("shell", "tries"), [("dash", MANY or 10), ("no flock", 5)])
def test_a_step_that_begins_at_the_last_moment_is_ended_before_it_is_undone(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shell: str, tries: int
) -> None:
    monkeypatch.setenv("PATH", no_guards(tools(tmp_path / "tools", shell)))
    chance = random.Random(7)
    seen = set()
    for number in range(tries):
        site = again(site, number)
        lead = site.open()
        site.end_lease()
        slow = site.write("do-001-stop", before="sleep 0.05")

        def step(site: Site = site, lead: Lead = lead, slow: Command = slow, late: float = chance.random() / 25) -> int:
            time.sleep(late)
            try:
                return (site.step(lead, "001-stop", forward=slow) or [Completed(exit_code=255)])[-1].exit_code
            except CommandFailed as error:
                return error.exit_code_seen

        def guard(site: Site = site, late: float = chance.random() / 12) -> int:
            time.sleep(late)
            return site.unwind("guard")

        stepped, guarded = race(step, guard)
        lines, said = site.lines(), site.verdict()
        if guarded == journal.BUSY:
            assert (stepped, lines, said) == (0, ["do-001-stop"], "undecided")
            assert site.unwind() == 0
            seen.add("renewed")
        else:
            assert (guarded, said) == (0, "restored")
            # A step that ended before the guard decided is undone as well; the laptop learns it at its next step.
            assert stepped != 0 or lines == ["do-001-stop", "undo-001-stop"]
            assert lines in ([], ["undo-001-stop"], ["do-001-stop", "undo-001-stop"])
            seen.add("undone" if lines else "fenced")
            time.sleep(0.06)
            assert site.lines() == lines, "something still acted after it was undone"
    assert len(seen) >= 2, seen


def test_real_guards_and_laptops_meet_at_the_end_of_the_lease(made: Callable[..., Site]) -> None:
    sites = [made(f" {number}") for number in range(16)]
    leads = [site.open() for site in sites]
    for site, lead in zip(sites, leads, strict=True):
        site.step(lead, "001-stop")
    end = uptime() + 2
    chance = random.Random(3)
    for site in sites:
        site.set_lease(end)
    codes: dict[int, int] = {}

    def commit(number: int) -> None:
        codes[number] = sites[number].exit_code(leads[number].commit(journal.line("settled", at="t", outcome="done")))

    threads = []
    for number in sorted(range(len(sites)), key=lambda _: chance.random()):
        threads.append(threading.Timer(max(0.0, end - uptime() - 0.5 + 2 * chance.random()), commit, [number]))
        threads[-1].start()
    for thread in threads:
        thread.join()
    for number, site in enumerate(sites):
        said = site.verdict(wait=20)
        if codes[number] == 0:
            assert (said, site.lines()) == ("committed", ["do-001-stop"])
        else:
            assert said == "restored"
            assert codes[number] in (journal.FENCED, journal.BUSY)
            assert site.lines() == ["do-001-stop", "undo-001-stop"]


# --- what outlives what -----------------------------------------------------------------------------------------


def test_the_guard_outlives_everything_that_started_it(site: Site, tmp_path: Path) -> None:
    """The connection's session is killed as a whole, and nobody reads its output any more."""
    site.take()
    lead = site.lead()
    opening = lead.open_run(journal.line("opened", at="t"), "{}")
    wait = f"{subprocess.list2cmdline(['sleep', '100'])}"
    words = ["sh", "-c", f'sh "$@"; echo opened; {wait}', "x", *opening.argv[1:]]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == b"opened\n"
    site.step(lead, "001-stop")
    os.killpg(process.pid, signal.SIGHUP)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.stdout.read() == b"", "the guard holds the connection's output open"
    process.stdout.close()
    process.stderr.close()
    process.wait()
    assert len(site.guards()) == 1
    site.end_lease()
    assert site.verdict(wait=10) == "restored"
    assert site.lines() == ["do-001-stop", "undo-001-stop"]


def test_a_clock_that_jumps_neither_fires_the_guard_nor_holds_it_back(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock of this host is a script of the test: ten years ahead, then ten years behind."""
    shim = tmp_path / "clock"
    shim.mkdir()
    (shim / "date").write_text(f'#!/bin/sh\nread -r offset <\'{shim}/offset\'\nexec /usr/bin/date -d "$offset" "$@"\n')
    (shim / "date").chmod(0o755)
    (shim / "offset").write_text("now + 10 years\n")
    monkeypatch.setenv("PATH", f"{shim}:{os.environ['PATH']}")
    lead = site.open(lease=60)
    site.step(lead, "001-stop")
    time.sleep(1.5)
    assert site.verdict() == "undecided"
    (shim / "offset").write_text("now - 10 years\n")
    site.end_lease()
    assert site.verdict(wait=10) == "restored"


@pytest.mark.parametrize("seconds", [18_000, 10_000_000])
def test_after_a_restart_of_the_host_the_old_lease_holds_nobody_back(site: Site, seconds: int) -> None:
    lead = site.open()
    site.step(lead, "001-stop")
    site.kill_guards()
    site.set_lease(uptime() + seconds, boot="another-start-of-this-host")
    said = record.read(site.host.run(record.reading(site.project, RUN)).text)
    assert (said.state, said.seconds_left, said.done) == ("undecided", 0, frozenset({"001-stop"}))
    second = site.lead("second")
    assert site.host.run(second.take(journal.line("resumed", at="t"))).exit_code == 0
    assert len(site.guards()) == 1, "a run that is gone on with has a guard again"
    assert [done.exit_code for done in site.step(second, "002-switch")] == [0, 0, 0]
    site.kill_guards()
    site.set_lease(uptime() + seconds, boot="another-start-of-this-host")
    assert site.unwind() == 0
    assert site.verdict() == "restored"
    assert site.lines()[2:] == ["undo-002-switch", "undo-001-stop"]


def test_a_lease_of_a_host_that_does_not_tell_its_starts_is_capped(site: Site) -> None:
    lead = site.open()
    site.kill_guards()
    site.set_lease(uptime() + 90_000)
    assert record.read(site.host.run(record.reading(site.project, RUN)).text).seconds_left == 0
    site.set_lease(uptime() + 500)
    assert record.read(site.host.run(record.reading(site.project, RUN)).text).seconds_left in (499, 500)
    assert site.exit_code(lead.hold()) == 0


# --- undoing ------------------------------------------------------------------------------------------------------


def test_two_that_undo_at_once_run_every_undo_once(site: Site, two_shells: str) -> None:
    lead = site.open()
    for number in range(1, 4):
        name = f"{number:03d}-step"
        site.step(lead, name, undo=site.undo(f"undo-{name}", before="sleep 0.2"))
    site.end_lease()
    codes = race(site.unwind, lambda: site.unwind("guard"), site.unwind)
    assert 0 in codes
    assert set(codes) <= {0, journal.BUSY}
    assert site.verdict(wait=10) == "restored"
    assert site.lines()[3:] == ["undo-003-step", "undo-002-step", "undo-001-step"]


def test_one_that_is_killed_while_it_undoes_is_followed_by_the_next_for_that_step_and_the_rest(site: Site) -> None:
    lead = site.open()
    site.step(lead, "001-stop")
    slow = 'printf "try\\n" >>"$1"; [ -e "$1.second" ] || { : >"$1.second"; sleep 1; }'
    site.step(lead, "002-switch", undo=site.undo("undo-002-switch", before=slow))
    site.step(lead, "003-start")
    site.kill_guards()
    words = journal.unwind(site.project, RUN, "laptop").argv
    first = subprocess.Popen(words, stdout=subprocess.DEVNULL, start_new_session=True)
    until(lambda: "try" in site.lines())
    first.kill()
    first.wait()
    assert site.verdict() == "deciding"
    began = time.monotonic()
    while (code := site.unwind("guard")) == journal.BUSY:
        assert time.monotonic() - began < 10
    assert code == 0
    # What the first had begun ended before it was begun again: never the same undo beside itself.
    assert site.lines()[3:] == [
        "undo-003-start",
        "try",
        "undo-002-switch",
        "try",
        "undo-002-switch",
        "undo-001-stop",
    ]
    assert site.verdict() == "restored"


def test_a_run_that_was_committed_can_be_undone_once_while_its_lock_is_held(site: Site, two_shells: str) -> None:
    lead = site.open()
    site.step(lead, "001-stop")
    site.host.run(lead.commit(journal.line("settled", at="t", outcome="done")))
    assert site.unwind("undo") == 0
    assert site.verdict() == "restored"
    assert site.unwind("undo") == 0
    assert site.unwind("laptop") == 0
    assert site.lines() == ["do-001-stop", "undo-001-stop"]
    assert not (site.state / "lock").exists()


def test_a_committed_run_is_left_alone_once_another_run_holds_the_host(site: Site) -> None:
    lead = site.open()
    site.step(lead, "001-stop")
    site.host.run(lead.commit(journal.line("settled", at="t", outcome="done")))
    lock.release(site.host, site.project, RUN)
    assert site.unwind("undo") == journal.FENCED
    site.take("another")
    assert site.unwind("undo") == journal.FENCED
    assert site.verdict() == "committed"
    assert site.lines() == ["do-001-stop"]
    lock.release(site.host, site.project, RUN)
    assert (site.state / "lock" / "run_id").read_text() == "another\n"


def test_an_undo_that_is_cut_at_its_first_moment_is_never_taken_for_restored(site: Site) -> None:
    """Killed between the two files that say how it stands: the host is still as after, and nobody may say else."""
    lead = site.open()
    site.step(lead, "001-stop")
    site.host.run(lead.commit(journal.line("settled", at="t", outcome="done")))
    (site.run_folder / "settled").unlink()
    assert site.verdict() == "deciding"
    assert site.unwind() == journal.COMMITTED
    assert site.verdict() == "committed"
    (site.run_folder / "settled").unlink()
    (site.run_folder / "committed").rename(site.run_folder / "decided-undo")
    assert site.verdict() == "deciding"
    assert site.unwind() == 0
    assert site.lines() == ["do-001-stop", "undo-001-stop"]
    assert site.verdict() == "restored"


# --- what acts is ended first --------------------------------------------------------------------------------------


def start(command: Command) -> subprocess.Popen[bytes]:
    """Start a command as sshd does: in a session of its own, under its time limit."""
    words = ["timeout", "-k", "10", "100", *command.argv]
    return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True)


def batched(commands: Sequence[Command]) -> Command:
    return batch(commands, token="token-of-this-test")


def test_all_that_a_step_had_started_is_ended_before_it_is_undone(site: Site, two_shells: str) -> None:
    lead = site.open()
    # In the usual shell it is one that does not mind TERM.
    trap = "trap : TERM" if two_shells == "dash" else ":"
    act = f"""{trap}; sleep 50 & echo $! >"$1.new"; mv "$1.new" "$1"; wait; sleep 30"""
    body = f"""timeout 60 sh -c '{act}' x "$1" & wait"""
    stubborn = script(body, str(site.folder / "pids"), effect=Effect.WRITE)
    acting = start(batched([site.begin(lead, "001-stop"), stubborn, site.done(lead, "001-stop")]))
    until((site.folder / "pids").exists)
    child = int((site.folder / "pids").read_text())
    assert is_alive(child)
    site.kill_guards()
    assert site.unwind() == 0
    assert not is_alive(child)
    acting.wait()
    assert site.lines() == ["undo-001-stop"]
    assert ("done", "001-stop") not in site.events()


def test_a_command_that_needs_input_travels_alone_and_is_fenced_and_ended_as_well(site: Site, two_shells: str) -> None:
    lead = site.open()
    assert site.host.run(site.begin(lead, "001-downgrade")).exit_code == 0
    reading = script('cat >"$1"', str(site.folder / "input"), effect=Effect.WRITE, stdin=b"a secret\n" * 20000)
    assert site.host.run(lead.led(reading)).exit_code == 0
    assert (site.folder / "input").read_bytes() == b"a secret\n" * 20000
    assert list((site.run_folder / "sessions").iterdir()) != []
    slow = lead.led(site.write("do-001-downgrade", before='echo $$ >"$1.pid"; sleep 30'))
    acting = start(slow)
    until(lambda: Path(f"{site.world}.pid").exists() and Path(f"{site.world}.pid").read_text() != "")
    site.kill_guards()
    assert site.unwind() == 0
    acting.wait()
    assert not is_alive(int(Path(f"{site.world}.pid").read_text()))
    assert site.lines() == ["undo-001-downgrade"]
    assert site.exit_code(lead.led(site.write("late"))) == journal.FENCED
    assert site.lines() == ["undo-001-downgrade"]


def test_a_led_command_keeps_its_own_exit_code_and_leaves_no_note(site: Site) -> None:
    lead = site.open()
    assert site.exit_code(lead.led(script("exit 7", effect=Effect.READ))) == 7
    assert site.exit_code(lead.led(Command(argv=("renew", "x"), effect=Effect.READ))) == 127
    assert list((site.run_folder / "sessions").iterdir()) == []


@pytest.mark.parametrize("whose", ["a stranger's", "the last start's"])
def test_a_process_number_that_belongs_to_somebody_else_by_now_is_spared(site: Site, whose: str) -> None:
    site.open()
    stranger = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        boot = BOOT if whose == "a stranger's" else "another-start-of-this-host"
        (site.run_folder / "sessions" / str(stranger.pid)).write_text(f"{boot}\n")
        assert site.unwind() == 0
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_members_whose_leader_is_gone_are_ended_but_not_after_a_restart(site: Site) -> None:
    site.open()
    words = ["sh", "-c", 'timeout 60 sleep 50 & echo "$!"; wait']
    for boot, is_spared in (("another-start-of-this-host", True), (BOOT, False)):
        leader = subprocess.Popen(words, stdout=subprocess.PIPE, start_new_session=True)
        assert leader.stdout is not None
        child = int(leader.stdout.readline())
        leader.stdout.close()
        leader.kill()
        leader.wait()
        (site.run_folder / "sessions" / str(leader.pid)).write_text(f"{boot}\n")
        assert site.host.run(journal.end_session(site.project, RUN)).exit_code == 0
        if not is_spared:
            until(partial(is_gone, child))
        else:
            assert is_alive(child)
            os.kill(child, signal.SIGKILL)


def test_what_ends_a_session_does_not_end_itself(site: Site) -> None:
    lead = site.open()
    both = ask(site.host, [site.begin(lead, "001-stop"), journal.end_session(site.project, RUN), site.write("alive")])
    assert [done.exit_code for done in both] == [0, 0, 0]
    assert site.lines() == ["alive"]


def test_a_late_step_of_the_old_leader_does_not_hide_what_the_new_one_does(site: Site) -> None:
    first = site.open()
    site.kill_guards()
    site.end_lease()
    second = site.lead("second")
    assert site.host.run(second.take(journal.line("resumed", at="t"))).exit_code == 0
    slow = site.write("do-001-stop", before='echo $$ >"$1.pid"; sleep 30')
    acting = start(batched([site.begin(second, "001-stop"), slow, site.done(second, "001-stop")]))
    until(lambda: Path(f"{site.world}.pid").exists() and Path(f"{site.world}.pid").read_text() != "")
    assert site.exit_code(site.begin(first, "001-stop")) == journal.FENCED
    site.kill_guards()
    assert site.unwind() == 0
    acting.wait()
    assert not is_alive(int(Path(f"{site.world}.pid").read_text()))
    assert site.lines() == ["undo-001-stop"]


# --- another laptop --------------------------------------------------------------------------------------------------


def test_who_takes_the_lead_shuts_the_old_leader_out(site: Site, two_shells: str) -> None:
    first = site.open()
    site.step(first, "001-stop")
    second = site.lead("second")
    take = second.take(journal.line("resumed", at="t"))
    assert site.host.run(take).exit_code == journal.BUSY
    site.kill_guards()
    site.end_lease()
    assert site.host.run(take).exit_code == 0
    assert site.exit_code(site.begin(first, "002-switch")) == journal.FENCED
    assert site.exit_code(first.commit("{}")) == journal.FENCED
    assert site.exit_code(first.hold()) == journal.FENCED
    assert site.exit_code(site.done(first, "001-stop")) == journal.FENCED
    assert site.unwind(holder="first") == journal.FENCED, "the run is the second's to decide"
    assert site.verdict() == "undecided"
    assert [done.exit_code for done in site.step(second, "002-switch")] == [0, 0, 0]
    site.host.run(second.commit(journal.line("settled", at="t", outcome="done")))
    assert site.verdict() == "committed"
    assert site.host.run(site.lead("third").take("{}")).exit_code == journal.FENCED
    assert site.lines() == ["do-001-stop", "do-002-switch"]


def test_an_operator_who_aborts_outranks_the_leader(site: Site) -> None:
    first = site.open()
    site.step(first, "001-stop")
    assert site.unwind() == 0
    assert site.verdict() == "restored"
    assert site.exit_code(site.begin(first, "002-switch")) == journal.FENCED


# --- the lock ---------------------------------------------------------------------------------------------------------


def test_one_of_many_takers_gets_the_lock(site: Site, two_shells: str) -> None:
    def take(number: int) -> int:
        try:
            site.take(f"run-{number}")
        except LockHeld:
            return 6
        return 0

    for turn in range(3):
        codes = race(*[lambda n=turn * 10 + number: take(n) for number in range(4)])
        assert sorted(codes) == [0, 6, 6, 6]
        winner = turn * 10 + codes.index(0)
        assert (site.state / "lock" / "run_id").read_text() == f"run-{winner}\n"
        lock.release(site.host, site.project, f"run-{winner}")


def test_two_that_free_a_lock_never_free_the_next_ones(site: Site, any_shell: str) -> None:
    """The guard and the laptop both unlock after a run; between them somebody else may take the host."""
    for number in range(4):
        site.take(f"old-{number}")

        def take(number: int = number) -> int:
            while True:
                try:
                    site.take(f"new-{number}")
                    return 0
                except LockHeld:
                    continue

        def free(number: int = number) -> int:
            lock.release(site.host, site.project, f"old-{number}")
            return 0

        race(free, free, take)
        assert (site.state / "lock" / "run_id").read_text() == f"new-{number}\n"
        lock.release(site.host, site.project, f"new-{number}")
    assert [name for name in os.listdir(site.state) if name.startswith("lock.")] == []


def test_the_lock_of_an_unfinished_run_is_given_up_by_nobody(site: Site) -> None:
    site.open()
    with pytest.raises(CommandFailed):
        lock.release(site.host, site.project, RUN)
    with pytest.raises(CommandFailed):
        lock.take_away(site.host, site.project, RUN, site.request(), "t")
    assert (site.state / "lock" / "run_id").read_text() == f"{RUN}\n"
    with pytest.raises(LockHeld):
        site.take("another")


def test_an_unfinished_run_without_a_lock_keeps_others_out_and_names_itself(site: Site) -> None:
    site.open()
    shutil.rmtree(site.state / "lock")
    with pytest.raises(LockHeld, match=RUN):
        site.take("another")
    assert not (site.state / "lock").exists()
    assert site.unwind() == 0
    site.take("another")


def test_a_lock_whose_taker_died_before_it_wrote_its_name_holds_nobody_back(site: Site) -> None:
    (site.state / "lock").mkdir(parents=True)
    (site.state / "lock" / "owner.json").write_text('{"run_id": "dead"')
    site.take("another")
    assert (site.state / "lock" / "run_id").read_text() == "another\n"


def test_a_lock_whose_owner_cannot_be_read_still_tells_its_run_so_that_it_can_be_freed(site: Site) -> None:
    site.take("dead")
    (site.state / "lock" / "owner.json").write_text("")
    owner, unfinished = lock.read(site.host.run(lock.reading(str(site.state))).text)
    assert owner is not None
    assert (owner.run_id, owner.operator, unfinished) == ("dead", "?", ())
    lock.take_away(site.host, site.project, owner.run_id, site.request(), "t")
    assert not (site.state / "lock").exists()


# --- a full disk ------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1.5 MiB; only root can mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=1536k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(words, capture_output=True, check=False).returncode != 0:
        pytest.skip("no disk can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path) -> Path:
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 512)
        except OSError:
            pass
    return ballast


def test_a_full_disk_is_a_clear_failure_and_nothing_is_half_decided(small_disk: Path, two_shells: str) -> None:
    site = Site(small_disk / "host")
    site.world.unlink()
    site.world = small_disk.parent / "world"
    site.world.touch()
    lead = site.open()
    try:
        site.step(lead, "001-stop")
        fill(small_disk)
        assert [done.exit_code for done in site.step(lead, "002-switch")] == [1]
        assert site.lines() == ["do-001-stop"]
        assert site.exit_code(lead.hold()) == 1
        assert site.verdict() == "undecided"
        assert site.unwind() == 0, "undoing must not need the disk"
        assert site.verdict() == "restored"
        assert site.lines() == ["do-001-stop", "undo-001-stop"]
        assert not (site.state / "lock").exists()
    finally:
        site.kill_guards()


def test_what_undoes_finds_room_on_a_disk_that_is_full(small_disk: Path, two_shells: str) -> None:
    site = Site(small_disk / "host")
    lead = site.open()
    try:
        wordy = standalone(script('head -c 600000 /dev/zero | tr "\\0" x', effect=Effect.WRITE))
        site.step(lead, "001-stop", forward=script(":", effect=Effect.READ), undo=wordy)
        fill(small_disk)
        with pytest.raises(CommandFailed, match=r"(?s)cannot write to .* 0 KiB are free"):
            site.host.run(lead.begin(name="002-switch", undo="", begun="x" * 9000))
        assert site.unwind() == 0
        assert site.verdict() == "restored"
        assert (site.run_folder / "undo" / "001-stop.log").stat().st_size == 600000
    finally:
        site.kill_guards()


def test_the_room_that_a_run_keeps_is_given_back_when_it_ends_well(site: Site) -> None:
    lead = site.open()
    assert (site.run_folder / "reserve").stat().st_size == 1 << 20
    site.host.run(lead.commit(journal.line("settled", at="t", outcome="done")))
    assert not (site.run_folder / "reserve").exists()


def test_a_run_that_has_no_room_for_its_way_back_does_not_begin(small_disk: Path) -> None:
    site = Site(small_disk / "host")
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 700_000)
    with pytest.raises(CommandFailed, match=r"cannot write to .* 0 KiB are free"):
        site.open()
    assert not (site.run_folder / "undecided").exists()


def test_a_commit_on_a_full_disk_is_decided_once(small_disk: Path) -> None:
    site = Site(small_disk / "host")
    lead = site.open()
    try:
        site.step(lead, "001-stop", forward=script(":", effect=Effect.READ))
        (site.run_folder / "reserve").unlink()  # somebody took that room as well
        fill(small_disk)
        code = site.exit_code(lead.commit(journal.line("settled", at="t", outcome="done", long="x" * 8000)))
        assert code == 1
        assert site.unwind(holder="first") == journal.COMMITTED
        assert site.verdict() == "committed"
    finally:
        site.kill_guards()


def test_a_line_that_a_full_disk_tore_does_not_swallow_the_next(site: Site) -> None:
    lead = site.open()
    with (site.run_folder / "journal.jsonl").open("a") as file:
        file.write('{"version": 1, "event": "star')
    site.step(lead, "001-stop")
    said = record.read(site.host.run(record.reading(site.project, RUN)).text)
    assert (said.done, said.begun) == (frozenset({"001-stop"}), "")


def test_a_lock_on_a_full_disk_is_not_left_behind(small_disk: Path) -> None:
    site = Site(small_disk / "host")
    site.take("first")
    lock.release(site.host, site.project, "first")
    ballast = fill(small_disk)
    with pytest.raises(CommandFailed):
        site.take("second")
    assert not (site.state / "lock").exists()
    ballast.unlink()
    site.take("third")


# --- the executor on top of them --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Downgrade(BaseStep):
    """A step like ``alembic downgrade``: what it does needs input, so it travels in several round trips."""

    kind: ClassVar[str] = "downgrade"
    site: Site

    def describe(self) -> str:
        return "downgrade the schema"

    def forward(self) -> tuple[Action, ...]:
        read = script('cat >/dev/null; printf "downgraded\\n" >>"$1"', str(self.site.world), effect=Effect.DESTROY)
        return (self.site.write("marked"), replace(read, stdin=b"a secret"), self.site.write("rounded-off"))

    def compensation(self) -> Compensation:
        return Compensation("swap back", self.site.write("swapped-back"))


class Sleepy(LocalHost):
    """A laptop that sleeps right before it sends what needs input, or what follows that."""

    def __init__(self, site: Site, moment: Callable[[Command], bool]) -> None:
        super().__init__(name="prod1")
        self.site = site
        self.moment = moment

    def run(self, command: Command) -> Completed:
        if self.moment(command):
            self.moment = lambda command: False
            self.site.end_lease()
            assert self.site.verdict(wait=20) == "restored"
        return super().run(command)


@pytest.mark.parametrize(
    ("before", "left"),
    [
        ("what needs input", ["marked", "swapped-back"]),
        ("what follows it", ["marked", "downgraded", "swapped-back"]),
    ],
)
def test_a_laptop_that_wakes_up_in_the_middle_of_a_step_does_nothing_more(
    site: Site, before: str, left: list[str]
) -> None:
    site.take()

    def moment(command: Command) -> bool:
        if before == "what needs input":
            return command.stdin != b""
        return command.stdin == b"" and any("rounded-off" in word for word in command.argv)

    step = Downgrade(site=site)
    release = a_release(3)
    plan = HostPlan(host="prod1", current=release, steps=(step,), database="app", run_id=RUN)
    performed = Executor(
        plan=plan,
        host=Sleepy(site, moment),
        reconnect=lambda: site.host,
        laptop=MemoryLaptop(),
        clock=FakeClock(),
        sink=KeptEvents(),
        lead=site.lead(lease=600),
        stamp=str,
        mirror="mirror",
        health_after=None,
        interruption=Interruption(),
    ).perform()
    assert (performed.outcome, performed.bug) == (Outcome.RESTORED, None)
    assert site.lines() == left


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait(BaseStep):
    """Waits for an application that never answers."""

    kind: ClassVar[str] = "await_healthy"

    def describe(self) -> str:
        return "wait"

    def forward(self) -> tuple[Action, ...]:
        return (Gate(url="http://localhost:9/health", timeout=300, interval=0.05, soak=0),)

    def compensation(self) -> Compensation:
        return Compensation("nothing was changed", script(":", effect=Effect.READ))


class Impatient(LocalHost):
    """A host that somebody else puts back while this laptop waits for its application."""

    def __init__(self, site: Site) -> None:
        super().__init__(name="prod1")
        self.site = site
        self.asked = 0

    def http_get(self, url: str, *, timeout: float) -> HttpAnswer:
        self.asked += 1
        if self.asked == 3:
            assert self.site.unwind() == 0
        return HttpAnswer(500)


def test_nobody_waits_for_the_health_of_a_run_that_somebody_else_has_ended(site: Site) -> None:
    site.take()
    plan = HostPlan(host="prod1", current=a_release(3), steps=(Wait(),), database="app", run_id=RUN)
    performed = Executor(
        plan=plan,
        host=Impatient(site),
        reconnect=lambda: site.host,
        laptop=MemoryLaptop(),
        clock=SystemClock(),
        sink=KeptEvents(),
        lead=site.lead(lease=4),
        stamp=str,
        mirror="mirror",
        health_after=None,
        interruption=Interruption(),
    ).perform()
    assert (performed.outcome, performed.bug) == (Outcome.RESTORED, None)
    assert performed.problem == "another decision was taken on the host"
