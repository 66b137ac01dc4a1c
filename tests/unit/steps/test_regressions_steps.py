"""What once stood in a run's plan on the host, and in the words of the command that wrote it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from rollback_tasks.shell import Command
from rollback_tasks.steps.codec import from_json, is_withheld, to_json
from rollback_tasks.steps.prepare_images import PrepareImages
from rollback_tasks.steps.stop_services import StopServices
from tests.builders import RUN, a_container, a_project, commit


@pytest.mark.parametrize("arguments", [{"NPM_TOKEN": "s3cret"}, ["NPM_TOKEN=s3cret"]])
def test_a_build_argument_is_not_written_down(arguments: object) -> None:
    build = {"context": "/srv/comicpile", "args": arguments}
    step = PrepareImages(
        project_=a_project(), run_id=RUN, commit=commit(2), left={}, reached={}, builds={"keep:2": build}
    )
    said = json.loads(json.dumps(to_json(step)))
    assert "s3cret" not in json.dumps(said)
    assert is_withheld(said)
    plain = replace(step, builds={"keep:2": {"context": "/srv/comicpile"}})
    assert from_json(to_json(plain), ()) == plain
    assert not is_withheld(to_json(plain))


@pytest.mark.parametrize(("graces", "limit"), [((10,), 130), ((300, 60), 480), ((-1,), 3720)])
def test_stopping_waits_as_long_as_the_containers_are_given(graces: tuple[int, ...], limit: float) -> None:
    old = tuple(a_container(grace=grace) for grace in graces)
    (stop,) = StopServices(project_=a_project(), old=old).forward()
    assert isinstance(stop, Command)
    assert stop.timeout == limit


def test_a_plan_that_an_older_version_wrote_is_read_without_what_it_did_not_know() -> None:
    step = StopServices(project_=a_project(), old=(a_container(),))
    said = to_json(step)
    del said["old"][0]["grace"]
    assert from_json(said, ()) == step
