"""The proxy does what the tests of faults rely on."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as Unreachable
from redis.exceptions import TimeoutError as Unanswered
from redis.retry import Retry

from tests.programs import until
from tests.redis.proxy import Behaviour, FaultProxy
from tests.redis.servers import RedisServer


@pytest.fixture
def proxy(redis_server: RedisServer) -> Iterator[FaultProxy]:
    with FaultProxy(redis_server) as proxy:
        yield proxy


@pytest.fixture
def client(proxy: FaultProxy) -> Iterator[Redis]:
    """Connected, and trying nothing twice."""
    with connected(proxy) as client:
        yield client


@pytest.fixture
def impatient(proxy: FaultProxy) -> Iterator[Redis]:
    """Whoever is silent for a moment has not answered."""
    with connected(proxy, socket_timeout=0.1) as client:
        yield client


@contextmanager
def connected(proxy: FaultProxy, **options: Any) -> Iterator[Redis]:
    with Redis.from_url(proxy.url, retry=Retry(NoBackoff(), 0), **options) as client:
        until(lambda: answers(client), "an answer")
        yield client


def answers(client: Redis) -> bool:
    """Unless it takes too long: whatever the machine is busy with."""
    try:
        return bool(client.ping())
    except Unanswered:
        return False


LOUD = [Behaviour.REFUSE, Behaviour.RESET, Behaviour.CUT]
SILENT = [Behaviour.BLACK_HOLE, Behaviour.STALL]


def name(behaviour: Behaviour) -> str:
    return behaviour.name


@pytest.mark.parametrize("behaviour", LOUD, ids=name)
def test_a_loud_fault_reaches_the_connection_that_there_was_and_the_next_until_it_passes(
    proxy: FaultProxy, client: Redis, behaviour: Behaviour
) -> None:
    proxy.behave(behaviour)
    for _ in range(2):
        with pytest.raises(Unreachable):
            client.ping()
    proxy.behave(Behaviour.PASS)
    assert client.ping()


@pytest.mark.parametrize("behaviour", SILENT, ids=name)
def test_a_silent_fault_reaches_the_connection_that_there_was_and_the_next_until_it_passes(
    proxy: FaultProxy, impatient: Redis, behaviour: Behaviour
) -> None:
    proxy.behave(behaviour)
    for _ in range(2):
        with pytest.raises(Unanswered):
            impatient.ping()
    proxy.behave(Behaviour.PASS)
    until(lambda: answers(impatient), "an answer")


@pytest.mark.parametrize("behaviour", [Behaviour.REFUSE, Behaviour.RESET, Behaviour.BLACK_HOLE], ids=name)
def test_a_command_does_not_arrive(
    proxy: FaultProxy, impatient: Redis, redis_server: RedisServer, behaviour: Behaviour
) -> None:
    proxy.behave(behaviour)
    with pytest.raises((Unreachable, Unanswered)):
        impatient.set("key", "value")
    proxy.behave(Behaviour.PASS)
    until(lambda: answers(impatient), "an answer")
    assert redis_server.ask("GET", "key") is None


def test_a_command_whose_answer_is_cut_has_arrived(
    proxy: FaultProxy, client: Redis, redis_server: RedisServer
) -> None:
    proxy.behave(Behaviour.CUT)
    with pytest.raises(Unreachable):
        client.set("key", "value")
    assert redis_server.ask("GET", "key") == "value"


def test_what_is_stalled_arrives_in_the_end(
    proxy: FaultProxy, impatient: Redis, redis_server: RedisServer
) -> None:
    proxy.behave(Behaviour.STALL)
    with pytest.raises(Unanswered):
        impatient.set("key", "value")
    assert redis_server.ask("GET", "key") is None
    proxy.behave(Behaviour.PASS)
    until(lambda: redis_server.ask("GET", "key") == "value", "the command that was held back")


def test_connections_are_reset_on_demand(proxy: FaultProxy, client: Redis) -> None:
    until(lambda: proxy.connections == 1, "the connection")
    proxy.reset()
    assert proxy.connections == 0
