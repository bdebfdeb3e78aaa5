"""A master and its replica under three real Sentinels."""

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from redis.exceptions import ResponseError

from tests.programs import until
from tests.redis.servers import RedisServer


class Sentinel(RedisServer):
    """One of those who watch ``master``. They know each other, and its replica, from the start."""

    _arguments = ("--sentinel",)

    def __init__(self, directory: Path, service: str, master: RedisServer, replica: RedisServer) -> None:
        super().__init__(directory)
        self.run_id = secrets.token_hex(20)
        self._service = service
        self._master = master
        self._replica = replica
        self.others: list[Sentinel] = []

    def _lines(self) -> Iterator[str]:
        name = self._service
        yield f"port {self.port}"
        yield "bind 127.0.0.1"
        yield f"unixsocket {self.socket}"
        yield f"sentinel myid {self.run_id}"
        yield f"sentinel monitor {name} 127.0.0.1 {self._master.port} 2"
        yield f"sentinel down-after-milliseconds {name} 1000"
        yield f"sentinel failover-timeout {name} 3000"
        if self._master.password:
            yield f"sentinel auth-pass {name} {self._master.password}"
        yield f"sentinel known-replica {name} 127.0.0.1 {self._replica.port}"
        for other in self.others:
            yield f"sentinel known-sentinel {name} 127.0.0.1 {other.port} {other.run_id}"

    def names(self) -> int:
        """The port of the master, as it knows."""
        return int(self.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._service)[1])


class Watched:
    """A master and its replica under three Sentinels."""

    service = "schedora-tests"

    def __init__(self, directory: Path, *, password: str | None = None) -> None:
        first, second = self._pair = [
            RedisServer(directory / name, password=password) for name in ("first", "second")
        ]
        self.sentinels = [
            Sentinel(directory / f"sentinel-{n}", self.service, first, second) for n in range(3)
        ]
        for sentinel in self.sentinels:
            sentinel.others = [other for other in self.sentinels if other is not sentinel]
        self._password = password

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{f':{self._password}@' if self._password else ''}{hosts}/{self.service}"

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            first, second = (stack.enter_context(server) for server in self._pair)
            second.follow(first)
            for sentinel in self.sentinels:
                stack.enter_context(sentinel)
            until(self._may_fail_over, "the replica to be known as sound")
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def master(self) -> RedisServer:
        """As the Sentinels name it."""
        named = self.sentinels[0].names()
        return next(server for server in self._pair if server.port == named)

    @property
    def replica(self) -> RedisServer:
        return next(server for server in self._pair if server is not self.master)

    def fail_over(self) -> None:
        """Asks for it, until it is done; returns once the replica is the master and every Sentinel says so.

        The old one takes writes until the Sentinels make it a replica, which takes them some ten seconds.
        """
        old = self.master
        asked = self.sentinels[0]

        def done() -> bool:
            with suppress(
                ResponseError
            ):  # it is being done; or not just now, for a replica was slow to answer
                if asked.names() == old.port:
                    asked.ask("SENTINEL", "FAILOVER", self.service)
            return asked.names() != old.port

        until(done, "a failover that is not given up")
        self.await_another_than(old)

    def await_another_than(self, old: RedisServer) -> None:
        """Once every Sentinel names another master than ``old``, and it takes writes."""

        def named() -> bool:
            return all(sentinel.names() != old.port for sentinel in self.sentinels)

        until(named, "the Sentinels to name another master")
        until(lambda: self.master.ask("ROLE")[0] == "master", "the replica to be the master")

    def _may_fail_over(self) -> bool:
        [replica] = self.sentinels[0].ask("SENTINEL", "REPLICAS", self.service)
        return bool(replica["flags"] == "slave" and replica["master-link-status"] == "ok")
