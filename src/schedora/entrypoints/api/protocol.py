"""HTTP below the application: what is no HTTP never reaches it, and gets a problem all the same; and the application
learns of the connection what ASGI has no word for.
"""

import asyncio
from uuid import uuid4

from uvicorn.protocols.http.auto import AutoHTTPProtocol

from schedora.application.log import Logger
from schedora.entrypoints.api.event_streams import CONNECTION
from schedora.entrypoints.api.problems import Problem

log = Logger("schedora.api")

MALFORMED = Problem(kind="bad-request", status=400, detail="This is no request in HTTP/1.1.")


class _Connection:
    def __init__(self, transport: asyncio.Transport) -> None:
        self.unsent_bytes = transport.get_write_buffer_size
        self.abort = transport.abort


class _Own:
    """Before uvicorn's own protocol, whichever that is."""

    transport: asyncio.Transport
    app_state: dict[str, object]

    def connection_made(self, transport: asyncio.Transport) -> None:
        # What each request of the connection finds in the ``state`` of its scope.
        self.app_state = {**self.app_state, CONNECTION: _Connection(transport)}
        super().connection_made(transport)  # type: ignore[misc] # uvicorn's, which comes next

    def send_400_response(self, _: str) -> None:
        """In place of uvicorn's, which answers plain text."""
        trace_id = uuid4().hex
        log.warning("no request in HTTP", trace_id=trace_id)
        response = MALFORMED.response(trace_id)
        head = [b"HTTP/1.1 400 Bad Request", *(b": ".join(header) for header in response.raw_headers)]
        self.transport.write(b"\r\n".join([*head, b"connection: close", b"", response.body]))
        self.transport.close()


PROTOCOL: type[asyncio.Protocol] = type("Protocol", (_Own, AutoHTTPProtocol), {})
