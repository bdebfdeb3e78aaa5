"""``schedora why``."""

from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from schedora.entrypoints.cli.printing import cell, plain, print_json, print_line
from schedora.entrypoints.cli.server import DEFAULT_URL, JsonOption, UrlOption, reached

if TYPE_CHECKING:
    from rich.text import Text

    from schedora.entrypoints.sdk.api_views import WhyView


def why(
    job_id: Annotated[UUID, typer.Argument(metavar="JOB_ID", show_default=False)],
    *,
    url: UrlOption = DEFAULT_URL,
    as_json: JsonOption = False,
) -> None:
    """Tell why a job does not run, or what it does."""
    with reached(url) as client:
        found = client.job_why(job_id)
    if as_json:
        print_json(found)
        return
    print_line(_summary(found))
    if len(found.reasons) > 1:
        for reason in found.reasons:
            print_line(f"- {reason.message}")


def _summary(found: "WhyView") -> "Text":
    """The status in its colour."""
    status, _, rest = found.summary.partition(":")
    return cell(status).append(plain(f":{rest}"), style="default")
