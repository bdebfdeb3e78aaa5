"""What no log may tell."""

from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID
from weakref import WeakSet

import attrs
import pytest

from schedora.application.telemetry.redaction import (
    DEPTH_MAX,
    MASK,
    NAMES_MAX,
    PAIRS_DEPTH_MAX,
    SECRET_NAMES,
    Redaction,
    redaction_of,
)


@pytest.fixture
def redaction() -> Redaction:
    return Redaction()


@pytest.mark.parametrize(
    "name",
    [
        "password", "Password", "PGPASSWORD", "db_password", "dbpassword", "passwords", "apiKey", "X-Api-Key", "API_KEY",
        "github_api_keys", "access_token", "accessToken", "tokens", "Authorization", "authToken", "Set-Cookie",
        "client-secret", "SecretAccessKey", "privateKey", "dsn", "credentials", "session_id", "connectionString", "pwd", "jwt",
    ],
)  # fmt: skip
def test_names_of_secrets(redaction: Redaction, name: str) -> None:
    assert redaction.is_secret(name)


@pytest.mark.parametrize(
    "name",
    [
        "lease_token", "tokenizer", "secretary", "author", "authority", "key", "monkey", "status", "passenger", "address",
        "database_url", "access", "session", "connection", "", "---", "compass",
    ],
)  # fmt: skip
def test_names_of_anything_else(redaction: Redaction, name: str) -> None:
    assert not redaction.is_secret(name)


def test_more_names_in_any_spelling(redaction: Redaction) -> None:
    redaction_of.cache_clear()
    more = redaction_of("iban, card_number")
    for name in ("iban", "customerIBAN", "card-number", "cardNumbers", "CARD_NUMBER"):
        assert more.is_secret(name)
        assert not redaction.is_secret(name)
    assert more.is_secret("password")
    assert not redaction_of(None).is_secret("")


class Name(str):
    """One of which it can be told whether anybody still has it."""

    __slots__ = ("__weakref__",)


def test_of_names_without_end_some_are_remembered(redaction: Redaction) -> None:
    """Whoever submits jobs makes up names."""

    def asked_for(number: int) -> Name:
        name = Name(f"name_{number}")
        redaction.is_secret(name)
        return name

    had = WeakSet(map(asked_for, range(NAMES_MAX + 100)))
    assert len(had) == NAMES_MAX


def test_values_are_masked_at_any_depth(redaction: Redaction) -> None:
    told = redaction.fields(
        {"a": {"b": [{"secret": 1, "c": 2}], "tokens": ["x"]}, "password": ["p"], "list": ("x", {"pwd": "y"})}
    )
    assert told == {
        "a": {"b": [{"secret": MASK, "c": 2}], "tokens": MASK},
        "password": MASK,
        "list": ["x", {"pwd": MASK}],
    }


def test_values_of_pairs_are_masked(redaction: Redaction) -> None:
    told = redaction.fields(
        {
            "headers": [("Authorization", "hunter2"), (b"cookie", b"hunter2"), ("accept", "*/*")],
            "missing": ["password", "name"],
            "several": [("names", ["ada", {"pwd": "hunter2"}])],
            "scope": {b"x-api-key": b"hunter2"},
        }
    )
    assert told == {
        "headers": [["Authorization", MASK], ["b'cookie'", MASK], ["accept", "*/*"]],
        "missing": ["password", "name"],
        "several": [["names", ["ada", {"pwd": MASK}]]],
        "scope": {b"x-api-key": MASK},
    }


def test_what_tells_nothing_stays(redaction: Redaction) -> None:
    fields = {"password": None, "has_token": True, "max_tokens": 512, "lease_token": 7}
    assert redaction.fields(fields) == fields
    assert redaction.fields({"otp": 123_456, "token": 5}) == {"otp": MASK, "token": MASK}


def test_values_that_need_no_words_stay_what_they_are(redaction: Redaction) -> None:
    fields = {"id": UUID(int=7), "at": datetime(2030, 1, 1, tzinfo=UTC), "n": 1.5, 1: "x"}
    assert redaction.fields(fields) == fields  # type: ignore[arg-type] # anything can be a field's name


@attrs.define
class Account:
    name: str
    password: str


class Login(NamedTuple):
    name: str
    password: str


def test_named_tuples_are_told_by_name(redaction: Redaction) -> None:
    told = redaction.fields({"login": Login("ada", "hunter2")})
    assert told == {"login": {"name": "ada", "password": MASK}}


def test_objects_are_told_in_words_without_their_secrets(redaction: Redaction) -> None:
    told = redaction.fields(
        {"account": Account("ada", "hunter2"), "many": {"x": [Account("bob", "hunter3")]}}
    )
    assert told == {
        "account": f"Account(name='ada', password='{MASK}')",
        "many": {"x": [f"Account(name='bob', password='{MASK}')"]},
    }


def test_of_a_large_object_a_thousand_characters_are_told(redaction: Redaction) -> None:
    long = Account("x" * 2_000, "hunter2")
    told = redaction.fields({"one": long, "many": [long]})
    assert [len(told["one"]), len(told["many"][0])] == [1_000, 1_000]


def nested(depth: int, *, named: bool) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = {"a": value} if named else [value]
    return value


@pytest.mark.parametrize("named", [True, False])
def test_what_is_too_deep_to_be_read_is_told_in_words(redaction: Redaction, *, named: bool) -> None:
    deepest, deeper = nested(DEPTH_MAX, named=named), nested(DEPTH_MAX + 1, named=named)
    assert redaction.fields({"it": deepest}) == {"it": deepest}
    assert redaction.fields({"it": deeper}) == {"it": repr(deeper)}


