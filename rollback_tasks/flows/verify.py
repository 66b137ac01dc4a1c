"""Does it really run? One check for each line of the checklist."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urljoin

from rollback_tasks.config.schema import HostConfig
from rollback_tasks.drivers import logs, smoke
from rollback_tasks.drivers.consistency import Consistency
from rollback_tasks.errors import RollbackError
from rollback_tasks.execution import gather_target
from rollback_tasks.execution.gate import describe
from rollback_tasks.flows import database
from rollback_tasks.flows.everywhere import everywhere
from rollback_tasks.flows.inspect import Finding, Inspected
from rollback_tasks.flows.session import Session
from rollback_tasks.flows.world import World
from rollback_tasks.model.moments import stamp
from rollback_tasks.model.release import Release, ReleaseStatus
from rollback_tasks.planning import liveness, target
from rollback_tasks.planning.migrations import differences

_LOG_SECONDS = 15 * 60
_LOG_LINES = 5000
_SMOKE_SECONDS = 600
_SHOWN = 3


@dataclass(slots=True, kw_only=True)
class Case:
    """One host that is looked at. What several checks need is asked once.

    :param logs_since: by the host's clock, in seconds since the epoch; None = a quarter of an hour ago.
    """

    session: Session
    world: World
    may_run_tests: bool
    logs_since: float | None = None
    _data: Consistency | None = field(default=None)

    @property
    def current(self) -> Release:
        """What runs."""
        return target.current_release(self.session.facts, self.session.project)

    @property
    def now(self) -> float:
        """The host's clock, in seconds since the epoch."""
        return self.world.clock.now() + self.session.facts.clock_skew

    @property
    def data(self) -> Consistency:
        """Everything that can be said of the database without changing it."""
        if self._data is None:
            self._data = database.look(self.session, self.world, may_borrow=False)
        return self._data


def verified(
    configs: Sequence[HostConfig], world: World, names: Sequence[str], *, is_dry_run: bool = False
) -> list[Inspected]:
    """Run checks on every host, in the order of the inventory.

    :param names: keys of ``CHECKS``.
    :param is_dry_run: the application's own tests are not run, as nobody knows what they change.
    """

    def act(session: Session) -> tuple[Finding, ...]:
        return findings(session, world, names, may_run_tests=not is_dry_run)

    return [
        Inspected(host=each.host, findings=each.found or (), error=each.error)
        for each in everywhere(configs, world, act)
    ]


def findings(
    session: Session,
    world: World,
    names: Sequence[str],
    *,
    may_run_tests: bool = True,
    logs_since: float | None = None,
) -> tuple[Finding, ...]:
    """Run checks on one host; one that cannot be run is a problem, and the others go on. Parameters as of ``Case``."""
    case = Case(session=session, world=world, may_run_tests=may_run_tests, logs_since=logs_since)
    found: list[Finding] = []
    for name in names:
        try:
            found += CHECKS[name](case)
        except RollbackError as error:
            details = error.details.splitlines()
            why = f"{error.brief}: {details[-1]}" if details else error.brief
            found.append(Finding(check=name, says="", problem=f"could not be checked: {why}"))
    return tuple(found)


def fields(found: Finding) -> dict[str, object]:
    """Return a finding for programs."""
    return {"check": found.check, "ok": not found.problem, "text": found.problem or found.says}


def _containers(case: Case) -> Iterator[Finding]:
    facts, project = case.session.facts, case.session.project
    needed = [*project.app_services, *([project.db_service] if project.site is None else [])]
    services = case.session.gathered.services
    others = [name for name in services if name not in (*needed, project.db_service)]
    for name in (*needed, *others):
        there = facts.service_containers(name)
        states = ", ".join(f"{c.name} is {c.state}" for c in there) or "no container"
        restarts = sum(container.restarts for container in there)
        wrong = liveness.problem(name, services.get(name), there, now=case.now, is_needed=name in needed)
        yield Finding(check="containers", says=f"{name}: {states}, {restarts} restarts", problem=wrong)
    if facts.compose_problem:
        yield Finding(check="containers", says="", problem=f"the compose file cannot be read: {facts.compose_problem}")


def _health(case: Case) -> Iterator[Finding]:
    facts, url = case.session.facts, case.session.config.health.url
    problem = "" if facts.is_healthy else f"not healthy: {facts.health_detail}"
    yield Finding(check="health", says=f"{url}: {facts.health_detail}", problem=problem)


def _migrations(case: Case) -> Iterator[Finding]:
    session, facts = case.session, case.session.facts
    if facts.database is None:
        yield Finding(check="migrations", says="", problem=f"the database cannot be reached: {facts.database_problem}")
        return
    way = gather_target.look_at(case.world.read_only(session.host), session.project, facts, facts.git.commit)
    heads = way.deployed_scripts.heads
    have = ", ".join(facts.database.schema) or "none"
    wanted = ", ".join(heads) or "none"
    source = "image" if way.is_read_from_image else "checkout"
    problem = way.problem
    if not problem and set(heads) != set(facts.database.schema):
        problem = f"the database is at {have}, the deployed {source} wants {wanted}"
    yield Finding(check="migrations", says=f"the database is at {have}, as the deployed {source}", problem=problem)
    if way.is_read_from_image:
        told = differences(way.deployed_scripts, way.commit_scripts)
        yield Finding(check="scripts", says="the image holds the migrations of the checkout", problem="; ".join(told))


