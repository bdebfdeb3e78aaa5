"""What an operator sees: the commands that tell what happened, as one would type them, on the demo's own system."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from attrs import frozen
from examples.demo.checks import Checks
from examples.demo.orders import DECLINED
from examples.demo.steps import Run, Step
from examples.demo.system import SCHEDORA
from rich.console import Console
from rich.text import Text


@frozen(kw_only=True)
class Said:
    """What a command printed and how it ended."""

    text: str
    status: int


class Operator:
    """Types commands against the API at `url`, and shows what they print."""

    def __init__(
        self, url: str, console: Console, *, directory: Path, command: Sequence[str] = SCHEDORA
    ) -> None:
        self._console = console
        self._directory = directory
        self._command = command
        self._environment = {**os.environ, "SCHEDORA_URL": url, "COLUMNS": str(console.width)}
        if console.is_terminal and not console.no_color:
            self._environment["FORCE_COLOR"] = "1"

    async def types(self, *arguments: str) -> Said:
        """Show the command and what it prints; return that, without colours."""
        self._console.print(Text(f"$ schedora {' '.join(arguments)}", "cyan"), soft_wrap=True)
        process = await asyncio.create_subprocess_exec(
            *self._command,
            *arguments,
            cwd=self._directory,
            env=self._environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        printed, _ = await process.communicate()
        text = Text.from_ansi(printed.decode(errors="replace"))
        text.rstrip()
        self._console.print(text, "", sep="\n", soft_wrap=True)
        return Said(text=text.plain, status=process.returncode or 0)


async def look_into(
    orders: Mapping[str, Run], recovered: Step | None, operator: Operator, checks: Checks
) -> None:
    """Ask why one step never ran, what happened to another whose worker was killed, and whether all is well."""
    declined = orders[DECLINED]
    why = await operator.types("why", declined.step("confirm").job_id)
    checks.expect(
        "`schedora why` names the step that the canceled ones had waited for",
        holds=why.status == 0 and "charge" in why.text,
        found=why.text.splitlines()[0] if why.text else "nothing",
    )
    if recovered is not None:
        trace = await operator.types("trace", recovered.job_id)
        checks.expect(
            "`schedora trace` shows the attempt that was lost and the one that succeeded",
            holds=trace.status == 0 and "worker_lost" in trace.text and "SUCCESS" in trace.text,
            found=trace.text.splitlines()[0] if trace.text else "nothing",
        )
    doctor = await operator.types("doctor")
    checks.expect(
        "`schedora doctor` finds nothing worse than the worker that was killed",
        holds="critical" not in doctor.text,
        found=doctor.text.splitlines()[-1] if doctor.text else "nothing",
    )
