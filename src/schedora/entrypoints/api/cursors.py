"""Cursors: where a list goes on, opaque to whoever carries them."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from uuid import UUID

_LENGTH = 22
_PADDING = "=="

CURSOR_PATTERN = rf"^[A-Za-z0-9_-]{{{_LENGTH - 1}}}[AQgw]$"
"""A UUID in 22 digits, of which the last says two bits."""


def cursor_of(position: UUID | None) -> str | None:
    """None where there is nothing more."""
    return None if position is None else urlsafe_b64encode(position.bytes).decode().rstrip("=")


def position_of(cursor: str) -> UUID:
    """Raises ``ValueError`` for what ``cursor_of`` has not made."""
    try:
        if len(cursor) == _LENGTH and cursor.isascii():
            position = UUID(bytes=urlsafe_b64decode(cursor + _PADDING))
            if cursor_of(position) == cursor:
                return position
    except (Error, ValueError):
        pass
    raise ValueError("must be the next_cursor of an earlier answer")
