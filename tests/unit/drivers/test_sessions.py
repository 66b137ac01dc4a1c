"""What is told of sessions holds no passwords."""

from __future__ import annotations

import pytest

from rollback_tasks.drivers.sessions import without_passwords


@pytest.mark.parametrize(
    ("statement", "shown"),
    [
        ("ALTER ROLE app PASSWORD 's3''cret'", "ALTER ROLE app PASSWORD ***"),
        (
            "alter user a with encrypted password\n  E's3' login",
            "alter user a with encrypted password\n  E*** login",
        ),
        ("CREATE ROLE app PASSWORD 'cut off here", "CREATE ROLE app PASSWORD ***"),
        ("ALTER ROLE app PASSWORD $x$s3cret$x$ LOGIN", "ALTER ROLE app PASSWORD *** LOGIN"),
        (
            "SELECT * FROM dblink('host=a user=b password=s3cret dbname=c', 'SELECT 1')",
            "SELECT * FROM dblink('host=a user=b password=*** dbname=c', 'SELECT 1')",
        ),
        ("CREATE USER MAPPING FOR a SERVER b OPTIONS (user 'c', password 's')", None),
        ("UPDATE users SET password = 's3cret' WHERE id = 1", "UPDATE users SET password = *** WHERE id = 1"),
        ("SELECT password FROM users", "SELECT password FROM users"),
        ("ALTER ROLE app PASSWORD NULL", "ALTER ROLE app PASSWORD NULL"),
    ],
)
def test_a_password_in_a_statement_is_not_shown(statement: str, shown: str | None) -> None:
    expected = statement.replace("'s'", "***") if shown is None else shown
    assert without_passwords(statement) == expected