def _logs(case: Case) -> Iterator[Finding]:
    """The last quarter of an hour of what runs now: an error of an earlier container is not its."""
    session = case.session
    since = stamp(case.now - _LOG_SECONDS if case.logs_since is None else case.logs_since)
    span = "of the last 15 minutes" if case.logs_since is None else f"since {since}"
    there = [c for name in session.project.app_services for c in session.facts.service_containers(name)]
    wanted = [(c.name, c.id, max(since, c.started_at)) for c in there]
    read = logs.read(case.world.read_only(session.host).run(logs.tail(wanted, lines=_LOG_LINES)).text) if wanted else ()
    for container in there:
        lines = [line for line in read if line.container == container.name]
        wrong = [line for line in lines if line.is_error]
        last = "; ".join(line.text.strip()[:160] for line in wrong[-_SHOWN:])
        yield Finding(
            check="logs",
            says=f"{container.name}: no errors in {len(lines)} lines {span}",
            problem=f"{container.name}: {len(wrong)} errors {span.replace('of', 'in', 1)}, at last: {last}"
            if wrong
            else "",
        )
    if not there:
        yield Finding(check="logs", says="", problem="the application has no container")


def _endpoints(case: Case) -> Iterator[Finding]:
    session = case.session
    base = session.config.health.url
    named = session.config.endpoints
    for url in [urljoin(base, one) for one in named] or [urljoin(base, "/")]:
        answer = session.host.http_get(url, timeout=10)
        # Nobody said what the start page is: any answer that is no failure of the server will do there.
        is_good = 200 <= answer.status < 400 or (not named and 0 < answer.status < 500)
        said = describe(answer) if answer.status == 0 or not is_good else f"HTTP {answer.status}"
        yield Finding(check="endpoints", says=f"{url}: {said}", problem="" if is_good else f"{url}: {said}")


def _tests(case: Case) -> Iterator[Finding]:
    session = case.session
    words = session.config.smoke_command
    if not words:
        yield Finding(check="tests", says="hosts.yaml names no smoke_command")
        return
    if not case.may_run_tests:
        yield Finding(check="tests", says=f"a dry run does not run {' '.join(words)}")
        return
    services, ours = session.gathered.services, session.project.app_services
    # One that ends by itself, as the others wait for, is nothing to run tests in.
    serving = [name for name in ours if name not in services or not services[name].is_one_shot]
    service = (serving or list(ours))[0]
    running = [c for c in session.facts.service_containers(service) if c.is_running]
    if not running:
        yield Finding(check="tests", says="", problem=f"{service} does not run, so its tests cannot")
        return
    done = session.host.run(smoke.run(running[0].id, words, timeout=_SMOKE_SECONDS))
    lines = [line for line in f"{done.error_text}\n{done.text}".splitlines() if line.strip()]
    last = "; ".join(line.strip()[:160] for line in lines[-_SHOWN:])
    problem = f"{' '.join(words)} ended with exit code {done.exit_code}: {last}" if done.exit_code else ""
    yield Finding(
        check="tests", says=f"{' '.join(words)}: {lines[-1].strip()[:160] if lines else 'ok'}", problem=problem
    )


def _data(case: Case) -> Iterator[Finding]:
    found = case.data
    wrong = [problem for problem in found.problems if problem.check != "foreign-key"]
    looked = {kind: number for kind, number in found.checked.items() if kind not in ("rows", "foreign-key", "amcheck")}
    rows = f"{found.checked.get('rows', 0)} tables with {sum(found.rows.values())} rows"
    says = f"{rows}, {sum(looked.values())} checks of constraints, indexes, sequences and triggers"
    if not wrong:
        yield Finding(check="data", says=says)
    for problem in wrong:
        yield Finding(check="data", says=says, problem=f"{problem.check} {problem.name}: {problem.says}")


def _foreign_keys(case: Case) -> Iterator[Finding]:
    found = case.data if case._data is not None else database.foreign_keys(case.session, case.world)
    wrong = [problem for problem in found.problems if problem.check in ("foreign-key", "server")]
    says = f"no violation of {found.checked.get('foreign-key', 0)} foreign keys"
    if not wrong:
        yield Finding(check="foreign-keys", says=says)
    for problem in wrong:
        yield Finding(check="foreign-keys", says=says, problem=f"{problem.name}: {problem.says}")


def _release(case: Case) -> Iterator[Finding]:
    current = case.current
    is_bad = current.status is ReleaseStatus.BAD
    hint = f"; `inv release.mark --good --host {case.session.config.name}` records it"
    says = f"{current.label} runs, {current.status.value}"
    yield Finding(
        check="release",
        says=says if current.status is ReleaseStatus.GOOD else says + hint,
        problem=f"{current.label} is marked bad: {current.reason}" if is_bad else "",
    )


def _runs(case: Case) -> Iterator[Finding]:
    unfinished = case.session.facts.unfinished
    if unfinished:
        back = f"`inv rollback.abort --host {case.session.config.name}`"
        yield Finding(check="runs", says="", problem=f"run {', '.join(unfinished)} was left unfinished; {back}")


CHECKS: Mapping[str, Callable[[Case], Iterator[Finding]]] = {
    "containers": _containers,
    "health": _health,
    "migrations": _migrations,
    "logs": _logs,
    "endpoints": _endpoints,
    "tests": _tests,
    "data": _data,
    "foreign-keys": _foreign_keys,
    "release": _release,
    "runs": _runs,
}
