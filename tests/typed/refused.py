"""Mistakes that type checkers must find: both report a comment below that suppresses nothing."""

from schedora import AsyncSchedoraClient, Retry, SchedoraClient
from tests.typed.accepted import anything, app, blocking, plain, with_context, without_context


async def mistakes() -> None:
    await with_context.submit()  # type: ignore[call-arg] # ``to`` is missing
    await with_context.submit(to=1)  # type: ignore[arg-type] # not a string
    await with_context.submit(to="a", topic="b")  # type: ignore[call-arg] # no such argument
    await with_context.submit("a", "b", "c")  # type: ignore[call-arg] # too many
    await without_context.submit(number="1")  # type: ignore[arg-type] # not an integer
    await blocking.submit(when="now")  # type: ignore[arg-type] # not a datetime
    await plain.submit("a")  # type: ignore[call-arg] # by name only
    plain.submit_sync(name=1)  # type: ignore[arg-type] # not a string
    plain.prepare(title="a")  # type: ignore[call-arg] # no such argument
    await anything.submit(1)  # type: ignore[call-arg] # by name only
    await with_context.with_options(priority=1).submit(to=1)  # type: ignore[arg-type] # not a string
    with_context.with_options(priority="high")  # type: ignore[arg-type] # not an integer
    with_context.with_options(prio=1)  # type: ignore[call-arg] # no such option
    with_context.with_options(retry_policy="never")  # type: ignore[arg-type] # no such policy
    app.job("other", retries=3)  # type: ignore[call-arg] # no such option
    app.job("other", executor="gpu")  # type: ignore[arg-type] # no such executor
    _ = with_context(to="a")  # type: ignore[call-arg] # a plain call takes the context
    await app.submit_many([with_context])  # type: ignore[arg-type] # not prepared


async def mistakes_over_http(client: SchedoraClient, awaited: AsyncSchedoraClient) -> None:
    client.submit(3)  # type: ignore[arg-type] # not a string
    client.submit("a", prio=1)  # type: ignore[call-arg] # no such option
    client.submit("a", priority="high")  # type: ignore[arg-type] # not an integer
    client.submit_many([{"payload": {}}])  # type: ignore[typeddict-item] # a type is missing
    client.create_workflow("w", jobs=[{"type": "a"}])  # type: ignore[typeddict-item] # a key is missing
    _ = (await awaited.submit("a")).job_ids  # type: ignore[attr-defined] # no such field
    Retry(after="soon")  # type: ignore[arg-type] # not a number of seconds
