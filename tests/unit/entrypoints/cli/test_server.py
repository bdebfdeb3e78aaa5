"""Which server a command talks to, and what becomes of one that does not answer as it should."""

from collections.abc import Iterator

import pytest

import schedora
from schedora.entrypoints.cli.server import checked_url
from schedora.entrypoints.sdk import conversation
from schedora.entrypoints.sdk.client import SchedoraClient
from schedora.entrypoints.sdk.errors import ServerError
from tests.unit.entrypoints.cli.conftest import Run, invoke, refused
from tests.unit.entrypoints.sdk.odd_server import OddServer, an_odd_server

NOWHERE = "http://127.0.0.1:1"
NOBODY = "0198f000-0000-7000-8000-000000000000"

COMMANDS = (
    ["jobs", "submit", "echo"],
    ["jobs", "list"],
    ["jobs", "show", NOBODY],
    ["jobs", "cancel", NOBODY],
    ["jobs", "retry", NOBODY],
    ["jobs", "watch", NOBODY],
    ["workflows", "submit", "-"],
    ["workflows", "list"],
    ["workflows", "show", NOBODY],
    ["workflows", "watch", NOBODY],
    ["workflows", "cancel", NOBODY],
    ["workflows", "retry", NOBODY],
    ["workers", "list"],
    ["workers", "drain", "w"],
    ["queues", "stats"],
    ["queues", "pause", "q"],
    ["queues", "resume", "q"],
    ["queues", "purge"],
    ["dlq", "list"],
    ["dlq", "requeue"],
    ["health"],
    ["why", NOBODY],
    ["trace", NOBODY],
    ["trace", "--workflow", NOBODY],
    ["jobs", "logs", NOBODY],
    ["jobs", "logs", NOBODY, "--follow"],
    ["events"],
    ["doctor"],
    ["top", "--once"],
)


@pytest.fixture
def odd_server() -> Iterator[OddServer]:
    with an_odd_server() as server:
        yield server


