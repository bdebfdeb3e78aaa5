"""A workflow's graph as lines of text: steps in columns, joined by the lines of a box drawing."""

from collections.abc import Sequence

from examples.demo.steps import Run, Step, layers
from rich.text import Text

UP, DOWN, LEFT, RIGHT = 1, 2, 4, 8
JOINTS = {
    0: " ",
    LEFT | RIGHT: "─",
    UP | DOWN: "│",
    DOWN | RIGHT: "┌",
    DOWN | LEFT: "┐",
    UP | RIGHT: "└",
    UP | LEFT: "┘",
    UP | DOWN | RIGHT: "├",
    UP | DOWN | LEFT: "┤",
    DOWN | LEFT | RIGHT: "┬",
    UP | LEFT | RIGHT: "┴",
    UP | DOWN | LEFT | RIGHT: "┼",
}
LOOKS = {
    "PENDING": ("·", "dim"),
    "SCHEDULED": ("○", "cyan"),
    "RUNNING": ("●", "bold blue"),
    "SUCCESS": ("✔", "green"),
    "FAILED": ("✖", "red"),
    "RETRYING": ("↻", "bold yellow"),
    "DEAD": ("✖", "bold red"),
    "CANCELED": ("⊘", "magenta"),
}
"""How each state is drawn: its sign and its style."""

LINE_STYLE = "dim"


def draw_graph(run: Run, *, with_keys: bool) -> list[Text]:
    """Return the graph's lines, without the steps' keys where the reader knows them from elsewhere."""
    columns = layers(run.steps)
    height = max(len(column) for column in columns)
    rows = {
        step.key: (height - len(column)) // 2 + position
        for column in columns
        for position, step in enumerate(column)
    }
    lines = [Text(no_wrap=True, overflow="ellipsis") for _ in range(height)]
    for number, column in enumerate(columns):
        following = columns[number + 1] if number + 1 < len(columns) else []
        joints = _joints(following, rows, height)
        width = max(len(_label(step, with_keys=with_keys)) for step in column) + 1
        labels = {rows[step.key]: _label(step, with_keys=with_keys) for step in column}
        for row, line in enumerate(lines):
            label = labels.get(row, Text())
            line.append_text(label)
            reach = "─" if row in labels and joints[row] & LEFT else " "
            if following:
                line.append((" " if label else "").ljust(width - len(label), reach), LINE_STYLE)
                line.append(_joint(joints[row]), LINE_STYLE)
    return lines


def legend() -> Text:
    """Return a line that explains the signs."""
    line = Text(no_wrap=True, overflow="ellipsis")
    for status, (sign, style) in LOOKS.items():
        if status != "FAILED":  # passed through on the way to RETRYING or DEAD
            line.append(f"{sign} {status.lower()}  ", style)
    line.rstrip()
    return line


def _label(step: Step, *, with_keys: bool) -> Text:
    sign, style = LOOKS[step.status]
    label = Text(f"{sign} {step.key}" if with_keys else sign, style)
    return label.append(f" {step.attempt or '-'}·{step.worker or '--'}", "dim")


def _joints(following: Sequence[Step], rows: dict[str, int], height: int) -> list[int]:
    """Return for each row the directions in which the lines to the following column leave its joint."""
    joints = [0] * height
    for step in following:
        for upstream in step.after:
            top, bottom = sorted((rows[upstream], rows[step.key]))
            joints[rows[upstream]] |= LEFT
            joints[rows[step.key]] |= RIGHT
            for row in range(top, bottom + 1):
                joints[row] |= (UP if row > top else 0) | (DOWN if row < bottom else 0)
    return joints


def _joint(directions: int) -> str:
    left = "─" if directions & LEFT else " "
    right = "─" if directions & RIGHT else " "
    return f"{left}{JOINTS[directions]}{right} "
