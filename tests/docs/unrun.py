"""What is on the pages and can't be run by a test: each with the reason, and with what is checked instead."""

from collections.abc import Mapping

COMMANDS: Mapping[str, str] = {
    "make ": "takes minutes, or is the run that this test is part of; the target is looked up",
    "git clone ": "the repository is the one that this test is in",
    "cd schedora": "as git clone",
    "python3 -m venv ": "this environment is the one that it would make",
    ". .venv/bin/activate": "as python3 -m venv",
    "pip install ": "as python3 -m venv; the extras that it names are looked up in pyproject.toml",
    ".venv/bin/pytest ": "runs tests of the repository; the paths are looked up",
    "schedora torture ": "takes minutes; tests/e2e/test_torture.py runs a short one, and its options are looked up",
    "docker compose ": "needs Docker; test_containers.py reads the file that it works on",
}
"""Commands by how they begin."""

TEXTS: Mapping[str, str] = {
    "docs/decisions/0001-storage.md": "a sketch of tables; the real ones are held by the tests of the schema",
    "docs/redis.md": "a command of Redis; test_redis.py has a server run it",
    "docs/tracing.md": "a picture; that of the job before it is printed by a test",
    "docs/top.md": "a picture; test_top.py holds what stands in it against the view",
}
"""Pages that may have blocks of plain text."""


def reason(command: str) -> str | None:
    """Why this command is not run; None for one that is."""
    return next((why for beginning, why in COMMANDS.items() if f"{command} ".startswith(beginning)), None)
