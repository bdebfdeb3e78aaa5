"""``schedora doctor``."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from schedora.diagnosis.wording import counted
from schedora.entrypoints.cli.exits import FAILED, Failed, Misused
from schedora.entrypoints.cli.printing import plain, print_json, print_line
from schedora.entrypoints.cli.processes import DataDirOption
from schedora.entrypoints.cli.server import DEFAULT_URL, JsonOption, UrlOption, reached

if TYPE_CHECKING:
    from schedora.entrypoints.sdk.api_views import CheckView, DeepHealthView, FindingView

STYLES = {"ok": "bright_black", "warning": "bold yellow", "critical": "bold red"}
INDENT = "          "

DirectOption = Annotated[
    bool,
    typer.Option(
        "--direct",
        help="Examine the database and the Redis of the settings from here, without a server of Schedora's.",
    ),
]


def doctor(
    *,
    direct: DirectOption = False,
    data_dir: DataDirOption = None,
    url: UrlOption = DEFAULT_URL,
    as_json: JsonOption = False,
) -> None:
    """Find what is wrong, what follows from it and what helps; exit with 1 when there is anything."""
    found = _examined(data_dir) if direct else _asked(url, data_dir)
    if as_json:
        print_json(found)
    else:
        _print(found)
    if found.status != "ok":
        raise typer.Exit(FAILED)


def _asked(url: str, data_dir: Path | None) -> "DeepHealthView":
    if data_dir is not None:
        raise Misused("--data-dir goes with --direct: a server knows its own")
    try:
        with reached(url) as client:
            return client.deep_health()
    except Failed as error:
        raise Failed(f"{error}; --direct examines from here, without it") from error


def _examined(data_dir: Path | None) -> "DeepHealthView":
    # As it would have come over the wire.
    from schedora.entrypoints.api.answers import encoded  # noqa: PLC0415 - --help must not load it
    from schedora.entrypoints.api.schemas.health import deep_health_view  # noqa: PLC0415
    from schedora.entrypoints.doctor import examine_directly  # noqa: PLC0415
    from schedora.entrypoints.sdk.api_views import DeepHealthView  # noqa: PLC0415
    from schedora.entrypoints.sdk.decoding import whole  # noqa: PLC0415

    return whole(DeepHealthView)(encoded(deep_health_view(examine_directly(data_dir))))


def _print(found: "DeepHealthView") -> None:
    """Worst first, what could not be done at the end, and a line that says how much that was."""
    bad = [finding for finding in found.findings if finding.severity != "ok"]
    for finding in bad:
        _print_finding(finding)
    for finding in found.findings:
        if finding.severity == "ok":
            _print_line("ok", f"{finding.found} ({finding.code})")
    for reason, names in _not_done(found.checks):
        _print_line("not done", f"{', '.join(names)}: {reason}")
    checks = f"{counted(len(found.checks), 'check')} in {found.seconds:.1f} s"
    undone = sum(check.not_done is not None for check in found.checks)
    missing = f", {undone} of them not done or not whole" if undone else ""
    if bad:
        _print_summary(f"{counted(len(bad), 'finding')} by {checks}{missing}", STYLES[found.status])
    else:
        _print_summary(f"All is well: {checks}{missing}", "green" if not undone else "yellow")


def _print_finding(finding: "FindingView") -> None:
    _print_line(finding.severity, f"{finding.found} ({finding.code})")
    print_line(plain(f"{INDENT}{finding.consequence}"))
    print_line(plain(f"{INDENT}Fix: {finding.fix}"))


def _print_line(word: str, said: str) -> None:
    from rich.text import Text  # noqa: PLC0415 - dear, and not needed for --json

    line = Text(word.ljust(len(INDENT)), style=STYLES.get(word, "yellow"))
    print_line(line.append_text(Text(plain(said), style="default")))


def _print_summary(text: str, style: str) -> None:
    from rich.text import Text  # noqa: PLC0415 - as above

    print_line(Text(text, style=style))


def _not_done(checks: "Iterable[CheckView]") -> list[tuple[str, list[str]]]:
    """Checks by why they could not be done: one reason may stand for many."""
    reasons: dict[str, list[str]] = {}
    for check in checks:
        if check.not_done is not None:
            reasons.setdefault(check.not_done, []).append(check.name)
    return list(reasons.items())
