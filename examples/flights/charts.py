"""The kinds of chart in the report. Each takes plain numbers and labels and returns an SVG drawing."""

from collections.abc import Mapping, Sequence

from attrs import frozen
from examples.flights.figures import Interval
from examples.flights.svg import drawing, element, heat, text, ticks, tooltip


@frozen(kw_only=True)
class Value:
    """One bar: its label, its height and what is told when the pointer rests on it."""

    label: str
    minutes: float
    note: str


@frozen(kw_only=True)
class Cell:
    """One field of a heat map."""

    minutes: float
    note: str


def columns(
    values: Sequence[Value], *, title: str, unit: str, width: float = 920, height: float = 300
) -> str:
    """Return upright bars, coloured by their height, over an axis in minutes."""
    left, right, top, bottom = 30.0, 4.0, 22.0, 46.0
    marks = ticks(max(value.minutes for value in values))
    plot_height = height - top - bottom
    slot = (width - left - right) / len(values)
    thickness = min(slot * 0.72, 64.0)

    def y(minutes: float) -> float:
        return top + plot_height * (1 - minutes / marks[-1])

    parts = [_gridline(mark, y(mark), left=left, right=width - right) for mark in marks]
    for position, value in enumerate(values):
        middle = left + slot * (position + 0.5)
        bar = element(
            "rect",
            x=middle - thickness / 2,
            y=y(value.minutes),
            width=thickness,
            height=max(y(0) - y(value.minutes), 0.5),
            rx=3.0,
            fill=heat(0.25 + 0.6 * value.minutes / marks[-1]),
        )
        number = text(
            f"{value.minutes:.0f}", x=middle, y=y(value.minutes) - 6, class_="number", anchor="middle"
        )
        label = text(value.label, x=middle, y=height - bottom + 18, anchor="middle")
        parts.append(element("g", tooltip(f"{value.label}: {value.note}"), bar, number, label, class_="mark"))
    parts.append(text(unit, x=(left + width - right) / 2, y=height - 6, class_="unit", anchor="middle"))
    return drawing(*parts, width=width, height=height, title=title)


def bars(
    values: Sequence[Value], *, title: str, average: float, average_label: str, width: float = 920
) -> str:
    """Return lying bars with a dashed line at the average."""
    left, right, top, row = 230.0, 60.0, 26.0, 26.0
    longest = max(value.minutes for value in values)
    height = top + row * len(values) + 4

    def x(minutes: float) -> float:
        return left + (width - left - right) * minutes / longest

    parts, numbers = [], []
    for position, value in enumerate(values):
        y = top + row * position
        parts.append(
            element(
                "g",
                tooltip(f"{value.label}: {value.note}"),
                text(value.label, x=left - 12, y=y + row / 2 + 4, anchor="end"),
                element(
                    "rect",
                    x=left,
                    y=y + 4,
                    width=max(x(value.minutes) - left, 0.5),
                    height=row - 8,
                    rx=3.0,
                    fill=heat(0.25 + 0.6 * value.minutes / longest),
                ),
                class_="mark",
            )
        )
        numbers.append(
            text(f"{value.minutes:.1f}", x=x(value.minutes) + 8, y=y + row / 2 + 4, class_="number halo")
        )
    parts.append(element("line", x1=x(average), x2=x(average), y1=top - 2, y2=height - 2, class_="average"))
    parts.append(text(average_label, x=x(average), y=top - 10, class_="unit", anchor="middle"))
    return drawing(*parts, *numbers, width=width, height=height, title=title)


def line_with_band(
    points: Sequence[Value],
    band: Sequence[Interval],
    *,
    title: str,
    unit: str,
    width: float = 920,
    height: float = 320,
) -> str:
    """Return a line through the points over the band of their intervals."""
    left, right, top, bottom = 40.0, 16.0, 22.0, 46.0
    marks = ticks(max(interval.high_minutes for interval in band))
    step = (width - left - right) / len(points)

    def x(position: int) -> float:
        return left + step * (position + 0.5)

    def y(minutes: float) -> float:
        return top + (height - top - bottom) * (1 - minutes / marks[-1])

    upper = [(x(i), y(interval.high_minutes)) for i, interval in enumerate(band)]
    lower = [(x(i), y(interval.low_minutes)) for i, interval in enumerate(band)]
    line = [(x(i), y(point.minutes)) for i, point in enumerate(points)]
    parts = [_gridline(mark, y(mark), left=left, right=width - right) for mark in marks]
    parts.append(element("polygon", points=_path([*upper, *reversed(lower)]), class_="band"))
    parts.append(element("polyline", points=_path(line), class_="line"))
    for point, (at_x, at_y) in zip(points, line, strict=True):
        parts.append(
            element(
                "g",
                tooltip(f"{point.label}: {point.note}"),
                element("circle", cx=at_x, cy=at_y, r=5, class_="dot"),
                text(f"{point.minutes:.1f}", x=at_x, y=at_y - 12, class_="number halo", anchor="middle"),
                text(point.label, x=at_x, y=height - bottom + 18, anchor="middle"),
                class_="mark",
            )
        )
    parts.append(text(unit, x=(left + width - right) / 2, y=height - 6, class_="unit", anchor="middle"))
    return drawing(*parts, width=width, height=height, title=title)


def heat_map(
    rows: Sequence[str],
    column_names: Sequence[str],
    cells: Mapping[tuple[int, int], Cell],
    *,
    title: str,
    hottest_minutes: float,
    width: float = 920,
) -> str:
    """Return a field for each row and column, darker the longer the delay; a field with no flight is empty."""
    left, top, row_height = 212.0, 24.0, 30.0
    column_width = (width - left) / len(column_names)
    parts = [
        text(name, x=left + column_width * (i + 0.5), y=top - 8, anchor="middle")
        for i, name in enumerate(column_names)
    ]
    for i, row in enumerate(rows):
        y = top + row_height * i
        parts.append(text(row, x=left - 12, y=y + row_height / 2 + 4, anchor="end"))
        for j in range(len(column_names)):
            x = left + column_width * j
            box = {"x": x + 1, "y": y + 1, "width": column_width - 2, "height": row_height - 2, "rx": 3.0}
            cell = cells.get((i, j))
            if cell is None:
                parts.append(element("rect", **box, class_="empty"))
                continue
            share = cell.minutes / hottest_minutes
            parts.append(
                element(
                    "g",
                    tooltip(cell.note),
                    element("rect", **box, fill=heat(share)),
                    text(
                        f"{cell.minutes:.0f}",
                        x=x + column_width / 2,
                        y=y + row_height / 2 + 4,
                        class_="on-dark" if share > 0.68 else "on-light",
                        anchor="middle",
                    ),
                    class_="mark",
                )
            )
    return drawing(*parts, width=width, height=top + row_height * len(rows) + 2, title=title)


def _gridline(mark: float, y: float, *, left: float, right: float) -> str:
    return element("line", x1=left, x2=right, y1=y, y2=y, class_="grid") + text(
        f"{mark:.0f}", x=left - 8, y=y + 4, class_="axis", anchor="end"
    )


def _path(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
