"""The backward pass as a picture: what it computes is the gradient, and it touches nothing."""

import numpy as np
import pytest

import autograd_core as ag
import nn
from autograd_core.render import drawing_of


def expression():
    x = ag.tensor(0.5, requires_grad=True, label="x")
    w = ag.tensor(2.0, requires_grad=True, label="w")
    f = np.sin(x * w) + x
    f.label = "f"
    return x, w, f


def by_title(drawing):
    return {node.title: node for node in drawing.nodes}


def test_forward_and_backward_stand_side_by_side():
    x, w, f = expression()
    drawing = drawing_of(f, backward=True)
    sides = {g.name: g.title for g in drawing.groups}
    assert list(sides.values()) == ["forward", "backward"]
    assert [(n.title, sides[n.group]) for n in drawing.nodes] == [
        ("x", "forward"), ("w", "forward"), ("multiply", "forward"), ("sin", "forward"),
        ("f", "forward"), ("seed", "backward"), ("cos", "backward"), ("multiply", "backward"),
        ("multiply", "backward"), ("∂/∂x", "backward"), ("∂/∂w", "backward"),
    ]
    assert x.grad is None and w.grad is None
    f.backward()
    shown = by_title(drawing)
    assert shown["∂/∂x"].value.array == x.grad and shown["∂/∂w"].value.array == w.grad
    assert [n.title for n in drawing.nodes if n.is_output] == ["f", "∂/∂x", "∂/∂w"]


def test_ties_lead_from_a_node_to_what_its_rules_made():
    _, _, f = expression()
    drawing = drawing_of(f, backward=True)
    names = {n.name: n.title for n in drawing.nodes}
    ties = [(names[e.tail], names[e.head]) for e in drawing.edges if e.tie]
    assert sorted(ties) == [("multiply", "∂/∂w"), ("multiply", "∂/∂x"), ("sin", "multiply")]
    source = ag.to_dot(f, backward=True).source
    assert source.count("style=dotted") == 3 and source.count("subgraph cluster_") == 2


def test_gradients_of_an_earlier_pass_are_shown_if_asked_for():
    _, _, f = expression()
    f.backward()
    assert all(n.grad is None for n in drawing_of(f, backward=True).nodes)
    assert by_title(drawing_of(f, backward=True, grads=True))["x"].grad.array is not None


def test_primitives_of_ones_own_and_what_computes_again():
    x = ag.tensor(0.7, requires_grad=True, label="x")
    y = ag.checkpoint(lambda a: np.sin(a) * a)(x) * x
    drawing = drawing_of(y, backward=True)
    y.backward()
    assert by_title(drawing)["∂/∂x"].value.array == pytest.approx(x.grad, rel=1e-14)


def test_alone():
    _, _, f = expression()
    drawing = drawing_of(f, backward="alone")
    assert [(n.title, n.kind) for n in drawing.nodes][:4] == [
        ("x", "variable"), ("w", "variable"), ("multiply", "input"), ("seed", "input"),
    ]
    assert not drawing.groups and not any(e.tie for e in drawing.edges)
    names = {n.name for n in drawing.nodes}
    assert {e.tail for e in drawing.edges} | {e.head for e in drawing.edges} <= names
    assert not any(e.head == n.name for n in drawing.nodes if n.kind != "operation"
                   for e in drawing.edges)


def test_the_second_derivative_is_the_backward_pass_of_the_first():
    x = ag.tensor(0.7, requires_grad=True, label="x")
    (x**3).backward(create_graph=True)
    slope, x.grad = x.grad, None
    drawing = drawing_of(slope, backward=True)
    assert by_title(drawing)["∂/∂x"].value.array == pytest.approx(6 * 0.7)


def test_several_outputs_are_summed_and_arrays_go_too():
    rng = np.random.default_rng(0)
    w = ag.tensor(rng.normal(size=(3, 2)), requires_grad=True, label="w")
    y = np.ones((4, 3)) @ w
    drawing = drawing_of([y, y.sum()], backward=True)
    np.testing.assert_allclose(by_title(drawing)["∂/∂w"].value.array, 8.0)


def test_modules_frame_what_they_made_on_both_sides():
    model = nn.MLP([2, 3, 1], rng=0)
    x = np.ones((4, 2), np.float32)
    drawing = drawing_of(lambda x: model(x).sum(), example=x, backward=True)
    parents = {g.name: g.parent for g in drawing.groups}
    titles = {g.name: g.title for g in drawing.groups}
    around = {(titles[g], titles.get(parents[g])) for g in titles}
    assert ("MLP", "forward") in around and ("MLP", "backward") in around
    assert ("layers.0: Linear(2, 3)", "MLP") in around


def test_every_notation_takes_it(tmp_path):
    _, _, f = expression()
    assert "goes back through" in ag.to_text(f, backward=True)
    assert "-.->" in ag.to_mermaid(f, backward=True)
    for suffix in ("svg", "png", "pdf"):
        assert ag.render(f, tmp_path / f"f.{suffix}", backward=True).stat().st_size > 1000


def test_what_cannot_be_drawn():
    with pytest.raises(ag.RenderError, match="no leaf of the graph requires a gradient"):
        ag.to_dot(ag.tensor(1.0) * 2.0, backward=True)
    _, _, f = expression()
    with pytest.raises(ag.RenderError, match="unknown backward='both'"):
        ag.to_dot(f, backward="both")
    compiled = ag.compile(lambda x: x * 2.0)
    compiled(1.0)
    with pytest.raises(ag.RenderError, match="outside of a run"):
        ag.to_dot(compiled, backward=True)


def test_a_stale_graph_is_refused(tmp_path):
    x, _, f = expression()
    x.data = 3.0
    with pytest.raises(ag.StaleGraphError):
        ag.render(f, tmp_path / "f.svg", backward=True)
    assert not list(tmp_path.iterdir())
