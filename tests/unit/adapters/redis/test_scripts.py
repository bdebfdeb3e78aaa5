"""Lua scripts."""

from pathlib import Path

import pytest

from schedora.adapters.redis import scripts
from schedora.adapters.redis.scripts import Script, load

ALL = sorted((Path(scripts.__file__).parent / "lua").glob("*.lua"))


def test_a_script_is_named_by_the_digest_that_redis_gives_it() -> None:
    assert Script.of("one", "return 1").sha == "e0e1f9fabfc9d4800c877a703b823ac0578ff8db"


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_each_file_is_a_script_whose_head_names_its_keys(path: Path) -> None:
    script = load(path.stem)
    assert script.text == path.read_text()
    assert script.text.startswith("-- ")
    assert "\n-- KEYS: " in script.text
