"""The proxy does what the tests of faults rely on."""

from collections.abc import Iterator

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
    """Connected, with no patience, and trying nothing twice."""
    with Redis.from_url(proxy.url, socket_timeout=0.2, retry=Retry(NoBackoff(), 0)) as client:
        assert client.ping()
        yield client


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        (Behaviour.REFUSE, Unreachable),
        (Behaviour.RESET, Unreachable),
        (Behaviour.CUT, Unreachable),
        (Behaviour.BLACK_HOLE, Unanswered),
        (Behaviour.STALL, Unanswered),
    ],
    ids=lambda value: value.name if isinstance(value, Behaviour) else "",
)
def test_a_fault_reaches_the_connection_that_there_was_and_the_next_until_it_passes(
    proxy: FaultProxy, client: Redis, behaviour: Behaviour, error: type[Exception]
) -> None:
    proxy.behave(behaviour)
    for _ in range(2):
        with pytest.raises(error):
            client.ping()
    proxy.behave(Behaviour.PASS)
    assert client.ping()


@pytest.mark.parametrize("behaviour", [Behaviour.REFUSE, Behaviour.RESET, Behaviour.BLACK_HOLE])
def test_a_command_does_not_arrive(
    proxy: FaultProxy, client: Redis, redis_server: RedisServer, behaviour: Behaviour
) -> None:
    proxy.behave(behaviour)
    with pytest.raises((Unreachable, Unanswered)):
        client.set("key", "value")
    proxy.behave(Behaviour.PASS)
    assert client.ping()
    assert redis_server.ask("GET", "key") is None


def test_a_command_whose_answer_is_cut_has_arrived(
    proxy: FaultProxy, client: Redis, redis_server: RedisServer
) -> None:
    proxy.behave(Behaviour.CUT)
    with pytest.raises(Unreachable):
        client.set("key", "value")
    assert redis_server.ask("GET", "key") == "value"


def test_what_is_stalled_arrives_in_the_end(
    proxy: FaultProxy, client: Redis, redis_server: RedisServer
) -> None:
    proxy.behave(Behaviour.STALL)
    with pytest.raises(Unanswered):
        client.set("key", "value")
    assert redis_server.ask("GET", "key") is None
    proxy.behave(Behaviour.PASS)
    until(lambda: redis_server.ask("GET", "key") == "value", "the command that was held back")


def test_connections_are_reset_on_demand(proxy: FaultProxy, client: Redis) -> None:
    until(lambda: proxy.connections == 1, "the connection")
    proxy.reset()
    assert proxy.connections == 0
