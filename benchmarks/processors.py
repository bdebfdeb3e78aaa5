"""Processor time, in seconds."""

from __future__ import annotations

import psutil
from redis import Redis


def of_process(pid: int) -> float:
    """Of a process and all that it started, what has ended included. Raises psutil.NoSuchProcess."""
    root = psutil.Process(pid)
    seconds = 0.0
    for process in (root, *root.children(recursive=True)):
        try:
            seconds += sum(process.cpu_times()[:4])  # its own, and that of children whose end it has seen
        except psutil.NoSuchProcess:  # its parent has it by now, or had it a moment ago
            continue
    return seconds


def of_redis(url: str) -> float:
    """Of a Redis server, by its own account."""
    with Redis.from_url(url) as redis:
        told = redis.info("cpu")
    return float(told["used_cpu_user"] + told["used_cpu_sys"])
