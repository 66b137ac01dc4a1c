"""What runs put aside in the server: seen, backed up by name, dropped, and brought back from that backup."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rollback_tasks.drivers import backup, beside, manifests, postgres, put_aside, swap
from rollback_tasks.drivers.databases import copy_name
from rollback_tasks.errors import CommandFailed
from rollback_tasks.model.facts import DatabaseFacts
from rollback_tasks.shell import Command
from rollback_tasks.steps.drop_put_aside import DropPutAside
from tests.builders import RUN
from tests.postgres.conftest import Site

LATER = "20261123T031501Z-0002"
CONTENT = """
create table alembic_version (version_num text); insert into alembic_version values ('s3');
create table kept (id int primary key); insert into kept select generate_series(1, 9);
"""


def facts(site: Site) -> DatabaseFacts:
    answer = site.run(postgres.facts(site.project))
    return postgres.read_facts(answer.text, "1", "db1")


def swapped(site: Site) -> str:
    """Restore an older backup over a database that went on; return the name of what was put aside."""
    site.lay(CONTENT)
    Path(site.project.run_folder(RUN)).mkdir(parents=True)
    site.run(backup.dump(site.project, name="good", run_id=RUN, commit="", timeout=60))
    site.lay("insert into kept values (10)")
    site.run(beside.restore(site.project, source=f"{site.project.backup_folder}/good", run_id=RUN, timeout=60))
    site.run(swap.forward(site.project, RUN))
    return copy_name(site.project.database, RUN)


def archived(site: Site, name: str) -> DropPutAside:
    aside = replace(site.project, database=name)
    kept = site.project.put_aside_backup_name(name)
    site.run(backup.dump(aside, name=kept, run_id=LATER, commit="", timeout=60))
    return DropPutAside(
        project_=site.project, run_id=LATER, database=name, backup=kept, size_bytes=1, says=f"drop {name}"
    )


def perform(site: Site, step: DropPutAside) -> None:
    for check in step.precondition():
        site.run(check.command)
    for action in step.forward():
        assert isinstance(action, Command)
        site.run(action)
    for check in step.postcondition():
        site.run(check.command)


def test_a_database_that_was_put_aside_goes_and_its_backup_brings_it_back(any_site: Site) -> None:
    name = swapped(any_site)
    found = facts(any_site)
    assert list(found.put_aside) == [name] or name in found.put_aside
    assert found.put_aside[name] > 1_000_000
    step = archived(any_site, name)
    perform(any_site, step)
    assert any_site.databases == {""}
    assert name not in facts(any_site).put_aside
    any_site.run(put_aside.drop_database(any_site.project, name=name, run_id=LATER))  # twice is once
    folder = any_site.project.backup_folder
    said = any_site.run(manifests.manifests(any_site.project)).text
    known = manifests.read_manifests(said, folder, database=any_site.project.database)
    (made,) = [each for each in known if each.name == step.backup]
    system = found.system_identifier
    origin = manifests.origin(made, any_site.project, host="prod1", system=system)
    assert (made.damage, origin) == ("", f"database {name}, which run {RUN} put aside")
    place = f"{folder}/{step.backup}"
    any_site.run(beside.restore(any_site.project, source=place, run_id=LATER, timeout=60))
    any_site.run(beside.verify(any_site.project, source=place, run_id=LATER))
    any_site.run(swap.forward(any_site.project, LATER))
    assert any_site.ask("(select count(*) from kept)") == 10


def test_what_was_written_to_since_or_is_worked_in_stays(site: Site) -> None:
    name = swapped(site)
    step = archived(site, name)
    with site.visitor(name):
        for check in step.precondition():
            site.run(check.command)
        with pytest.raises(CommandFailed) as caught:
            site.run(put_aside.drop_database(site.project, name=name, run_id=LATER))
        assert "is being accessed by other users" in caught.value.stderr
    site.lay("insert into kept values (11)", database=name)
    with pytest.raises(CommandFailed) as caught:
        perform(site, step)
    assert "kept has 11 rows, not 10" in caught.value.stderr
    assert site.databases == {"", f"__before_{RUN}"}
    assert site.ask("(select count(*) from kept)", database=name) == 11


def test_kept_rows_go_unless_something_depends_on_them(any_site: Site) -> None:
    schema = f"rollback_{RUN}"
    any_site.lay(CONTENT + f'create schema "{schema}"; create table "{schema}".kept as select * from kept')
    assert facts(any_site).kept_schemas == {schema: 8192}
    any_site.lay(f'create view look as select * from "{schema}".kept')
    with pytest.raises(CommandFailed) as caught:
        any_site.run(put_aside.drop_schema(any_site.project, name=schema, run_id=LATER))
    assert "other objects depend on it" in caught.value.stderr
    any_site.lay("drop view look")
    for _ in range(2):
        any_site.run(put_aside.drop_schema(any_site.project, name=schema, run_id=LATER))
        any_site.run(put_aside.is_gone(any_site.project, name=schema))
    assert facts(any_site).kept_schemas == {}
    assert any_site.ask("(select count(*) from kept)") == 9
