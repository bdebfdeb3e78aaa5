"""Looking into Redis, over a connection of its own: what the link knows of it may be old."""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

from redis.exceptions import ResponseError

from schedora.adapters.redis.errors import RedisAway, why_away
from schedora.adapters.redis.link import RedisLink
from schedora.adapters.redis.scripts import load
from schedora.application.errors import StoreUnavailable
from schedora.application.ports.examination import Check
from schedora.diagnosis.doctor.reach import RedisReach
from schedora.diagnosis.doctor.redis import RedisServer

_TRIES = 5
_PROBE_LIFE_MS = 60_000


class RedisExamination:
    """The link need not be open."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link
        self._probe = load("probe")

    @asynccontextmanager
    async def begun(self) -> AsyncIterator[Sequence[Check]]:
        yield (Check("redis", self.reach), Check("redis server", self.server))

    async def reach(self) -> RedisReach:
        """By writing, as everything else does."""
        try:
            async with self._link.inspection() as ask:
                await ask("EVAL", self._probe.text, 1, self._link.keys.probe(), _PROBE_LIFE_MS)
        except RedisAway as away:
            return RedisReach(problem=str(away))
        except ResponseError as error:
            return RedisReach(problem=f"{self._link.description} {why_away(error) or error}")
        return RedisReach()

    async def server(self) -> RedisServer:
        try:
            async with self._link.inspection() as ask:
                info = _read(await ask("INFO"))
                answers = []
                for _ in range(_TRIES):
                    began = time.monotonic()
                    await ask("TIME")
                    answers.append(timedelta(seconds=time.monotonic() - began))
        except RedisAway as away:
            raise StoreUnavailable(str(away)) from away
        except ResponseError as error:
            raise StoreUnavailable(
                f"{self._link.description} does not tell of itself (INFO): {error}"
            ) from error
        return RedisServer(
            version=info.get("valkey_version") or info.get("redis_version", ""),
            forked=info.get("server_name") == "valkey",
            role="replica" if info.get("role") == "slave" else info.get("role", "master"),
            policy=info.get("maxmemory_policy", "noeviction"),
            memory_bytes=int(info.get("used_memory", 0)),
            memory_limit_bytes=int(info.get("maxmemory", 0)) or None,
            clients=int(info.get("connected_clients", 0)),
            clients_limit=int(info.get("maxclients", 0)) or None,
            answer=min(answers),
        )


def _read(info: bytes) -> dict[str, str]:
    lines = info.decode(errors="replace").splitlines()
    return dict(line.partition(":")[::2] for line in lines if ":" in line)
