"""What only the model check sees: every move from one state to the next, and where all of them lead.

What records, workflows and effects tell by themselves is in ``schedora_torture.invariants``.
"""

from enum import StrEnum


class Seen(StrEnum):
    """Each has one name, which tests go by."""

    ACCEPTED_UNDER_ITS_LEASE = "accepted_under_its_lease"
    """What the store accepts has ended a lease that was live until then."""
    LOST_WHEN_SILENT = "lost_when_silent"
    """No worker is declared lost that was heard within the timeout."""
    CLAIMED_WHILE_ACTIVE = "claimed_while_active"
    """Only a worker that was not declared lost is given a job."""
    ENDS = "ends"
    """From each state all ends, without an operator, without another fault, and without a handler that puts off for ever."""
    KEY_DECIDES = "key_decides"
    """Two states that are taken for one go on alike."""
