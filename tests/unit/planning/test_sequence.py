"""What the order of a rollback is made from."""

from __future__ import annotations

import pytest

from rollback_tasks.planning.parts import Images, meant
from tests.builders import image, some_facts


@pytest.mark.parametrize(
    ("references", "found"),
    [
        ({"app": "comic-pile", "db": "comic-pile-db:latest"}, {"app": image(3), "db": image(9)}),
        ({"app": "comic-pile:v9"}, {}),
        ({"app": "docker.io/library/comic-pile"}, {"app": image(3)}),
        ({}, {}),
    ],
)
def test_a_reference_means_an_image_or_nothing(references: dict[str, str], found: dict[str, str]) -> None:
    assert meant(some_facts(3), references) == found


def test_an_image_is_wanted_by_its_id_where_that_is_known_and_else_by_the_name_it_is_built_under() -> None:
    images = Images(reached={"pin:1": image(1)}, builds={"pin:c": {}}, pins={"app": "pin:1", "worker": "pin:c"})
    assert (images.wanted("app"), images.wanted("worker")) == (image(1), "pin:c")
