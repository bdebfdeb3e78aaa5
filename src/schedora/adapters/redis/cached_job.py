"""A job that has succeeded, as it is cached: JSON, field by field.

``FORMAT`` tells what the fields are. It is made from the classes themselves, so that none can be changed without it: what
another release has cached is not found by this one.
"""

from collections.abc import Iterator
from datetime import timedelta
from enum import Enum
from hashlib import blake2b
from typing import Any, get_args
from uuid import UUID

import attrs
from cattrs.preconf.orjson import make_converter

from schedora.domain.job import Job
from schedora.domain.job_state import JobState

_ENCODING = 1
"""To be raised when the same fields are written in another way."""
_MICROSECOND = timedelta(microseconds=1)

_converter = make_converter(forbid_extra_keys=True, detailed_validation=False)
_converter.register_unstructure_hook(timedelta, lambda span: span // _MICROSECOND)
_converter.register_structure_hook(timedelta, lambda microseconds, _: timedelta(microseconds=microseconds))
_converter.register_unstructure_hook(UUID, str)  # those of asyncpg are of a class of their own
_converter.register_structure_hook(UUID, lambda text, _: UUID(text))


def encode(job: Job) -> bytes:
    """Equal jobs make equal bytes."""
    return _converter.dumps(job)


def decode(entry: bytes) -> Job:
    """The job that was encoded. Raises ``ValueError`` for anything else, as far as it can be told."""
    try:
        job = _converter.loads(entry, Job)
    except Exception as error:
        raise ValueError(f"not a job: {type(error).__name__}: {error}") from error
    if job.status is not JobState.SUCCESS:
        raise ValueError(f"a job that is {job.status} is not for the cache")
    return job


def _shape(kind: Any) -> Iterator[str]:
    """All that a value of this type is made of, in words."""
    yield repr(kind)
    if attrs.has(kind):
        for part in attrs.fields(kind):
            yield part.name
            yield from _shape(part.type)
    elif isinstance(kind, type) and issubclass(kind, Enum):
        yield from (f"{member.name}={member.value}" for member in kind)
    else:
        for part in get_args(kind):
            yield from _shape(part)


FORMAT = blake2b("\n".join([str(_ENCODING), *_shape(Job)]).encode(), digest_size=4).hexdigest()
