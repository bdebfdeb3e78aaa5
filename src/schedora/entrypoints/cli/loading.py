"""Find the user's application: ``MODULE:APP`` becomes a ``Schedora``."""

import importlib
import os
import sys
import traceback
from types import ModuleType
from typing import TYPE_CHECKING

from schedora.domain.errors import brief

if TYPE_CHECKING:
    from schedora.entrypoints.sdk.app import Schedora

FORM = "MODULE:APP, like shop.tasks:app"


class WrongApp(Exception):
    """``MODULE:APP`` does not lead to a ``Schedora``. The message is one line that says where it ends."""


def load_app(target: str | None) -> "Schedora":
    """The application that ``target`` names; without one, an application with the built-in handlers only.

    The current directory goes first on ``sys.path`` and stays there: child processes, and handlers that
    import when they run, must find what was found here. Raises ``WrongApp``, and ``WrongSettings`` when the
    application finds its settings wrong.
    """
    if target is None:
        from schedora.entrypoints.sdk.app import Schedora  # noqa: PLC0415 - dear, and not needed for --help

        return Schedora()
    module_name, _, attribute = target.partition(":")
    if not _is_dotted_name(module_name) or not _is_dotted_name(attribute):
        raise WrongApp(f"{brief(target)} is not of the form {FORM}")
    directory = os.getcwd()  # noqa: PTH109 - sys.path holds strings
    if directory not in sys.path:
        sys.path.insert(0, directory)
    return _attribute(_module(module_name), module_name, attribute)


def _is_dotted_name(text: str) -> bool:
    return all(part.isidentifier() for part in text.split("."))


def _module(name: str) -> ModuleType:
    from schedora.entrypoints.settings import WrongSettings  # noqa: PLC0415 - dear, as above

    try:
        return importlib.import_module(name)
    except WrongSettings:
        raise
    except ModuleNotFoundError as error:
        # What is missing is the module asked for, or a package on the way to it; else it imports what is not
        # there, which is another mistake in another place.
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise WrongApp(f"there is no module {name} here or among the installed packages") from None
        raise WrongApp(_failed_import(name, error)) from error
    except (Exception, SystemExit) as error:
        raise WrongApp(_failed_import(name, error)) from error


def _failed_import(name: str, error: BaseException) -> str:
    """One line: what was raised, and in which line of the user's code."""
    kind = type(error).__name__
    if isinstance(error, SyntaxError):
        return f"importing {name} failed: {kind}: {error.msg} ({error.filename}, line {error.lineno})"
    lines = traceback.format_exception_only(error)[0].split()
    own = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if "importlib" not in frame.filename and frame.filename != __file__
    ]
    place = f" ({own[-1].filename}, line {own[-1].lineno})" if own else ""
    return f"importing {name} failed: {' '.join(lines)}{place}"


def _attribute(module: ModuleType, module_name: str, path: str) -> "Schedora":
    from schedora.entrypoints.sdk.app import Schedora  # noqa: PLC0415 - dear, as above

    found: object = module
    for name in path.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            known = sorted(key for key, value in vars(module).items() if isinstance(value, Schedora))
            hint = f"; it has {', '.join(known)}" if known else ""
            raise WrongApp(f"module {module_name} has no attribute {path}{hint}") from None
    if not isinstance(found, Schedora):
        raise WrongApp(f"{module_name}:{path} is no Schedora, but of type {type(found).__name__}")
    return found
