"""Loggers. Where a program has set structlog up, as Schedora's own processes do, its lines go where that says;
elsewhere to the logging of the standard library, as those of a library should, and never to standard output.
"""

import logging
import sys
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, Final

import structlog
from structlog.typing import EventDict, WrappedLogger

from schedora.application.run_scope import RunScope, current_run
from schedora.application.telemetry.redaction import redaction_of
from schedora.domain.errors import brief

HANDLERS: Final = "schedora.handler"
"""The name of the logger that handlers are given."""

ATTEMPTS: Final = "schedora.attempts"
"""That of the lines which tell how attempts ended."""

REQUESTS: Final = "schedora.requests"
"""That of the lines which tell of requests, one each."""

FIELDS: Final = "schedora_fields"
"""Under which a record of the standard library carries the fields of its line, beside their text."""

_TELLING: Final = frozenset({"debug", "info", "warning", "error", "critical", "exception", "log"})


class LevelledLogger(structlog.stdlib.BoundLogger):
    """Asks for the level before anything else: lines that nobody wants must cost next to nothing."""

    def debug(self, event: str | None = None, *args: Any, **fields: Any) -> Any:
        if self._logger.isEnabledFor(logging.DEBUG):
            self._proxy_to_logger("debug", event, *args, **fields)

    def info(self, event: str | None = None, *args: Any, **fields: Any) -> Any:
        if self._logger.isEnabledFor(logging.INFO):
            self._proxy_to_logger("info", event, *args, **fields)


def formatted(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """The message with its arguments in it; a mistake in them costs neither the line nor whoever logs it."""
    event["event"] = message_text(event.get("event", ""))  # structlog leaves out what is None
    args = event.pop("positional_args", ())
    if args:
        # As the standard library has it: one mapping is for names in the text.
        (values,) = args if len(args) == 1 and isinstance(args[0], dict) else (args,)
        try:
            event["event"] = event["event"] % values
        except Exception:  # noqa: BLE001 - formatting calls the user's code
            event["event"] = f"{event['event']} {brief(args, 1_000)}"
    return event


def message_text(message: object) -> str:
    """What is logged, in words: it may be anybody's object."""
    if isinstance(message, str):
        return message
    try:
        return str(message)
    except Exception:  # noqa: BLE001 - as above
        return brief(message, 1_000)


_redaction = redaction_of(None)
_in_words = structlog.dev.ConsoleRenderer(
    pad_event_to=0, colors=False, exception_formatter=structlog.dev.plain_traceback
)


def _as_text(logger: WrappedLogger, method: str, event: EventDict) -> tuple[tuple[str], dict[str, Any]]:
    """For whoever knows of text alone, with the fields for those who know of them."""
    if event.get("exc_info") is True:
        event["exc_info"] = sys.exc_info()
    error = event.pop("exc_info", None)
    fields = _redaction.fields(event)
    more = {} if error is None else {"exc_info": error}
    text = str(_in_words(logger, method, {**fields, **more}))
    # The traceback stands in the text: nobody is to tell it again.
    return (_redaction.text(text),), {"exc_info": None, "extra": {FIELDS: {**fields, **more}}}


_PLAIN: Final = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.filter_by_level,
    formatted,
    _as_text,
)


class Logger:
    """Has the methods of structlog's loggers. Decides at each use, for it is often made before anything is set up."""

    def __init__(self, name: str) -> None:
        self._levels = logging.getLogger(name)
        self._configured = structlog.wrap_logger(
            None, cache_logger_on_first_use=False, logger_factory_args=(name,)
        )
        self._plain = structlog.wrap_logger(
            self._levels, processors=_PLAIN, wrapper_class=LevelledLogger, cache_logger_on_first_use=True
        )

    def __getattr__(self, method: str) -> Any:
        return getattr(self._configured if structlog.is_configured() else self._plain, method)

    def debug(self, event: str, *args: Any, **fields: Any) -> None:
        """The line that is most often wanted by nobody."""
        if self._levels.isEnabledFor(logging.DEBUG) or not _goes_by_levels():
            self.__getattr__("debug")(event, *args, **fields)


def _goes_by_levels() -> bool:
    """Whether the levels of the standard library decide which lines there are: others may have set up structlog."""
    return not structlog.is_configured() or structlog.get_config()["wrapper_class"] is LevelledLogger


def as_record(_: WrappedLogger, __: str, event: EventDict) -> tuple[tuple[str], dict[str, Any]]:
    """The last step of structlog where lines are made of records: the fields are not told in the text."""
    more = {name: event.pop(name) for name in ("exc_info", "stack_info", "stacklevel") if name in event}
    return (event["event"],), {**more, "extra": {FIELDS: event}}


def run_logger(run: RunScope | None, identity: Callable[[], Mapping[str, Any]]) -> Any:
    """The logger of one run: what it is told belongs to that run, in whatever thread it is told. However structlog is
    set up, a record of the standard library comes of it, with the fields; ``identity`` is among them.
    """
    logger = _OfRun(logging.getLogger(HANDLERS), run)
    if not structlog.is_configured():
        made = structlog.wrap_logger(logger, processors=_PLAIN, wrapper_class=LevelledLogger)
        return made.bind(**identity())
    processors = structlog.get_config()["processors"]
    if not processors or processors[-1] is not as_record:
        return structlog.wrap_logger(logger, processors=[_note, *processors]).bind(**identity())
    # Where records are told with the scope that they come from, that has it.
    return structlog.wrap_logger(logger).bind(**({} if run is not None else identity()))


_noted: ContextVar[EventDict | None] = ContextVar("schedora_noted", default=None)
"""The fields of the line that is on its way."""


def _note(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Before others make text of the fields."""
    noted = dict(event)
    if noted.get("exc_info") is True:
        noted["exc_info"] = sys.exc_info()
    _noted.set(noted)
    return event


class _OfRun:
    """A logger of the standard library, within the scope of a run."""

    def __init__(self, logger: logging.Logger, run: RunScope | None) -> None:
        self._logger = logger
        self._run = run
        self.isEnabledFor = logger.isEnabledFor  # asked for each line, wanted or not

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._logger, name)
        return self._within(found) if name in _TELLING and self._run is not None else found

    def _within(self, tell: Callable[..., None]) -> Callable[..., None]:
        def told(*args: Any, **kwargs: Any) -> None:
            token = current_run.set(self._run)
            noted = _noted.get()
            if noted is not None:
                kwargs["extra"] = {FIELDS: noted, **kwargs.get("extra", {})}
            try:
                tell(*args, **kwargs)
            finally:
                current_run.reset(token)
                _noted.set(None)

        return told
