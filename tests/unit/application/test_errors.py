"""Messages for those who asked."""

import pytest

from schedora.application.errors import (
    ApplicationError,
    Conflict,
    FieldError,
    Invalid,
    LeaseLost,
    NameTaken,
    NotFound,
    NotJson,
    SchemaMismatch,
    StoreUnavailable,
    TooLarge,
    WorkerDeclaredLost,
    WorkflowClosed,
)


def test_messages_name_what_was_asked_for() -> None:
    assert str(NotFound("job", "j1")) == "there is no job j1"
    assert str(NameTaken("order")) == "there is already a workflow named 'order'"
    assert str(TooLarge("result", 11, 10)) == "result has 11 bytes encoded, and at most 10 are allowed"
    assert str(NotJson("$.a is NaN")) == NotJson("$.a is NaN").reason == "$.a is NaN"


def test_what_is_wrong_can_be_told_field_by_field() -> None:
    errors = [FieldError(field="jobs[3].priority", message="must be small")]
    invalid = Invalid("must be small", errors)
    assert (str(invalid), invalid.errors) == ("must be small", tuple(errors))
    too_large = TooLarge("payload", 11, 10)
    assert (too_large.field, too_large.size_bytes, too_large.limit_bytes) == ("payload", 11, 10)
    assert (NotFound("job", "j1").kind, NotFound("job", "j1").name, NameTaken("n").name) == ("job", "j1", "n")


@pytest.mark.parametrize(
    ("error", "parent"),
    [
        (NameTaken("n"), Conflict),
        (WorkflowClosed(), Conflict),
        (WorkerDeclaredLost(), Conflict),
        (SchemaMismatch(), StoreUnavailable),
        (LeaseLost(), ApplicationError),
        (Conflict(), ApplicationError),
        (StoreUnavailable(), ApplicationError),
    ],
    ids=lambda value: type(value).__name__,
)
def test_errors_stand_in_one_tree(error: Exception, parent: type[Exception]) -> None:
    assert isinstance(error, parent)
    assert isinstance(error, ApplicationError)
