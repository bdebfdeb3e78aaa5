"""What connections may take, by a clock of the test's own, looked at when the test says so."""

from collections.abc import Callable, Iterator

import pytest
from attrs import define, field

from schedora.entrypoints.api.connections import (
    BYTES_PER_SECOND_MIN,
    HEAD_TOO_LARGE,
    LINGER_SECONDS,
    NO_ROOM,
    TOO_SLOW,
    Connections,
    Limits,
    Phase,
    Room,
)
from schedora.entrypoints.api.problems import Problem

SLOW_SECONDS = 20
LIMITS = Limits(connections=3, slow_seconds=SLOW_SECONDS, head_bytes=1_000, buffer_bytes=10_000_000)


@define(eq=False)
class Client:
    """A connection that is in whatever phase a test puts it."""

    phase: Phase = Phase.ASKING
    request: int = 0
    received_bytes: int = 0
    head_bytes: int = 0
    unsent: int = 0
    held: bool = False
    ends: list[Problem | str] = field(factory=list)

    def step(self) -> tuple[Phase, object]:
        return self.phase, self.request

    def unsent_bytes(self) -> int:
        return self.unsent

    def held_back(self) -> bool:
        return self.held

    def refuse(self, problem: Problem) -> None:
        self.ends.append(problem)

    def close(self) -> None:
        self.ends.append("closed")

    def abort(self) -> None:
        self.ends.append("aborted")


