"""The codes of reasons."""

from schedora.diagnosis.why.reason import BLOCKING, DELAYING, ReasonCode


def test_what_blocks_does_not_only_delay() -> None:
    assert not BLOCKING & DELAYING
    assert set(ReasonCode) > BLOCKING | DELAYING
