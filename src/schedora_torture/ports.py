"""Ports that servers come back to after they were killed."""

import socket


class Port:
    """A port on the loopback interface that nobody else is given until it is released.

    Linux lets two sockets have it when only one listens: this one keeps it while servers come and go on it.
    """

    def __init__(self) -> None:
        self._held = socket.socket()
        self._held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._held.bind(("127.0.0.1", 0))
        self.number: int = self._held.getsockname()[1]

    def release(self) -> None:
        self._held.close()
