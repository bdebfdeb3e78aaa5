"""A mail server for the example: real SMTP on a loopback port, each mail kept as an .eml file."""

import asyncio
from email import message_from_bytes, policy
from pathlib import Path
from types import TracebackType
from typing import Self

from aiosmtpd.smtp import SMTP, Envelope, Session
from examples.orders.confirmation import MailServer


class Mailbox:
    """Receives mail while it is open (`async with`) and writes it to a directory.

    A mail is filed under its Message-ID: delivered twice, it is still one file.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self.directory.mkdir(parents=True, exist_ok=True)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: SMTP(self, hostname="localhost"), "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    @property
    def address(self) -> MailServer:
        """Where mail is taken; the port is free at the time of opening."""
        if self._server is None:
            raise RuntimeError("the mailbox is not open")
        host, port = self._server.sockets[0].getsockname()
        return MailServer(host=host, port=port)

    def mails(self) -> list[Path]:
        """Return the files of the mails received, by name."""
        return sorted(self.directory.glob("*.eml"))

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: ARG002, N802 aiosmtpd calls it by this name with these arguments
        """Keep a mail; called by the server once it has it whole."""
        content = envelope.original_content or b""
        message_id = message_from_bytes(content, policy=policy.default)["Message-ID"]
        if message_id is None:
            return "550 a Message-ID is required"
        name = "".join(letter for letter in message_id if letter.isalnum() or letter in ".@-")
        (self.directory / f"{name}.eml").write_bytes(content)
        return "250 OK"
