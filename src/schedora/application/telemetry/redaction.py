"""What no log may tell: the values of names that stand for secrets, wherever they are met."""

import re
from collections.abc import Iterable, Mapping
from datetime import date, time
from enum import Enum
from functools import cache, lru_cache, partial
from typing import Any, Final
from uuid import UUID

from schedora.domain.errors import brief

MASK: Final = "***"

SECRET_NAMES: Final = (
    "password", "passwd", "pwd", "passphrase", "passcode", "secret", "token", "jwt", "otp", "authorization", "auth",
    "credential", "cookie", "dsn", "bearer", "api key", "access key", "private key", "signing key", "encryption key",
    "account key", "session id", "session key", "connection string",
)  # fmt: skip
"""In words, singular. A name is secret when these words are in it, one after the other, however they are joined:
``apiKey``, ``X-Api-Key`` and ``github_api_keys`` are.
"""

RUN_TOGETHER: Final = (
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "privatekey",
)
"""So do names that end in one of these without a joint, like ``PGPASSWORD``."""

HARMLESS: Final = frozenset({"lease_token"})
"""Names that only look like it."""

DEPTH_MAX: Final = 20
PAIRS_DEPTH_MAX: Final = 8
OBJECT_LENGTH_MAX: Final = 1_000
"""Characters of what is neither text nor a collection, in words."""
NAMES_MAX: Final = 10_000
"""Names whose standing is remembered: there are few in a program that does not make them up."""

