"""Processor time: of a whole tree of processes, whether they live or have ended."""

import subprocess
import sys
import time
from pathlib import Path

from benchmarks import processors

from tests.redis.servers import RedisServer

BUSY = "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass\n"


def test_children_count_while_they_live_and_when_they_have_ended() -> None:
    program = (
        "import subprocess, sys\n"
        f"busy = {BUSY!r}\n"
        "subprocess.run([sys.executable, '-c', busy], check=True)\n"
        "lasting = busy + 'print(flush=True)\\nsys_stdin = __import__(\"sys\").stdin.read()\\n'\n"
        "child = subprocess.Popen([sys.executable, '-c', lasting], stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\n"
        "print(flush=True)\n"
        "sys.stdin.read()\n"
        "child.communicate()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        spent = processors.of_process(process.pid)
        process.communicate()
    assert spent > 0.55  # both children's 0.3, told in hundredths


def test_redis_tells_of_itself(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        before = processors.of_redis(server.url)
        deadline = time.monotonic() + 60
        while processors.of_redis(server.url) == before:
            assert time.monotonic() < deadline
