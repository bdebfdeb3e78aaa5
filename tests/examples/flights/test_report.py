"""The page about the flights, and the drawings in it."""

import re
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest
from examples.flights.charts import Cell, Value, bars, columns, heat_map, line_with_band
from examples.flights.figures import Figures, Interval
from examples.flights.report import render_report
from examples.flights.source import airport_names, carrier_names
from examples.flights.svg import drawing, element, heat, text, ticks

SVG = "{http://www.w3.org/2000/svg}"
VALUES = [Value(label="<a> & b", minutes=10, note='"quoted"'), Value(label="c", minutes=20, note="")]


class Balance(HTMLParser):
    """Notes the elements that are open, and fails at one that is closed out of turn."""

    VOID = frozenset({"meta", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def page(year: Figures) -> str:
    return render_report(year, carriers=carrier_names(), airports=airport_names())


def test_the_page_names_the_figures(page: str) -> None:
    for shown in ("336,776", "12.64 min", "8,255", "Frontier Airlines Inc.", "Newark Liberty Intl"):
        assert shown in page


def test_the_page_is_well_formed_and_needs_no_other_file(page: str) -> None:
    balance = Balance()
    balance.feed(page)
    assert balance.open == []
    without_namespaces = page.replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?://|<script|<link|src=|url\(", without_namespaces)
    drawings = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(drawings) == 9
    for drawn in drawings:
        ET.fromstring(drawn)


def test_small_groups_are_left_out_of_the_rankings(page: str) -> None:
    assert "SkyWest" not in page, "32 flights in the year"


def test_a_code_without_a_name_stands_for_itself(year: Figures) -> None:
    assert ">UA</text>" in render_report(year, carriers={}, airports={})


@pytest.mark.parametrize(
    "drawn",
    [
        columns(VALUES, title="t", unit="u"),
        bars(VALUES, title="t", average=15, average_label="mean"),
        line_with_band(VALUES, [Interval(low_minutes=5, high_minutes=25)] * 2, title="t", unit="u"),
    ],
)
def test_labels_are_escaped_and_taller_is_more(drawn: str) -> None:
    root = ET.fromstring(drawn)
    assert "<a> & b" in [node.text for node in root.iter(f"{SVG}text")]
    assert '<a> & b: "quoted"' in [node.text for node in root.iter(f"{SVG}title")]


def test_a_column_twice_as_high_is_drawn_twice_as_tall() -> None:
    root = ET.fromstring(columns(VALUES, title="t", unit="u"))
    low, high = (float(node.get("height", "nan")) for node in root.iter(f"{SVG}rect"))
    assert high == pytest.approx(2 * low, abs=0.02)


def test_a_heat_map_leaves_a_field_empty_that_has_no_flight() -> None:
    drawn = heat_map(
        ["UA"], ["Jan", "Feb"], {(0, 0): Cell(minutes=9, note="n")}, title="t", hottest_minutes=10
    )
    filled, empty = ET.fromstring(drawn).iter(f"{SVG}rect")
    assert (filled.get("fill"), empty.get("class")) == (heat(0.9), "empty")


def test_heat_runs_from_light_to_dark_and_stops_at_its_ends() -> None:
    assert heat(-1) == heat(0) == "rgb(255 246 224)"
    assert heat(2) == heat(1) == "rgb(151 29 48)"
    assert heat(0.5) == "rgb(253 166 84)"


@pytest.mark.parametrize(
    ("highest", "expected"),
    [
        (24.8, [0, 5, 10, 15, 20, 25]),
        (43.7, [0, 10, 20, 30, 40, 50]),
        (5.0, [0, 1, 2, 3, 4, 5]),
        (800.0, [0, 200, 400, 600, 800]),
    ],
)
def test_an_axis_has_few_round_marks(highest: float, expected: list[float]) -> None:
    assert list(ticks(highest)) == expected


def test_elements_escape_their_attributes() -> None:
    assert element("g", class_='a"<', x=1.5, y=2.0) == '<g class="a&quot;&lt;" x="1.5" y="2"></g>'
    assert (
        ET.fromstring(drawing(text("x", x=1, y=2), width=3, height=4, title="t")).get("viewBox") == "0 0 3 4"
    )