_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")
_URL_PASSWORD = re.compile(r"(://[^\s:/@\"']*:)[^\s/\"']+@")
_SCHEME = re.compile(r"\b(Bearer|Basic|Digest)\s+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)
_COOKIES = re.compile(r"(\bcookie[\"']?\s{0,3}:\s{0,3}[\"']?)[^\r\n\"']+", re.IGNORECASE)
"""Several pairs whose names say nothing."""
_PRIVATE_KEY = re.compile(r"(-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY-----)[^-]+")
_JWT = re.compile(r"\beyJ[\w-]{5,}\.[\w-]+\.[\w-]*")
_PAIR = re.compile(
    r"""
    (?:(?P<tuple>\(b?["'])|(?<!\w)(?<!\w-))            # nothing, or the beginning of a tuple
    (?P<name>[A-Za-z_][\w-]{0,100})                    # a name
    (?P<joint>                                         # what joins it to its value
        (?(tuple)["'],\s | (?:\\*["'])?\s{0,3}(?:=>|[=:])\s{0,3})
    )
    (?P<value>
        \\+"[^"\n]*"? | \\+'[^'\n]*'?                  # in quotes inside of quotes
        | b?(?:"(?:[^"\\\n]|\\.)*"?|'(?:[^'\\\n]|\\.)*'?)  # in quotes, closed or cut off: in a traceback, they may be those behind
        | [\[{(][^\]})]*[\]})]?                        # several
        | (?:(?:Bearer|Basic|Digest|Token)\s+)?[^\s,;&"'<>{}\[\]()]+
    )
    """,
    re.VERBOSE | re.IGNORECASE,
)


@cache
def redaction_of(names: str | None) -> "Redaction":
    """Of all that is secret anyway, and of these names, separated by commas."""
    return Redaction((names or "").split(","))


class Redaction:
    """Masks secrets: those of ``SECRET_NAMES``, and of more names, each in words, joined in any way."""

    def __init__(self, more: Iterable[str] = ()) -> None:
        phrases = {*SECRET_NAMES, *more}
        self._phrases = tuple(phrase for phrase in map(_in_words, phrases) if phrase.strip())
        self._signs = tuple(tuple(phrase.split()) for phrase in self._phrases)
        """All words of one of these are in every text that a secret name is in."""
        self._known = lru_cache(NAMES_MAX)(self._decide)

    def is_secret(self, name: str) -> bool:
        """Whether the value of this name is to be masked."""
        return self._known(name)

    def fields(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The same names, and their values as they may be told."""
        return {name: self._field(name, value) for name, value in fields.items()}

    def text(self, text: str) -> str:
        """The same text without the secrets that can be made out in it: in URLs, and in pairs of name and value."""
        if "PRIVATE KEY-----" in text:
            text = _PRIVATE_KEY.sub(rf"\1{MASK}", text)
        if "://" in text:
            text = _URL_PASSWORD.sub(rf"\1{MASK}@", text)
        if "eyJ" in text:
            text = _JWT.sub(MASK, text)
        low = text.lower()
        if "cookie" in low:
            text = _COOKIES.sub(rf"\1{MASK}", text)
        if "=" in text or ":" in text or "', " in text:
            text = self._pairs(text, 0)
        if "bearer" in low or "basic" in low or "digest" in low:
            text = _SCHEME.sub(rf"\1 {MASK}", text)
        return text

    def _pairs(self, text: str, depth: int) -> str:
        low = text.lower()
        if not any(sign in low and all(word in low for word in more) for sign, *more in self._signs):
            return text
        return _PAIR.sub(partial(self._masked_pair, depth), text)

    def _decide(self, name: str) -> bool:
        if name in HARMLESS:
            return False
        words = _in_words(name)
        if any(phrase in words for phrase in self._phrases):
            return True
        return any(word.endswith(RUN_TOGETHER) for word in words.split())

    def _field(self, name: str, value: Any) -> Any:
        try:
            return self._told(name, value, 0)
        except RecursionError:  # inside of itself, or too deep for anybody to read
            return self.text(brief(value, OBJECT_LENGTH_MAX))

    def _told(self, name: object, value: Any, depth: int) -> Any:
        if isinstance(name, bytes):
            name = name.decode("latin-1")
        if isinstance(name, str) and self.is_secret(name) and not _says_nothing(name, value):
            return MASK
        return self._value(value, depth)

    def _value(self, value: Any, depth: int) -> Any:
        match value:
            case str():
                return self.text(value)
            case None | bool() | int() | float() | UUID() | date() | time() | Enum():
                return value
            case dict() | list() | tuple() if depth == DEPTH_MAX:
                raise RecursionError
            case dict():
                return {name: self._told(name, inner, depth + 1) for name, inner in value.items()}
            case tuple() if hasattr(value, "_asdict"):  # a named one
                return self._value(value._asdict(), depth)
            case list() | tuple():
                return [self._element(inner, depth + 1) for inner in value]
        return self.text(brief(value, OBJECT_LENGTH_MAX))

    def _element(self, value: Any, depth: int) -> Any:
        """One of several, which may be pairs of name and value, as headers are."""
        match value:
            case [str() | bytes() as name, inner]:
                return [self._value(name, depth), self._told(name, inner, depth)]
        return self._value(value, depth)

    def _masked_pair(self, depth: int, match: "re.Match[str]") -> str:
        begin, name, joint, value = match["tuple"] or "", match["name"], match["joint"], match["value"]
        if self.is_secret(name):
            quote = value[0] if value[0] in "\"'" else ""
            return f"{begin}{name}{joint}{quote}{MASK}{quote}"
        # What is in quotes or brackets may be pairs again.
        if depth < PAIRS_DEPTH_MAX and ("=" in value or ":" in value):
            value = self._pairs(value, depth + 1)
        return f"{begin}{name}{joint}{value}"


def _says_nothing(name: str, value: object) -> bool:
    """None, a flag, or how many tokens there are."""
    return (
        value is None
        or isinstance(value, bool)
        or (isinstance(value, int | float) and name.endswith("tokens"))
    )


def _in_words(name: str) -> str:
    """Lower case, singular, a space around each word."""
    words = (word.lower() for word in _WORD.findall(name))
    return f" {' '.join(word.removesuffix('s') for word in words)} "
