"""Values of which one is made for each job that runs: frozen to the type checker, and quick to make.

At run time ``attrs.frozen`` sets each field through a guard against setting it, which doubles the time that making a
value takes. So the guard is left to mypy: https://www.attrs.org/en/stable/how-does-it-work.html#how-frozen
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from attrs import frozen
else:
    from attrs import define as frozen

__all__ = ["frozen"]
