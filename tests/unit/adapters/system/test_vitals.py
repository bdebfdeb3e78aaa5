"""How busy this process is."""

import os
import subprocess
import sys

import pytest

from schedora.adapters.system import vitals as module
from schedora.adapters.system.vitals import ProcessVitals, peak_bytes, peak_bytes_of


def test_share_of_processor_and_memory_are_percentages() -> None:
    vitals = ProcessVitals()
    sum(range(100_000))
    told = vitals()
    assert told.cpu_percent >= 0
    assert 0 < told.memory_percent < 100


def test_the_most_memory_is_at_least_what_was_held() -> None:
    held = b"x" * 50_000_000
    own = peak_bytes()
    assert own is not None
    assert own > len(held)


@pytest.mark.parametrize("has_proc", [True, False])
def test_that_of_another_is_known_until_it_is_gone(monkeypatch: pytest.MonkeyPatch, has_proc: bool) -> None:
    monkeypatch.setattr(module, "_HAS_PROC", has_proc and module._HAS_PROC)
    code = "held = b'x' * 60_000_000; print(flush=True); input()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as process:  # type: ignore[call-overload] # they are
        process.stdout.readline()
        assert (peak_bytes_of(process.pid) or 0) > 60_000_000
    assert peak_bytes_of(process.pid) is None
    assert peak_bytes_of(os.getpid()) is not None
