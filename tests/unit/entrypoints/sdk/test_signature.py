"""What a job function takes, by its signature."""

import asyncio
import enum
import functools
import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import pytest
from pydantic import BaseModel, Field

from schedora.application.encoding import encode_json
from schedora.application.errors import NotJson
from schedora.application.handlers import InvalidPayload
from schedora.domain.ids import JsonText
from schedora.entrypoints.sdk.signature import InvalidArguments, Signature

if TYPE_CHECKING:
    from schedora import JobContext

CONTEXT: Any = object()


class Color(enum.Enum):
    RED = "red"


class Address(BaseModel):
    city: str


@dataclass
class Point:
    x: int


def collected(*arguments: Any, **named: Any) -> Any:
    return arguments, named


def round_trip(function: Any, *args: Any, **kwargs: Any) -> Any:
    """What the function is called with by a worker, having been submitted with these arguments."""
    signature = Signature("job", function)
    return signature.bind(signature.encode(args, kwargs))(CONTEXT)


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (str, "text ü 💌"),
        (int, 2**80),
        (float, 1.5),
        (bool, True),
        (bytes, b"abc\xff\x00"),
        (datetime, datetime(2030, 1, 1, 12, tzinfo=UTC)),
        (date, date(2030, 1, 1)),
        (timedelta, timedelta(hours=1, microseconds=1)),
        (UUID, UUID(int=7)),
        (Decimal, Decimal("1.10")),
        (Color, Color.RED),
        (Address, Address(city="Jena")),
        (Point, Point(x=1)),
        (list[Address], [Address(city="Jena")]),
        (tuple[int, str], (1, "a")),
        (set[int], {1, 2}),
        (dict[str, Decimal], {"a": Decimal("0.1")}),
        (int | None, None),
        (Any, {"free": [1, None, "x"]}),
    ],
)
def test_arguments_arrive_as_they_were_given(annotation: Any, value: Any) -> None:
    def function(value: Any) -> Any:
        return value

    function.__annotations__["value"] = annotation
    assert round_trip(function, value=value) == value


def test_arguments_may_be_given_by_position() -> None:
    def function(first: int, second: str, *, third: bool = False) -> Any:
        return first, second, third

    assert round_trip(function, 1, "b", third=True) == (1, "b", True)


def test_positional_only_arguments_arrive_in_their_places() -> None:
    def function(first: int, second: int = 2, /, third: int = 3) -> Any:
        return first, second, third

    assert round_trip(function, 1, third=4) == (1, 2, 4)
    assert round_trip(function, 1, 5) == (1, 5, 3)


def test_arguments_that_were_not_given_are_left_to_the_function() -> None:
    def function(given: int = 1, other: list[int] | None = None) -> Any:
        return given, other

    signature = Signature("job", function)
    assert signature.encode((), {"given": 1}) == '{"given":1}'
    assert signature.encode((), {}) == "{}"
    assert round_trip(function) == (1, None)


def test_further_arguments_are_taken_where_the_function_takes_them() -> None:
    def function(known: int = 0, **others: Any) -> Any:
        return known, others

    assert round_trip(function, known=1, a=[2], known_too="b") == (1, {"a": [2], "known_too": "b"})


def test_further_arguments_are_checked_by_their_annotation() -> None:
    def function(**numbers: int) -> Any:
        return numbers

    assert round_trip(function, a=1) == {"a": 1}
    with pytest.raises(InvalidPayload, match="b: input should be a valid integer"):
        Signature("job", function).bind(JsonText('{"a":1,"b":"2"}'))
    with pytest.raises(InvalidArguments, match="b: input should be a valid integer"):
        Signature("job", function).encode((), {"b": "2"})


def test_names_that_mean_something_to_pydantic_are_names_like_others() -> None:
    def function(model_config: int, json: int, copy: int, _private: int, self: int) -> Any:
        return model_config, json, copy, _private, self

    signature = Signature("job", function)
    arguments = {"model_config": 1, "json": 2, "copy": 3, "_private": 4, "self": 5}
    assert signature.bind(signature.encode((), arguments))(CONTEXT) == (1, 2, 3, 4, 5)


def test_the_context_goes_to_a_first_parameter_of_its_type() -> None:
    def function(ctx: "JobContext", number: int) -> Any:
        return ctx, number

    assert round_trip(function, number=1) == (CONTEXT, 1)
    assert Signature("job", function).takes_context
    with pytest.raises(InvalidPayload, match="ctx: unexpected field"):
        Signature("job", function).bind(JsonText('{"ctx":1,"number":1}'))


def test_a_function_may_do_without_the_context() -> None:
    def function(number: int) -> Any:
        return number

    assert not Signature("job", function).takes_context


def test_the_name_of_the_context_is_no_further_argument() -> None:
    def function(ctx: "JobContext", **others: Any) -> Any:
        return others

    with pytest.raises(InvalidPayload, match="ctx: unexpected field"):
        Signature("job", function).bind(JsonText('{"ctx":1}'))


