"""Lua scripts. Each file in ``lua/`` is one; its head names its ``KEYS`` and ``ARGV``."""

from functools import cache
from hashlib import sha1
from importlib.resources import files
from typing import Self

from attrs import field, frozen


@frozen(kw_only=True)
class Script:
    """What a server keeps by ``sha`` once it has run ``text``."""

    name: str
    text: str = field(repr=False)
    sha: str = field(repr=False)

    @classmethod
    def of(cls, name: str, text: str) -> Self:
        return cls(name=name, text=text, sha=sha1(text.encode(), usedforsecurity=False).hexdigest())


@cache
def load(name: str) -> Script:
    """The script in ``lua/<name>.lua``."""
    return Script.of(name, files(__package__).joinpath("lua", f"{name}.lua").read_text(encoding="utf-8"))
