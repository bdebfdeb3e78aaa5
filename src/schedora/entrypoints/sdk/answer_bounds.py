"""What a server may make its clients hold and wait for: one that is broken, or not ours, may go on for ever."""

from collections.abc import AsyncIterable, Iterable
from datetime import timedelta

import httpx

ANSWER_BYTES_MAX = 1 << 30
"""Decompressed. The largest answers are those to batches, and jobs with their payload and result: a quarter of that."""

EVENT_LENGTH_MAX = 1 << 24
"""Characters of one event of a stream, which tells of one move."""

RETRY_AFTER_MAX = timedelta(minutes=5)
"""Who asks for a longer pause may be asked again before it."""

_SENT_ONLY = frozenset({b"content-encoding", b"content-length", b"transfer-encoding"})


class AnswerTooLarge(httpx.RequestError):
    """The rest of it was not read."""

    def __init__(self) -> None:
        super().__init__(f"the answer has more than {ANSWER_BYTES_MAX} bytes")


def read_whole(response: httpx.Response) -> httpx.Response:
    """``response``, which was opened as a stream, with its body. Raises ``AnswerTooLarge``."""
    try:
        return _whole(response, joined(response.iter_bytes()))
    finally:
        response.close()


async def aread_whole(response: httpx.Response) -> httpx.Response:
    """The same for an asynchronous client."""
    try:
        return _whole(response, await ajoined(response.aiter_bytes()))
    finally:
        await response.aclose()


def joined(pieces: Iterable[bytes]) -> bytes:
    """Raises ``AnswerTooLarge``."""
    content = bytearray()
    for piece in pieces:
        _add(content, piece)
    return bytes(content)


async def ajoined(pieces: AsyncIterable[bytes]) -> bytes:
    """Raises ``AnswerTooLarge``."""
    content = bytearray()
    async for piece in pieces:
        _add(content, piece)
    return bytes(content)


def _add(content: bytearray, piece: bytes) -> None:
    if len(content) + len(piece) > ANSWER_BYTES_MAX:
        raise AnswerTooLarge
    content += piece


def _whole(response: httpx.Response, content: bytes) -> httpx.Response:
    headers = [(name, value) for name, value in response.headers.raw if name.lower() not in _SENT_ONLY]
    return httpx.Response(response.status_code, headers=headers, content=content, request=response.request)
