"""Server-Sent Events from bytes, as the HTML standard reads them (section 9.2.6)."""

import codecs
import re

from attrs import frozen

from schedora.entrypoints.sdk.answer_bounds import EVENT_LENGTH_MAX

_LINE_END = re.compile(r"\r\n|\n|\r")


class EventTooLong(Exception):
    def __init__(self) -> None:
        super().__init__(f"an event of the stream has more than {EVENT_LENGTH_MAX} characters")


@frozen(kw_only=True)
class SentEvent:
    """``event_id`` is that of the newest event that had one. ``data`` is empty where the id alone has moved on."""

    event: str
    data: str
    event_id: str


class EventParser:
    """Takes the stream in pieces of any size. What is unfinished at its end is no event."""

    def __init__(self) -> None:
        self.retry_seconds: float | None = None
        """What the server asks to wait before coming back."""
        self._decode = codecs.getincrementaldecoder("utf-8-sig")("replace").decode
        self._rest = ""
        self._event = ""
        self._data: list[str] = []
        self._event_id = ""

    def feed(self, piece: bytes) -> list[SentEvent]:
        """The events that end in this piece. Raises ``EventTooLong`` where one does not come to an end."""
        text = self._rest + self._decode(piece)
        # A carriage return at the end may be half of an end of line.
        held_back = text.endswith("\r")
        *lines, self._rest = _LINE_END.split(text[:-1] if held_back else text)
        if held_back:
            self._rest += "\r"
        events = [event for line in lines if (event := self._take(line)) is not None]
        if len(self._rest) + sum(map(len, self._data)) > EVENT_LENGTH_MAX:
            raise EventTooLong
        return events

    def _take(self, line: str) -> SentEvent | None:
        if not line:
            return self._dispatched()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "event":
                self._event = value
            case "data":
                self._data.append(value)
            case "id" if "\0" not in value:
                self._event_id = value
            case "retry" if value.isascii() and value.isdigit() and len(value) < 10:
                self.retry_seconds = int(value) / 1000
        return None

    def _dispatched(self) -> SentEvent:
        event = SentEvent(event=self._event or "message", data="\n".join(self._data), event_id=self._event_id)
        self._event, self._data = "", []
        return event
