"""One connection to the server: asyncpg's, with what Schedora expects of the socket below it."""

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import asyncpg

UNHEARD_SECONDS_MAX = 30
"""A peer that acknowledges nothing for so long is gone: a network that drops packets closes no connection."""
_IDLE_SECONDS, _PROBE_SECONDS, _PROBES = 15, 5, 3

SERVER_SETTINGS = {
    # The same of the server: a client that vanished holds no locks and no connection for hours.
    "tcp_keepalives_idle": str(_IDLE_SECONDS),
    "tcp_keepalives_interval": str(_PROBE_SECONDS),
    "tcp_keepalives_count": str(_PROBES),
    "tcp_user_timeout": str(UNHEARD_SECONDS_MAX * 1_000),
}
_OPTIONS = (
    (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
    (socket.IPPROTO_TCP, "TCP_KEEPIDLE", _IDLE_SECONDS),
    (socket.IPPROTO_TCP, "TCP_KEEPINTVL", _PROBE_SECONDS),
    (socket.IPPROTO_TCP, "TCP_KEEPCNT", _PROBES),
    (socket.IPPROTO_TCP, "TCP_USER_TIMEOUT", UNHEARD_SECONDS_MAX * 1_000),
)

if TYPE_CHECKING:
    _AsyncpgConnection = asyncpg.Connection[asyncpg.Record]
else:  # at run time the class takes no parameters
    _AsyncpgConnection = asyncpg.Connection


class Connection(_AsyncpgConnection):
    """No statement leaves anything behind in a session, so there is nothing to reset between uses. A peer that is out of
    reach is noticed while nothing is asked of it, too.
    """

    def __init__(self, protocol: Any, transport: asyncio.Transport, *others: Any) -> None:
        super().__init__(protocol, transport, *others)
        keep_alive(transport.get_extra_info("socket"))

    def get_reset_query(self) -> str:
        return ""


def keep_alive(connection: socket.socket | None) -> None:
    """As far as this platform knows how; a local socket needs none of it."""
    if connection is None or connection.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    for level, name, value in _OPTIONS:
        if (option := getattr(socket, name, None)) is not None:
            connection.setsockopt(level, option, value)
