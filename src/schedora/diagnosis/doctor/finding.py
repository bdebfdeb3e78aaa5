"""What the doctor finds: how bad it is, what follows from it, what helps.

What is read of a system is an ``Observation``, which judges itself, by thresholds that stand beside it in ``checks``.
"""

import shlex
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from string import Formatter
from typing import Any

from attrs import field, frozen

from schedora.diagnosis.wording import one_line

Detail = str | int | float | bool | None


class Severity(StrEnum):
    OK = "ok"
    """Worth knowing; nothing is wrong."""
    WARNING = "warning"
    """It goes on, more slowly or with less in reserve, and may get worse."""
    CRITICAL = "critical"
    """Jobs wait, promises don't hold, or soon will not."""

    @property
    def rank(self) -> int:
        """Higher is worse."""
        return list(Severity).index(self)


def bad(critical: bool) -> Severity:
    """CRITICAL if so, else WARNING."""
    return Severity.CRITICAL if critical else Severity.WARNING


def worst(severities: Iterable[Severity]) -> Severity:
    """OK where there is none."""
    return max(severities, key=lambda severity: severity.rank, default=Severity.OK)


@frozen(kw_only=True)
class Finding:
    """``details`` says in values what ``found`` says in words."""

    code: str
    severity: Severity
    found: str
    consequence: str
    fix: str
    details: Mapping[str, Detail] = field(factory=dict)


@frozen
class FindingType:
    """Something that may be wrong, by a code that stays. ``fix`` may name details, in braces: ``{queue!w}`` as a word for the
    shell, ``{queue!a}`` as one that is no option, ``{index!i}`` as an identifier and ``{gid!l}`` as a literal for SQL, for names come from anyone.
    """

    code: str
    consequence: str = field(kw_only=True)
    fix: str = field(kw_only=True)

    def found(self, severity: Severity, what: str, **details: Detail) -> Finding:
        return Finding(
            code=self.code,
            severity=severity,
            found=one_line(what),
            consequence=self.consequence,
            fix=_Quoting().format(self.fix, **details).strip(),
            details=details,
        )


class _Quoting(Formatter):
    def convert_field(self, value: Any, conversion: Any) -> Any:
        match conversion:
            case "w":
                return shlex.quote(str(value))
            case "a":
                return ("-- " if str(value).startswith("-") else "") + shlex.quote(str(value))
            case "i":
                return '"' + str(value).replace('"', '""') + '"'
            case "l":
                return "'" + str(value).replace("'", "''") + "'"
        return super().convert_field(value, conversion)


@frozen(kw_only=True)
class Observation(ABC):
    """What one check has read. ``unseen``: what it could not see, and why."""

    unseen: str | None = None

    @abstractmethod
    def findings(self) -> Iterator[Finding]:
        """What is wrong, by these facts alone."""


def sized(size_bytes: float) -> str:
    """``size_bytes`` for people: ``12 kB``, ``1.5 GB``, in powers of 1,024 as PostgreSQL counts them."""
    size = float(size_bytes)
    for unit in ("bytes", "kB", "MB", "GB"):
        if abs(size) < 1024:
            return f"{size:.0f} {unit}" if unit in {"bytes", "kB"} else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TB"
