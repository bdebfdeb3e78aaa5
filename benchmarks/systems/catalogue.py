"""The systems that can be measured, by what their folders say of them."""

from __future__ import annotations

import tomllib
from enum import StrEnum
from pathlib import Path

from attrs import frozen
from benchmarks.systems.environments import interpreter

FOLDER = Path(__file__).parent
VERBS = ("setup", "submit", "trickle", "work")
"""What every driver knows that says nothing else of itself."""


class Role(StrEnum):
    """Why a system is in the table."""

    OURS = "ours"
    VARIANT = "variant"
    """Ours, woken in another way."""
    LIMIT = "limit"
    """Nothing but SQL: what the database allows."""
    PEER = "peer"


OUR_ROLES = frozenset({Role.OURS, Role.VARIANT})


class Store(StrEnum):
    POSTGRESQL = "postgresql"
    REDIS = "redis"


class Property(StrEnum):
    """What a system may lack and be faster for it."""

    RECORD = "record"
    DURABLE = "durable"
    PRIORITY = "priority"
    FENCE = "fence"
    DEPENDENCIES = "dependencies"
    QUEUES = "queues"

    @property
    def meaning(self) -> str:
        return _MEANINGS[self]


_MEANINGS = {
    Property.RECORD: "what became of a job can be looked up after it has ended",
    Property.DURABLE: "an accepted job survives a crash of the store, as it is set here",
    Property.PRIORITY: "jobs can be put before others",
    Property.FENCE: "a worker that was given up can't complete a job that another has by now",
    Property.DEPENDENCIES: "a job can wait for others",
    Property.QUEUES: "one worker serves several queues and types of jobs",
}


@frozen(kw_only=True)
class Setting:
    """One choice made for a system, and where it is documented."""

    what: str
    why: str
    source: str


@frozen(kw_only=True)
class System:
    """A system with its driver."""

    name: str
    title: str
    role: Role
    store: Store
    redis_beside: bool
    """Whether it has a Redis besides its store."""
    gate: tuple[str, ...]
    """The tables that a claim reads; none where the workers' own start reads them."""
    lacks: dict[Property, str]
    """What it does not do, with the reason."""
    settings: tuple[Setting, ...]
    verbs: frozenset[str]
    """What its driver knows."""

    @property
    def needs_redis(self) -> bool:
        return self.redis_beside or self.store is Store.REDIS

    @property
    def folder(self) -> Path:
        return FOLDER / self.name

    @property
    def driver(self) -> Path:
        return self.folder / "driver.py"

    def interpreter(self) -> Path:
        """The Python that runs the driver; of a peer that of its own environment, made on first use.

        Raises EnvironmentUnavailable.
        """
        return interpreter(self.folder)

    def requirements(self) -> list[str]:
        """The packages that are installed for it, as pinned."""
        file = self.folder / "requirements.txt"
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        return [line for line in lines if line and not line.startswith("#")]


def catalogue() -> dict[str, System]:
    """Every system there is, by name: ours, its variants, the limits, the peers."""
    found = [_read(file) for file in sorted(FOLDER.glob("*/about.toml"))]
    return {system.name: system for system in sorted(found, key=lambda system: list(Role).index(system.role))}


def _read(file: Path) -> System:
    about = tomllib.loads(file.read_text(encoding="utf-8"))
    return System(
        name=file.parent.name,
        title=about["title"],
        role=Role(about.get("role", Role.PEER)),
        store=Store(about["store"]),
        redis_beside=about.get("redis-beside", False),
        gate=tuple(about.get("gate", ())),
        lacks={Property(name): reason for name, reason in about.get("lacks", {}).items()},
        settings=tuple(Setting(**setting) for setting in about.get("settings", ())),
        verbs=frozenset(about.get("verbs", VERBS)),
    )
