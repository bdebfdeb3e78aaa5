"""Where a Redis is, by its URL: one server, the service of a Sentinel, or a Cluster."""

import ssl
from collections.abc import Callable, Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from attrs import field, frozen

EXAMPLES = (
    "redis://host:6379/0, rediss:// with TLS, unix:///path/to/socket,"
    " redis+sentinel://host:26379,host:26379/service or redis+cluster://host:6379,host:6379"
)
_UNESCAPED = (
    "no valid host and port (in its user and password, the characters : / ? # [ ] @ % are written as %3A, %2F, %3F,"
    " %23, %5B, %5D, %40, %25)"
)


class Kind(StrEnum):
    SERVER = "server"
    SOCKET = "socket"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


class Address(NamedTuple):
    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


_SCHEMES = {
    "redis": (Kind.SERVER, False),
    "rediss": (Kind.SERVER, True),
    "unix": (Kind.SOCKET, False),
    "redis+sentinel": (Kind.SENTINEL, False),
    "rediss+sentinel": (Kind.SENTINEL, True),
    "redis+cluster": (Kind.CLUSTER, False),
    "rediss+cluster": (Kind.CLUSTER, True),
}
_PORTS = {Kind.SERVER: 6379, Kind.SOCKET: 0, Kind.SENTINEL: 26379, Kind.CLUSTER: 6379}


def _seconds(text: str) -> timedelta:
    span = timedelta(seconds=float(text))
    if span <= timedelta():
        raise ValueError
    return span


def _count(text: str) -> int:
    if (count := int(text)) < 1:
        raise ValueError
    return count


def _database(text: str) -> int:
    if not text.isdecimal():
        raise ValueError
    return int(text)


def _true_or_false(text: str) -> bool:
    return {"true": True, "false": False, "yes": True, "no": False, "1": True, "0": False}[text.lower()]


def _cert_reqs(text: str) -> str:
    if text not in {"none", "optional", "required"}:
        raise ValueError
    return text


def _tls_version(text: str) -> ssl.TLSVersion:
    return ssl.TLSVersion(int(text)) if text.isdecimal() else ssl.TLSVersion[text.replace(".", "_")]


_OF_ALL: Mapping[str, Callable[[str], Any]] = {
    "username": str,
    "password": str,
    "socket_timeout": _seconds,
    "socket_connect_timeout": _seconds,
    "max_connections": _count,
}
_OF_ONE_DATABASE: Mapping[str, Callable[[str], Any]] = {"db": _database}
_OF_SENTINEL: Mapping[str, Callable[[str], Any]] = {"sentinel_username": str, "sentinel_password": str}
_OF_TLS: Mapping[str, Callable[[str], Any]] = {
    "ssl_ca_certs": str,
    "ssl_ca_data": str,
    "ssl_ca_path": str,
    "ssl_cert_reqs": _cert_reqs,
    "ssl_certfile": str,
    "ssl_check_hostname": _true_or_false,
    "ssl_ciphers": str,
    "ssl_keyfile": str,
    "ssl_min_version": _tls_version,
    "ssl_password": str,
}
"""By the names that redis-py gives them, in URLs as in arguments."""


