"""The sandbox is what it claims to be: real hosts, each with its own sshd, engine and compose."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rollback_tasks.errors import CommandTimedOut, UsageError
from rollback_tasks.ports import Completed
from rollback_tasks.sandbox.history import RELEASES, Behaviour
from rollback_tasks.sandbox.project import Project
from rollback_tasks.sandbox.sandbox import Sandbox
from rollback_tasks.sandbox.status import Flavour, HostState
from rollback_tasks.shell import Command, Effect, Secret, script
from rollback_tasks.transport.local import LocalHost

pytestmark = pytest.mark.timeout(900)

SshIn = Callable[..., Completed]
SSH_DENIED = 255  # ssh's own exit code: no connection, or not let in

COUNTS = {"users": 2000, "threads": 5000, "sessions": 4000, "events": 20000, "tasks": 3000, "invoices": 500}

HEADS = (
    "docker exec $(docker ps -q -f label=com.docker.compose.service=db)"
    " psql -XAt -U comicpile -d comicpile -c 'SELECT version_num FROM alembic_version ORDER BY 1'"
)


def until(condition: Callable[[], bool], *, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.1)


def health(ssh_in: SshIn, host: str, *, port: int = 8000) -> tuple[int, object]:
    told = ssh_in(host, f"curl -s -m 5 -w '\\n%{{http_code}}' http://localhost:{port}/health").text
    body, _, status = told.rpartition("\n")
    return int(status), json.loads(body) if body else None


@pytest.fixture
def fresh(sandbox: Sandbox) -> Iterator[str]:
    """prod1 as good as new, before and after."""
    sandbox.reset("prod1")
    yield "prod1"
    sandbox.reset("prod1")


@pytest.mark.parametrize("host", ["prod1", "prod2"])
def test_a_host_lets_deploy_in_by_its_strict_host_key_with_an_engine_and_a_clean_checkout(
    ssh_in: SshIn, host: str
) -> None:
    line = "hostname; id -un; id -u; docker version --format '{{.Server.Os}}'; cd /srv/comicpile; git status --short -b"
    answer = ssh_in(host, line)
    assert (answer.exit_code, answer.text.split("\n")) == (
        0,
        [host, "deploy", "1000", "linux", "## main...origin/main", ""],
    )


@pytest.mark.parametrize(
    ("user", "options"),
    [
        ("root", ()),
        ("deploy", ("-o", "PubkeyAuthentication=no")),
        ("deploy", ("-o", "UserKnownHostsFile=/dev/null")),
    ],
    ids=["root", "no key of ours", "a host key that is not known"],
)
def test_nobody_else_gets_in(ssh_in: SshIn, user: str, options: tuple[str, ...]) -> None:
    assert ssh_in("prod1", "true", user=user, options=options).exit_code == SSH_DENIED


@pytest.mark.parametrize(
    ("host", "flavour", "plugin_works", "standalone_works"),
    [("prod1", Flavour.PLUGIN, True, False), ("prod2", Flavour.STANDALONE, False, True)],
)
def test_a_host_has_its_own_generation_of_compose_and_no_other(
    sandbox: Sandbox, ssh_in: SshIn, host: str, flavour: Flavour, plugin_works: bool, standalone_works: bool
) -> None:
    (claimed,) = (one.flavour for one in sandbox.status().hosts if one.name == host)
    plugin = ssh_in(host, "docker compose version --short")
    standalone = ssh_in(host, "docker-compose version --short")
    assert (claimed, plugin.exit_code == 0, standalone.exit_code == 0) == (flavour, plugin_works, standalone_works)
    if standalone_works:
        assert standalone.text.strip() == "1.29.2"


@pytest.mark.long  # a dozen deployments
def test_every_release_behaves_as_described(sandbox: Sandbox, ssh_in: SshIn, fresh: str) -> None:
    expected = {
        Behaviour.GOOD: (200, "ok"),
        Behaviour.SLOW: (503, "starting"),
        Behaviour.FAILING: (500, "error"),
        Behaviour.NEVER_READY: (503, "starting"),
        Behaviour.CRASHING: (0, None),
    }
    # bad-migration is the only one that moves the schema beyond the others' reach: it comes last
    order = sorted(RELEASES.values(), key=lambda release: release.heads)
    seen, wanted = {}, {}
    for release in order:
        sandbox.deploy(fresh, release.tag, wait=release.behaviour is not Behaviour.SLOW)
        if release.behaviour is Behaviour.SLOW:
            until(lambda: health(ssh_in, fresh)[0] != 0, seconds=15)
        status, body = health(ssh_in, fresh)
        heads = tuple(ssh_in(fresh, HEADS).text.split())
        tag = ssh_in(fresh, "cd /srv/comicpile && git describe --tags --exact-match && git branch --show-current").text
        code, word = expected[release.behaviour]
        seen[release.tag] = (status, body, heads, tag.split())
        answer = {"status": word, "release": release.tag} if word else None
        wanted[release.tag] = (code, answer, release.heads, [release.tag, "main"])
        if release.behaviour is Behaviour.SLOW:
            until(lambda: health(ssh_in, fresh)[0] == 200, seconds=40)
    assert seen == wanted


def test_a_series_of_releases_leaves_the_same_data_and_commits_on_both_flavours(
    sandbox: Sandbox, ssh_in: SshIn
) -> None:
    told = {}
    for host in ("prod1", "prod2"):
        sandbox.reset(host)
        sandbox.seed_releases(host)
        counts = json.loads(ssh_in(host, "curl -s http://localhost:8000/counts").text)
        commit = ssh_in(host, "git -C /srv/comicpile rev-parse HEAD").text
        names = ssh_in(host, HEADS.replace("version_num FROM alembic_version", "count(nickname) FROM users")).text
        told[host] = (counts, commit, names.strip())
    assert told["prod1"] == told["prod2"]
    assert (told["prod1"][0], told["prod1"][2]) == (COUNTS, "1800")
    assert [(one.name, one.release) for one in sandbox.status().hosts[:2]] == [("prod1", "v6"), ("prod2", "v6")]


def test_the_applications_own_smoke_test_passes_in_its_container(sandbox: Sandbox, ssh_in: SshIn, fresh: str) -> None:
    sandbox.deploy(fresh, "v6")
    answer = ssh_in(fresh, "cd /srv/comicpile && docker compose exec -T app pytest -q")
    assert (answer.exit_code, "1 passed" in answer.text) == (0, True)


@pytest.mark.parametrize("host", ["prod1", "prod2"])
def test_the_nasty_password_is_the_one_that_the_server_asks_for(
    sandbox: Sandbox, sandbox_state: Path, ssh_in: SshIn, host: str
) -> None:
    password = (sandbox_state / "password").read_text()
    assert all(piece in password for piece in (" ", "'", '"', "$(id)"))
    connect = "psql -XAt -h $(hostname -i) -U comicpile -d comicpile -c 'SELECT 1'"
    body = 'db=$(docker ps -q -f label=com.docker.compose.service=db) && docker exec -e PGPASSWORD "$db" sh -c "$1"'
    answers = []
    for tried in (password, "$(id)"):
        env = (("PGPASSWORD", Secret(tried)),)
        command = script(body, connect, effect=Effect.READ, secret_env=env, ok_codes=frozenset({0, 2}))
        answers.append(sandbox.exec_root(host, command).exit_code)
    assert answers == [0, 2]


def test_a_second_up_changes_nothing(sandbox: Sandbox, notes: list[str]) -> None:
    before = sandbox.up(2)
    notes.clear()
    assert sandbox.up(2) == before
    assert notes[:-1] == ["waiting for engines, databases and ssh"]
    assert notes[-1].startswith("2 hosts are up after ")


def test_a_killed_host_is_repaired_by_up_with_its_data(sandbox: Sandbox, ssh_in: SshIn, fresh: str) -> None:
    sandbox.deploy(fresh, "v6")
    sandbox.kill(fresh)
    assert [one.state for one in sandbox.status().hosts if one.name == fresh] == [HostState.DOWN]
    assert ssh_in(fresh, "true").exit_code == SSH_DENIED
    sandbox.up(2)
    until(lambda: health(ssh_in, fresh)[0] == 200, seconds=30)
    assert json.loads(ssh_in(fresh, "curl -s http://localhost:8000/counts").text) == COUNTS


def test_a_paused_host_hangs_and_a_cut_off_one_is_gone_until_they_are_put_right(
    sandbox: Sandbox, ssh_in: SshIn
) -> None:
    before = sandbox.status().hosts
    faults = (
        (sandbox.pause, sandbox.unpause, HostState.PAUSED),
        (sandbox.disconnect, sandbox.reconnect, HostState.CUT_OFF),
    )
    for harm, repair, state in faults:
        harm("prod2")
        assert [one.state for one in sandbox.status().hosts] == [HostState.UP, state]
        assert ssh_in("prod2", "true").exit_code == SSH_DENIED
        repair("prod2")
        assert ssh_in("prod2", "true").exit_code == 0
    assert sandbox.status().hosts == before


def test_up_puts_right_a_host_that_is_paused_and_cut_off_at_once(sandbox: Sandbox, ssh_in: SshIn) -> None:
    sandbox.disconnect("prod2")
    sandbox.pause("prod2")
    sandbox.up(2)
    assert ssh_in("prod2", "hostname").text == "prod2\n"


def test_hosts_that_have_a_database_each_keep_it(sandbox: Sandbox) -> None:
    before = sandbox.status().hosts
    with pytest.raises(UsageError) as caught:
        sandbox.up(2, shared_db=True)
    assert (caught.value.brief, sandbox.status().hosts) == ("the hosts that are there have a database each", before)


@pytest.mark.parametrize("host", ["prod1", "prod2"])
def test_a_second_project_may_live_in_a_folder_with_a_hostile_name(sandbox: Sandbox, ssh_in: SshIn, host: str) -> None:
    directory = """/srv/it's a "pile" $(touch /tmp/owned) ; `id`"""
    project = Project(directory=directory, name="second", port=8001, image="second-pile")
    sandbox.reset(host)
    sandbox.add_project(host, project)
    sandbox.deploy(host, "v4", project=project)
    assert health(ssh_in, host, port=8001) == (200, {"status": "ok", "release": "v4"})
    assert ssh_in(host, "ls /tmp/owned").exit_code != 0
    sandbox.reset(host)


