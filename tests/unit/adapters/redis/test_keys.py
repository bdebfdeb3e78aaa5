"""The names of keys."""

import inspect
from uuid import UUID

from redis.crc import key_slot

from schedora.adapters.redis.keys import Keys

SOME = {
    "queue": "mail",
    "kind": "k1",
    "incarnation": UUID(int=1),
    "job_id": UUID(int=2),
    "name": "b",
    "form": "f",
}


def all_keys(prefix: str) -> list[str]:
    """One of each."""
    keys = Keys(prefix)
    return [
        method(*(SOME[name] for name in inspect.signature(method).parameters))
        for name, method in inspect.getmembers(keys, inspect.ismethod)
        if not name.startswith("_")
    ]


def test_all_are_in_one_slot_of_a_cluster_and_begin_with_the_prefix() -> None:
    keys = [*all_keys("schedora"), Keys("schedora").kinds(None)]
    assert len({key_slot(key.encode()) for key in keys}) == 1
    assert all(key.startswith("{schedora}:") for key in keys)


def test_each_thing_has_a_key_of_its_own() -> None:
    keys = [*all_keys("a"), Keys("a").kinds(None), *all_keys("b")]
    assert len(set(keys)) == len(keys)
