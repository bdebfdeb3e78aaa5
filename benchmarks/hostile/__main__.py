"""Attack a real API on a real PostgreSQL, and see what it costs it and others: `python -m benchmarks.hostile --help`."""

from __future__ import annotations

import argparse
import asyncio
import fnmatch
import sys
import uuid
from contextlib import ExitStack
from typing import TYPE_CHECKING

import httpx
from attrs import frozen
from benchmarks.hostile.attacks import ATTACKS, Attack, LocalCounters, Target, strike
from benchmarks.hostile.fuzzing import fuzz
from benchmarks.hostile.healthy import Served, beside
from benchmarks.hostile.server import Api, api
from benchmarks.hostile.submissions import AtOnce, submit_at_once
from benchmarks.postgres import temporary_server
from benchmarks.systems.redis_server import redis_server

from schedora.adapters.postgres.upgrade import migrate

if TYPE_CHECKING:
    from collections import Counter

MEGABYTE = 1_000_000
AFTERWARDS_SECONDS = 10.0
LARGE_JOBS, LARGE_BYTES = 200, 900_000


@frozen(kw_only=True)
class Result:
    """One attack."""

    attack: Attack
    local_counters: LocalCounters
    served: Served
    before_bytes: int
    most_bytes: int
    after_bytes: int
    left_open: int
    """File descriptors more than before, once it was over."""
    defects: int

    @property
    def bad(self) -> bool:
        """Whether anything happened that must not."""
        return bool(self.defects or self.served.lost or any(
            status.startswith("5") and status != "503" for status in self.local_counters.answers
        ))  # fmt: skip


