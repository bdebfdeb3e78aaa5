"""From the text of ``/metrics``: what jobs of each type came to since counting began, and how busy each worker is."""

import math
import re
from collections.abc import Iterable, Mapping

from attrs import field, frozen

from schedora.application.ports.metrics import Counter, Gauge, Histogram

CREATED, SUCCEEDED, FAILED, DEAD = (
    str(name)
    for name in (Counter.JOBS_CREATED, Counter.JOBS_SUCCEEDED, Counter.JOBS_FAILED, Counter.JOBS_DEAD)
)
TOOK = f"{Histogram.JOB_DURATION}_bucket"
SLOTS_USED = str(Gauge.WORKER_SLOTS_USED)
WANTED = (CREATED, SUCCEEDED, FAILED, DEAD, TOOK, SLOTS_USED)

_SAMPLE = re.compile(r"(\w+)(?:\{(.*)\})? (\S+)(?: -?\d+)?")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(r"\\(.)")


@frozen(kw_only=True)
class TypeTotals:
    """What is counted of one job type. ``took``: how many attempts lasted no longer than each bound, in seconds."""

    created: float = 0
    succeeded: float = 0
    failed: float = 0
    dead: float = 0
    took: Mapping[float, float] = field(factory=dict)


NOTHING = TypeTotals()


@frozen(kw_only=True)
class Exposed:
    """``totals`` by job type; ``slots_used`` by the name of the worker, of those that told of themselves lately."""

    totals: Mapping[str, TypeTotals] = field(factory=dict)
    slots_used: Mapping[str, int] = field(factory=dict)


def read(text: str) -> Exposed:
    """Lines that are not understood are passed over: other versions have others."""
    slots_used: dict[str, int] = {}
    counts: dict[str, dict[str, float]] = {}
    took: dict[str, dict[float, float]] = {}
    for name, labels, value in _samples(text):
        if name == SLOTS_USED and "process" in labels:
            slots_used[labels["process"]] = int(value)
        job_type = labels.get("job_type")
        if job_type is None:
            continue
        counted = counts.setdefault(job_type, {})
        if name == TOOK:
            if (bound := _number(labels.get("le", ""))) is not None:
                bounds = took.setdefault(job_type, {})
                bounds[bound] = bounds.get(bound, 0.0) + value
        else:
            counted[name] = counted.get(name, 0.0) + value
    totals = {
        job_type: TypeTotals(
            created=counted.get(CREATED, 0),
            succeeded=counted.get(SUCCEEDED, 0),
            failed=counted.get(FAILED, 0),
            dead=counted.get(DEAD, 0),
            took=took.get(job_type, {}),
        )
        for job_type, counted in counts.items()
    }
    return Exposed(totals=totals, slots_used=slots_used)


def _samples(text: str) -> Iterable[tuple[str, dict[str, str], float]]:
    for line in text.split("\n"):
        if not line.startswith(WANTED):
            continue
        found = _SAMPLE.fullmatch(line)
        if found is None or found[1] not in WANTED:
            continue
        if (value := _number(found[3])) is not None and math.isfinite(value):
            labels = {name: _unescaped(given) for name, given in _LABEL.findall(found[2] or "")}
            yield found[1], labels, value


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return None if math.isnan(number) else number


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    return _ESCAPE.sub(lambda found: "\n" if found[1] == "n" else found[1], text)
