from datetime import datetime, timedelta, timezone

import pytest
from asyncpg.pgproto import pgproto

from schedora.domain.ids import JsonText
from schedora.entrypoints.api.answers import embedded, encoded, seconds


def test_instants_are_told_in_utc_with_z() -> None:
    instant = datetime(2030, 1, 1, 1, 30, tzinfo=timezone(timedelta(0)))
    assert encoded({"at": instant}) == b'{"at":"2030-01-01T01:30:00Z"}'


def test_identifiers_of_drivers_are_identifiers() -> None:
    text = "0198c0de-6f00-7a3c-8f21-3b5d8c1e4f60"
    assert encoded([pgproto.UUID(text)]) == f'["{text}"]'.encode()


def test_what_has_no_form_in_json_is_a_mistake_of_ours() -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        encoded({"a": {1, 2}})


def test_documents_are_put_in_as_they_are() -> None:
    assert (
        encoded({"a": embedded(JsonText('{"b": 1.50}')), "c": embedded(None)})
        == b'{"a":{"b": 1.50},"c":null}'
    )


@pytest.mark.parametrize(("span", "told"), [(60, "60"), (0.5, "0.5"), (0, "0"), (1e-6, "1e-6")])
def test_spans_are_whole_where_they_are_whole(span: float, told: str) -> None:
    assert encoded(seconds(timedelta(seconds=span))).decode() == told