def main() -> int:
    """Run the attacks asked for, one after the other, and print a line for each. 1 when one of them did harm."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hostile", description=__doc__)
    parser.add_argument("patterns", nargs="*", default=["*"], help="attacks by name, as shell patterns")
    parser.add_argument("--connections", type=int, default=2_000, help="connections of an attack (2000)")
    parser.add_argument("--seconds", type=float, default=30, help="how long each attack goes on (30)")
    parser.add_argument("--at-once", type=int, default=1_000, help="submissions at once; 0 for none (1000)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the API"
    )
    parser.add_argument(
        "--fuzz", type=int, default=120, help="seconds of requests at random; 0 for none (120)"
    )
    arguments = parser.parse_args()
    settings = dict(one.split("=", 1) for one in arguments.set)
    chosen = [
        one for one in ATTACKS if any(fnmatch.fnmatch(one.name, pattern) for pattern in arguments.patterns)
    ]
    harm = False
    with ExitStack() as stack:
        server = stack.enter_context(temporary_server())
        database = stack.enter_context(server.database())
        migrate(database.url)
        if chosen:
            print(
                "| attack | connections | answers | memory, MB: before, most, after | left open | a healthy client: served, p50, p99 ms |"
            )
            print("| --- | --- | --- | --- | --- | --- |", flush=True)
            with api(database_url=database.url, **settings) as attacked:
                target = asyncio.run(_prepared(attacked))
                for attack in chosen:
                    result = asyncio.run(
                        _attacked(attacked, target, attack, arguments.connections, arguments.seconds)
                    )
                    print(_line(result), flush=True)
                    harm = harm or result.bad
                for line in attacked.defects()[:5]:
                    print(line[:2_000], file=sys.stderr)
        if arguments.fuzz:
            with api(database_url=database.url, **settings) as asked:
                harm = _fuzzed(asked, arguments.fuzz) or harm
        if arguments.at_once:
            redis_url = stack.enter_context(redis_server())
            for through in (None, redis_url):
                with (
                    api(database_url=database.url, redis_url=through) as first,
                    api(database_url=database.url, redis_url=through) as second,
                ):
                    harm = (
                        _at_once(
                            first,
                            second,
                            database.url,
                            arguments.at_once,
                            "Redis" if through else "PostgreSQL alone",
                        )
                        or harm
                    )
    return int(harm)


async def _prepared(attacked: Api) -> Target:
    """Large jobs to list, and one to wait for."""
    async with httpx.AsyncClient(base_url=attacked.url, timeout=60) as http:
        for number in range(LARGE_JOBS):
            job = {
                "type": "large",
                "payload": {"text": "x" * LARGE_BYTES},
                "idempotency_key": f"large-{number}",
            }
            (await http.post("/api/v1/jobs", json=job)).raise_for_status()
        waits = {"type": "waits", "idempotency_key": "waits"}
        answer = (await http.post("/api/v1/jobs", json=waits)).raise_for_status()
        job_id = answer.json()["data"]["job_id"]
    return Target(host=attacked.host, port=attacked.port, job_id=job_id)


async def _attacked(
    attacked: Api, target: Target, attack: Attack, connections: int, seconds: float
) -> Result:
    before_bytes, before_open, before_defects = (
        attacked.memory_bytes(),
        attacked.sockets(),
        len(attacked.defects()),
    )
    over = asyncio.Event()
    watching = asyncio.create_task(_most(attacked, over))
    with beside(attacked.url) as fared:
        local_counters = await strike(attack, target, connections=connections, seconds=seconds)
        over.set()
        served = await asyncio.to_thread(fared)
    most_bytes = await watching
    await asyncio.sleep(AFTERWARDS_SECONDS)
    return Result(
        attack=attack, local_counters=local_counters, served=served, before_bytes=before_bytes, most_bytes=most_bytes,
        after_bytes=attacked.memory_bytes(), left_open=attacked.sockets() - before_open,
        defects=len(attacked.defects()) - before_defects,
    )  # fmt: skip


async def _most(attacked: Api, until: asyncio.Event) -> int:
    most_bytes = 0
    while not until.is_set():
        most_bytes = max(most_bytes, attacked.memory_bytes())
        await asyncio.sleep(0.05)
    return most_bytes


def _line(result: Result) -> str:
    local_counters, served = result.local_counters, result.served
    memory = ", ".join(
        f"{size / MEGABYTE:.0f}" for size in (result.before_bytes, result.most_bytes, result.after_bytes)
    )
    fared = f"{len(served.seconds)}, {served.percentile_ms(0.5):.0f}, {served.percentile_ms(0.99):.0f}"
    if served.otherwise:
        fared += f"; otherwise {_told(served.otherwise)}"
    if served.lost:
        fared += f"; LOST {served.lost}"
    if result.defects:
        fared += f"; {result.defects} DEFECTS"
    opened = f"{local_counters.opened}" + (
        f", {local_counters.refused} not" if local_counters.refused else ""
    )
    return f"| {result.attack.name} | {opened} | {_told(local_counters.answers)} | {memory} | {result.left_open} | {fared} |"


def _told(counts: Counter[str] | Counter[int]) -> str:
    return ", ".join(f"{name} × {count}" for name, count in counts.most_common()) or "none read"


def _fuzzed(asked: Api, seconds: int) -> bool:
    """Whether any answer was not as described."""
    description = httpx.get(f"{asked.url}/openapi.json", timeout=60).json()
    found = fuzz(description, asked.url, examples=50, seconds=seconds)
    print(
        f"{found.cases} requests at random: {_told(found.statuses)}; {len(found.failures)} findings",
        flush=True,
    )
    for what, again in found.failures.items():
        print(f"{what}\n{again}", file=sys.stderr)
    return bool(found.failures or asked.defects())


def _at_once(first: Api, second: Api, database_url: str, count: int, through: str) -> bool:
    """Whether any job was lost or made twice."""
    harm = False
    for name, keys in (
        ("keys of their own", [uuid.uuid4().hex for _ in range(count)]),
        ("one key", [uuid.uuid4().hex] * count),
    ):
        done: AtOnce = asyncio.run(submit_at_once((first.url, second.url), database_url, keys))
        expected = len(set(keys))
        harm = harm or sum(done.answers.values()) != count or not done.named == done.stored == expected
        print(
            f"{count} submissions at once to two APIs, {through}, {name}: {_told(done.answers)};"
            f" {done.stored} stored, {expected} expected; {done.seconds:.2f} s",
            flush=True,
        )
    return harm


if __name__ == "__main__":
    sys.exit(main())
