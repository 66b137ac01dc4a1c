"""sandbox.*: real deployment hosts on this machine, to try and to drill."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke import Context

from rollback_tasks.cli.boundary import Answer, say
from rollback_tasks.cli.options import Options, Shape
from rollback_tasks.cli.task import collection, rollback_task
from rollback_tasks.errors import UsageError

if TYPE_CHECKING:
    from rollback_tasks.sandbox.sandbox import Sandbox
    from rollback_tasks.sandbox.status import SandboxStatus


@rollback_task("sandbox.up", shape=Shape.LOCAL, has_dry_run=False, help={"hosts": "how many hosts"})
def up(context: Context, options: Options, *, hosts: int = 3) -> Answer:
    """Bring up real deployment hosts on this machine, or repair those that are there"""
    status = _sandbox().up(hosts)
    say(f"export ROLLBACK_HOSTS_FILE={status.inventory}")
    return _answer(status)


@rollback_task(
    "sandbox.deploy",
    has_dry_run=False,
    help={"release": "a tag of the demo application, e.g. v6 or bad-code"},
)
def deploy(context: Context, options: Options, *, release: str | None = None) -> Answer:
    """Deploy a release of the demo application as a team would, and record it as good where it is healthy"""
    if release is None:
        raise UsageError("--release is needed", hint="`inv sandbox.releases` lists the releases.")
    return _deploy(options, release)


@rollback_task(
    "sandbox.break",
    has_dry_run=False,
    help={"how": "bad-migration, bad-code or crash"},
)
def break_(context: Context, options: Options, *, how: str = "bad-migration") -> Answer:
    """Deploy a release that breaks the hosts"""
    return _deploy(options, how)


@rollback_task("sandbox.status", shape=Shape.LOCAL)
def status(context: Context, options: Options) -> Answer:
    """Show the sandbox's hosts"""
    return _answer(_sandbox().status())


@rollback_task("sandbox.releases", shape=Shape.LOCAL)
def releases(context: Context, options: Options) -> Answer:
    """List the demo application's releases and what each does"""
    from rollback_tasks.reporting.tables import table
    from rollback_tasks.sandbox.history import RELEASES

    rows = [(row.tag, row.behaviour.value, ", ".join(row.heads), row.subject) for row in RELEASES.values()]
    fields = [{"tag": row[0], "behaviour": row[1], "schema": row[2], "subject": row[3]} for row in rows]
    return Answer(text=table(("release", "behaves", "schema", "subject"), rows), fields={"releases": fields})


@rollback_task(
    "sandbox.down", shape=Shape.LOCAL, has_dry_run=False, help={"purge": "also the cache of what was downloaded"}
)
def down(context: Context, options: Options, *, purge: bool = False) -> Answer:
    """Remove the sandbox: hosts, data, its own engine"""
    _sandbox().down(purge=purge)
    return Answer(text="the sandbox is gone\n")


def _deploy(options: Options, release: str) -> Answer:
    from dataclasses import replace

    from rollback_tasks.cli import listings
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import inspect
    from rollback_tasks.flows import releases as ledger
    from rollback_tasks.model.release import ReleaseStatus
    from rollback_tasks.sandbox.history import RELEASES

    sandbox = _sandbox()
    if release not in RELEASES:
        raise UsageError(
            f"the demo application has no release {release!r}",
            details=f"it has {', '.join(RELEASES)}",
            hint="`inv sandbox.releases` says what each does.",
        )
    wired = wire(replace(options, hosts_file=sandbox.inventory))
    marked = []
    for config in wired.configs:
        sandbox.deploy(config.name, release)
        (found,) = inspect.looked_at((config,), wired.world)
        if found.facts is not None and found.facts.is_healthy:
            marked += ledger.mark(wired.request(options), (config,), wired.world, status=ReleaseStatus.GOOD)
        else:
            detail = found.facts.health_detail if found.facts else "it cannot be asked"
            say(f"{config.name}: {release} is deployed but not healthy, so it is not recorded as good: {detail}")
            marked += ledger.listed((config,), wired.world)
    return listings.releases(marked)


def _sandbox() -> Sandbox:
    from rollback_tasks.cli.wiring import sandbox

    return sandbox()


def _answer(status: SandboxStatus) -> Answer:
    from rollback_tasks.reporting.tables import table

    rows = [(h.name, h.address, h.flavour.value, h.state.value, h.release) for h in status.hosts]
    hosts = [
        {"host": h.name, "address": h.address, "flavour": h.flavour.value, "state": h.state.value, "release": h.release}
        for h in status.hosts
    ]
    return Answer(
        text=table(("host", "address", "compose", "state", "release"), rows),
        fields={"hosts": hosts, "inventory": status.inventory, "own_engine": status.is_own_engine},
    )


ns = collection("sandbox", up, deploy, break_, status, releases, down)
