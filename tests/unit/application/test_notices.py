"""Notices as text."""

import orjson
import pytest

from schedora.application.notices import decode_notices, encode_notices
from schedora.domain.events import JobEvent, Notice
from schedora.domain.ids import WorkerId
from schedora.domain.job_state import MOVES
from tests.builders import NOON, a_job_id, a_workflow_id

NOTICES = [
    Notice(
        a_job_id(),
        "work",
        'Ω "quoted"\n',
        workflow_id,
        JobEvent(
            at=NOON, from_state=from_state, to_state=to_state, attempt=3, worker_id=worker_id, reason=reason
        ),
    )
    for from_state, to_state in MOVES
    for workflow_id, worker_id, reason in ((None, None, None), (a_workflow_id(), WorkerId("w1"), "Ω"))
]


def test_comes_back_as_it_was() -> None:
    assert decode_notices(encode_notices(NOTICES)) == NOTICES
    assert decode_notices(encode_notices([])) == []


def test_what_a_later_release_adds_is_passed_over() -> None:
    rows = orjson.loads(encode_notices(NOTICES))
    assert decode_notices(orjson.dumps([[*row, "more", {"yet": 1}] for row in rows])) == NOTICES


def test_nothing_of_what_jobs_carry_is_in_it() -> None:
    (row,) = orjson.loads(encode_notices(NOTICES[:1]))
    assert len(row) == 10, "whoever adds to this says here that it is no secret"


@pytest.mark.parametrize("text", ["", "{}x", "1", "[1]", "[[]]", '[["no id"]]', "[[1,2,3,4,5,6,7,8,9,10]]"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        decode_notices(text)
