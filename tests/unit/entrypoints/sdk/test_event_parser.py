"""Server-Sent Events from bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedora.entrypoints.sdk.event_parser import EventParser, SentEvent


def parsed(*pieces: bytes) -> list[tuple[str, str, str]]:
    parser = EventParser()
    return [(sent.event, sent.data, sent.event_id) for piece in pieces for sent in parser.feed(piece)]


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: a\n\n", [("message", "a", "")]),
        (b"event: job\ndata: a\nid: 1\n\n", [("job", "a", "1")]),
        (b"data: a\ndata:b\ndata\n\n", [("message", "a\nb\n", "")]),
        (b"data:  a\n\n", [("message", " a", "")]),
        (b"id: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\n",
         [("message", "a", "1"), ("message", "b", "1"), ("message", "c", "")]),
        (b": hi\nid: 7\n\n", [("message", "", "7")]),
        (b"id: a\0b\ndata: a\n\n", [("message", "a", "")]),
        (b"colour: red\ndata: a\n\n", [("message", "a", "")]),
        (b"\xef\xbb\xbfdata: a\n\n", [("message", "a", "")]),
        (b"data: a", []),
        (b"data: a\n", []),
        (b"data: \xff\n\n", [("message", "\ufffd", "")]),
        ("data: \u2028ü\x85\n\n".encode(), [("message", "\u2028ü\x85", "")]),
        (b"data: a\r\rdata: b\r\n\r\n", [("message", "a", ""), ("message", "b", "")]),
    ],
)  # fmt: skip
def test_the_stream_is_read_as_the_standard_says(stream: bytes, events: list[tuple[str, str, str]]) -> None:
    assert parsed(stream) == events


@given(
    st.lists(
        st.tuples(st.sampled_from(["job", "gap"]), st.text(alphabet="aü\u2028 :", max_size=5)), max_size=4
    ),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.data(),
)
def test_pieces_may_be_of_any_size(told: list[tuple[str, str]], end: str, data: st.DataObject) -> None:
    text = "".join(f"event: {event}{end}data: {words}{end}{end}" for event, words in told)
    stream = (text + end).encode()  # which makes the last line's end a whole one
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    whole = [(event, words, "") for event, words in told]
    assert [event for event in parsed(*pieces) if event[1:] != ("", "") or event[0] != "message"] == whole


@pytest.mark.parametrize(
    ("said", "seconds"), [(b"1500", 1.5), (b"x", None), (b"-1", None), (b"1" * 20, None), (b"", None)]
)
def test_when_to_come_back_is_heard(said: bytes, seconds: float | None) -> None:
    parser = EventParser()
    parser.feed(b"retry: " + said + b"\n\n")
    assert parser.retry_seconds == seconds


def test_an_event_is_a_value() -> None:
    [sent] = EventParser().feed(b"data: a\n\n")
    assert sent == SentEvent(event="message", data="a", event_id="")
