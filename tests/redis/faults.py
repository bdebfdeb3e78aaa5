"""What may befall a Redis. Within each of these contexts it is away, for another reason each; after it, it is well."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from threading import Thread

from redis.exceptions import RedisError

from tests.programs import until
from tests.redis.proxy import Behaviour, FaultProxy
from tests.redis.reaching import SILENT
from tests.redis.servers import RedisServer

Fault = Callable[[RedisServer, FaultProxy], AbstractContextManager[None]]

NOBODY = "1"
"""A port that nothing listens on."""


def through(behaviour: Behaviour) -> Fault:
    @contextmanager
    def fault(_server: RedisServer, proxy: FaultProxy) -> Iterator[None]:
        proxy.behave(behaviour)
        yield
        proxy.behave(Behaviour.PASS)

    return fault


@contextmanager
def killed(server: RedisServer, _proxy: FaultProxy) -> Iterator[None]:
    """And another, empty one comes in its place."""
    server.kill()
    yield
    server.start()


@contextmanager
def frozen(server: RedisServer, _proxy: FaultProxy) -> Iterator[None]:
    server.freeze()
    yield
    server.thaw()


@contextmanager
def loading(server: RedisServer, _proxy: FaultProxy) -> Iterator[None]:
    """It reads its log of commands, slowly, and answers LOADING meanwhile: for half a minute, unless it is ended."""
    server.kill()
    (server.directory / "appendonly.aof").write_bytes(
        b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n" * 1_500_000
    )
    server.launch(
        "appendonly yes", "key-load-delay 20"
    )  # microseconds a command; it looks up after a thousand
    until(lambda: is_refused(server, "LOADING"), "the server to say that it is loading")
    yield
    server.kill()
    server.start()


def is_refused(server: RedisServer, why: str) -> bool:
    """Whether it answers with this error code, or with the text that redis-py puts in its place."""
    try:
        server.ask("PING")
    except RedisError as error:
        return why.lower() in str(error).lower()
    return False


@contextmanager
def read_only(server: RedisServer, _proxy: FaultProxy) -> Iterator[None]:
    """It has become a replica."""
    server.ask("REPLICAOF", "127.0.0.1", NOBODY)
    yield
    server.follow(None)


@contextmanager
def full(server: RedisServer, _proxy: FaultProxy) -> Iterator[None]:
    """It has no memory left, and may not evict."""
    server.ask("CONFIG", "SET", "maxmemory", "1")
    yield
    server.ask("CONFIG", "SET", "maxmemory", "0")


@contextmanager
def unable_to_save(server: RedisServer, _proxy: FaultProxy) -> Iterator[None]:
    """It takes no writes, since the last snapshot could not be written: a folder is in its place."""
    (server.directory / "dump.rdb").mkdir()
    server.ask("CONFIG", "SET", "save", "3600 1")
    server.ask("BGSAVE")
    until(lambda: server.ask("INFO")["rdb_last_bgsave_status"] == "err", "the snapshot to fail")
    yield
    server.ask("CONFIG", "SET", "save", "")
    (server.directory / "dump.rdb").rmdir()


@contextmanager
def guarded(server: RedisServer, proxy: FaultProxy) -> Iterator[None]:
    """It asks for a password that it did not ask for before. Who was let in stays in: so all are put out."""
    server.ask("CONFIG", "SET", "requirepass", "changed")
    server.password = "changed"
    proxy.reset()
    yield
    server.ask("CONFIG", "SET", "requirepass", "")
    server.password = None


@contextmanager
def busy(server: RedisServer, _proxy: FaultProxy) -> Iterator[None]:
    """Somebody's script does not come to its end."""
    server.ask("CONFIG", "SET", "lua-time-limit", "1")
    script = Thread(target=_run_for_ever, args=(server,))
    script.start()
    until(lambda: is_refused(server, "BUSY"), "the server to be busy")
    yield
    server.ask("SCRIPT", "KILL")
    script.join()


def _run_for_ever(server: RedisServer) -> None:
    try:
        server.ask("EVAL", "while true do end", 0)
    except RedisError as error:
        assert "killed" in str(error)  # noqa: PT017 - there is no other way out of it


UNREACHABLE = "can't be reached"

FAULTS: dict[str, tuple[Fault, str]] = {
    "refused": (through(Behaviour.REFUSE), UNREACHABLE),
    "reset": (through(Behaviour.RESET), UNREACHABLE),
    "cut": (through(Behaviour.CUT), UNREACHABLE),
    "black_hole": (through(Behaviour.BLACK_HOLE), SILENT),
    "stalled": (through(Behaviour.STALL), SILENT),
    "killed": (killed, UNREACHABLE),
    "frozen": (frozen, SILENT),
    "loading": (loading, "is loading its data"),
    "read_only": (read_only, "is a replica"),
    "full": (full, "is out of memory"),
    "unable_to_save": (unable_to_save, "takes no writes since it can't save them"),
    "guarded": (guarded, "wants a password"),
    "busy": (busy, "is busy with somebody's script"),
}
"""Each with why Redis is said to be away."""
