"""Who holds the queue of notifications."""

from itertools import count

import psycopg
import pytest

from tests.postgres.checks.looking import Connection, the_one


def tell_without_end(connection: Connection) -> None:
    for number in count():
        connection.execute("select pg_notify('anything', %s)", [f"{number} {'x' * 7_900}"])


async def test_a_session_that_holds_the_notifications(url: str, admin: Connection) -> None:
    with psycopg.connect(url, application_name="sleepy") as listening:
        listening.execute("listen anything")
        listening.commit()
        listening.execute("select")
        with pytest.raises(psycopg.errors.ProgramLimitExceeded, match="too many notifications"):
            tell_without_end(admin)
        finding = await the_one(url, "notifications_pile_up")
        assert (finding.details["pid"], finding.details["application_name"]) == (
            listening.info.backend_pid,
            "sleepy",
        )
