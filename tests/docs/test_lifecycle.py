"""``docs/lifecycle.md`` tells the domain's rules, no others."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from schedora.adapters.system.processes import PROCESS_DIED
from schedora.application.directives import Discard, Retry
from schedora.application.pipeline.completion_buffer import STORAGE_REFUSED
from schedora.application.pipeline.execute import INVALID_PAYLOAD, INVALID_RESULT, failed
from schedora.application.pipeline.in_doubt import NOT_COMMITTED, not_committed
from schedora.domain.completion import Completion, settle
from schedora.domain.job_state import MOVES, PASSING, JobState
from schedora.domain.outcome import Failed, Outcome, Released, Snoozed, Succeeded, TimedOut, WorkerLost
from schedora.domain.retry import RetryKind, RetryPolicy
from schedora.domain.workflow import WorkflowState
from tests.builders import a_claimed_job
from tests.docs.pages import ROOT, blocks, table
from tests.docs.session import TRANSITION

PAGE = ROOT / "docs" / "lifecycle.md"
STARTED_AT = datetime(2030, 1, 1, tzinfo=UTC)
DEATHS_MAX = 3


def test_the_table_of_moves_is_the_domains() -> None:
    told = {(row["from"], row["to"]): row["when"] for row in table(PAGE, "from")}
    assert told == {(str(start), str(end)): reason for (start, end), reason in MOVES.items()}


def test_the_diagram_shows_the_same_moves() -> None:
    (diagram,) = [block.text for block in blocks(PAGE) if block.kind == "mermaid"]
    shown = {(found[1], found[2]) for found in map(TRANSITION.fullmatch, diagram.splitlines()[1:]) if found}
    assert shown - {(None, None)} == {("[*]", "PENDING"), *((str(start), str(end)) for start, end in MOVES)}


def test_only_failed_is_passed_through() -> None:
    assert {JobState.FAILED} == PASSING


@pytest.mark.parametrize("row", table(PAGE, "retries made"), ids=lambda row: row["retries made"])
def test_the_worked_delays_are_the_domains(row: dict[str, str]) -> None:
    retries_made = int(row["retries made"])
    for kind in RetryKind:
        policy = RetryPolicy(kind=kind)
        least, most = policy.delay(retries_made, 0.0), policy.delay(retries_made, 1 - 2**-53)
        whole = timedelta(seconds=round(most.total_seconds()))
        told = f"{least.total_seconds():g}" + ("" if least == most else f" to {whole.total_seconds():g}")
        assert row[str(kind)] == told


def test_the_delays_are_told_until_the_cap() -> None:
    assert table(PAGE, "retries made")[-1]["exponential"] == "3600"


OUTCOMES: dict[str, tuple[Outcome, bool]] = {
    "the handler returns": (Succeeded(), True),
    "it raises an exception": (failed(ValueError("no")), True),
    "it raises Retry(after=...)": (failed(Retry(after=5)), True),
    "it raises Discard(reason)": (failed(Discard("no")), True),
    "it raises Snooze(delay)": (Snoozed(delay=timedelta(seconds=5)), True),
    "it runs longer than timeout_seconds": (TimedOut(timeout=timedelta(seconds=300)), True),
    "the payload does not fit the handler": (
        Failed(kind=INVALID_PAYLOAD, message="no", retryable=False),
        True,
    ),
    "the result is not JSON, or too large": (
        Failed(kind=INVALID_RESULT, message="no", retryable=False),
        True,
    ),
    "the database refuses what came of it": (
        Failed(kind=STORAGE_REFUSED, message="DataError", retryable=False),
        True,
    ),
    'its process dies (executor="process")': (Failed(kind=PROCESS_DIED, message="gone"), True),
    "its worker is lost while it runs": (WorkerLost(message="silent"), True),
    "so many workers were lost that it is poison": (WorkerLost(message="silent"), True),
    "its worker is lost before it starts": (WorkerLost(message="silent"), False),
    "its worker drains and can't finish it": (Released(reason="drained"), True),
    "it called complete_in and did not commit": (not_committed(Succeeded()), True),
}
"""Each outcome of the page's table, and whether the attempt had started."""


def settled(what: str, *, retries_made: int) -> Completion:
    outcome, started = OUTCOMES[what]
    job = a_claimed_job(
        attempt=0, retry_count=retries_made, worker_deaths=DEATHS_MAX - 1 if "poison" in what else 0
    )
    return settle(
        job,
        outcome,
        started_at=job.claimed_at if started else None,
        ended_at=job.claimed_at,
        unit_random=0.5,
        worker_deaths_max=DEATHS_MAX,
    )


def test_the_table_of_endings_has_every_outcome() -> None:
    assert {row["what happens"] for row in table(PAGE, "what happens")} == OUTCOMES.keys()


@pytest.mark.parametrize("row", table(PAGE, "what happens"), ids=lambda row: row["what happens"])
def test_each_ending_leads_where_the_page_says(row: dict[str, str]) -> None:
    retries_left = settled(row["what happens"], retries_made=0)
    exhausted = settled(row["what happens"], retries_made=RetryPolicy().max_retries)
    states = re.findall("|".join(JobState), row["becomes"])
    assert [retries_left.status, exhausted.status] == [states[0], states[-1]]
    assert (retries_left.attempt == 1) == (row["attempt"] == "yes")
    kind = "" if retries_left.error is None else retries_left.error.kind
    assert row["kind"] == ("the name of its class" if kind == "ValueError" else kind)


def test_what_is_not_committed_has_the_kind_that_is_told() -> None:
    assert NOT_COMMITTED in {row["kind"] for row in table(PAGE, "what happens")}


def test_every_status_of_a_workflow_is_told() -> None:
    assert [row["status of the workflow"] for row in table(PAGE, "status of the workflow")] == list(
        WorkflowState
    )
