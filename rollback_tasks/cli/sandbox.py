"""sandbox.*: real deployment hosts on this machine, to try and to drill."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from invoke import Context

from rollback_tasks.cli.boundary import Answer, say
from rollback_tasks.cli.options import Options, Shape
from rollback_tasks.cli.task import collection, rollback_task
from rollback_tasks.errors import UsageError

if TYPE_CHECKING:
    from rollback_tasks.sandbox.faults import Fault
    from rollback_tasks.sandbox.sandbox import Sandbox
    from rollback_tasks.sandbox.status import SandboxStatus

_LAPTOP = "laptop"  # the fault that befalls this side


@rollback_task(
    "sandbox.up",
    shape=Shape.LOCAL,
    has_dry_run=False,
    help={
        "hosts": "how many hosts run the application",
        "shared_db": "one more host, db1, runs the database of all of them",
    },
)
def up(context: Context, options: Options, *, hosts: int = 3, shared_db: bool = False) -> Answer:
    """Bring up real deployment hosts on this machine

    Or repair those that are there.
    """
    status = _sandbox().up(hosts, shared_db=shared_db)
    say(f"export ROLLBACK_HOSTS_FILE={status.inventory}")
    return _answer(status)


@rollback_task(
    "sandbox.deploy",
    has_dry_run=False,
    help={"release": "a tag of the demo application, e.g. v6 or bad-code"},
)
def deploy(context: Context, options: Options, *, release: str | None = None) -> Answer:
    """Deploy a release as a team would

    Where it is healthy it is recorded as good.
    """
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


@rollback_task(
    "sandbox.fault",
    has_dry_run=False,
    help={
        "kind": "cut, hang, kill, engine, sshd, disk, slow, clock; or laptop, which kills a rollback's own process",
        "seconds": "after which the fault ends by itself",
        "step": "start `rollback.full` and let it happen at this step of it, 1 for the first",
        "inside": "seconds after that step began",
        "seed": "a number that stands for one kind, time and step, always the same; what is named wins",
    },
)
def fault(
    context: Context,
    options: Options,
    *,
    kind: str | None = None,
    seconds: float | None = None,
    step: int | None = None,
    inside: float | None = None,
    seed: int | None = None,
) -> Answer:
    """Break a host for a while, now or in a rollback

    The rollback is then started for it. It ends by itself. `inv sandbox.up` repairs whatever it left; `inv
    sandbox.faults` says what each kind does.
    """
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.sandbox import faults

    if kind is None and seed is None:
        raise UsageError("--kind is needed, or --seed", hint="`inv sandbox.faults` lists the kinds.")
    sandbox = _sandbox()
    (host, *more) = [config.name for config in wire(replace(options, hosts_file=sandbox.inventory)).configs]
    if more:
        raise UsageError(f"one host at a time: {host}, {', '.join(more)}", hint="name one host with --host.")
    plan = faults.Fault(host=host, step=step) if seed is None else faults.drawn(seed, host, steps=17)
    plan = replace(
        plan,
        seconds=plan.seconds if seconds is None else seconds,
        inside=plan.inside if inside is None else inside,
        step=plan.step if step is None else step,
    )
    if kind == _LAPTOP:
        return _in_a_rollback(sandbox, replace(plan, step=plan.step or 1), kills_laptop=True)
    plan = plan if kind is None else replace(plan, kind=faults.kind_of(kind))
    if plan.step is not None:
        return _in_a_rollback(sandbox, plan, kills_laptop=False)
    sandbox.inflict(plan)
    return Answer(text=f"{host}: {plan.kind} for {plan.seconds:g} s\n", fields=_fault_fields(plan))


@rollback_task("sandbox.faults", shape=Shape.LOCAL)
def faults(context: Context, options: Options) -> Answer:
    """List what can be done to a host

    And what each kind does.
    """
    from rollback_tasks.reporting.tables import table
    from rollback_tasks.sandbox.faults import SAYS

    rows = [(kind.value, says) for kind, says in SAYS.items()]
    rows.append((_LAPTOP, "kill the process of a rollback on this machine, as a dead battery does"))
    fields = [{"kind": kind, "says": says} for kind, says in rows]
    return Answer(text=table(("kind", "does"), rows), fields={"faults": fields})


@rollback_task("sandbox.status", shape=Shape.LOCAL)
def status(context: Context, options: Options) -> Answer:
    """Show the sandbox's hosts"""
    return _answer(_sandbox().status())


@rollback_task("sandbox.releases", shape=Shape.LOCAL)
def releases(context: Context, options: Options) -> Answer:
    """List the demo application's releases

    And what each does.
    """
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


def _in_a_rollback(sandbox: Sandbox, plan: Fault, *, kills_laptop: bool) -> Answer:
    """Start a rollback, let the fault happen at its step, and wait for both to end."""
    from rollback_tasks.cli.wiring import follow

    assert plan.step is not None
    run = follow(("rollback.full", "--host", plan.host, "--yes"), inventory=sandbox.inventory)
    is_met = run.await_step(plan.host, plan.step, inside=plan.inside)
    if is_met and kills_laptop:
        run.kill()
    elif is_met:
        sandbox.inflict(plan)
        run.wait()
        sandbox.await_fault_end(plan.host, plan.kind)
    what = "the laptop was killed" if kills_laptop else f"{plan.kind} for {plan.seconds:g} s"
    when = f"{plan.inside:g} s into step {plan.step}" if is_met else f"nothing: it ended before step {plan.step}"
    text = f"{plan.host}: {what}, {when}; rollback.full ended with {run.wait()}\n"
    return Answer(text=text, fields={**_fault_fields(plan), "is_met": is_met, "rollback_exit_code": run.wait()})


def _fault_fields(plan: Fault) -> dict[str, object]:
    fields = {"host": plan.host, "kind": plan.kind.value, "seconds": plan.seconds}
    return {"fault": {**fields, "step": plan.step, "inside": plan.inside}}


def _sandbox() -> Sandbox:
    from rollback_tasks.cli.wiring import sandbox

    return sandbox()


def _answer(status: SandboxStatus) -> Answer:
    from rollback_tasks.reporting.tables import table

    rows = [(h.name, h.address, h.flavour.value, h.role.value, h.state.value, h.release) for h in status.hosts]
    hosts = [
        {
            "host": h.name,
            "address": h.address,
            "flavour": h.flavour.value,
            "runs": h.role.value,
            "state": h.state.value,
            "release": h.release,
        }
        for h in status.hosts
    ]
    return Answer(
        text=table(("host", "address", "compose", "runs", "state", "release"), rows),
        fields={"hosts": hosts, "inventory": status.inventory, "own_engine": status.is_own_engine},
    )


ns = collection("sandbox", up, deploy, break_, fault, faults, status, releases, down)
