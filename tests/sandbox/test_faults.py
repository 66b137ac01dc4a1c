"""Every fault does what it says, is felt from outside, and ends by itself, also where nobody waits for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from rollback_tasks.errors import CommandFailed
from rollback_tasks.ports import Completed
from rollback_tasks.sandbox.faults import Fault, Kind
from rollback_tasks.sandbox.followed import FollowedRun
from rollback_tasks.sandbox.sandbox import Sandbox
from rollback_tasks.sandbox.status import HostState
from rollback_tasks.shell import Effect, script
from rollback_tasks.transport.clock import SystemClock
from rollback_tasks.transport.local import LocalHost
from tests.sandbox.stage import until

pytestmark = pytest.mark.timeout(600)

SshIn = Callable[..., Completed]
SSH_DENIED = 255
LONG = 120.0  # far longer than a test takes: where it ends sooner, somebody ended it

ASK_ENGINE = "docker version --format '{{.Server.Os}}'"
FULL = "cd /srv/comicpile && mkdir -p .rollback && head -c 200000 /dev/zero >.rollback/probe && rm .rollback/probe"
HUNDRED_KB = "head -c 100000 /dev/zero"
TOMORROW = '[ "$(date +%s)" -gt "$(($(stat -c %Y /proc/self) + 80000))" ]'

# kind, what is asked over ssh, its exit code while the fault is there
FELT = [
    (Kind.CUT, "true", SSH_DENIED),
    (Kind.HANG, "true", SSH_DENIED),
    (Kind.KILL, "true", SSH_DENIED),
    (Kind.ENGINE, ASK_ENGINE, 1),
    (Kind.SSHD, "true", SSH_DENIED),
    (Kind.DISK, FULL, 1),
    (Kind.CLOCK, f"! {TOMORROW}", 1),
]


@pytest.fixture(autouse=True)
def _nothing_is_left(sandbox: Sandbox) -> Iterator[None]:
    yield
    for kind in Kind:
        sandbox.end_fault("prod2", kind)
    body = (
        "until docker version >/dev/null 2>&1; do sleep 0.1; done; rm -f /srv/comicpile/.rollback/probe\n"
        "docker start $(docker ps --all --quiet --filter label=com.docker.compose.service=db) >/dev/null"
    )
    sandbox.exec_root("prod2", script(body, effect=Effect.WRITE))


@pytest.mark.parametrize(("kind", "line", "code"), FELT, ids=[kind.value for kind, _, _ in FELT])
def test_a_fault_is_felt_until_it_is_ended(sandbox: Sandbox, ssh_in: SshIn, kind: Kind, line: str, code: int) -> None:
    assert ssh_in("prod2", line).exit_code == 0
    sandbox.inflict(Fault(host="prod2", kind=kind, seconds=LONG))
    assert ssh_in("prod2", line).exit_code == code
    sandbox.end_fault("prod2", kind)
    until(lambda: ssh_in("prod2", line).exit_code == 0, seconds=60)


def test_a_fault_ends_by_itself_after_its_time(sandbox: Sandbox) -> None:
    began = time.monotonic()
    sandbox.inflict(Fault(host="prod2", kind=Kind.HANG, seconds=2))
    states = [host.state for host in sandbox.status().hosts if host.name == "prod2"]
    until(lambda: sandbox.status().hosts[1].state is HostState.UP, seconds=30)
    assert (states, time.monotonic() - began >= 2) == ([HostState.PAUSED], True)


def test_a_slow_link_still_carries_everything(sandbox: Sandbox, ssh_in: SshIn) -> None:
    quick = ssh_in("prod2", HUNDRED_KB)
    sandbox.inflict(Fault(host="prod2", kind=Kind.SLOW, seconds=LONG))
    slow = ssh_in("prod2", HUNDRED_KB)
    assert (len(quick.stdout), len(slow.stdout)) == (100_000, 100_000)
    assert slow.seconds - quick.seconds > 1  # 100 kB need 3 s at 256 kbit/s


def test_what_was_written_while_the_disk_was_full_is_there_afterwards(sandbox: Sandbox, ssh_in: SshIn) -> None:
    folder = "/srv/comicpile/.rollback"
    ssh_in("prod2", f"mkdir -p {folder} && cd {folder} && echo old >probe && echo gone >gone")
    sandbox.inflict(Fault(host="prod2", kind=Kind.DISK, seconds=LONG))
    assert ssh_in("prod2", f"cd {folder} && cat gone && echo new >>probe && rm gone").exit_code == 0
    sandbox.end_fault("prod2", Kind.DISK)
    told = ssh_in("prod2", f"cd {folder} && cat probe && stat -c '%U %a' . probe && ls -A | grep -c '^gone\\|^.fill'")
    assert told.text == "old\nnew\ndeploy 770\ndeploy 644\n0\n"


def test_the_same_fault_is_not_inflicted_twice_and_ending_one_that_is_over_is_nothing(sandbox: Sandbox) -> None:
    fault = Fault(host="prod2", kind=Kind.CLOCK, seconds=LONG)
    sandbox.inflict(fault)
    with pytest.raises(CommandFailed):
        sandbox.inflict(fault)
    sandbox.end_fault("prod2", Kind.CLOCK)
    sandbox.end_fault("prod2", Kind.CLOCK)
    sandbox.inflict(fault)


def test_a_fault_that_cannot_be_done_leaves_nothing_behind(sandbox: Sandbox) -> None:
    sandbox.inflict(Fault(host="prod2", kind=Kind.HANG, seconds=LONG))
    with pytest.raises(CommandFailed):
        sandbox.inflict(Fault(host="prod2", kind=Kind.CLOCK, seconds=LONG))  # nothing runs in a frozen host
    sandbox.end_fault("prod2", Kind.HANG)
    sandbox.inflict(Fault(host="prod2", kind=Kind.CLOCK, seconds=LONG))


SPEAKER = """\
echo 'prod1 (database comicpile): to roll back in 3 steps' >&2
echo '1 host: 1 to roll back' >&2
for step in 1 2 3; do sleep 0.2; echo "prod1: $step/3 something (0.2 s)" >&2; done
echo '{"the": "result"}'
exec sleep "$1"
"""


def test_a_run_is_followed_step_by_step_and_killed_at_one(tmp_path: object) -> None:
    out = f"{tmp_path}/out"
    run = FollowedRun(LocalHost(), SystemClock(), ("sh", "-c", SPEAKER, "run", "60"), cwd="/", out=out)
    assert run.await_step("prod1", 3)
    assert run.steps_done("prod1") == 2
    run.kill()
    assert (run.wait(), run.is_over) == (137, True)
    assert not run.await_step("prod1", 3)


def test_a_run_that_ends_before_the_step_says_so(tmp_path: object) -> None:
    heard: list[str] = []
    words = ("sh", "-c", SPEAKER, "run", "0")
    run = FollowedRun(LocalHost(), SystemClock(), words, cwd="/", out=f"{tmp_path}/out", heard=heard.append)
    assert not run.await_step("prod1", 9)
    assert (run.wait(), run.lines, run.steps_done("prod1"), run.steps_done("prod2")) == (0, heard, 3, 0)
    assert heard[-1] == "prod1: 3/3 something (0.2 s)"
