"""A child process of a worker: runs one handler at a time, told so on its standard input.

Started by ``adapters/system/processes.py`` as ``python -m schedora.entrypoints.child``.
"""

import asyncio
import importlib
import inspect
import os
import queue
import sys
import threading
import traceback
from collections.abc import Coroutine
from typing import IO, Any

from schedora.adapters.system.child_protocol import Ended, Progress, decode_call, encode_said
from schedora.application.context import JobContext
from schedora.application.encoding import decode_json
from schedora.application.handlers import Handler
from schedora.application.pipeline.execute import outcome_of
from schedora.application.ports.processes import ProcessCall
from schedora.domain.ids import JsonText
from schedora.domain.outcome import Failed, Outcome

RESULT_BYTES_MAX = 512 * 1024 * 1024
"""A guard for this process alone: the worker holds results against the limit that is set."""

HANDLER_NOT_FOUND = "handler_not_found"


def main() -> None:
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    # What a handler prints must not end up among the answers.
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    calls: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(calls,), daemon=True, name="schedora-calls").start()
    while True:
        call = decode_call(calls.get())
        answers.write(encode_said(Ended(outcome=_run(call, answers))))


def _listen(calls: "queue.SimpleQueue[bytes]") -> None:
    """Passes calls on. When the worker is gone, whatever runs here is nobody's any more."""
    for line in sys.stdin.buffer:
        calls.put(line)
    os._exit(1)


def _run(call: ProcessCall, answers: IO[bytes]) -> Outcome:
    try:
        handler = find_handler(call.target)
    except Exception as error:  # noqa: BLE001 - importing runs the user's code
        message = f"{call.target} can't be imported in a child process: {error!r}"
        return Failed(
            kind=HANDLER_NOT_FOUND, message=message, traceback=traceback.format_exc(), retryable=False
        )
    upstream = {key: None if text is None else decode_json(text) for key, text in call.upstream.items()}
    context = JobContext(
        call.job,
        link=_Link(answers),
        upstream=upstream,
        cancelled=threading.Event(),
        result_bytes_max=RESULT_BYTES_MAX,
    )
    return asyncio.run(outcome_of(_call(handler, call, context), result_bytes_max=RESULT_BYTES_MAX))


async def _call(handler: Handler, call: ProcessCall, context: JobContext) -> Any:
    result = handler.bind(call.job.payload)(context)
    return await result if inspect.isawaitable(result) else result


def find_handler(target: str) -> Handler:
    """The handler registered by what ``target`` (``module:qualified.name``) names.

    Raises ``ImportError``, ``AttributeError``, and ``TypeError`` when it names something else.
    """
    module_name, _, qualified_name = target.partition(":")
    found: Any = importlib.import_module(module_name)
    for part in qualified_name.split("."):
        found = getattr(found, part)
    handler = getattr(found, "handler", None)
    if not isinstance(handler, Handler):
        raise TypeError(f"{target} is not a registered handler")
    return handler


class _Link:
    def __init__(self, answers: IO[bytes]) -> None:
        self._answers = answers

    def report(self, progress: JsonText) -> None:
        self._answers.write(encode_said(Progress(document=progress)))

    def complete_in(self, connection: object, result: JsonText) -> Coroutine[Any, Any, None]:
        raise NotImplementedError(
            "complete_in works in handlers on the event loop and in threads, not in processes of their own"
        )


if __name__ == "__main__":
    main()
