"""``ops``: what Prometheus and Grafana are given to watch Schedora by, held against what a running system tells."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
from attrs import frozen
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from schedora.adapters.telemetry.prometheus import LABELS
from schedora.application.ports.metrics import GAUGE_LABELS, Gauge
from tests.acceptance.api import Api, fresh
from tests.docs.pages import anchors, read_yaml
from tests.programs import until

ROOT = Path(__file__).parents[2]
RULES = ROOT / "ops" / "prometheus" / "alerts.yml"
SCRAPING = ROOT / "ops" / "prometheus" / "prometheus.yml"
DASHBOARD = ROOT / "ops" / "grafana" / "schedora.json"
OPERATING = ROOT / "docs" / "operating.md"

SUFFIXES = ("", "_total", "_bucket", "_sum", "_count")
PROMETHEUS_OWN = {"up": {"job", "instance"}}
"""What Prometheus itself adds."""

STAND_INS = {"$__rate_interval": "5m", "$queue": ".*", "$job_type": ".*"}
"""What Grafana puts in."""

ALERTS: list[dict[str, Any]] = [
    rule for group in read_yaml(RULES.read_text())["groups"] for rule in group["rules"]
]
BOARD = json.loads(DASHBOARD.read_text())
PANELS: list[dict[str, Any]] = [panel for panel in BOARD["panels"] if panel["type"] != "row"]


def _filled(expression: str) -> str:
    for name, value in STAND_INS.items():
        expression = expression.replace(name, value)
    assert "$" not in expression, f"a variable that the dashboard does not have: {expression}"
    return expression


EXPRESSIONS = {
    **{rule["alert"]: rule["expr"] for rule in ALERTS},
    **{
        f"{panel['title']} {target['refId']}": _filled(target["expr"])
        for panel in PANELS
        for target in panel["targets"]
    },
}


@frozen
class Scrape:
    families: dict[str, Metric]
    labels: dict[str, set[str]]
    """Of each sample's name."""


@pytest.fixture(scope="module")
def scrape(api: Api) -> Scrape:
    """Of a system in which each kind of thing has happened."""
    api.ended(api.submit(type="echo")["job_id"])
    api.ended(api.submit(type="fail", payload={"message": "no"}, max_retries=0)["job_id"])
    canceled = api.submit(queue=fresh("queue"), scheduled_at="2100-01-01T00:00:00Z")
    api.post(f"/jobs/{canceled['job_id']}/cancel")
    text = ""

    def all_told() -> bool:
        nonlocal text
        text = api.http.get("/metrics").text
        return all(
            sample in text
            for sample in ('jobs_succeeded_total{job_type="echo"}', "reaper_last_round_timestamp_seconds{",
                           "jobs_canceled_total{", 'jobs_dead_total{job_type="fail"}')
        )  # fmt: skip

    until(all_told, "what happened to be counted")
    families = {family.name: family for family in text_string_to_metric_families(text)}
    labels: dict[str, set[str]] = {}
    for family in families.values():
        declared = {*LABELS.get(family.name, ()), *LABELS.get(f"{family.name}_total", ())}
        if family.name in set(Gauge):
            declared = {"kind", "process", *GAUGE_LABELS[Gauge(family.name)]}
        for suffix in SUFFIXES:
            labels.setdefault(family.name + suffix, set()).update(declared)
        labels[f"{family.name}_bucket"].add("le")
        for sample in family.samples:
            labels.setdefault(sample.name, set()).update(sample.labels)
    return Scrape(families, labels | PROMETHEUS_OWN)


def parts(expression: promql_parser.Expr) -> Iterator[promql_parser.Expr]:
    """An expression and all that is in it."""
    yield expression
    for name in ("expr", "lhs", "rhs", "vector_selector", "param"):
        inner = getattr(expression, name, None)
        if isinstance(inner, promql_parser.Expr):
            yield from parts(inner)
    for inner in getattr(expression, "args", ()):
        yield from parts(inner)