@frozen(kw_only=True)
class Location:
    """What the URL says; where it says nothing of something, that is None or missing."""

    kind: Kind
    tls: bool
    addresses: tuple[Address, ...] = ()
    """The server, the Sentinels, or some nodes of the Cluster."""
    path: str | None = None
    """Of the socket."""
    service: str | None = None
    """The name under which the Sentinels know the server."""
    options: Mapping[str, Any] = field(factory=dict, repr=False)
    """How to be let in by the server: user, password, database, TLS. Arguments of redis-py's connections."""
    sentinel_options: Mapping[str, Any] = field(factory=dict, repr=False)
    """How to be let in by the Sentinels."""
    command_timeout: timedelta | None = None
    connect_timeout: timedelta | None = None
    connections_max: int | None = None

    @property
    def description(self) -> str:
        """For people: never holds a password."""
        hosts = ", ".join(map(str, self.addresses))
        match self.kind:
            case Kind.SOCKET:
                return f"Redis at {self.path}"
            case Kind.SENTINEL:
                return f"Redis {self.service} of the Sentinels at {hosts}"
            case Kind.CLUSTER:
                return f"the Redis Cluster at {hosts}"
        return f"Redis at {hosts}"

    @classmethod
    def parse(cls, url: str) -> Self:
        """Raises ``ValueError`` with one line that does not tell the password."""
        scheme, separator, _ = url.partition("://")
        if not separator:
            raise _wrong("no ://")
        if scheme.lower() not in _SCHEMES:
            raise _wrong(f"{scheme}://" if scheme.replace("+", "").isalnum() else "another beginning")
        kind, tls = _SCHEMES[scheme.lower()]
        try:
            parts = urlsplit(url)
            query = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
            userinfo, at, hosts = parts.netloc.rpartition("@")
            addresses = _addresses(hosts, _PORTS[kind])
        except ValueError:
            raise _wrong(_UNESCAPED) from None  # what is wrong with it may show the password
        if "@" in parts.path + "".join(query) or parts.fragment:
            raise _wrong(_UNESCAPED)
        options = _options(query, kind, tls=tls)
        if at:
            username, _, password = userinfo.partition(":")
            options |= {"username": unquote(username)} if username else {}
            options |= {"password": unquote(password)} if password else {}
        return cls(
            kind=kind,
            tls=tls,
            command_timeout=options.pop("socket_timeout", None),
            connect_timeout=options.pop("socket_connect_timeout", None),
            connections_max=options.pop("max_connections", None),
            sentinel_options={
                name.removeprefix("sentinel_"): options.pop(name) for name in _OF_SENTINEL if name in options
            }
            | {name: value for name, value in options.items() if name in _OF_TLS},
            options=options,
            **_place(kind, hosts, addresses, parts.path, options),
        )


def _place(
    kind: Kind, hosts: str, addresses: tuple[Address, ...], path: str, options: dict[str, Any]
) -> dict[str, Any]:
    """What the host and the path of the URL say; a database goes to the ``options``."""
    if kind is Kind.SOCKET:
        if hosts or not path.strip("/"):
            raise _wrong("no path to a socket")
        return {"path": unquote(path)}
    words = [unquote(word) for word in path.split("/") if word]
    located: dict[str, Any] = {"addresses": addresses}
    if kind is Kind.SENTINEL:
        if not words or not hosts:
            raise _wrong("no Sentinels or no name of a service")
        located["service"] = words.pop(0)
    if kind is Kind.SERVER and len(addresses) > 1:
        raise _wrong("several servers: name Sentinels or a Cluster instead")
    if kind is Kind.CLUSTER and words not in ([], ["0"]):
        raise _wrong("a database, which a Cluster does not have")
    if kind is not Kind.CLUSTER and words:
        options["db"] = _read("/", "/".join(words), _database)
    return located


def _addresses(hosts: str, port: int) -> tuple[Address, ...]:
    """Raises ``ValueError``."""
    split = [urlsplit(f"//{host}") for host in (hosts or "localhost").split(",")]
    if any(not one.hostname or one.path or one.query for one in split):
        raise ValueError
    return tuple(Address(one.hostname or "", one.port if one.port is not None else port) for one in split)


def _options(query: Mapping[str, str], kind: Kind, *, tls: bool) -> dict[str, Any]:
    known = {
        **_OF_ALL,
        **(_OF_TLS if tls else {}),
        **(_OF_SENTINEL if kind is Kind.SENTINEL else {}),
        **({} if kind is Kind.CLUSTER else _OF_ONE_DATABASE),
    }
    options = {}
    for name, text in query.items():
        if name not in known and "@" in text:
            raise _wrong(_UNESCAPED)
        if name not in known:
            raise ValueError(
                f"the option {name!r} is none of this kind of Redis URL: {', '.join(sorted(known))}"
            )
        options[name] = _read(name, text, known[name])
    return options


def _read(name: str, text: str, read: Callable[[str], Any]) -> Any:
    try:
        return read(text)
    except (ValueError, KeyError, OverflowError):
        what = "the database" if name == "/" else f"the option {name}"
        raise ValueError(f"{what} in a Redis URL can't be {text!r}") from None


def _wrong(problem: str) -> ValueError:
    return ValueError(f"a Redis URL looks like {EXAMPLES}; this one has {problem}")
