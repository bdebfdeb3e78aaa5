"""Requests that schemathesis makes of the API's description, and of the links from its answers: what does not agree with it."""

from __future__ import annotations

import re
from collections import Counter
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import schemathesis
from attrs import define, field
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from schemathesis.engine.recorder import ScenarioRecorder

PHASES = ("examples", "coverage", "fuzzing", "stateful")
MOMENT = "0.01"
WAIT = re.compile(r"\d{1,2}(\.\d*)?", re.ASCII)
INEXPRESSIBLE_KIND = "urn:problem-type:schedora:invalid-graph"
INEXPRESSIBLE = re.compile(
    r"there is no (job|workflow) |must be between 1970-01-01|Input should be a valid integer|must be given for a job that depends"
)
"""What refuses requests that the description allows, for JSON Schema has no word for it: cycles and unknown steps, jobs and
workflows that are not there, times too far away; and to JSON Schema 5.0 is an integer, while we go by what is written. Nor has it
one for how many bytes a body may have: what has more is refused for that, whatever else is right or wrong with it.
"""


@define
class Findings:
    """Of one run."""

    cases: int = 0
    statuses: Counter[int] = field(factory=Counter)
    failures: dict[str, str] = field(factory=dict)
    """What was found, and a command that shows it again; each once."""


def fuzz(
    description: Mapping[str, Any],
    url: str,
    *,
    examples: int,
    seed: int | None = None,
    phases: Sequence[str] = PHASES,
    seconds: int | None = None,
) -> Findings:
    """Ask ``url`` what ``description`` allows, and what it does not. With a seed, the same each time in a process that
    has loaded the same modules: hypothesis takes values from them.
    """
    config = SchemathesisConfig()
    config.update(seed=seed, max_time=seconds, max_failures=None)
    project = config.projects.default
    project.cache.enabled = False  # else what one run learned changes the next
    project.update(base_url=url, request_timeout=60, continue_on_failure=True)
    project.phases.update(phases=list(phases))
    # NUL is in no text that the description allows; that it can't be in a payload either, JSON Schema has no word for.
    project.generation.update(
        max_examples=examples,
        allow_x00=False,
        deterministic=seed is not None,
        no_shrink=True,
        database="none",
    )
    schema = schemathesis.openapi.from_dict(dict(description), config=config)
    found = Findings()
    # Streams do not end.
    for event in from_schema(schema.exclude(path_regex=r"events$|stream$")).execute():
        if isinstance(event, events.ScenarioFinished):
            _note(event.recorder, found)
        elif isinstance(event, events.NonFatalError | events.FatalError):
            found.failures.setdefault(f"schemathesis failed: {event}", "")
    return found


@schemathesis.hook
def before_call(_: object, case: Any, __: object) -> None:
    """Nobody waits for what does not come."""
    wait = str((case.query or {}).get("wait", ""))
    if WAIT.fullmatch(wait):
        case.query["wait"] = MOMENT


def _note(recorder: ScenarioRecorder, found: Findings) -> None:
    found.cases += len(recorder.interactions)
    for case_id, interaction in recorder.interactions.items():
        response = interaction.response
        found.statuses[0 if response is None else response.status_code] += 1
        for check in recorder.checks.get(case_id, ()):
            if check.failure_info is None or (response is not None and _inexpressible(check.name, response)):
                continue
            what = f"{recorder.label}: {check.name}: {check.failure_info.failure}"
            answered = "" if response is None else f"\n{response.status_code} {response.content[:1_000]!r}"
            found.failures.setdefault(what, check.failure_info.code_sample + answered)


def _inexpressible(check: str, response: Any) -> bool:
    if response.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return check in ("positive_data_acceptance", "negative_data_rejection")
    if check != "positive_data_acceptance":
        return False
    problem = response.json()
    return problem.get("type") == INEXPRESSIBLE_KIND or all(
        INEXPRESSIBLE.search(error["message"]) for error in problem.get("errors") or [{"message": ""}]
    )