class House:
    """Connections, and time that passes second by second."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.told: list[int] = []
        self.connections = Connections(LIMITS, monotonic=lambda: self.seconds, tell_of=self.told.append)

    def enter(self, client: Client) -> Client:
        assert self.connections.enter(client)
        return client

    def pass_seconds(self, seconds: int, meanwhile: Callable[[], None] = lambda: None) -> None:
        for _ in range(seconds):
            self.seconds += 1
            meanwhile()
            self.connections.look()


@pytest.fixture
def house() -> House:
    house = House()
    house.connections.look()
    return house


def test_a_head_that_does_not_end_is_refused_in_time(house: House) -> None:
    client = house.enter(Client())

    def drip() -> None:
        client.head_bytes += 1
        client.received_bytes += 1

    house.pass_seconds(SLOW_SECONDS, drip)
    assert client.ends == []
    house.pass_seconds(1, drip)
    assert client.ends == [TOO_SLOW]
    assert house.told == [408]


def test_a_connection_on_which_nothing_is_asked_is_closed_without_a_word(house: House) -> None:
    client = house.enter(Client())
    house.pass_seconds(SLOW_SECONDS + 1)
    assert (client.ends, house.told) == (["closed"], [])


def test_each_request_has_its_own_time(house: House) -> None:
    client = house.enter(Client())

    def ask() -> None:
        client.request += 1

    house.pass_seconds(SLOW_SECONDS * 3, ask)
    assert client.ends == []


def test_who_waits_for_an_answer_has_all_the_time_there_is(house: House) -> None:
    client = house.enter(Client(Phase.WAITING))
    house.pass_seconds(SLOW_SECONDS * 10)
    assert client.ends == []


@pytest.mark.parametrize(
    ("bytes_per_second", "ends"), [(BYTES_PER_SECOND_MIN, []), (BYTES_PER_SECOND_MIN - 1, [TOO_SLOW])]
)
def test_a_body_must_come_at_a_rate(house: House, bytes_per_second: int, ends: list[Problem]) -> None:
    client = house.enter(Client(Phase.SENDING))

    def send() -> None:
        client.received_bytes += bytes_per_second

    house.pass_seconds(SLOW_SECONDS + 1, send)
    assert client.ends == ends
    assert house.told == []  # the request tells


def test_a_body_must_go_on_at_that_rate(house: House) -> None:
    client = house.enter(Client(Phase.SENDING))
    client.received_bytes = 50_000_000
    house.pass_seconds(SLOW_SECONDS * 2 + 1)
    assert client.ends[:1] == [TOO_SLOW]


def test_a_body_that_we_do_not_read_is_not_slow(house: House) -> None:
    client = house.enter(Client(Phase.SENDING, held=True))
    house.pass_seconds(SLOW_SECONDS * 3)
    client.held = False
    house.pass_seconds(SLOW_SECONDS - 1)
    assert client.ends == []
    house.pass_seconds(1)
    assert client.ends == [TOO_SLOW]


def test_what_comes_of_a_body_behind_its_answer_is_read_for_a_while(house: House) -> None:
    client = house.enter(Client(Phase.OVER))

    def send() -> None:
        client.received_bytes += 10_000_000

    house.pass_seconds(SLOW_SECONDS, send)
    assert client.ends == []
    house.pass_seconds(1, send)
    assert (client.ends, house.told) == (["closed"], [])


def test_who_was_refused_may_read_why(house: House) -> None:
    client = house.enter(Client(Phase.LEAVING))
    house.pass_seconds(int(LINGER_SECONDS))
    assert client.ends == []
    house.pass_seconds(1)
    assert client.ends == ["closed"]


def test_an_answer_must_be_taken(house: House) -> None:
    client = house.enter(Client(Phase.ASKING, unsent=100_000))
    house.pass_seconds(1)
    house.pass_seconds(SLOW_SECONDS - 1, lambda: setattr(client, "request", client.request + 1))
    assert client.ends == []
    house.pass_seconds(1)
    assert client.ends == ["aborted"]


def test_an_answer_may_be_taken_slowly(house: House) -> None:
    client = house.enter(Client(Phase.WAITING, unsent=100_000))

    def take() -> None:
        client.unsent = max(0, client.unsent - BYTES_PER_SECOND_MIN)

    house.pass_seconds(SLOW_SECONDS * 6, take)
    assert client.ends == []


def test_time_in_which_the_process_stood_still_is_not_the_clients(house: House) -> None:
    client = house.enter(Client(head_bytes=1))
    house.pass_seconds(1)
    house.seconds += 600
    house.connections.look()
    assert client.ends == []


def test_of_those_that_ask_nothing_the_oldest_makes_room(house: House) -> None:
    oldest, second, busy = (
        house.enter(Client()), house.enter(Client()), house.enter(Client(Phase.WAITING))
    )  # fmt: skip
    house.pass_seconds(1)
    second.request += 1
    house.pass_seconds(1)
    house.enter(Client())
    assert [one.ends for one in (oldest, second, busy)] == [["aborted"], [], []]
    assert len(house.connections) == LIMITS.connections


def test_one_that_has_begun_to_ask_meanwhile_stays(house: House) -> None:
    asks, silent = house.enter(Client()), house.enter(Client())
    house.enter(Client(Phase.WAITING))
    house.pass_seconds(1)
    asks.phase = Phase.WAITING
    house.enter(Client())
    assert (asks.ends, silent.ends) == ([], ["aborted"])


def test_one_that_has_just_come_is_given_time_to_ask(house: House) -> None:
    for _ in range(LIMITS.connections):
        house.enter(Client())
    assert not house.connections.enter(Client())
    assert house.told == [NO_ROOM.status]


def test_where_all_are_busy_there_is_no_room(house: House) -> None:
    busy = [house.enter(Client(Phase.WAITING)) for _ in range(LIMITS.connections)]
    house.pass_seconds(1)
    assert not house.connections.enter(Client())
    house.connections.leave(busy[0])
    assert house.connections.enter(Client())


def test_answers_that_wait_are_bounded_together_and_the_longest_goes_first(house: House) -> None:
    first = house.enter(Client(Phase.WAITING, unsent=6_000_000))
    house.pass_seconds(1)
    second = house.enter(Client(Phase.WAITING, unsent=3_000_000))
    house.pass_seconds(1)
    assert (first.ends, second.ends) == ([], [])
    third = house.enter(Client(Phase.WAITING, unsent=3_000_000))
    house.pass_seconds(1)
    assert (first.ends, second.ends, third.ends) == (["aborted"], [], [])


@pytest.mark.parametrize(("phase", "told"), [(Phase.ASKING, [431]), (Phase.SENDING, [])])
def test_a_refusal_counts_where_no_request_stands_for_it(house: House, phase: Phase, told: list[int]) -> None:
    client = house.enter(Client(phase))
    house.connections.refuse(client, HEAD_TOO_LARGE)
    assert (client.ends, house.told) == ([HEAD_TOO_LARGE], told)


@pytest.fixture
def room() -> Iterator[Room]:
    room = Room(10)
    yield room
    assert room.taken_bytes == 0


def test_room_is_taken_and_given_back(room: Room) -> None:
    assert room.take(6)
    assert not room.take(5)
    assert room.take(4)
    room.give_back(10)