def test_what_is_inside_of_itself_is_told_in_words(redaction: Redaction) -> None:
    loop: list[Any] = []
    loop += [loop, loop, "password=x"]
    assert redaction.fields({"loop": loop}) == {"loop": f"[[...], [...], 'password={MASK}']"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("password=hunter2", "password=***"),
        ("login with password: hunter2, then go", "login with password: ***, then go"),
        ("{'password': 'hunter2', 'a': 1}", "{'password': '***', 'a': 1}"),
        ('{"a": {"token": "hunter2 hunter2"}}', '{"a": {"token": "***"}}'),
        ('said "x, password=hunter2"', 'said "x, password=***"'),
        ("Authorization: Bearer hunter2", "Authorization: ***"),
        ("sent Bearer hunter2.hunter2", "sent Bearer ***"),
        ("sent BEARER\thunter2.hunter2", "sent BEARER ***"),
        ("sent basic hunter2.hunter2", "sent basic ***"),
        ("sent Digest hunter2.hunter2", "sent Digest ***"),
        (
            "tried bearer hunter2.hunter2, basic hunter2.hunter2, digest hunter2.hunter2",
            "tried bearer ***, basic ***, digest ***",
        ),
        ("COOKIE: theme=dark; sid=hunter2", "COOKIE: ***"),
        ("password=Xhunter2", "password=***"),
        ("a=(" * PAIRS_DEPTH_MAX + "password=hunter2", "a=(" * PAIRS_DEPTH_MAX + "password=***"),
        ("GET https://example.org/a?token=hunter2&b=1", "GET https://example.org/a?token=***&b=1"),
        ("at postgresql://ada:hunter2@db/x", "at postgresql://ada:***@db/x"),
        ("tokens: ['hunter2', 'hunter3']", "tokens: ***"),
        ("key eyJhbGciOiJI.eyJzdWIi.hunter2", "key ***"),
        ("api_key => hunter2", "api_key => ***"),
        ("password='hunter2", "password='***'"),
        ("PGPASSWORD=hunter2 psql", "PGPASSWORD=*** psql"),
        ("at postgresql://ada:p@hunter2@db/x", "at postgresql://ada:***@db/x"),
        (
            r'{"body": "{\"password\": \"hunter2 hunter2\", \"a\": 1}"}',
            r'{"body": "{\"password\": ***, \"a\": 1}"}',
        ),
        (r'\\"token\\": \\"hunter2\\"', r'\\"token\\": ***'),
        ("Cookie: theme=dark; sid=hunter2\nHost: db", "Cookie: ***\nHost: db"),
        ("{'set-cookie': 'sid=hunter2; Path=/'}", "{'set-cookie': '***'}"),
        ("pg_dump --password=hunter2 --port=5432", "pg_dump --password=*** --port=5432"),
        ("headers={'authorization': b'hunter2', 'a': b'b'}", "headers={'authorization': ***, 'a': b'b'}"),
        (
            "[(b'Authorization', b'Bearer hunter2'), ('x-api-key', 'hunter2'), ('accept', '*/*')]",
            "[(b'Authorization', ***), ('x-api-key', '***'), ('accept', '*/*')]",
        ),
        (
            """    raise KeyError("token=" + token)\nKeyError: 'no "such"'""",
            """    raise KeyError("token="***"\nKeyError: 'no "such"'""",
        ),
        (
            "key: -----BEGIN RSA PRIVATE KEY-----\nhunter2\nhunter2\n-----END RSA PRIVATE KEY-----\nand so on",
            "key: -----BEGIN RSA PRIVATE KEY-----***-----END RSA PRIVATE KEY-----\nand so on",
        ),
    ],
)
def test_secrets_in_text_are_masked(redaction: Redaction, text: str, told: str) -> None:
    assert redaction.text(text) == told
    assert "hunter" not in redaction.text(text)


def test_every_name_of_a_secret_is_known_in_text(redaction: Redaction) -> None:
    names = [name.replace(" ", "_") for name in SECRET_NAMES]
    assert redaction.text("&".join(f"{name}=hunter2" for name in names)) == "&".join(
        f"{name}={MASK}" for name in names
    )


@pytest.mark.parametrize(
    "text",
    [
        "", "a=1 b: 2", "at 08:00:00, lease_token=7", "no secret here", "secretary: Ada", "http://127.0.0.1:8000/a@b",
        "postgresql://ada@db/x", "see http://x:80, then y@z", "a basic idea", "key: value",
    ],
)  # fmt: skip
def test_other_text_stays_as_it_is(redaction: Redaction, text: str) -> None:
    assert redaction.text(text) == text


@pytest.mark.parametrize(
    "piece",
    [
        "a=",
        "token:",
        "{'a': ",
        "[",
        '"',
        "password=(",
        "a:[",
        "://a:",
        "Bearer ",
        "-----BEGIN PRIVATE KEY-----",
        "('a', ",
        'token="\n',
    ],
)
def test_text_made_to_take_long_does_not(redaction: Redaction, piece: str) -> None:
    """Each would take minutes where the effort grew with the square of the length."""
    redaction.text("token " + piece * 20_000)


def test_pairs_inside_of_pairs_have_an_end(redaction: Redaction) -> None:
    text = "a=(" * 20_000 + "token"
    assert redaction.text(text) == text
