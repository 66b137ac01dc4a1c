"""What the team that deploys does on a host by hand: files are changed, committed and started, as user deploy. And what
tests of its mistakes ask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import yaml

from tests.sandbox.stage import FOLDER, Ended, Laptop, Seen, Stage

COMPOSE = f"{FOLDER}/docker-compose.yml"

_TEAM = """\
cd -- "$1" && shift || exit 1
if docker compose version >/dev/null 2>&1; then compose() { docker compose "$@"; }
else compose() { docker-compose "$@"; }; fi
git() { command git -c user.name=team -c user.email=team@example.com "$@"; }
"""


def team(stage: Stage, body: str, *args: str) -> str:
    """Run a shell text in the checkout as deploy, with ``compose`` for either generation; return what it printed."""
    asked = 'exec runuser -u deploy -- env HOME=/home/deploy sh -c "$@"'
    return stage.root(asked, _TEAM + body, "team", FOLDER, *args, timeout=300).strip()


def write(stage: Stage, name: str, text: str) -> None:
    """Write a file of the checkout."""
    body = 'mkdir -p "$(dirname "$1")" && cat >"$1" && chown deploy: "$(dirname "$1")" "$1"'
    stage.root(body, f"{FOLDER}/{name}", stdin=text.encode())


def compose_file(stage: Stage, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the compose file's document in place."""
    document = yaml.safe_load(stage.root('cat "$1"', COMPOSE))
    change(document["services"])
    stage.root('cat >"$1"', COMPOSE, stdin=yaml.safe_dump(document, sort_keys=False).encode())


def commit(stage: Stage, subject: str) -> str:
    """Commit all that was changed; return the commit."""
    return team(stage, 'git add -A && git commit -qm "$1" && git rev-parse HEAD', subject)


def up(stage: Stage, *services: str, words: str = "") -> None:
    """Start services as the file says, without building."""
    team(stage, f'compose {words} up -d --no-build "$@" 2>&1', *(services or ("app",)))


def lay(stage: Stage, release: str) -> None:
    """Deploy a release that was played before on what is there: its commit, its image, its containers."""
    team(stage, 'git checkout -q -f -B main "$1" && docker tag "stage:$1" comic-pile:latest', release)
    up(stage)


def ids(stage: Stage, service: str = "app") -> list[str]:
    """The containers of a service."""
    label = f"label=com.docker.compose.service={service}"
    return stage.root('docker ps -aq --no-trunc --filter "$1" | sort', label).split()


def images(stage: Stage) -> dict[str, set[str]]:
    """Service to the images of its containers."""
    text = stage.root(
        "docker ps -aq | xargs -r docker inspect --format "
        "'{{index .Config.Labels \"com.docker.compose.service\"}} {{.Image}}'"
    )
    found: dict[str, set[str]] = {}
    for line in text.splitlines():
        service, image = line.split(" ")
        found.setdefault(service, set()).add(image)
    return found


def inv(operator: Laptop, stage: Stage, task: str, *words: str) -> Ended:
    """Run a task on the host without questions."""
    return operator.inv(task, "--host", stage.name, "--yes", "--json", *words)


def must(ended: Ended, code: int, outcome: str) -> Ended:
    """Return how it ended, after looking whether that is how it should."""
    assert (ended.code, ended.document["outcome"]) == (code, outcome), ended.err
    return ended


def verified(operator: Laptop, stage: Stage, *, but: tuple[str, ...] = ()) -> None:
    """verify.all is green; or all of it ``but`` some checks."""
    ended = operator.inv("verify.all", "--host", stage.name, "--json")
    wrong = [one for one in ended.host["checks"] if not one["ok"]]
    assert all(one["check"] in but for one in wrong), wrong
    assert ended.code == (9 if wrong else 0), ended.out


def kept(seen: Seen) -> tuple[Any, ...]:
    """What no task of these touches."""
    return (seen.head, seen.branch, seen.worktrees, seen.databases, seen.schema, seen.rows)


def app_dies(services: dict[str, Any]) -> None:
    """The mistake of the team: a command that ends at once."""
    services["app"]["command"] = ["sh", "-c", "echo no such thing; exit 3"]
