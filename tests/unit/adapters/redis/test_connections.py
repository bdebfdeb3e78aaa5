"""Names of connections."""

import os
import socket

import pytest

from schedora.adapters.redis.connections import client_name


def test_a_name_is_of_what_redis_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "Ann's höst\n")
    assert client_name() == f"schedora-Ann'shst-{os.getpid()}"
