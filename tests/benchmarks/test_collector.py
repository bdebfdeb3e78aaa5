"""The collector takes what is sent, and counts it."""

import httpx
from benchmarks.collector import collecting


def test_it_counts_what_it_takes() -> None:
    with collecting() as collector:
        for body in (b"abc", b"de"):
            assert httpx.post(f"{collector.url}/v1/traces", content=body).status_code == 200
    assert (collector.requests, collector.received_bytes) == (2, 5)
