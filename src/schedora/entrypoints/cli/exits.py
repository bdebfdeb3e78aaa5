"""How the command ends: a status that scripts rely on, and at most one line that says why.

=====  =================================================================================================
0      done
1      failed: the server refuses or can't be reached, what is asked for is not there, a job did not succeed
2      wrong use or wrong configuration
130    interrupted from the keyboard; ``top`` alike by other signals: 128 and their number
=====  =================================================================================================
"""

import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from schedora.entrypoints.cli.loading import WrongApp
from schedora.entrypoints.cli.printing import one_line

FAILED = 1
WRONG_USE = 2
INTERRUPTED = 130
SIGNALED = 128
"""And the number of the signal."""


class Failed(Exception):
    """The command did what it could and has one line to say about it: status 1."""


class Misused(Exception):
    """What was typed can't be meant: status 2."""


class CommandGroup(TyperGroup):
    """Takes ``--url`` and ``--json`` before the name of a command as well as behind it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, handed_down(args))


class SchedoraCommand(CommandGroup):
    """The whole command. Every error that a user can cause becomes one line on standard error."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> NoReturn:
        del standalone_mode  # this class ends the process itself, or an embedding test catches SystemExit
        arguments = sys.argv[1:] if args is None else list(args)
        try:
            check_encoding(arguments)
            status = super().main(
                args=None if args is None else arguments,
                prog_name=prog_name,
                complete_var=complete_var,
                standalone_mode=False,
                windows_expand_args=windows_expand_args,
                **extra,
            )
            sys.stdout.flush()
        except BrokenPipeError:
            leave_standard_output()
            sys.exit(FAILED)
        except typer.Abort:  # an end of file or Ctrl-C at a question
            sys.exit(INTERRUPTED)
        except Exception as error:
            ending = explained(error)
            if ending is None:
                raise
            status, line = ending
            print(f"schedora: {one_line(line)}", file=sys.stderr)  # noqa: T201 - this is the command's voice
        sys.exit(status or 0)


def handed_down(args: Sequence[str]) -> list[str]:
    """``args`` with the shared options that stand first put behind the name that follows them."""
    rest = list(args)
    shared: list[str] = []
    while rest:
        if rest[0] == "--json" or rest[0].startswith("--url="):
            shared.append(rest.pop(0))
        elif rest[0] == "--url" and len(rest) > 1:
            shared += rest[:2]
            del rest[:2]
        else:
            break
    return [*rest[:1], *shared, *rest[1:]]


def check_encoding(arguments: Sequence[str]) -> None:
    """Raises ``Misused`` for bytes that are no text: no job could carry them."""
    for position, argument in enumerate(arguments, start=1):
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise Misused(f"argument {position} is not valid UTF-8: {argument!r}") from None


def leave_standard_output() -> None:
    """Nobody reads any more: the interpreter's last flush must not complain about it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def explained(error: Exception) -> tuple[int, str] | None:
    """The status and the line for an error that is not a defect of this program; None for the others."""
    match error:
        case typer.TyperException():
            return error.exit_code, _usage_line(error)
        case WrongApp() | Misused():
            return WRONG_USE, str(error)
        case Failed():
            return FAILED, str(error)
    # Imported here: such errors only come up once their packages are loaded, and the cases above load none.
    from schedora.adapters.postgres.embedded import EmbeddedUnavailable  # noqa: PLC0415
    from schedora.application.errors import NotJson, StoreUnavailable  # noqa: PLC0415
    from schedora.domain.errors import InvalidField  # noqa: PLC0415
    from schedora.entrypoints.api.service import PortInUse  # noqa: PLC0415
    from schedora.entrypoints.sdk.errors import SchedoraError  # noqa: PLC0415
    from schedora.entrypoints.settings import WrongSettings  # noqa: PLC0415

    match error:
        case WrongSettings() | NotJson() | InvalidField():
            return WRONG_USE, str(error)
        case SchedoraError() | StoreUnavailable() | EmbeddedUnavailable() | PortInUse():
            return FAILED, str(error)
        case OSError():
            reason = error.strerror or str(error) or type(error).__name__
            return FAILED, f"{reason}: {error.filename}" if error.filename else reason
    return None


def _usage_line(error: typer.TyperException) -> str:
    message = error.format_message().replace("Value error, ", "").rstrip(".")
    context = getattr(error, "ctx", None)
    if context is None:
        return message
    return f"{message} (see {context.command_path} --help)"
