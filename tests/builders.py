"""Values for tests, made in one line each: what matters in a test stands in it, all else comes from here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rollback_tasks.drivers.alembic_run import Deployed
from rollback_tasks.drivers.compose import Service
from rollback_tasks.model.facts import Container, DatabaseFacts, GitFacts, HostFacts, Session, Tools
from rollback_tasks.model.project import Project
from rollback_tasks.model.release import Backup, BackupLevel, Release, ReleaseStatus
from rollback_tasks.model.request import RollbackRequest
from rollback_tasks.model.verdict import Verdict, VerdictKind
from rollback_tasks.planning.parts import Settings
from rollback_tasks.planning.planner import TargetFacts
from rollback_tasks.shell import Secret

RUN = "20261122T031501Z-4f2a"
NOW = 1795317301.0  # 2026-11-22T03:15:01Z


def commit(number: int) -> str:
    """Return 40 hex digits that begin with the number."""
    return f"{number:x}".ljust(40, "c")


def image(number: int) -> str:
    """Return an image id."""
    return "sha256:" + f"{number:x}".ljust(64, "d")


def a_project(folder: str = "/srv/comicpile", **changes: Any) -> Project:
    """Return the demo application's project."""
    made = Project(
        folder=folder,
        compose=("docker", "compose"),
        name="comicpile",
        files=("docker-compose.yml",),
        app_services=("app",),
        db_service="db",
        database="comicpile",
        database_user="comicpile",
        migrations_service="app",
        migrations_command=("alembic",),
        migrations_folder="",
        backup_folder=f"{folder}/.rollback/backups",
        remote="origin",
    )
    return replace(made, **changes)


def a_request(**changes: Any) -> RollbackRequest:
    """Return ``rollback.full`` by ann, at 2026-11-22T03:15:01Z."""
    made = RollbackRequest(task="rollback.full", run_id=RUN, now=NOW, operator="ann", laptop="desk")
    return replace(made, **changes)


def a_release(number: int, status: str = "good", *, schema: tuple[str, ...] | None = None, **changes: Any) -> Release:
    """Return release ``rN``: commit N, image N for service app, schema ``sN``."""
    made = Release(
        id=f"r{number}",
        commit=commit(number),
        images={"app": image(number)},
        schema=(f"s{number}",) if schema is None else schema,
        status=ReleaseStatus(status),
        recorded_at=f"2026-11-0{number}T00:00:00Z",
    )
    return replace(made, **changes)


def a_container(service: str = "app", number: int = 1, state: str = "running", **changes: Any) -> Container:
    """Return the container of a service that runs image ``number``."""
    made = Container(
        id=f"{service}-{number}",
        name=f"comicpile-{service}-1",
        service=service,
        image=image(number),
        image_ref="comic-pile" if service == "app" else "comic-pile-db",
        state=state,
        networks={"comicpile_default": "172.18.0.3" if service == "app" else "172.18.0.2"},
        workdir="/app",
    )
    return replace(made, **changes)


def a_database(schema: tuple[str, ...] = ("s3",), **changes: Any) -> DatabaseFacts:
    """Return a database of 10 MB with room for all."""
    made = DatabaseFacts(
        container="db-9",
        version=150018,
        system_identifier="7300000000000000000",
        size_bytes=10_000_000,
        schema=schema,
        free_bytes=10_000_000_000,
        sessions=(Session(pid=7, user="comicpile", application="", address="172.18.0.3", state="idle"),),
        databases=("comicpile", "postgres"),
    )
    return replace(made, **changes)


def a_backup(name: str = "comicpile-x", level: str = "restored", **changes: Any) -> Backup:
    """Return a backup of 1 MB."""
    made = Backup(
        name=name,
        path=f"/srv/comicpile/.rollback/backups/{name}.dump",
        sha256="ab" * 32,
        size_bytes=1_000_000,
        level=BackupLevel(level),
        taken_at="2026-11-20T00:00:00Z",
        database="comicpile",
    )
    return replace(made, **changes)


def some_facts(current: int = 3, *, releases: tuple[Release, ...] | None = None, **changes: Any) -> HostFacts:
    """Return a healthy host that runs release ``current``, with releases 1 to ``current`` recorded and good but the
    last, which nobody has judged."""
    if releases is None:
        earlier = tuple(a_release(number) for number in range(1, current))
        releases = (*earlier, a_release(current, "unmarked"))
    made = HostFacts(
        host="prod1",
        tools=Tools(git="2.39.5", docker="20.10.24", compose=("docker", "compose"), compose_version="5.6.1"),
        git=GitFacts(commit=commit(current), branch="main"),
        containers=(a_container("app", current), a_container("db", 9)),
        database=a_database((f"s{current}",)),
        ledger=releases,
        images={image(n): image(n) for n in (*range(1, current + 1), 9)}
        | {"comic-pile:latest": image(current), "comic-pile-db:latest": image(9)},
        compose_images={"app": "comic-pile", "db": "comic-pile-db"},
        backup_free_bytes=10_000_000_000,
        docker_free_bytes=10_000_000_000,
        is_healthy=True,
        health_detail="HTTP 200",
    )
    return replace(made, **changes)


def a_verdict(current: int = 3, target: int = 2, kind: VerdictKind = VerdictKind.DOWNGRADE, **changes: Any) -> Verdict:
    """Return the verdict from schema ``sN`` to ``sM``; it has a command for every kind of downgrade."""
    is_downgrade = kind in (VerdictKind.DOWNGRADE, VerdictKind.DOWNGRADE_LOSSY)
    made = Verdict(
        kind=kind,
        current=(f"s{current}",),
        target=(f"s{target}",),
        commands=(f"s{target}",) if is_downgrade else (),
        undone=tuple(f"s{n}" for n in range(current, target, -1)) if is_downgrade else (),
    )
    return replace(made, **changes)


def code_only(current: int = 3) -> Verdict:
    """Return the verdict that the schema stays."""
    return a_verdict(current, current, VerdictKind.CODE_ONLY)


def some_services(**images: str) -> dict[str, Service]:
    """Return the services of the demo's compose file."""
    built = {"context": "/srv/comicpile", "dockerfile": "Dockerfile"}
    return {
        "app": Service(image=images.get("app", "comic-pile"), build=built),
        "db": Service(image=images.get("db", "comic-pile-db"), build={"context": "/srv/comicpile/db"}),
    }


def a_deployed(number: int = 3, **environment: str) -> Deployed:
    """Return how the container of image ``number`` would run alembic."""
    values: Mapping[str, str] = environment or {"DATABASE_URL": "postgresql://comicpile:pw@db:5432/comicpile"}
    return Deployed(
        container=f"app-{number}",
        image=image(number),
        network="comicpile_default",
        workdir="/app",
        environment=tuple((name, Secret(value)) for name, value in values.items()),
        command=("alembic",),
    )


def details(verdict: Verdict | None = None, **changes: Any) -> TargetFacts:
    """Return what was asked of the host about its target."""
    made = TargetFacts(
        verdict=verdict,
        services=some_services(),
        current_services=some_services(),
        deployed=a_deployed(),
    )
    return replace(made, **changes)


def some_settings() -> Settings:
    """Return the inventory's settings."""
    return Settings(
        health_url="http://localhost:8000/health",
        health_timeout=60,
        health_interval=0.2,
        health_soak=3,
        local_backups="/home/ann/backups/prod1",
    )
