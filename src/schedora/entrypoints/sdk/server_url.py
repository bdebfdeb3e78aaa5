"""The address of a server, as people write it."""

from urllib.parse import SplitResult, urlsplit

from schedora.domain.errors import InvalidField

API = "/api/v1"


def server_address(url: str) -> SplitResult | None:
    """Its parts; None for what is no address of a server."""
    if not url.isprintable() or " " in url:
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # brackets that don't match, a port that is no number
        return None
    served = parts.scheme in {"http", "https"} and parts.hostname and port != 0
    return parts if served and not parts.query and not parts.fragment else None


def api_url(base_url: str) -> str:
    """Where the API is, given the server's URL with or without the API's own part. Raises ``InvalidField``."""
    trimmed = str(base_url).strip()
    if server_address(trimmed) is None:
        raise InvalidField("base_url", base_url, "a URL like http://localhost:8000")
    return trimmed.rstrip("/").removesuffix(API) + API
