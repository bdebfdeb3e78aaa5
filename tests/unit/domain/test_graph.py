"""The graph of a workflow's jobs."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedora.domain.errors import CycleFound, DuplicateKey, InvalidGraph, UnknownKey
from schedora.domain.graph import Graph, unique_keys

NODES = st.integers(0, 11)


@st.composite
def acyclic(draw: st.DrawFn) -> dict[int, list[int]]:
    """Edges from smaller to greater numbers alone, told in any order."""
    nodes = draw(st.permutations(range(draw(st.integers(0, 12)))))
    return {node: draw(st.lists(st.integers(0, node - 1), unique=True)) if node else [] for node in nodes}


any_edges = st.dictionaries(NODES, st.lists(NODES, unique=True)).map(
    lambda edges: {node: [cause for cause in causes if cause in edges] for node, causes in edges.items()}
)


def reachable(depends_on: dict[int, list[int]], start: int) -> set[int]:
    """What depends on ``start``, by trying every edge until nothing is new."""
    reached: set[int] = set()
    while more := {
        node
        for node, causes in depends_on.items()
        if node not in reached and any(cause == start or cause in reached for cause in causes)
    }:
        reached |= more
    return reached


@given(acyclic())
def test_order_puts_causes_before_effects(depends_on: dict[int, list[int]]) -> None:
    graph = Graph(depends_on)
    assert sorted(graph.order) == sorted(depends_on)
    place = {node: position for position, node in enumerate(graph.order)}
    assert all(place[cause] < place[node] for node, causes in depends_on.items() for cause in causes)


@given(acyclic())
def test_neighbours_are_those_of_the_edges(depends_on: dict[int, list[int]]) -> None:
    graph = Graph(depends_on)
    for node, causes in depends_on.items():
        assert graph.upstream(node) == tuple(causes)
        assert set(graph.dependants(node)) == {n for n, upstream in depends_on.items() if node in upstream}
    assert set(graph.roots()) == {node for node, causes in depends_on.items() if not causes}


@given(acyclic(), st.data())
def test_downstream_is_all_that_can_be_reached(depends_on: dict[int, list[int]], data: st.DataObject) -> None:
    graph = Graph(depends_on)
    starts = data.draw(st.lists(st.sampled_from(sorted(depends_on)), unique=True)) if depends_on else []
    downstream = graph.downstream(starts)
    assert set(downstream) == set().union(*(reachable(depends_on, start) for start in starts))
    assert list(downstream) == [node for node in graph.order if node in downstream]


@given(any_edges)
def test_cycle_is_found_if_there_is_one_and_its_path_is_one(depends_on: dict[int, list[int]]) -> None:
    has_cycle = any(node in reachable(depends_on, node) for node in depends_on)
    if not has_cycle:
        Graph(depends_on)
        return
    with pytest.raises(CycleFound) as caught:
        Graph(depends_on)
    path = [int(node) for node in caught.value.path]
    assert path[0] == path[-1]
    assert len(set(path)) == len(path) - 1 >= 1
    assert all(cause in depends_on[effect] for cause, effect in pairwise(path))


def test_cycle_is_told_with_its_path() -> None:
    with pytest.raises(CycleFound, match="a -> b -> a") as caught:
        Graph({"start": [], "a": ["b", "start"], "b": ["a"], "end": ["b"]})
    assert caught.value.path == ("a", "b", "a")


def test_dependency_on_itself_is_the_shortest_cycle() -> None:
    with pytest.raises(CycleFound, match="a -> a"):
        Graph({"a": ["a"]})


def test_unknown_dependency_is_told_with_who_named_it() -> None:
    with pytest.raises(UnknownKey, match="'b' depends on 'x', which is not in this workflow") as caught:
        Graph({"a": [], "b": ["a", "x"]})
    assert caught.value.path == ("b", "x")
    assert isinstance(caught.value, InvalidGraph)


def test_deep_graph_needs_no_deep_stack() -> None:
    depth = 20_000
    graph = Graph({node: [node - 1] if node else [] for node in range(depth)})
    assert graph.order == tuple(range(depth))
    assert len(graph.downstream([0])) == depth - 1
    with pytest.raises(CycleFound) as caught:
        Graph({node: [(node - 1) % depth] for node in range(depth)})
    assert len(caught.value.path) == depth + 1


@given(st.lists(st.text(max_size=2)))
def test_duplicate_key_is_named(keys: list[str]) -> None:
    if len(set(keys)) == len(keys):
        unique_keys(keys)
        return
    with pytest.raises(DuplicateKey) as caught:
        unique_keys(keys)
    [key] = caught.value.path
    assert keys.count(key) > 1
