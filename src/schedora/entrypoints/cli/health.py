"""``schedora health``."""

import typer

from schedora.entrypoints.cli.exits import FAILED
from schedora.entrypoints.cli.printing import print_details, print_json
from schedora.entrypoints.cli.server import DEFAULT_URL, JsonOption, UrlOption, reached

UNHEALTHY = "unhealthy"


def health(*, url: UrlOption = DEFAULT_URL, as_json: JsonOption = False) -> None:
    """Show how the system is; exit with 1 when it is unhealthy."""
    with reached(url) as client:
        found = client.health()
    if as_json:
        print_json(found)
    else:
        workers = found.workers
        print_details(
            [
                ("status", found.status),
                ("database", found.database),
                ("redis", found.redis),
                ("workers", f"{workers.total}: {workers.active} active, {workers.stale} stale"),
            ]
        )
    if found.status == UNHEALTHY:
        raise typer.Exit(FAILED)
