from schedora.application.telemetry.lineage import Lineage, Relative
from schedora.domain.job_state import JobState
from tests.builders import NOON, TRACE, a_job_id


def test_relatives_come_in_the_order_asked_for_and_what_is_gone_is_left_out() -> None:
    first, second, gone = a_job_id(), a_job_id(), a_job_id()
    upstream = {
        job_id: Relative(
            job_id=job_id, key=None, trace=TRACE, status=JobState.PENDING, claimed_at=None, completed_at=None
        )
        for job_id in (first, second)
    }
    lineage = Lineage(at=NOON, upstream=upstream)
    assert [one.job_id for one in lineage.relatives([second, gone, first])] == [second, first]
