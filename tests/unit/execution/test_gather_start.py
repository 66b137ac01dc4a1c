"""What a start would change besides what was asked for."""

from __future__ import annotations

import pytest

from rollback_tasks.execution.gather_start import other_files
from tests.builders import a_container, a_project


@pytest.mark.parametrize(
    ("made", "found"),
    [
        ((), ""),
        (("docker-compose.yml",), ""),
        (("/srv/comicpile/docker-compose.yml",), ""),
        (("docker-compose.yml", "prod.yml"), "docker-compose.yml, prod.yml"),
        (("/srv/comicpile/deploy/prod.yml", "/etc/other.yml"), "deploy/prod.yml, /etc/other.yml"),
    ],
)
def test_files_that_the_inventory_does_not_name_are_told(made: tuple[str, ...], found: str) -> None:
    assert other_files(a_project(), a_container(config_files=made)) == found
