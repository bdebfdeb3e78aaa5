"""The system under torture: a database, a Redis perhaps, and processes that reach both through proxies."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
from attrs import field, frozen

from schedora_torture import ledger
from schedora_torture.fleet import Fleet, Member
from schedora_torture.patience import until
from schedora_torture.plan import CONCURRENCY, Plan, process_settings
from schedora_torture.ports import Port
from schedora_torture.postgres_server import OwnPostgres
from schedora_torture.proxy import Proxy
from schedora_torture.redis_server import OwnRedis, redis_program
from schedora_torture.routes import NoRoute, to_postgres, to_redis

READY_SECONDS_MAX = 60.0


class NotReady(Exception):
    """The system does not come up, before anything is done to it. The message is one line."""


@frozen(kw_only=True)
class Environment:
    """All that faults strike, and where the system is reached without them."""

    plan: Plan
    fleet: Fleet
    database_url: str = field(repr=False)
    """Past the proxies."""
    redis_url: str | None = field(repr=False)
    """Past the proxies."""
    postgres: OwnPostgres | None
    """None where the database was named."""
    redis: OwnRedis | None
    links: dict[tuple[str, int], Proxy]
    """Between each member, by role and number, and the database."""
    redis_link: Proxy | None
    api_urls: tuple[str, ...]

    def link_of(self, member: Member) -> Proxy:
        return self.links[(member.role, member.number)]


def _worker_arguments(plan: Plan) -> list[str]:
    return [
        "--app", plan.app, "--queues", plan.queue, "--worker-id", "{name}", "--concurrency", str(CONCURRENCY)
    ]  # fmt: skip


@asynccontextmanager
async def staged(plan: Plan) -> AsyncIterator[Environment]:
    """Everything runs and answers while the context is open, and nothing of it is left behind.

    Raises ``EmbeddedUnavailable``, ``NoRoute`` and ``NotReady``.
    """
    async with AsyncExitStack() as stack:
        postgres = redis = redis_link = None
        if plan.database_url is None:
            postgres = await OwnPostgres.start_new(plan.directory)
            stack.push_async_callback(postgres.close)
        database_url = plan.database_url or (postgres.url if postgres else "")
        if plan.own_redis:
            redis = await _own_redis(plan, stack)
        redis_url = plan.redis_url if redis is None else f"redis://127.0.0.1:{redis.port}/0"
        told_redis_url = None
        if redis_url is not None:
            route = to_redis(redis_url)
            redis_link = await stack.enter_async_context(Proxy(route.connect))
            told_redis_url = route.through(redis_link.port)
        connection = await ledger.connect(database_url)
        try:
            await ledger.create(connection)
        finally:
            await connection.close()
        fleet = Fleet(plan.directory)
        route = to_postgres(database_url)
        links = {
            (role, number): await stack.enter_async_context(Proxy(route.connect))
            for role, amount in (("worker", plan.workers), ("api", plan.apis), ("reaper", plan.reapers))
            for number in range(amount)
        }
        stack.push_async_callback(fleet.close)
        ports = [Port() for _ in range(plan.apis)]
        for port in ports:
            stack.callback(port.release)
        for (role, number), link in links.items():
            settings = process_settings(plan, route.through(link.port), told_redis_url)
            arguments = [role]
            if role == "worker":
                arguments += _worker_arguments(plan)
            elif role == "api":
                arguments += ["--port", str(ports[number].number)]
            await fleet.add(role, number, arguments, settings)
        environment = Environment(
            plan=plan,
            fleet=fleet,
            database_url=database_url,
            redis_url=redis_url,
            postgres=postgres,
            redis=redis,
            links=links,
            redis_link=redis_link,
            api_urls=tuple(f"http://127.0.0.1:{port.number}" for port in ports),
        )
        await _ready(environment)
        yield environment


async def _own_redis(plan: Plan, stack: AsyncExitStack) -> OwnRedis:
    program = redis_program()
    if program is None:
        raise NoRoute("--redis: there is no redis-server on the path")
    redis = OwnRedis(program, plan.directory)
    stack.push_async_callback(redis.close)
    await redis.start()
    return redis


async def _ready(environment: Environment) -> None:
    """Once every API answers and sees every worker. Raises ``NotReady``."""

    async def ready() -> bool:
        if environment.fleet.endings:
            ending = environment.fleet.endings[0]
            raise NotReady(f"{ending.name} ended with status {ending.status}: {ending.last_words}")
        return all([await _sees_workers(http, url, environment.plan.workers) for url in environment.api_urls])

    async with httpx.AsyncClient(timeout=5) as http:
        if not await until(ready, READY_SECONDS_MAX):
            raise NotReady(f"the processes are not ready in time: {environment.plan.directory} tells why")


async def _sees_workers(http: httpx.AsyncClient, url: str, amount: int) -> bool:
    try:
        answer = await http.get(f"{url}/api/v1/workers", params={"status_filter": "ACTIVE"})
    except httpx.TransportError:
        return False
    return answer.is_success and answer.json()["total"] >= amount
