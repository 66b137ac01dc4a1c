"""What once stood in a run's plan on the host, and in the words of the command that wrote it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from rollback_tasks.steps.codec import from_json, is_withheld, to_json
from rollback_tasks.steps.prepare_images import PrepareImages
from tests.builders import RUN, a_project, commit


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
