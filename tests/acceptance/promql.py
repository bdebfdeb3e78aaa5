"""As much of PromQL as the alert rules of ``ops`` need, evaluated over samples that a test makes up.

What is not needed is refused. Its results were held against those of ``promtool test rules`` 2.53, rule by rule, for all
scenarios of ``test_alerts.py``.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from itertools import pairwise
from math import nan
from operator import add, eq, ge, gt, sub
from typing import Self

import promql_parser as promql
from attrs import field, frozen

Labels = frozenset[tuple[str, str]]
Vector = dict[Labels, float]
Curve = Callable[[float], float | None]
"""A value by the second; None where there is none."""

EVERY_SECONDS = 15
"""Between samples, and between evaluations."""


def _over(dividend: float, divisor: float) -> float:
    return dividend / divisor if divisor else nan


COMPARED: Mapping[str, Callable[[float, float], bool]] = {"==": eq, ">": gt, ">=": ge}
COMPUTED: Mapping[str, Callable[[float, float], float]] = {"+": add, "-": sub, "/": _over}
AGGREGATED: Mapping[str, Callable[[Sequence[float]], float]] = {
    "max": max,
    "min": min,
    "sum": sum,
    "count": len,
}


@frozen
class Samples:
    """Of one series: by the time of each."""

    name: str
    labels: Labels
    values: Mapping[float, float]

    @classmethod
    def of(cls, name: str, labels: Labels, curve: Curve, *, end: float) -> Self:
        """One each ``EVERY_SECONDS`` while it is there."""
        told = [(at, curve(at)) for at in range(0, int(end) + 1, EVERY_SECONDS)]
        return cls(name, labels, {at: value for at, value in told if value is not None})

    def within(self, start: float, end: float) -> list[tuple[float, float]]:
        moments = range(-(-int(start) // EVERY_SECONDS) * EVERY_SECONDS, int(end) + 1, EVERY_SECONDS)
        return [(at, self.values[at]) for at in moments if at in self.values]


@frozen
class Moment:
    """All series at one time, at which samples are taken."""

    series: Sequence[Samples]
    now: float

    def vector(self, expression: promql.Expr) -> Vector:
        value = self.value(expression)
        assert isinstance(value, dict), expression.prettify()
        return value

    def value(self, expression: promql.Expr) -> Vector | float:
        match expression:
            case promql.NumberLiteral():
                return expression.val
            case promql.ParenExpr():
                return self.value(expression.expr)
            case promql.VectorSelector():
                found = self._found(expression)
                return {one.labels: one.values[self.now] for one in found if self.now in one.values}
            case promql.AggregateExpr():
                return self._aggregated(expression)
            case promql.Call():
                return self._called(expression)
            case promql.BinaryExpr():
                return self._combined(expression)
        raise NotImplementedError(expression.prettify())

    def _found(self, selector: promql.VectorSelector) -> list[Samples]:
        assert selector.offset is None
        assert selector.at is None
        matchers = selector.matchers.matchers
        return [
            one
            for one in self.series
            if one.name == selector.name and all(_matches(matcher, dict(one.labels)) for matcher in matchers)
        ]

    def _aggregated(self, expression: promql.AggregateExpr) -> Vector:
        gathered: defaultdict[Labels, list[float]] = defaultdict(list)
        modifier = expression.modifier
        for labels, value in self.vector(expression.expr).items():
            kept: Labels = frozenset()
            if modifier is not None:
                by = modifier.type == promql.AggModifierType.By
                kept = frozenset(one for one in labels if (one[0] in modifier.labels) is by)
            gathered[kept].append(value)
        aggregate = AGGREGATED[str(expression.op)]
        return {labels: aggregate(values) for labels, values in gathered.items()}

    def _called(self, expression: promql.Call) -> Vector | float:
        match expression.func.name, [*expression.args]:
            case "time", []:
                return self.now
            case "absent", [promql.VectorSelector() as selector]:
                return {} if self.vector(selector) else {frozenset(): 1.0}
            case "rate" | "increase" as name, [promql.MatrixSelector() as matrix]:
                grown = self._increase(matrix)
                seconds = matrix.range.total_seconds() if name == "rate" else 1
                return {labels: value / seconds for labels, value in grown.items()}
            case "histogram_quantile", [promql.NumberLiteral() as share, promql.Expr() as buckets]:
                return _quantiles(share.val, self.vector(buckets))
        raise NotImplementedError(expression.prettify())

    def _increase(self, matrix: promql.MatrixSelector) -> Vector:
        start = self.now - matrix.range.total_seconds()
        found = self._found(matrix.vector_selector)
        samples = {one.labels: one.within(start, self.now) for one in found}
        return {
            labels: _extrapolated(points, start, self.now)
            for labels, points in samples.items()
            if len(points) > 1
        }

    def _combined(self, expression: promql.BinaryExpr) -> Vector | float:
        name = str(expression.op)
        left, right = self.value(expression.lhs), self.value(expression.rhs)
        if isinstance(left, dict) and isinstance(right, dict):
            return _matched(name, left, right, expression.modifier)
        if isinstance(left, dict):
            assert isinstance(right, float)
            if name in COMPARED:
                return {labels: value for labels, value in left.items() if COMPARED[name](value, right)}
            return {labels: COMPUTED[name](value, right) for labels, value in left.items()}
        if isinstance(right, dict) and name in COMPUTED:
            return {labels: COMPUTED[name](left, value) for labels, value in right.items()}
        raise NotImplementedError(expression.prettify())


def _matches(matcher: promql.Matcher, labels: Mapping[str, str]) -> bool:
    value = labels.get(matcher.name, "")
    if matcher.op == promql.MatchOp.Equal:
        return value == matcher.value
    assert matcher.op == promql.MatchOp.Re
    return re.fullmatch(matcher.value, value) is not None


def _matched(name: str, left: Vector, right: Vector, modifier: promql.BinModifier | None) -> Vector:
    matching = None if modifier is None else modifier.matching

    def key(labels: Labels) -> Labels:
        if matching is None:
            return labels
        named = matching.type == promql.LabelModifierType.Include
        return frozenset(one for one in labels if (one[0] in matching.labels) is named)

    there = {key(labels): value for labels, value in right.items()}
    match name:
        case "and":
            return {labels: value for labels, value in left.items() if key(labels) in there}
        case "unless":
            return {labels: value for labels, value in left.items() if key(labels) not in there}
        case "or":
            here = {key(labels) for labels in left}
            return {**left, **{labels: value for labels, value in right.items() if key(labels) not in here}}
    assert len(there) == len(right), "many to one"
    pairs = [
        (key(labels), value, there[key(labels)]) for labels, value in left.items() if key(labels) in there
    ]
    if name in COMPARED:
        return {labels: one for labels, one, other in pairs if COMPARED[name](one, other)}
    return {labels: COMPUTED[name](one, other) for labels, one, other in pairs}


def _extrapolated(points: Sequence[tuple[float, float]], start: float, end: float) -> float:
    """As Prometheus does it: to the ends of the range unless the series began or ended within it."""
    (first_at, first), (last_at, last) = points[0], points[-1]
    grown = last - first
    for (_, before), (_, after) in pairwise(points):
        grown += before if after < before else 0
    sampled = last_at - first_at
    average = sampled / (len(points) - 1)
    ends = [gap if gap < average * 1.1 else average / 2 for gap in (first_at - start, end - last_at)]
    if grown > 0 and first >= 0:
        ends[0] = min(ends[0], sampled * first / grown)
    return grown * (sampled + sum(ends)) / sampled


def _quantiles(share: float, buckets: Vector) -> Vector:
    gathered: defaultdict[Labels, list[tuple[float, float]]] = defaultdict(list)
    for labels, amount in buckets.items():
        bound = float(dict(labels)["le"])
        gathered[frozenset(one for one in labels if one[0] != "le")].append((bound, amount))
    return {labels: _quantile(share, sorted(one)) for labels, one in gathered.items()}


def _quantile(share: float, buckets: Sequence[tuple[float, float]]) -> float:
    rank = share * buckets[-1][1]
    if not rank:
        return nan
    place = next(n for n, (_, amount) in enumerate(buckets) if amount >= rank)
    if place == len(buckets) - 1:
        return buckets[-2][0]
    low, below = buckets[place - 1] if place else (0.0, 0.0)
    high, amount = buckets[place]
    return low + (high - low) * (rank - below) / (amount - below)


@frozen
class Rule:
    name: str
    expression: promql.Expr = field(converter=promql.parse)
    lasts: timedelta

    def firing(self, series: Sequence[Samples], end: float) -> Iterable[tuple[float, Labels]]:
        """When it fires, and for which labels."""
        since: dict[Labels, float] = {}
        for now in range(0, int(end) + 1, EVERY_SECONDS):
            found = Moment(series, now).vector(self.expression)
            since = {labels: since.get(labels, now) for labels in found}
            for labels, began in since.items():
                if now - began >= self.lasts.total_seconds():
                    yield now, labels
