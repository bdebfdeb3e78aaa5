"""What a worker and its child processes say to each other: one JSON document a line."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from attrs import frozen
from cattrs.preconf.orjson import OrjsonConverter, make_converter
from cattrs.strategies import configure_tagged_union

from schedora.application.ports.processes import ProcessCall
from schedora.domain.completion import Completion
from schedora.domain.ids import JsonText
from schedora.domain.outcome import Outcome
from schedora.domain.retry import MICROSECOND


@frozen(kw_only=True)
class Progress:
    """The handler reports how far it is."""

    document: JsonText


@frozen(kw_only=True)
class Ended:
    """The handler has ended."""

    outcome: Outcome


@frozen(kw_only=True)
class Written:
    """The handler has completed the job inside its own transaction."""

    completion: Completion
    released: frozenset[str]


@frozen(kw_only=True)
class LineLeft:
    """A line of the handler's log."""

    line: JsonText


@frozen(kw_only=True)
class SpanLeft:
    """A span of the handler's own."""

    span: JsonText


Said = Progress | LineLeft | SpanLeft | Written | Ended


def encode_call(call: ProcessCall) -> bytes:
    return _converter.dumps(call) + b"\n"


def decode_call(line: bytes) -> ProcessCall:
    return _converter.loads(line, ProcessCall)


def encode_said(said: Said) -> bytes:
    return _converter.dumps(said, unstructure_as=Said) + b"\n"


def decode_said(line: bytes) -> Said:
    return _converter.loads(line, Said)  # type: ignore[arg-type] # a union is a form, not a class


def _made() -> OrjsonConverter:
    converter = make_converter()
    converter.register_unstructure_hook(timedelta, _microseconds)
    converter.register_structure_hook(timedelta, _span)
    # Drivers bring identifiers of a type of their own, which orjson takes for none.
    converter.register_unstructure_hook(UUID, str)
    converter.register_structure_hook(UUID, _uuid)
    configure_tagged_union(Outcome, converter)
    configure_tagged_union(Said, converter)
    return converter


def _microseconds(span: timedelta) -> str:
    # As text: the longest spans are beyond the 64 bits that orjson writes.
    return str(span // MICROSECOND)


def _span(microseconds: Any, _: object) -> timedelta:
    return timedelta(microseconds=int(microseconds))


def _uuid(text: Any, _: object) -> UUID:
    return text if isinstance(text, UUID) else UUID(text)


_converter = _made()
