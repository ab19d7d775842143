"""What flows back along the edges, and the multi-path chain rule read off the drawing."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import autograd_core as ag
from autograd_core.render import drawing_of
from autograd_core.render.flow import flow, paths


def expression():
    x = ag.tensor(0.5, requires_grad=True, label="x")
    c = np.exp(x) + np.exp(x) ** 2
    return x, np.exp(c) + np.sin(c)


def by_title(drawing, title):
    return next(node for node in drawing.nodes if node.title == title)


def test_local_derivatives_are_on_the_edges():
    x = ag.tensor(3.0, requires_grad=True, label="x")
    drawing = drawing_of(x * x, derivatives=True)
    assert [(e.argument, e.local.array) for e in drawing.edges] == [(0, 3.0), (1, 3.0)]
    y = ag.tensor(2.0, requires_grad=True, label="y")
    drawing = drawing_of(x / y, derivatives=True)
    assert [e.local.array for e in drawing.edges] == [0.5, -0.75]


def test_no_derivative_where_none_flows():
    x, w = ag.tensor(3.0), ag.tensor(2.0, requires_grad=True)
    assert [e.local is None for e in drawing_of(x * w, derivatives=True).edges] == [True, False]
    steps = drawing_of(np.floor(w) * w, derivatives=True)
    assert [e.local.array for e in steps.edges] == [0.0, 2.0, 2.0]
    assert drawing_of(w > 1.0, derivatives=True).edges[0].local is None


def test_a_primitive_without_a_rule_shows_none():
    @ag.primitive
    def f(x):
        return x * 2

    x = ag.tensor(1.0, requires_grad=True)
    assert drawing_of(f(x), derivatives=True).edges[0].local is None


def test_arrays_have_no_local_derivative():
    x = ag.tensor([1.0, 2.0], requires_grad=True)
    assert [e.local for e in drawing_of((x * x).sum(), derivatives=True).edges] == [None] * 3


def test_what_flows_back_sums_up_to_the_gradient():
    x, f = expression()
    graph = ag.Graph(f)
    graph.bprop()
    drawing = drawing_of(graph, cotangents=True)
    for node in drawing.nodes:
        terms = [e.cotangent.array for e in drawing.edges if e.tail == node.name]
        if terms:
            assert sum(terms) == pytest.approx(node.grad.array, rel=1e-15)
    assert by_title(drawing, "x").grad.array == x.grad


def test_on_arrays_too():
    rng = np.random.default_rng(0)
    w = ag.tensor(rng.normal(size=(3, 2)), requires_grad=True, label="w")
    b = ag.tensor(rng.normal(size=2), requires_grad=True, label="b")
    graph = ag.Graph((np.tanh(np.ones((4, 3)) @ w + b) * w.sum()).sum())
    graph.bprop()
    drawing = drawing_of(graph, cotangents=True)
    for label in ("w", "b"):
        node = by_title(drawing, label)
        terms = [e.cotangent.array for e in drawing.edges if e.tail == node.name]
        np.testing.assert_allclose(sum(terms), node.grad.array, rtol=1e-13)


def test_without_gradients_nothing_is_claimed_to_flow():
    _, f = expression()
    f.backward()  # only the leaf holds a gradient
    assert all(e.cotangent is None for e in drawing_of(f, cotangents=True).edges)


def test_a_flow_is_the_backward_pass_written_aside():
    x, f = expression()
    graph = ag.Graph(f)
    found = flow(graph)
    assert x.grad is None and f.grad is None
    drawing = drawing_of(graph)
    assert all(node.grad is None for node in drawing.nodes)
    graph.bprop()
    for node in graph.nodes:
        assert found.gradients[id(node)] == node.grad
    assert flow(graph, [2.0]).gradients[id(x)] == pytest.approx(2 * x.grad, rel=1e-15)


def test_details_on_edges_follow_the_size():
    _, f = expression()
    assert all(e.local is None for e in drawing_of(f).edges)  # no gradient: nothing to explain
    f.backward()
    assert all(e.local is not None for e in drawing_of(f).edges)
    for _ in range(60):
        f = f * 0.5
    f.backward()
    assert all(e.local is None for e in drawing_of(f).edges)
    w = ag.tensor([1.0], requires_grad=True)
    y = (w * w).sum()
    y.backward()
    assert all(e.local is None and e.cotangent is None for e in drawing_of(y).edges)


def test_nan_flows_without_a_warning():
    x = ag.tensor(0.0, requires_grad=True)
    with np.errstate(divide="ignore"):
        y = np.log(x)
    edge = drawing_of(y, derivatives=True).edges[0]
    assert edge.local.array == math.inf and edge.local.alarming


def test_paths_and_their_products():
    x, f = expression()
    f.backward()
    drawing = drawing_of(f)
    found = paths(drawing, by_title(drawing, "x").name)
    assert found.count == len(found.paths) == 4
    assert found.total == pytest.approx(x.grad, rel=1e-14)
    assert sum(found.products) == pytest.approx(found.total, rel=1e-14)
    for way, product in zip(found.paths, found.products, strict=True):
        edges = [drawing.edges[i] for i in way]
        assert edges[0].tail == by_title(drawing, "x").name
        assert all(a.head == b.tail for a, b in pairwise(edges))
        assert product == pytest.approx(math.prod(e.local.array for e in edges), rel=1e-15)
    assert found.edges == {i for way in found.paths for i in way}


def test_exponentially_many_paths_are_counted_and_not_listed():
    x = ag.tensor(1.0, requires_grad=True, label="x")
    y = x
    for _ in range(50):
        y = (y + y) * 0.5
    drawing = drawing_of(y, derivatives=True)
    found = paths(drawing, "n0", limit=10)
    assert (found.count, found.total, len(found.paths)) == (2**50, 1.0, 10)
    assert len(found.edges) == len(drawing.edges)


def test_paths_that_cannot_be_asked_for():
    x, y = ag.tensor(1.0, requires_grad=True), ag.tensor(2.0, requires_grad=True)
    both = drawing_of([x * y, x + y], derivatives=True)
    with pytest.raises(ag.RenderError, match="2 outputs"):
        paths(both, "n0")
    assert paths(both, "n0", "n2").total == 2.0
    with pytest.raises(ag.RenderError, match="no node 'n9'"):
        paths(both, "n9", "n2")
    with pytest.raises(ag.RenderError, match="derivatives=True"):
        paths(drawing_of(x * y), "n0")
    unrelated = drawing_of([x * 2.0, y * 3.0], derivatives=True)
    outputs = [node.name for node in unrelated.nodes if node.is_output]
    assert paths(unrelated, "n0", outputs[1]).count == 0


OPERATIONS = [np.sin, np.exp, np.tanh, lambda a: a * a, lambda a: a + 1.0]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 30), st.integers(0, 30)),
                min_size=1, max_size=14))
def test_the_sum_over_paths_is_the_gradient(steps):
    """The derivative read off the picture is the one of the engine, on graphs of any form."""
    x = ag.tensor(0.3, requires_grad=True)
    made = [x]
    for kind, i, j in steps:
        a, b = made[i % len(made)], made[j % len(made)]
        made.append(OPERATIONS[kind](a) if kind < 5 else np.sin(a) * np.cos(b))
    y = made[-1] * x
    y.backward()
    found = paths(drawing_of(y, derivatives=True), "n0")
    assert found.total == pytest.approx(x.grad, rel=1e-9, abs=1e-12)
    assert found.count >= len(found.paths) > 0
