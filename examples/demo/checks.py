"""What the demo expects of itself: each expectation is noted with what came of it."""

from attrs import define, field, frozen
from rich.console import Console
from rich.padding import Padding
from rich.text import Text


@frozen(kw_only=True)
class Check:
    """An expectation and whether it held."""

    claim: str
    holds: bool
    found: str


@define
class Checks:
    """The expectations so far."""

    noted: list[Check] = field(factory=list)

    def expect(self, claim: str, *, holds: bool, found: object) -> None:
        """Note an expectation, whether it held and what was found."""
        self.noted.append(Check(claim=claim, holds=holds, found=str(found)))

    @property
    def all_hold(self) -> bool:
        """Whether every expectation held."""
        return all(check.holds for check in self.noted)

    @property
    def failed(self) -> int:
        """How many expectations did not hold."""
        return sum(not check.holds for check in self.noted)

    def print_to(self, console: Console) -> None:
        """Print a line for each expectation; what was found goes below it where the line would be too long."""
        for check in self.noted:
            line = Text().append(*((" ✔ ", "green") if check.holds else (" ✖ ", "bold red")))
            line.append(check.claim, "" if check.holds else "bold red")
            found = Text(check.found, "dim")
            if line.cell_len + 2 + found.cell_len <= console.width:
                console.print(line.append("  ").append_text(found))
            else:
                console.print(line)
                console.print(Padding(found, (0, 0, 0, 5), expand=False))
