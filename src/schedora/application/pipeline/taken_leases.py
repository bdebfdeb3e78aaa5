"""Which jobs came to a worker by no claim."""

from collections import OrderedDict
from collections.abc import Iterable

from schedora.domain.ids import LeaseId

TAKEN_MAX = 5_000
"""So many jobs that came by no claim are remembered: more than come within ``MATCH_AGE_MAX``."""


class TakenLeases:
    """The newest leases that came by no claim: a message and a check may bring the same job, and it is taken once."""

    def __init__(self) -> None:
        self._taken: OrderedDict[LeaseId, None] = OrderedDict()

    def __contains__(self, lease_id: LeaseId) -> bool:
        return lease_id in self._taken

    def add(self, leases: Iterable[LeaseId]) -> None:
        """Remembers these; of more than ``TAKEN_MAX`` the oldest are forgotten."""
        self._taken.update(dict.fromkeys(leases))
        while len(self._taken) > TAKEN_MAX:
            self._taken.popitem(last=False)