def test_wrapped_functions_are_seen_through() -> None:
    def function(number: "int") -> Any:
        return number

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return "wrapped", function(*args, **kwargs)

    assert round_trip(wrapper, number=1) == ("wrapped", 1)
    with pytest.raises(InvalidPayload):
        Signature("job", wrapper).bind(JsonText('{"number":"1"}'))


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ({}, "to: is required"),
        ({"to": 1}, "to: input should be a valid string"),
        ({"to": "a", "times": "3"}, "times: input should be a valid integer"),
        ({"to": "a", "times": True}, "times: input should be a valid integer"),
        ({"to": "a", "times": 0}, "times: input should be greater than or equal to 1"),
        ({"to": "a", "topic": "b"}, "topic: unexpected field"),
        ({"to": "a", "b\n'c": 1}, '"b\\n\'c": unexpected field'),
        ({"to": None}, "to: input should be a valid string"),
        ({"to": "a", "at": 5}, "at: input should be a valid datetime"),
        ({"to": "a", "tags": ["x", 1]}, "tags[1]: input should be a valid string"),
        ({"to": "a", "address": {}}, "address.city: is required"),
        ({"times": "x"}, "to: is required; times: input should be a valid integer"),
    ],
)
def test_a_payload_that_does_not_fit_is_refused_in_one_line(payload: dict[str, Any], reason: str) -> None:
    def function(
        to: str,
        times: Annotated[int, Field(ge=1)] = 1,
        at: datetime | None = None,
        tags: list[str] | None = None,
        address: Address | None = None,
    ) -> None: ...

    signature = Signature("job", function)
    with pytest.raises(InvalidPayload) as refused:
        signature.bind(encode_json(payload))
    assert str(refused.value) == reason
    # What a worker would refuse is not even stored.
    arguments = {**payload}
    with pytest.raises(InvalidArguments):
        signature.encode((), arguments)


def test_of_many_reasons_the_first_are_told() -> None:
    def function(**numbers: int) -> None: ...

    with pytest.raises(InvalidPayload, match=r"; and 2 more$") as refused:
        Signature("job", function).bind(JsonText(json.dumps({f"n{i}": "x" for i in range(7)})))
    assert str(refused.value).count("valid integer") == 5


@pytest.mark.parametrize("payload", ["[]", "1", "null"])
def test_a_payload_that_is_no_object_is_refused(payload: str) -> None:
    def function() -> None: ...

    with pytest.raises(InvalidPayload, match="object"):
        Signature("job", function).bind(JsonText(payload))


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (float("nan"), "nan"),
        ([float("inf")], "inf"),
        ("a\x00b", "NUL"),
        ("\ud800", "surrogate|utf-8|utf8"),
        (object(), "serialize"),
    ],
)
def test_arguments_without_a_json_form_are_refused(value: Any, reason: str) -> None:
    def function(value: Any) -> None: ...

    signature = Signature("job", function)
    with pytest.raises((NotJson, InvalidArguments), match=reason):
        signature.encode((), {"value": value})


@pytest.mark.parametrize(
    ("args", "kwargs", "reason"),
    [
        ((1, 2), {}, "too many positional arguments"),
        ((1,), {"number": 1}, "multiple values for argument 'number'"),
        (("1",), {}, "number: input should be a valid integer"),
    ],
)
def test_wrong_arguments_are_a_type_error_of_the_caller(
    args: tuple[Any, ...], kwargs: dict[str, Any], reason: str
) -> None:
    def function(number: int) -> None: ...

    with pytest.raises(TypeError, match=f"job: {reason}"):
        Signature("job", function).encode(args, kwargs)


def test_arguments_that_can_t_be_named_are_refused_at_registration() -> None:
    def function(*numbers: int) -> None: ...

    with pytest.raises(TypeError, match=r"\*numbers: arguments are stored by name"):
        Signature("job", function)


def test_types_without_a_json_form_are_refused_at_registration() -> None:
    def function(lock: asyncio.Lock) -> None: ...

    with pytest.raises(TypeError, match="Lock"):
        Signature("job", function)


def test_annotations_that_are_defined_later_are_looked_up_at_the_first_use() -> None:
    def function(value: "Later") -> Any:  # type: ignore[name-defined] # noqa: F821 - defined below, by hand
        return value

    signature = Signature("job", function)
    with pytest.raises(NameError, match="Later"):
        signature.bind(JsonText('{"value":1}'))
    function.__globals__["Later"] = int
    try:
        assert signature.bind(JsonText('{"value":1}'))(CONTEXT) == 1
    finally:
        del function.__globals__["Later"]


def test_annotations_may_name_what_is_local_to_where_the_function_is_registered() -> None:
    def function(value: "Local") -> Any:  # type: ignore[name-defined] # noqa: F821 - given by hand, as a decorator would
        return value

    assert Signature("job", function, {"Local": str}).bind(JsonText('{"value":"a"}'))(CONTEXT) == "a"


def test_further_arguments_stand_beside_positional_ones() -> None:
    def function(first: int, **others: int) -> Any:
        return first, others

    assert round_trip(function, 1, second=2, third=3) == (1, {"second": 2, "third": 3})


def test_types_that_refer_to_what_is_defined_later_are_looked_up_at_the_first_use() -> None:
    class Order(BaseModel):
        item: "Item"

    def function(order: Order) -> Any:
        return order.item.name

    signature = Signature("job", function)
    with pytest.raises(NameError, match="Item"):
        signature.bind(JsonText("{}"))

    class Item(BaseModel):
        name: str

    Order.model_rebuild(_types_namespace={"Item": Item})
    assert signature.bind(JsonText('{"order":{"item":{"name":"a"}}}'))(CONTEXT) == "a"