def test_root_inside_a_host_runs_words_with_their_input_folder_and_variables(sandbox: Sandbox) -> None:
    told = sandbox.exec_root(
        "prod1",
        script(
            'id -u; pwd; printf "%s|" "$PLAIN" "$HIDDEN" "$1"; cat',
            "it's $(id)",
            effect=Effect.READ,
            cwd="/srv",
            env=(("PLAIN", "a b"),),
            secret_env=(("HIDDEN", Secret("s3cret")),),
            stdin=b"input",
        ),
    )
    assert told.text == "0\n/srv\na b|s3cret|it's $(id)|input"


def test_root_inside_a_host_is_ended_at_its_time_limit(sandbox: Sandbox) -> None:
    with pytest.raises(CommandTimedOut):
        sandbox.exec_root("prod1", Command(argv=("sleep", "1234"), effect=Effect.READ, timeout=1.0))
    still = Command(argv=("pgrep", "-f", "[s]leep 1234"), effect=Effect.READ, ok_codes=frozenset({1}))
    assert sandbox.exec_root("prod1", still).text == ""


def test_down_leaves_nothing(sandbox_at: Callable[[Path], Sandbox]) -> None:
    state = Path(f"/tmp/sandbox-down-{os.getpid()}")  # a socket's path must be short
    own = sandbox_at(state)
    try:
        address = own.up(1).hosts[0].address
        own.deploy("prod1", "v1", wait=False)
    finally:
        own.down()
    network = address.rpartition(".")[0] + "."
    mounts = Path("/proc/mounts").read_text()
    processes = b"".join(path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists())
    links = LocalHost().run(Command(argv=("ip", "-o", "-4", "addr"), effect=Effect.READ)).text
    left = (state.exists(), str(state) in mounts, str(state).encode() in processes, network in links)
    assert left == (False, False, False, False)
    assert own.status().hosts == ()
    own.down()