def labels_of(scrape: Scrape, expression: promql_parser.Expr) -> set[str]:
    """Those of all series that are in it, each looked for in the scrape."""
    found: set[str] = set()
    selectors = [part for part in parts(expression) if isinstance(part, promql_parser.VectorSelector)]
    assert selectors, "nothing is looked at"
    for part in selectors:
        assert part.name in scrape.labels, f"there is no {part.name}"
        known = scrape.labels[part.name]
        matched = {matcher.name for matcher in part.matchers.matchers} - {"__name__"}
        assert matched <= known, f"{part.name} has no {matched - known}"
        found |= known
    return found


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_each_metric_and_label_exists(scrape: Scrape, name: str) -> None:
    expression = promql_parser.parse(EXPRESSIONS[name])
    known = labels_of(scrape, expression)
    for part in parts(expression):
        modifier = getattr(part, "modifier", None)
        if isinstance(part, promql_parser.AggregateExpr) and modifier is not None:
            assert set(modifier.labels) <= labels_of(scrape, part.expr)
        elif isinstance(part, promql_parser.BinaryExpr) and modifier is not None and modifier.matching:
            assert set(modifier.matching.labels) <= known


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_the_greatest_is_taken_among_apis_that_tell_the_same_and_not_among_other_series(name: str) -> None:
    for part in parts(promql_parser.parse(EXPRESSIONS[name])):
        if not (isinstance(part, promql_parser.AggregateExpr) and str(part.op) == "max"):
            continue
        if not (isinstance(part.expr, promql_parser.Call) and part.expr.func.name in {"rate", "increase"}):
            continue
        (matrix,) = part.expr.args
        counted = matrix.vector_selector.name
        kept = {*part.modifier.labels} if part.modifier is not None else set()
        apart = LABELS.get(counted) or LABELS.get(re.sub(r"_(bucket|sum|count)$", "", counted), ())
        assert {*apart, *(["le"] if counted.endswith("_bucket") else [])} <= kept


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_follows_and_where_help_is(scrape: Scrape, rule: dict[str, Any]) -> None:
    told = rule["annotations"]
    page, _, anchor = told["runbook_url"].partition("#")
    assert page.endswith("/docs/operating.md")
    assert anchor in anchors(OPERATING)
    assert f"`{rule['alert']}`" in OPERATING.read_text()
    assert told["description"].endswith(".")
    assert rule["labels"]["severity"] in {"info", "warning", "critical"}
    named = set(re.findall(r"\$labels\.(\w+)", told["summary"]))
    assert named <= labels_of(scrape, promql_parser.parse(rule["expr"]))


def test_each_alert_has_a_name_of_its_own_and_each_runbook_an_alert() -> None:
    names = [rule["alert"] for rule in ALERTS]
    assert len(names) == len(set(names))
    assert set(re.findall(r"`(Schedora[A-Z]\w+)`", OPERATING.read_text())) == set(names)


def test_the_scraping_finds_the_rules_and_the_job_that_they_name() -> None:
    scraping = read_yaml(SCRAPING.read_text())
    assert [SCRAPING.parent / name for name in scraping["rule_files"]] == [RULES]
    assert [job["job_name"] for job in scraping["scrape_configs"]] == ["schedora"]
    assert 'up{job="schedora"}' in RULES.read_text()


def test_variables_of_the_dashboard_are_labels_that_exist(scrape: Scrape) -> None:
    queries = [one["query"]["query"] for one in BOARD["templating"]["list"] if one["type"] == "query"]
    for query in queries:
        metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", query).groups()  # type: ignore[union-attr]
        assert label in scrape.labels[metric]


def test_panels_stand_side_by_side_and_their_legends_name_labels_that_exist(scrape: Scrape) -> None:
    places: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not places & cells, f"{panel['title']} stands on another"
        assert at["x"] + at["w"] <= 24
        places |= cells
    for panel in PANELS:
        for target in panel["targets"]:
            named = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
            assert named <= labels_of(scrape, promql_parser.parse(_filled(target["expr"])))


UNITS = re.compile(
    r"(^|_)((milli|micro|nano)?seconds|minutes|hours|days|weeks|((kilo|mega|giga|kibi|mebi|gibi)?bytes)|percent)(_|$)"
)
ABBREVIATED = re.compile(r"_(s|ms|us|ns|sec|b|kb|mb|pct)(_|$)")


def test_names_follow_the_rules_of_prometheus(scrape: Scrape) -> None:
    """Those of ``promtool check metrics``."""
    for name, family in scrape.families.items():
        assert re.fullmatch(r"[a-z][a-z0-9_]*", name), name
        assert family.documentation.endswith("."), f"{name} has no help"
        assert not re.search(r"_(count|sum|bucket|info)$", name.removesuffix("_info")), name
        assert not re.search(r"(^|_)(gauge|counter|histogram|summary|metric)(_|$)", name), name
        assert not ABBREVIATED.search(name), name
        units = {found.group(2) for found in UNITS.finditer(name)}
        assert units <= {"seconds", "bytes"}, name
        assert not name.endswith("_total") or family.type == "counter", name
        for sample in family.samples:
            if family.type == "counter":
                assert sample.name.endswith("_total"), name
            if family.type != "histogram":
                assert not {"le", "quantile"} & sample.labels.keys()
            assert all(re.fullmatch(r"[a-z][a-z0-9_]*", label) for label in sample.labels), name
