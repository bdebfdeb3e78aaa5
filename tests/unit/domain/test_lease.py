"""Who holds a job."""

import attrs
import pytest

from tests.builders import NOON, SECOND, a_lease


def test_new_lease_tells_of_no_start_and_no_progress() -> None:
    lease = a_lease(claimed_at=NOON)
    assert (lease.claimed_at, lease.started_at, lease.progress) == (NOON, None, None)


def test_two_claims_of_one_worker_are_two_leases() -> None:
    first = a_lease()
    second = a_lease(owner=first.owner, worker_id=first.worker_id, token=first.token)
    assert first != second
    assert first.lease_id != second.lease_id


def test_proof_of_a_claim_can_not_be_exchanged() -> None:
    lease = a_lease()
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        lease.lease_id = a_lease().lease_id  # type: ignore[misc]  # that is what is tried
    assert attrs.evolve(lease, started_at=NOON + SECOND).lease_id == lease.lease_id
