"""Violations of the domain's rules.

::

    DomainError
    ├── InvalidField        one field of a request breaks its rule
    ├── InvalidGraph        the dependencies of a workflow can't be satisfied
    │   ├── CycleFound      ... they lead back to themselves
    │   ├── UnknownKey      ... they name a job that is not there
    │   └── DuplicateKey    ... two jobs have one name
    └── IllegalMove         the state machine has no such move
"""

from collections.abc import Sequence


class DomainError(Exception):
    """A rule of the domain was broken. The message is fit for the person who broke it."""


class InvalidField(DomainError):
    """``field`` has a value that its rule does not allow; the message names all three."""

    def __init__(self, field: str, value: object, allowed: str) -> None:
        self.field = field
        self.value = value
        self.allowed = allowed
        super().__init__(f"{field} must be {allowed}, not {brief(value)}")


class InvalidGraph(DomainError):
    """The dependencies can't be satisfied. ``path`` names the jobs concerned, in order."""

    def __init__(self, message: str, path: Sequence[str]) -> None:
        self.path = tuple(path)
        super().__init__(message)


class CycleFound(InvalidGraph):
    def __init__(self, path: Sequence[str]) -> None:
        super().__init__(f"the dependencies form a cycle: {' -> '.join(path)}", path)


class UnknownKey(InvalidGraph):
    def __init__(self, key: str, missing: str) -> None:
        super().__init__(
            f"{brief(key)} depends on {brief(missing)}, which is not in this workflow", [key, missing]
        )


class DuplicateKey(InvalidGraph):
    def __init__(self, key: str) -> None:
        super().__init__(f"the key {brief(key)} is used by more than one job", [key])


class IllegalMove(DomainError):
    def __init__(self, from_state: str, to_state: str) -> None:
        self.from_state = from_state
        self.to_state = to_state
        super().__init__(f"a job can't move from {from_state} to {to_state}")


def brief(value: object, length_max: int = 80) -> str:
    """``value`` as an error message shows it: its repr, shortened, and safe to print and to encode."""
    try:
        text = repr(value)
    except Exception as error:  # noqa: BLE001 - a repr is the user's code and may raise anything
        text = f"<{type(value).__name__} whose repr raises {type(error).__name__}>"
    text = text.encode(errors="backslashreplace").decode()
    return text if len(text) <= length_max else f"{text[: length_max - 1]}…"
