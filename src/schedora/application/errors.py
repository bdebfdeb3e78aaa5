"""What can go wrong in a use case.

::

    ApplicationError
    ├── NotFound            nothing has this id
    ├── Conflict            the state of things forbids it
    │   ├── NameTaken       another workflow has this name
    │   ├── WorkflowClosed  a canceled workflow takes no more jobs
    │   └── WorkerDeclaredLost  a worker that was declared lost must register again
    ├── Invalid             the request breaks rules, each named with its field
    ├── TooLarge            a document is over its limit
    ├── NotJson             a value has no faithful JSON form
    ├── LeaseLost           the job is no longer held under this lease
    └── StoreUnavailable    the store can't be reached now; trying later may help
        ├── StoreRefuses    it is there and lets this user not in: trying again will not help
        ├── StoreBusy       it is there, and this process asks more of it than it has connections for
        ├── LockConflict    concurrent transactions hold locks; a retry may succeed at once
        └── SchemaMismatch  the store's schema is not the one that this version knows
"""

from collections.abc import Sequence

from attrs import frozen


class ApplicationError(Exception):
    """The message is fit for the person who asked."""


class NotFound(ApplicationError):
    def __init__(self, kind: str, name: object) -> None:
        self.kind = kind
        self.name = name
        super().__init__(f"there is no {kind} {name}")


class Conflict(ApplicationError):
    pass


class NameTaken(Conflict):
    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"there is already a workflow named {name!r}")


class WorkflowClosed(Conflict):
    pass


class WorkerDeclaredLost(Conflict):
    pass


@frozen(kw_only=True)
class FieldError:
    """``field`` is a path such as ``jobs[3].priority``."""

    field: str
    message: str


class Invalid(ApplicationError):
    def __init__(self, message: str, errors: Sequence[FieldError]) -> None:
        self.errors = tuple(errors)
        super().__init__(message)


class TooLarge(ApplicationError):
    def __init__(self, field: str, size_bytes: int, limit_bytes: int) -> None:
        self.field = field
        self.size_bytes = size_bytes
        self.limit_bytes = limit_bytes
        super().__init__(f"{field} has {size_bytes} bytes encoded, and at most {limit_bytes} are allowed")


class NotJson(ApplicationError):
    """``reason`` tells what stands in the way and where."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class LeaseLost(ApplicationError):
    """The job was rescued, canceled or completed meanwhile: what is done now must not count."""


class StoreUnavailable(ApplicationError):
    pass


class StoreRefuses(StoreUnavailable):
    """Until somebody changes something there, or here."""


class StoreBusy(StoreUnavailable):
    pass


class LockConflict(StoreUnavailable):
    """Two transactions waited for each other, or one too long for another. Nothing of this one is stored."""


class SchemaMismatch(StoreUnavailable):
    pass
