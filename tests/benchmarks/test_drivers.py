"""Processes of the benchmarks: heard, and ended whatever they do."""

import sys
from pathlib import Path

import psutil
import pytest
from attrs import evolve
from benchmarks import drivers
from benchmarks.drivers import Broken, Driver, Process, Unable
from benchmarks.systems.catalogue import System, catalogue


def program(directory: Path, source: str) -> list[str]:
    file = directory / "program.py"
    file.write_text(source)
    return [sys.executable, str(file)]


def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> Driver:
    """A driver whose program is `source`."""
    program(tmp_path, source)
    monkeypatch.setattr(System, "driver", tmp_path / "program.py")
    return Driver(
        system=evolve(catalogue()["schedora"], name="humming"),
        url="postgresql://nowhere",
        directory=tmp_path,
        python=Path(sys.executable),
    )


def test_a_process_is_ended_with_its_children_when_it_does_not_listen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drivers, "STOP_SECONDS_MAX", 0.5)
    command = program(
        tmp_path,
        "import signal, subprocess, sys\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'])\n"
        "print('child', child.pid, flush=True)\n"
        "signal.pause()\n",
    )
    with Process.started(command, tmp_path, "deaf") as process:
        child = psutil.Process(int(process.line("child", seconds_max=60)))
        with pytest.raises(Broken, match="had to be killed"):
            process.stop()
    assert process.running.returncode == -9
    psutil.wait_procs([child], timeout=60)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_a_process_that_dies_is_told_with_its_last_words(tmp_path: Path) -> None:
    command = program(tmp_path, "import sys; sys.exit('out of breath')")
    with Process.started(command, tmp_path, "dying") as process, pytest.raises(Broken, match="out of breath"):
        process.line("ready", seconds_max=60)


def test_settings_of_schedora_do_not_reach_a_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://elsewhere")
    command = program(tmp_path, "import os; print(os.environ.get('DATABASE_URL'))")
    with Process.started(command, tmp_path, "clean") as process:
        assert process.wait(60) == 0
        assert process.said() == "None\n"


def test_a_driver_says_what_its_system_cannot_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = driver(tmp_path, monkeypatch, "import sys; print('no batches', file=sys.stderr); sys.exit(3)")
    with pytest.raises(Unable, match="no batches"):
        one.submit(10, "batch")


def test_a_driver_that_fails_is_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = driver(tmp_path, monkeypatch, "raise ValueError('a string is gone')")
    with pytest.raises(Broken, match=r"humming setup ended with 1: (.|\n)*a string is gone"):
        one.setup()


def test_jobs_are_stored_together_where_there_are_no_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = driver(
        tmp_path,
        monkeypatch,
        "import sys\n"
        "if 'batch' in sys.argv: sys.exit(3)\n"
        "count = sys.argv[sys.argv.index('--count') + 1]\n"
        """print('{"jobs": %s, "seconds": 1.0, "stored": 1%s}' % (count, count))\n""",
    )
    assert one.fill(20) == 120
