"""Everything that a rollback would need, looked at in advance. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from rollback_tasks.drivers.prerequisites import WANTED
from rollback_tasks.model.release import ReleaseStatus
from rollback_tasks.planning import guards, target
from rollback_tasks.planning.doctor_backups import archive, backups, put_aside
from rollback_tasks.planning.examination import Examined, Patient


def examine(patient: Patient) -> tuple[Examined, ...]:
    """Return the answer of every check, good or not."""
    parts = (_host, _git, _compose, _ledger, _database, put_aside, backups, archive)
    return tuple(one for part in parts for one in part(patient))


def _host(patient: Patient) -> Iterator[Examined]:
    facts, host = patient.facts, patient.facts.host
    tools = facts.tools
    needed = sorted(patient.missing - WANTED.keys())
    compose = f"{' '.join(tools.compose)} {tools.compose_version}"
    yield Examined(
        check="tools",
        says=f"git {tools.git}, docker {tools.docker}, {compose}",
        problem=f"not on the host: {', '.join(needed)}" if needed else "",
        next="install them." if needed else "",
    )
    lacking = sorted(patient.missing & WANTED.keys())
    yield Examined(
        check="guard",
        says=f"{', '.join(sorted(WANTED))} are there",
        warning="; ".join(f"{name} is missing: {WANTED[name]}" for name in lacking),
        next="install util-linux and coreutils." if lacking else "",
    )
    yield Examined(
        check="state folder",
        says=f"{patient.project.state_folder} can be written",
        problem="" if patient.is_writable else f"{patient.project.state_folder} cannot be written by this user",
        next="" if patient.is_writable else f"give it to the user of hosts.yaml (`chown -R` on {host}).",
    )
    skew = facts.clock_skew
    yield Examined(
        check="clock",
        says=f"{abs(skew):.0f} s from this machine's",
        warning=f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} this machine's" if abs(skew) > 30 else "",
        next="let both follow a time server." if abs(skew) > 30 else "",
    )
    if facts.lock is not None or facts.unfinished:
        what = f"run {facts.lock.run_id} holds the host" if facts.lock else "a run was left unfinished"
        task = "rollback.abort" if facts.unfinished else "lock.status"
        yield Examined(check="lock", problem=what, next=f"`inv {task} --host {host}`")
    else:
        yield Examined(check="lock", says="free, and no run was left unfinished")
    yield Examined(
        check="health",
        says=f"{patient.health_url}: {facts.health_detail}",
        problem="" if facts.is_healthy else f"{patient.health_url} does not answer well: {facts.health_detail}",
        next="" if facts.is_healthy else f"`inv rollback.plan --host {host}`, or mend health.url in hosts.yaml.",
    )


def _git(patient: Patient) -> Iterator[Examined]:
    facts = patient.facts
    merge = ", ".join(facts.git.unmerged[:5])
    dirty = len(facts.git.dirty)
    where = facts.git.branch or "detached"
    yield Examined(
        check="git",
        says=f"{facts.git.commit[:12]} on {where}"
        + (f", {dirty} changed files (a rollback saves them)" if dirty else ""),
        problem=f"an unfinished merge: {merge}" if merge else "",
        next=f"`git merge --abort` in {patient.project.folder}." if merge else "",
    )
    contexts = {str(s.build.get("context", "")).rstrip("/") for s in patient.services.values() if s.build}
    is_open = facts.is_in_builds and patient.project.folder in contexts
    yield Examined(
        check=".dockerignore",
        says="no build takes the tool's folder into an image",
        warning="a build can copy the backups in .rollback into an image" if is_open else "",
        next="add a line .rollback to .dockerignore." if is_open else "",
    )


def _compose(patient: Patient) -> Iterator[Examined]:
    facts, project = patient.facts, patient.project
    lost = [name for name in project.app_services if name not in patient.services]
    problem = facts.compose_problem or (f"no service {', '.join(lost)} in the compose file" if lost else "")
    yield Examined(
        check="compose file",
        says=f"readable, services {', '.join(sorted(patient.services))}",
        problem=problem,
        next="mend the file, or compose_files and app_services in hosts.yaml." if problem else "",
    )


def _ledger(patient: Patient) -> Iterator[Examined]:
    facts, project, host = patient.facts, patient.project, patient.facts.host
    current = target.current_release(facts, project)
    good = [release for release in facts.ledger if release.status is ReleaseStatus.GOOD]
    damaged = f"{patient.damaged} lines cannot be read" if patient.damaged else ""
    if not good:
        yield Examined(
            check="last good release",
            problem="no release is marked good: there is nothing to go back to",
            next=f"`inv release.mark --good --host {host}` while what runs is good.",
        )
        return
    earlier = [release for release in good if release.id != current.id]
    newest = earlier[-1] if earlier else good[-1]
    yield Examined(
        check="last good release",
        says=f"{newest.label} of {newest.recorded_at}" + ("" if earlier else ", which runs"),
        warning=damaged or ("" if earlier else "what runs is the only good release: nothing lies before it"),
        next=f"`inv release.list --host {host}`" if damaged else "",
    )
    there = set(facts.images.values())
    gone = [name for name, image in newest.images.items() if image not in there]
    unpinned = [
        name
        for name, image in newest.images.items()
        if image in there
        and not any(tag.startswith("rollback-keep/") and found == image for tag, found in facts.images.items())
    ]
    warning = (
        f"image of {', '.join(gone)} is not on the host: it would have to be built from {newest.commit[:12]}"
        if gone
        else f"image of {', '.join(unpinned)} is not pinned: a prune could take it"
        if unpinned
        else ""
    )
    yield Examined(
        check="images",
        says=f"those of {newest.label} are on the host, pinned",
        warning=warning,
        next=f"`inv rollback.plan --host {host} --to {newest.label}` shows whether it can be built."
        if gone
        else f"`inv release.mark --good --host {host} --release {newest.id}`"
        if unpinned
        else "",
    )


def _database(patient: Patient) -> Iterator[Examined]:
    facts, project, host = patient.facts, patient.project, patient.facts.host
    database = facts.database
    if database is None:
        yield Examined(
            check="database",
            problem=f"cannot be reached: {facts.database_problem}",
            next=f"start its container on {host}.",
        )
        return
    yield Examined(
        check="database", says=f"PostgreSQL {database.version // 10000}, {database.size_bytes / 1_000_000:.0f} MB"
    )
    blockers = tuple(guards.room(facts, project, copies=2))
    yield Examined(
        check="disk",
        says="room for a dump and two copies of the database",
        problem="; ".join(blocker.brief for blocker in blockers),
        next=" ".join(blocker.hint for blocker in blockers),
    )
    obstacles = patient.obstacles
    if obstacles is None:
        return
    role = project.database_user
    can_name = patient.archive is None or patient.archive.may_name
    may_not = "" if obstacles.may_create else f"role {role} may not make databases: no proof, copy or restore"
    yield Examined(
        check="role",
        says=f"{role} is {'a superuser' if database.is_superuser else 'no superuser, and may make databases'}",
        problem=may_not,
        warning="" if can_name else f"role {role} may not name restore points: a recovery has to go by the clock",
        next=f"ALTER ROLE {role} CREATEDB."
        if may_not
        else ""
        if can_name
        else f"GRANT EXECUTE ON FUNCTION pg_create_restore_point(text) TO {role} in {project.side_database}.",
    )
    held = [
        *(f"prepared transaction {name}" for name in database.prepared),
        *(f"subscription {name}" for name in database.subscriptions),
        *(f"replication slot {name}" for name in obstacles.slots),
        *(f"session of a superuser: {name}" for name in obstacles.protected),
    ]
    yield Examined(
        check="renames",
        says="nothing keeps the database from being swapped",
        problem=f"keeps the database from being swapped: {', '.join(held)}" if held else "",
        next="end or disable it before a restore." if held else "",
    )
