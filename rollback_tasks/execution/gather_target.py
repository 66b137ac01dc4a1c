"""Ask a host what the way to one chosen release is made of: scripts, compose file, counts, environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rollback_tasks.drivers import compose, containers, git, git_history, postgres
from rollback_tasks.drivers.alembic import ScriptFolders, ScriptGraph, parse_scripts, script_folders, scripts_from_tar
from rollback_tasks.drivers.alembic_run import Deployed
from rollback_tasks.drivers.compose import Service
from rollback_tasks.drivers.git_history import Traits
from rollback_tasks.errors import MalformedAnswer
from rollback_tasks.execution.asking import ask
from rollback_tasks.model.facts import Container, HostFacts
from rollback_tasks.model.project import Project
from rollback_tasks.ports import Completed, Host
from rollback_tasks.shell import Command, Effect, Secret, script


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """What lies between the release that runs and the chosen one.

    :param deployed_scripts: of the image that runs, or of its commit where the image cannot be read.
    :param commit_scripts: of the commit that is checked out.
    :param traits: what a switch of the checkout to the chosen one has to mind.
    :param problem: why scripts cannot be read; the others are then empty.
    """

    deployed_scripts: ScriptGraph
    commit_scripts: ScriptGraph
    target_scripts: ScriptGraph
    services: Mapping[str, Service]
    services_problem: str
    deployed: Deployed | None
    is_read_from_image: bool
    traits: Traits = field(default_factory=Traits)
    problem: str = ""


_EMPTY = parse_scripts({})


def look_at(host: Host, project: Project, facts: HostFacts, commit: str, *, keeps_variables: bool = False) -> Way:
    """Ask for scripts of both releases, the target's compose file and the deployed container's variables.

    :param keeps_variables: ``.env`` stays what it is now.
    """
    container = _migrations_container(project, facts)
    names = ("alembic.ini", "pyproject.toml")
    asked: list[Command] = [git.show(project.folder, c, name) for c in (facts.git.commit, commit) for name in names]
    asked.append(git_history.traits(project.folder, commit))
    asked.append(compose.config(project, commit, keeps_variables=keeps_variables))
    asked.append(containers.environment(container.id) if container else Command(argv=("true",), effect=Effect.READ))
    *files, kept, config, environment = _all(ask(host, asked), asked, host)
    traits = git_history.read_traits(kept.text)
    services: Mapping[str, Service] = {}
    services_problem = ""
    if config.exit_code == 0:
        services = compose.read_config(config.text, project)
    else:
        services_problem = config.error_text.strip()[-500:] or "compose refuses it"
    deployed = None
    if container is not None:
        deployed = _deployed(project, facts, container, containers.read_environment(environment.text))
    try:
        now = _folders(project, files[0], files[1])
        then = _folders(project, files[2], files[3])
    except MalformedAnswer as error:
        problem = f"{error.brief}. {error.hint}"
        return Way(
            deployed_scripts=_EMPTY,
            commit_scripts=_EMPTY,
            target_scripts=_EMPTY,
            services=services,
            services_problem=services_problem,
            deployed=deployed,
            is_read_from_image=False,
            traits=traits,
            problem=problem,
        )
    asked = [*_archives(project, facts.git.commit, now), *_archives(project, commit, then)]
    if container is not None:
        asked += [_copied(container, folder) for folder in now.versions]
    answers = _all(ask(host, asked), asked, host)
    here, there = len(now.versions), len(now.versions) + len(then.versions)
    of_commit, of_target = _graph(answers[:here], now), _graph(answers[here:there], then)
    of_image = _graph(answers[there:], now) if container is not None else _EMPTY
    is_read = container is not None and bool(of_image.scripts)
    return Way(
        deployed_scripts=of_image if is_read else of_commit,
        commit_scripts=of_commit,
        target_scripts=of_target,
        services=services,
        services_problem=services_problem,
        deployed=deployed,
        is_read_from_image=is_read,
        traits=traits,
    )


def count(host: Host, project: Project, wanted: Sequence[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """Count rows of tables and non-null values of columns in the live database."""
    pairs = tuple(wanted)
    if not pairs:
        return {}
    return postgres.read_values(host.run(postgres.count_values(project, pairs)).text, pairs)


def _all(answers: list[Completed], asked: Sequence[Command], host: Host) -> list[Completed]:
    if len(answers) < len(asked) or answers[-1].exit_code not in asked[-1].ok_codes:
        raise MalformedAnswer(
            "the host did not answer all questions",
            details=answers[-1].error_text.strip()[-500:] if answers else "",
            host=host.name,
        )
    return answers


def _migrations_container(project: Project, facts: HostFacts) -> Container | None:
    found = facts.service_containers(project.migrations_service)
    return found[0] if found else None


def _folders(project: Project, ini: Completed, pyproject: Completed) -> ScriptFolders:
    if project.migrations_folder:
        return ScriptFolders(location=project.migrations_folder, versions=(f"{project.migrations_folder}/versions",))
    texts = [answer.text if answer.exit_code == 0 else None for answer in (ini, pyproject)]
    return script_folders(*texts)


def _archives(project: Project, commit: str, folders: ScriptFolders) -> list[Command]:
    return [git.archive(project.folder, commit, folder) for folder in folders.versions]


def _copied(container: Container, folder: str) -> Command:
    """Copy the scripts out of the container's own file system; it need not run for that."""
    place = f"{container.workdir.rstrip('/')}/{folder}"
    return script(
        'docker cp "$1:$2" - 2>/dev/null || exit 1',
        container.id,
        place,
        effect=Effect.READ,
        ok_codes=frozenset({0, 1}),
    )


def _graph(answers: Sequence[Completed], folders: ScriptFolders) -> ScriptGraph:
    files: dict[str, str] = {}
    for folder, answer in zip(folders.versions, answers, strict=True):
        if answer.exit_code == 0 and answer.stdout:
            # `docker cp` names the members by the last part of the folder only, so both ends are accepted.
            files |= scripts_from_tar(answer.stdout, versions=(folder,), is_recursive=folders.is_recursive)
    return parse_scripts(files)


def _deployed(
    project: Project, facts: HostFacts, container: Container, environment: tuple[tuple[str, Secret], ...]
) -> Deployed:
    database = next(iter(facts.service_containers(project.db_service)), None)
    shared = [name for name in container.networks if database is None or name in database.networks]
    return Deployed(
        container=container.id,
        image=container.image,
        network=(shared or list(container.networks) or ["default"])[0],
        workdir=container.workdir,
        environment=environment,
        command=project.migrations_command,
    )
