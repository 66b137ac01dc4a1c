"""One checkout of the demo application on a host."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """Where the application is deployed on a host.

    :param directory: absolute path of the checkout.
    :param name: compose project.
    :param port: port of the host that the application answers on.
    :param image: name of the application's image; two projects of one host need two names.
    """

    directory: str = "/srv/comicpile"
    name: str = "comicpile"
    port: int = 8000
    image: str = "comic-pile"

    @property
    def health_url(self) -> str:
        """The address that says whether the release works, as the host itself sees it."""
        return f"http://localhost:{self.port}/health"


COMICPILE = Project()

# Compose reads a file of this name beside the other one by itself.
PUBLISHED_FILE = "docker-compose.override.yml"
PUBLISHED = """\
services:
  db:
    ports:
      - "5432:5432"
"""


def dotenv(project: Project, password: str, *, database: str = "db") -> str:
    """Return the text of the project's untracked ``.env``.

    Both generations of compose read a single-quoted value literally, with ``\\'`` for a quote in it.

    :param password: of the database; no line break, no backslash.
    :param database: name or address that the application finds it at.
    """
    quoted = password.replace("'", "\\'")
    lines = [
        f"POSTGRES_PASSWORD='{quoted}'",
        f"DATABASE_URL=postgresql+psycopg://comicpile:{quote(password, safe='')}@{database}:5432/comicpile",
    ]
    if project != COMICPILE:
        lines += [f"COMPOSE_PROJECT_NAME={project.name}", f"APP_IMAGE={project.image}", f"APP_PORT={project.port}"]
    return "".join(f"{line}\n" for line in lines)
