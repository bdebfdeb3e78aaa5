import io
from datetime import UTC, datetime
from pathlib import Path

import pytest

from schedora.entrypoints.cli.arguments import instant, json_object, payload, read_text
from schedora.entrypoints.cli.exits import Misused


class Stdin:
    def __init__(self, content: bytes) -> None:
        self.buffer = io.BytesIO(content)


def test_payload_is_empty_when_nothing_is_given() -> None:
    assert payload(None, []) == {}


def test_payload_from_the_command_line() -> None:
    assert payload('{"a": [1, null]}', []) == {"a": [1, None]}


def test_payload_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "payload.json"
    file.write_text('\ufeff{"to": "zoë"}', encoding="utf-8")
    assert payload(f"@{file}", []) == {"to": "zoë"}


def test_payload_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Stdin(b'{"a": 1}'))
    assert payload("-", []) == {"a": 1}


@pytest.mark.parametrize(
    ("argument", "name", "value"),
    [
        ("n=3", "n", 3),
        ("ratio=0.5", "ratio", 0.5),
        ("on=true", "on", True),
        ("nothing=null", "nothing", None),
        ("list=[1, 2]", "list", [1, 2]),
        ("to=a@example.org", "to", "a@example.org"),
        ("equation=x=y", "equation", "x=y"),
        ("zip=01234", "zip", "01234"),
        ('digits="7"', "digits", "7"),
        ("empty=", "empty", ""),
        ("n=NaN", "n", "NaN"),
        ("n=1e999", "n", "1e999"),
    ],
)
def test_arg_is_json_where_it_can_be(argument: str, name: str, value: object) -> None:
    assert payload(None, [argument]) == {name: value}


def test_args_win_over_the_payload() -> None:
    assert payload('{"a": 1, "b": 2}', ["a=3", "c=4"]) == {"a": 3, "b": 2, "c": 4}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "the payload is not JSON"),
        ("", "the payload is not JSON"),
        ("[1]", "the payload must be a JSON object, not [1]"),
        ("NaN", "NaN is no JSON number"),
        ('{"a": -Infinity}', "-Infinity is no JSON number"),
        ('{"a": 1e999}', "'1e999' is out of range"),
        ('{"a":' * 100_000, "the payload is nested too deep"),
    ],
)
def test_wrong_payload_is_named(text: str, said: str) -> None:
    with pytest.raises(Misused) as raised:
        payload(text, [])
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("argument", ["novalue", "=1"])
def test_arg_needs_a_name_and_a_value(argument: str) -> None:
    with pytest.raises(Misused, match="--arg must be name=value"):
        payload(None, [argument])


def test_file_that_is_not_there() -> None:
    with pytest.raises(Misused, match="the payload '/no/where' can't be read: No such file"):
        payload("@/no/where", [])


def test_file_that_no_system_could_have() -> None:
    with pytest.raises(Misused, match="can't be read"):
        read_text("a\x00b", "the workflow")


def test_file_that_is_no_text(tmp_path: Path) -> None:
    file = tmp_path / "payload.json"
    file.write_bytes(b'{"a": "\xff"}')
    with pytest.raises(Misused, match="is not UTF-8: invalid start byte at byte 7"):
        payload(f"@{file}", [])


def test_json_object_names_what_it_reads() -> None:
    with pytest.raises(Misused, match=r"^the workflow is not JSON"):
        json_object("nonsense", "the workflow")


def test_instant_with_an_offset() -> None:
    assert instant("2030-01-31T08:00:00Z", "--at") == datetime(2030, 1, 31, 8, tzinfo=UTC)
    assert instant("2030-01-31T10:00:00+02:00", "--at") == datetime(2030, 1, 31, 8, tzinfo=UTC)
    assert instant(None, "--at") is None


@pytest.mark.parametrize("text", ["tomorrow", "", "2030-01-31T08:00:00", "2030-02-31T08:00:00Z"])
def test_instant_without_offset_or_sense(text: str) -> None:
    with pytest.raises(Misused, match="--at must be an instant with an offset"):
        instant(text, "--at")
