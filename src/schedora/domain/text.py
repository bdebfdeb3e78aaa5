"""The rule for every string that a user names something with."""

from schedora.domain.errors import InvalidField


def check_text(field: str, value: str, *, length_min: int = 1, length_max: int) -> None:
    """Raises ``InvalidField`` for a length out of bounds, NUL characters and lone surrogates.

    PostgreSQL stores neither of the two, and no encoding of JSON that others read does.
    """
    allowed = f"{length_min} to {length_max} characters"
    if not length_min <= len(value) <= length_max:
        raise InvalidField(field, value, f"{allowed} long")
    if "\x00" in value:
        raise InvalidField(field, value, f"{allowed} without NUL")
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        raise InvalidField(field, value, f"{allowed} of valid Unicode, without lone surrogates")
