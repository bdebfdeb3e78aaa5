"""The Redis of the systems that want one."""

import os
import stat
import sysconfig
from pathlib import Path

import pytest
from benchmarks.systems import redis_server
from redis import Redis

from tests.redis.servers import program


def test_the_one_that_is_named_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://elsewhere/3")
    with redis_server.redis_server() as url:
        assert url == "redis://elsewhere/3"


def test_one_of_our_own_has_the_default_settings_and_is_gone_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("REDIS_URL", raising=False)
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(program()).parent), os.environ["PATH"]]))
    with redis_server.redis_server() as url:
        with Redis.from_url(url) as client:
            assert client.config_get("appendonly") == {"appendonly": "no"}
            assert client.config_get("save") == {"save": "3600 1 300 100 60 10000"}
        socket = Path(url.removeprefix("unix://"))
        assert stat.S_ISSOCK(socket.stat().st_mode)
    assert not socket.parent.exists()


def test_it_is_told_what_to_do_where_there_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("REDIS_URL", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sysconfig, "get_path", lambda scripts: str(tmp_path))
    with (
        pytest.raises(
            redis_server.RedisUnavailable,
            match=r"^there is no redis-server: set REDIS_URL, or install one",
        ),
        redis_server.redis_server(),
    ):
        pass


def test_a_server_that_does_not_start_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    silent = tmp_path / "redis-server"
    silent.write_text("#!/bin/sh\necho starting\necho no memory\nexit 1\n")
    silent.chmod(0o755)
    monkeypatch.delenv("REDIS_URL", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with (
        pytest.raises(redis_server.RedisUnavailable, match=r"^redis-server does not answer: no memory$"),
        redis_server.redis_server(),
    ):
        pass
