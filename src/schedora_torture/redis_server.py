"""A Redis of the torture's own: killed, frozen and emptied at will."""

import asyncio
import shutil
import signal
import sysconfig
from asyncio.subprocess import Process
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError

from schedora_torture.launcher import launched
from schedora_torture.patience import until
from schedora_torture.ports import Port

ANSWER_SECONDS_MAX = 30.0


def redis_program() -> str | None:
    """A ``redis-server`` on the path, or beside this Python; None where there is none."""
    places = (None, sysconfig.get_path("scripts"))
    return next((found for place in places if (found := shutil.which("redis-server", path=place))), None)


class OwnRedis:
    """Keeps nothing on disk."""

    def __init__(self, program: str, logs: Path) -> None:
        self._program = program
        self._logs = logs
        self._port = Port()
        self._process: Process | None = None

    @property
    def port(self) -> int:
        return self._port.number

    async def start(self) -> None:
        """Returns once it answers; empty. Raises ``TimeoutError``."""
        command = [
            self._program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
            "--dir", str(self._logs),
        ]  # fmt: skip
        with (self._logs / "redis-server.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *launched(command),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if not await until(self._answers, ANSWER_SECONDS_MAX):
            raise TimeoutError(f"redis-server does not answer: {self._logs / 'redis-server.log'} tells why")

    async def _answers(self) -> bool:
        async with Redis(host="127.0.0.1", port=self.port) as client:
            try:
                return bool(await client.ping())
            except RedisError:
                return False

    async def empty(self) -> None:
        async with Redis(host="127.0.0.1", port=self.port) as client:
            await client.flushall()

    def freeze(self) -> None:
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        self._send(signal.SIGCONT)

    async def kill(self) -> None:
        """Gone at once; nothing is said to anybody, nor kept."""
        self._send(signal.SIGKILL)
        if self._process is not None:
            await self._process.wait()

    async def close(self) -> None:
        await self.kill()
        self._port.release()

    def _send(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)
