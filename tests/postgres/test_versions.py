"""The whole way of a database on servers of other versions: those that lie beside, or that $POSTGRES_PROGRAMS names
(folders with initdb, psql, pg_dump and the like, parted by colons; built with libxml)."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from rollback_tasks.drivers import backup, beside, consistency, databases, put_aside, scratch, swap, table_rows
from tests.builders import RUN
from tests.postgres.conftest import Server, Site, make_site, other_folders, started
from tests.postgres.test_put_aside import facts
from tests.postgres.test_restore import CONTENT, FINGERPRINT

pytestmark = pytest.mark.long

FOLDERS: list[Path | None] = [*other_folders()] or [None]


@pytest.fixture(scope="module", params=FOLDERS, ids=[str(folder) for folder in FOLDERS])
def other(request: pytest.FixtureRequest) -> Iterator[Server]:
    if request.param is None:
        pytest.skip("there is no other version of PostgreSQL")
    with started(request.param, {"max_prepared_transactions": "2"}) as made:
        # Tables are counted by query_to_xml: in one statement, and so all at one moment. Official images have it.
        asked = [str(request.param / "psql"), "-XqAt", "-h", str(made.socket), "-U", "owner", "-d", "postgres"]
        if subprocess.run([*asked, "-c", "select xpath('/a', '<a/>'::xml)"], capture_output=True).returncode != 0:
            pytest.fail("that server was built without libxml, so nothing can count its tables at one moment")
        yield made


def test_a_database_goes_back_and_forth_on_another_version(other: Server, tmp_path: Path) -> None:
    site: Site = make_site(other, tmp_path, 'it\'s "б"')
    site.lay(CONTENT)
    Path(site.project.run_folder(RUN)).mkdir(parents=True)
    before = other.psql(site.project.database, FINGERPRINT)
    found = facts(site)
    assert (found.schema, found.version >= 100000) == (("s3",), True)
    site.run(backup.dump(site.project, name="good", run_id=RUN, commit="", timeout=120))
    site.run(scratch.prove(site.project, backup="good", run_id=RUN, timeout=120))
    site.run(consistency.keep_before(site.project, RUN))
    site.run(scratch.drop_scratch(site.project, RUN))
    place = f"{site.project.backup_folder}/good"

    site.lay("delete from pages; delete from books where id > 100")
    site.run(beside.restore(site.project, source=place, run_id=RUN, timeout=120))
    site.run(beside.verify(site.project, source=place, run_id=RUN))
    site.run(table_rows.stage(site.project, table="books", source=place, run_id=RUN, timeout=120))
    site.run(
        table_rows.merge(
            site.project, table="books", run_id=RUN, replaces=True, deletes=True, is_quiet=False, timeout=120
        )
    )
    assert site.ask("(select count(*) from books)") == 200
    site.run(table_rows.undo(site.project, RUN))
    assert site.ask("(select count(*) from books)") == 100

    site.run(swap.forward(site.project, RUN))
    site.run(swap.is_swapped(site.project, RUN))
    assert other.psql(site.project.database, FINGERPRINT) == before
    site.run(swap.back(site.project, RUN))
    assert site.ask("(select count(*) from pages)") == 0
    site.run(swap.forward(site.project, RUN))
    aside = databases.copy_name(site.project.database, RUN)
    assert aside in facts(site).put_aside
    site.run(put_aside.drop_database(site.project, name=aside, run_id=RUN))
    assert site.databases == {""}
