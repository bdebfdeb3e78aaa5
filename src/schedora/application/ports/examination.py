"""Looking into what Schedora depends on, check by check, without changing or blocking anything."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Protocol

from attrs import frozen

from schedora.diagnosis.doctor.finding import Observation


@frozen(kw_only=True)
class Expected:
    """What this process goes by, and what is found is held against."""

    version: str
    heartbeat_timeout: timedelta
    pool_size: int
    pool_overflow: int


@frozen
class Check:
    """``read`` raises ``StoreUnavailable`` with the reason where it can't be done."""

    name: str
    read: Callable[[], Awaitable[Observation]]


class Examination(Protocol):
    def begun(self) -> AbstractAsyncContextManager[Sequence[Check]]:
        """The checks there are, to be read one after the other while the context lasts. None is kept from being read by
        another that failed, and each ends by itself within seconds. The first tells whether there is anything to examine.
        """
        ...
