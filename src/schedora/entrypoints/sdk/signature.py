"""What a job function takes: its signature as the rule for its payload.

A pydantic model made from the signature both encodes the arguments of ``submit`` and checks, strictly, the
payload that a worker is handed: what one lets through, the other takes. Only arguments that were given are
stored; for the others the function's own defaults hold when it runs.
"""

import inspect
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, create_model
from pydantic.errors import PydanticUserError
from pydantic_core import PydanticSerializationError

from schedora.application.context import JobContext
from schedora.application.encoding import encode_json
from schedora.application.handlers import BoundCall, InvalidPayload
from schedora.domain.errors import brief
from schedora.domain.ids import JsonText

REASONS_MAX = 5
"""Problems named in one message."""

_CONFIG = ConfigDict(
    strict=True, ser_json_inf_nan="constants", ser_json_bytes="base64", val_json_bytes="base64"
)


class InvalidArguments(InvalidPayload, TypeError):
    """A job was submitted with arguments that its function can't take."""


class Signature:
    """The parameters of one job function, its context apart.

    Raises ``TypeError`` for a function whose arguments can't be told from a JSON object. Annotations that
    name what is not defined yet are looked up at the first use.
    """

    def __init__(
        self, job_type: str, function: Callable[..., Any], names: Mapping[str, Any] | None = None
    ) -> None:
        self._job_type = job_type
        self._function = function
        self._names = names
        parameters = list(inspect.signature(function).parameters.values())
        self._context = (
            parameters.pop(0).name if parameters and _is_context(parameters[0].annotation) else None
        )
        self._signature = inspect.Signature(parameters)
        self._positional = tuple(p for p in parameters if p.kind is p.POSITIONAL_ONLY)
        self._leading = tuple(
            p.name for p in parameters if p.kind in {p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD}
        )
        self._fields = {
            f"p{position}": parameter.name
            for position, parameter in enumerate(parameters)
            if parameter.kind is not parameter.VAR_KEYWORD
        }
        self._open: inspect.Parameter | None = None
        for parameter in parameters:
            if parameter.kind is parameter.VAR_POSITIONAL:
                raise TypeError(
                    f"the function for {job_type!r} takes *{parameter.name}: arguments are stored by name"
                )
            if parameter.kind is parameter.VAR_KEYWORD:
                self._open = parameter
        self._model: type[BaseModel] | None = None
        self._extra: TypeAdapter[dict[str, Any]] | None = None
        try:
            self._resolve()
        except NameError:
            self._model = None

    @property
    def takes_context(self) -> bool:
        """Whether the function has a parameter for the ``JobContext``."""
        return self._context is not None

    def encode(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> JsonText:
        """The arguments as a payload. Raises ``InvalidArguments``, and ``NotJson`` for NaN and the like."""
        model = self._resolve()
        arguments = self._named(args, kwargs) if args else kwargs
        try:
            # Not by the model's own methods, which do the same in twice the time.
            checked = model.__pydantic_validator__.validate_python(arguments)
            if self._extra is not None:
                self._check_extra(checked.model_extra)
            document = model.__pydantic_serializer__.to_python(
                checked, mode="json", by_alias=True, exclude_unset=True
            )
        except ValidationError as error:
            raise InvalidArguments(f"{self._job_type}: {reasons(error)}") from None
        except PydanticSerializationError as error:
            raise InvalidArguments(f"{self._job_type}: {_one_line(str(error))}") from None
        return encode_json(document)

    def bind(self, payload: JsonText) -> BoundCall:
        """The function with its arguments. Raises ``InvalidPayload``."""
        model = self._resolve()
        try:
            checked = model.__pydantic_validator__.validate_json(payload)
            if self._extra is not None:
                self._check_extra(checked.model_extra)
        except ValidationError as error:
            raise InvalidPayload(reasons(error)) from None
        given, fields = checked.__pydantic_fields_set__, self._fields
        values: dict[str, Any] = {
            fields[field]: value for field, value in checked.__dict__.items() if field in given
        }
        if extra := checked.__pydantic_extra__:
            if self._context in extra:
                raise InvalidPayload(f"{self._context}: unexpected field")
            values |= extra
        return self._call(values)

    def _call(self, values: dict[str, Any]) -> BoundCall:
        function = self._function
        positional = [values.pop(p.name, p.default) for p in self._positional]
        if self._context is None:
            return lambda _context: function(*positional, **values)
        return lambda context: function(context, *positional, **values)

    def _named(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Positional arguments by their names, beside the others."""
        if not kwargs and len(args) <= len(self._leading):
            return dict(zip(self._leading, args, strict=False))
        try:
            bound = self._signature.bind_partial(*args, **kwargs)
        except TypeError as error:
            raise InvalidArguments(f"{self._job_type}: {error}") from None
        arguments = dict(bound.arguments)
        if self._open is not None:
            arguments |= arguments.pop(self._open.name, {})
        return arguments

    def _check_extra(self, extra: dict[str, Any] | None) -> None:
        if extra and self._extra is not None:
            self._extra.validate_json(encode_json(extra))

    def _resolve(self) -> type[BaseModel]:
        """The model, made once. Raises ``NameError`` while an annotation names what is not defined."""
        if self._model is not None:
            return self._model
        parameters = self._signature.parameters.values()
        hints = _hints(self._function, {p.name: p.annotation for p in parameters}, self._names)
        fields: dict[str, Any] = {}
        for field, name in self._fields.items():
            default = self._signature.parameters[name].default
            fields[field] = (
                hints[name],
                Field(alias=name)
                if default is inspect.Parameter.empty
                else Field(alias=name, default=default),
            )
        config = ConfigDict(**_CONFIG, extra="forbid" if self._open is None else "allow")
        try:
            model: type[BaseModel] = create_model(self._job_type, __config__=config, **fields)
            model.model_rebuild()
            if self._open is not None and hints[self._open.name] is not Any:
                of_open: Any = dict.__class_getitem__((str, hints[self._open.name]))
                self._extra = TypeAdapter(of_open, config=_CONFIG)
        except PydanticUserError as error:
            if error.code == "class-not-fully-defined":
                raise NameError(str(error)) from None
            raise TypeError(f"the function for {self._job_type!r}: {_one_line(str(error))}") from None
        self._model = model
        self._names = None
        return model


def reasons(error: ValidationError) -> str:
    """What is wrong with a payload, in one line that names the fields."""
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    told = [_reason(problem["loc"], problem["type"], problem["msg"]) for problem in problems[:REASONS_MAX]]
    if len(problems) > REASONS_MAX:
        told.append(f"and {len(problems) - REASONS_MAX} more")
    return "; ".join(told)


def _reason(place: tuple[int | str, ...], kind: str, message: str) -> str:
    path = ""
    for part in place:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            name = part if part.isprintable() and len(part) <= 80 else brief(part)
            path += f".{name}" if path else name
    words = {"missing": "is required", "extra_forbidden": "unexpected field"}.get(kind)
    words = words or _one_line(message[:1].lower() + message[1:])
    return f"{path}: {words}" if path else words


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _is_context(annotation: object) -> bool:
    """Also where the annotation is a string that can't be resolved, as under ``if TYPE_CHECKING``."""
    if isinstance(annotation, str):
        return annotation.rpartition(".")[2] == JobContext.__name__
    return isinstance(annotation, type) and issubclass(annotation, JobContext)


def _hints(
    function: Callable[..., Any], annotations: Mapping[str, Any], names: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The annotations with strings resolved, as seen from the function; Any where there is none."""
    annotated = {
        name: Any if annotation is inspect.Parameter.empty else annotation
        for name, annotation in annotations.items()
    }
    scope = getattr(inspect.unwrap(function), "__globals__", {})
    holder = SimpleNamespace(__annotations__=annotated)
    return get_type_hints(holder, globalns=scope, localns=dict(names or {}), include_extras=True)