@pytest.fixture
def no_second_thought(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not answer is not asked again."""
    monkeypatch.setattr(conversation, "PAUSES_SECONDS", ())


@pytest.mark.usefixtures("no_second_thought")
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_server_that_is_away_is_named_in_one_line(command: list[str]) -> None:
    answer = invoke(*command, "--url", NOWHERE, stdin='{"name": "w"}')
    refused(
        answer,
        1,
        f"{NOWHERE} can't be reached",
        "connection attempts failed" if "top" in command else "refused",
    )


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_what_is_no_url_is_wrong_use(command: list[str]) -> None:
    answer = invoke(*command, SCHEDORA_URL="localhost:8000", stdin='{"name": "w"}')
    refused(
        answer, 2, "--url, or SCHEDORA_URL, must be a URL like http://127.0.0.1:8000, not 'localhost:8000'"
    )


@pytest.mark.parametrize(
    "url",
    ["", "nonsense", "ftp://host", "http://", "http://[", "http://host:port", "http://host:99999", "http://host:0",
     "http://ho st", "http://host\x1b[2J", "//host", "https:///path"],
)  # fmt: skip
def test_wrong_urls(url: str) -> None:
    answer = invoke("jobs", "list", "--url", url)
    refused(answer, 2, "must be a URL like")
    assert "\x1b" not in answer.err


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("http://host", "http://host"),
        ("https://host:8443/schedora/", "https://host:8443"),
        ("http://user:secret@host:1", "http://host:1"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_right_urls_are_told_without_their_secrets(url: str, place: str) -> None:
    assert checked_url(url) == place


@pytest.mark.usefixtures("no_second_thought")
def test_secrets_of_a_url_are_not_shown() -> None:
    answer = invoke("jobs", "list", "--url", "http://user:secret@127.0.0.1:1")
    refused(answer, 1, "http://127.0.0.1:1 can't be reached")
    assert "secret" not in answer.err


def test_what_is_typed_wins_over_the_environment(server_url: str) -> None:
    assert invoke("jobs", "list", "--url", server_url, SCHEDORA_URL=NOWHERE).status == 0


def test_shared_options_may_stand_before_the_name_of_a_command(server_url: str) -> None:
    for arguments in (
        ("jobs", "--url", server_url, "--json", "list"),
        ("--url", server_url, "--json", "jobs", "list"),
        (f"--url={server_url}", "jobs", "--json", "list"),
    ):
        answer = invoke(*arguments, SCHEDORA_URL=NOWHERE)
        assert answer.status == 0, answer
        assert "data" in answer.document


def test_a_shared_option_without_its_value_is_wrong_use() -> None:
    refused(invoke("--url"), 2, "--url")


def test_a_path_in_front_of_the_api_is_kept(odd_server: OddServer) -> None:
    odd_server.says(200, {"data": [], "next_cursor": None})
    for url in (f"{odd_server.url}/schedora/", f"{odd_server.url}/schedora/api/v1"):
        assert invoke("jobs", "list", "--url", url).status == 0
    assert odd_server.paths == ["/schedora/api/v1/jobs?limit=50"] * 2


def test_a_server_without_its_database_says_so_itself(odd_server: OddServer) -> None:
    problem = {"type": "about:blank", "title": "Service Unavailable", "status": 503, "detail": "no database"}
    odd_server.says(503, problem, Retry_After="1")
    refused(invoke("jobs", "list", "--url", odd_server.url), 1, "schedora: no database")


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (502, b"<html>Bad Gateway</html>", "the server answered 502 Bad Gateway"),
        (404, b"", "the server answered 404 Not Found"),
        (403, b"[]", "Forbidden"),
        (500, {"detail": "broken\n\x1b[2J"}, r"broken \x1b[2J"),
        (200, b"<html>", "can't be read"),
        (200, {"data": [{"job_id": 1}]}, "can't be read"),
        (200, {"items": []}, "can't be read"),
        (200, [], "can't be read"),
        (200, 7, "can't be read"),
        (302, b"", "302"),
    ],
)
def test_an_answer_that_is_none_of_the_apis_is_told_in_one_line(
    odd_server: OddServer, status: int, body: object, said: str
) -> None:
    odd_server.says(status, body)
    refused(invoke("jobs", "list", "--url", odd_server.url), 1, said)


OLDER = {"openapi": "3.1.0", "info": {"title": "Jobs", "version": "0.0.9"}, "paths": {"/api/v1/jobs": {}}}
ANOTHER = {"openapi": "3.1.0", "info": {"title": "Pets", "version": "7"}, "paths": {"/pets": {}}}


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_server_that_knows_no_such_endpoint_tells_its_version(
    odd_server: OddServer, command: list[str]
) -> None:
    odd_server.says(404, {"title": "Not Found", "status": 404, "detail": "Not Found"})
    odd_server.says(200, OLDER)
    answer = invoke(*command, "--url", odd_server.url, stdin='{"name": "w"}')
    refused(answer, 1, f"{odd_server.url}: the server answered 404 Not Found: it knows no ")
    assert f"version is 0.0.9, that of this command {schedora.__version__}: bring it up to date" in answer.err
    assert odd_server.paths[-1] == "/openapi.json"


@pytest.mark.parametrize("described", [(200, ANOTHER), (200, b"<html>"), (200, {}), (404, b""), (500, b"")])
def test_a_server_that_knows_no_endpoint_and_tells_no_version_may_be_none_of_schedoras(
    odd_server: OddServer, described: tuple[int, object]
) -> None:
    odd_server.says(404, b"<html>")
    odd_server.says(*described)
    answer = invoke("why", NOBODY, "--url", f"{odd_server.url}/there")
    refused(answer, 1, f"it knows no GET /jobs/{NOBODY}/why. ", "or no Schedora", "correct --url")
    assert odd_server.paths[-1] == "/there/openapi.json"


@pytest.mark.parametrize("at", ["2030-01-31T08:00:00", "soon", None, 7])
def test_moments_without_an_offset_are_none(odd_server: OddServer, at: object) -> None:
    event = {"at": at, "from": None, "to": "PENDING", "attempt": 0, "worker_id": None, "reason": None}
    odd_server.says(200, {"data": [event]})
    with SchedoraClient(odd_server.url) as client, pytest.raises(ServerError, match="can't be read"):
        client.job_events(NOBODY)


def test_what_is_not_there_is_no_matter_of_versions(run: Run) -> None:
    for command in (["why"], ["trace"], ["trace", "--workflow"], ["jobs", "logs"], ["jobs", "show"]):
        answer = run(*command, NOBODY)
        refused(
            answer, 1, f"schedora: there is no {'workflow' if '--workflow' in command else 'job'} {NOBODY}"
        )


def test_an_address_that_todays_api_does_not_know(server_url: str) -> None:
    answer = invoke("why", NOBODY, "--url", f"{server_url}/api/v2")
    refused(answer, 1, f"it knows no GET /jobs/{NOBODY}/why. ", "or no Schedora")


def test_a_wrong_page_is_the_servers_to_refuse(run: Run) -> None:
    refused(run("jobs", "list", "--cursor", "nonsense"), 1, "cursor")
    refused(run("jobs", "list", "--limit", "501"), 2, "--limit")
    refused(run("jobs", "list", "--limit", "0"), 2, "--limit")
