"""A table in so many characters: which columns have room, and how wide each is."""

from collections.abc import Sequence

from attrs import frozen
from rich.cells import cell_len, set_cell_size

GAP = 2
NAME_MIN = 12
"""Characters that the widest column keeps before others go."""


@frozen
class Cell:
    text: str
    style: str = ""


@frozen(kw_only=True)
class Column:
    """``spare``: the higher, the sooner it goes where room is short; 0 never does. One column of a sheet ``stretches``."""

    title: str
    right: bool = False
    spare: int = 0
    stretches: bool = False
    least: int = 0
    """Its width, whatever is in it: so it does not jump."""


@frozen(kw_only=True)
class Row:
    """``key`` finds it again in the next sheet."""

    key: str
    cells: tuple[Cell, ...]


@frozen(kw_only=True)
class Layout:
    """Which columns are shown, and how wide."""

    columns: Sequence[Column]
    widths: Sequence[int | None]
    """None: it has no room."""

    def heading(self) -> list[Cell]:
        return self._line([Cell(column.title) for column in self.columns])

    def line(self, row: Row) -> list[Cell]:
        return self._line(row.cells)

    def _line(self, cells: Sequence[Cell]) -> list[Cell]:
        """With the gaps between them."""
        made: list[Cell] = []
        for column, width, cell in zip(self.columns, self.widths, cells, strict=True):
            if width is None:
                continue
            if made:
                made.append(Cell(" " * GAP))
            made.append(Cell(fitted(cell.text, width, right=column.right), cell.style))
        return made


def layout(columns: Sequence[Column], rows: Sequence[Row], width: int, *, filled: bool = True) -> Layout:
    """For all of ``rows``, so that nothing moves when others come into view; ``filled`` up to ``width``."""
    natural = [
        max(column.least, cell_len(column.title), *(cell_len(row.cells[index].text) for row in rows), 0)
        for index, column in enumerate(columns)
    ]
    kept = list(range(len(columns)))
    stretching = next(index for index, column in enumerate(columns) if column.stretches)
    for index in sorted(kept, key=lambda index: -columns[index].spare):
        if columns[index].spare == 0 or _room(natural, kept, stretching, width) >= _wanted(
            natural[stretching]
        ):
            break
        kept.remove(index)
    widths: list[int | None] = [natural[index] if index in kept else None for index in range(len(columns))]
    room = max(_room(natural, kept, stretching, width), 1)
    widths[stretching] = room if filled else min(room, natural[stretching])
    return Layout(columns=columns, widths=widths)


def _wanted(natural: int) -> int:
    return min(natural, NAME_MIN)


def _room(natural: Sequence[int], kept: Sequence[int], stretching: int, width: int) -> int:
    """What is left for the column that stretches."""
    others = sum(natural[index] for index in kept if index != stretching)
    return width - others - GAP * (len(kept) - 1)


def fitted(text: str, width: int, *, right: bool = False) -> str:
    """Exactly so wide; what is cut off leaves a mark."""
    wide = cell_len(text)
    if wide > width:
        return f"{set_cell_size(text, width - 1)}…" if width > 0 else ""
    return " " * (width - wide) + text if right else text + " " * (width - wide)
