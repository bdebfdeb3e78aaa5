"""What a worker notes for whoever outlives it."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from schedora.adapters.system import crash_recorder
from schedora.adapters.system.crash_recorder import CrashRecorder, KeptBox, in_words
from schedora.adapters.system.watched_process import ProcessEnd
from schedora.domain.ids import JsonText
from schedora.domain.worker_death import JOBS_MAX, LINE_LENGTH_MAX, LINES_MAX
from tests.builders import a_job_id, an_incarnation

END = ProcessEnd(returncode=-9, peak_bytes=1_900_000_000)
HOW = "was ended by SIGKILL (peak memory 1.9 GB)"


@pytest.fixture
def kept() -> Iterator[KeptBox]:
    made = KeptBox()
    yield made
    made.close()


def test_who_it_was_and_what_its_handlers_logged_last(kept: KeptBox) -> None:
    box, incarnation, job_id, other = CrashRecorder(kept.descriptor), an_incarnation(), a_job_id(), a_job_id()
    box.name(an_incarnation())
    box.name(incarnation)
    for number in range(LINES_MAX + 1):
        box.line(job_id, JsonText(f'{{"timestamp":"T","level":"info","message":"{number} Ω","more":[1]}}'))
    box.line(other, JsonText('"not an object"'))
    told = kept.read(END)
    assert told is not None
    assert told[0] == incarnation
    assert (told[1].how, told[1].stack) == (HOW, None)
    assert told[1].lines[job_id] == tuple(f"T info {n} Ω more=[1]" for n in range(1, LINES_MAX + 1))
    assert told[1].lines[other] == ('"not an object"',)


def test_who_was_nobody_is_not_told_of(kept: KeptBox) -> None:
    CrashRecorder(kept.descriptor).line(a_job_id(), JsonText("{}"))
    assert kept.read(END) is None


def test_the_stacks_of_a_crash_are_kept_beside_the_notes(kept: KeptBox) -> None:
    program = (
        "import ctypes, faulthandler, sys; from schedora.adapters.system.crash_recorder import CrashRecorder;"
        " from uuid import UUID; box = CrashRecorder.given(); box.name(UUID(int=7));"
        " faulthandler.enable(file=box.descriptor); ctypes.string_at(0)"
    )
    environment = {**os.environ, crash_recorder.VARIABLE: str(kept.descriptor)}
    done = subprocess.run(
        [sys.executable, "-c", program], pass_fds=[kept.descriptor], env=environment, check=False
    )
    assert done.returncode == -11
    told = kept.read(END)
    assert told is not None
    assert told[0].int == 7
    assert told[1].stack is not None
    assert told[1].stack.startswith("Fatal Python error: Segmentation fault")
    assert 'File "<string>", line 1 in <module>' in told[1].stack


def test_what_it_keeps_is_bounded(kept: KeptBox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crash_recorder, "LENGTH_MAX", 20_000)
    monkeypatch.setattr(crash_recorder, "KEPT_LENGTH", 5_000)
    box, incarnation, job_id = CrashRecorder(kept.descriptor), an_incarnation(), a_job_id()
    box.name(incarnation)
    for number in range(2_000):
        box.line(job_id, JsonText(f'"{number}"'))
        assert os.fstat(kept.descriptor).st_size < 20_200
    told = kept.read(END)
    assert told is not None
    assert told[0] == incarnation
    assert told[1].lines[job_id] == tuple(f'"{n}"' for n in range(2_000 - LINES_MAX, 2_000))


def test_lines_of_those_that_logged_last_are_kept(kept: KeptBox) -> None:
    box = CrashRecorder(kept.descriptor)
    box.name(an_incarnation())
    jobs = [a_job_id() for _ in range(JOBS_MAX + 1)]
    for job_id in [*jobs, jobs[0]]:
        box.line(job_id, JsonText("{}"))
    told = kept.read(END)
    assert told is not None
    assert set(told[1].lines) == {jobs[0], *jobs[2:]}


def test_a_note_that_was_cut_by_the_end_is_passed_over(kept: KeptBox) -> None:
    box, incarnation = CrashRecorder(kept.descriptor), an_incarnation()
    box.name(incarnation)
    os.write(kept.descriptor, b'{"schedora":"line","job":"01')
    told = kept.read(END)
    assert told is not None
    assert told[0] == incarnation


def test_what_comes_in_its_place_begins_an_empty_one(kept: KeptBox) -> None:
    CrashRecorder(kept.descriptor).name(an_incarnation())
    CrashRecorder(kept.descriptor)
    assert kept.read(END) is None


def test_a_line_in_words_is_short() -> None:
    assert (
        len(in_words('{"timestamp":"T","level":"info","message":"' + "x" * 5_000 + '"}')) == LINE_LENGTH_MAX
    )
    assert in_words("{" + "x" * 5_000) == "{" + "x" * (LINE_LENGTH_MAX - 1)


@pytest.mark.parametrize("told", ["", "nonsense"])
def test_without_one_nothing_is_noted(monkeypatch: pytest.MonkeyPatch, told: str) -> None:
    monkeypatch.setenv(crash_recorder.VARIABLE, told)
    assert CrashRecorder.given() is None
