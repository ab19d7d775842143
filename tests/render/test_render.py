"""Pictures of real graphs."""

import gc
import xml.etree.ElementTree as ET

import numpy as np
import pytest

import autograd_core as ag
from autograd_core.render import render
from autograd_core.render.describe import describe


def shown(drawing):
    return {node.title: node for node in drawing.nodes}


def test_the_expression_of_the_demo(tmp_path):
    x = ag.tensor(0.5, requires_grad=True, label="x")
    y = np.exp(x) + np.exp(x) ** 2
    f = np.exp(y) + np.sin(y)
    f.label = "f"
    graph = ag.Graph(f)
    graph.bprop()
    nodes = shown(describe(graph))
    assert nodes["x"].value.lines == ("0.5",)
    assert nodes["f"].value.lines == (f"{f.item():.5g}",)
    assert nodes["x"].grad.lines == (f"{x.grad:.5g}",)
    for suffix in ("svg", "png", "pdf"):
        assert ag.render(f, tmp_path / f"f.{suffix}").stat().st_size > 1000


def test_what_is_drawn_is_the_graph():
    """The values in the picture follow from each other along the edges of the picture."""
    x = ag.tensor([1.0, 2.0], requires_grad=True)
    w = ag.tensor([[1.0, -1.0], [2.0, 0.5]], requires_grad=True)
    graph = ag.Graph(np.maximum(x @ w, np.zeros(2)) - 3.0)
    drawing = describe(graph)
    assert [n.title for n in drawing.nodes if n.kind != "operation"] == [
        "variable", "variable", "constant",
    ]
    names = {id(t): n.name for t, n in zip(graph.nodes, without_constants(drawing), strict=True)}
    edges = {(e.tail, e.head) for e in drawing.edges}
    for tensor in graph.nodes:
        for operand in tensor.inputs:
            if isinstance(operand, ag.Tensor):
                assert (names[id(operand)], names[id(tensor)]) in edges


def without_constants(drawing):
    return [node for node in drawing.nodes if node.kind != "constant"]


def test_the_function_is_not_hidden_by_the_package_of_the_same_name():
    assert callable(ag.render)
    assert ag.render is render


def test_a_product_with_itself_has_two_edges():
    x = ag.tensor(3.0, requires_grad=True)
    assert ag.to_dot(x * x).source.count("n0 -> n1") == 2


def test_several_outputs_share_what_they_share():
    x = ag.tensor(1.0, requires_grad=True)
    y = np.exp(x)
    drawn = ag.to_dot([np.sin(y), np.cos(y)]).source
    assert drawn.count("<B>exp</B>") == 1
    assert drawn.count("peripheries=2") == 2


def test_gradients_before_and_after_backward():
    x = ag.tensor(2.0, requires_grad=True, label="x")
    y = x * x
    assert "grad" not in ag.to_dot(y).source
    y.backward()
    assert shown(describe(ag.Graph(y)))["x"].grad.lines == ("4",)


def test_gradients_that_are_themselves_recorded():
    x = ag.tensor(2.0, requires_grad=True, label="x")
    y = x**3
    y.backward(create_graph=True)
    assert shown(describe(ag.Graph(y)))["x"].grad.lines == ("12",)


def test_drawing_changes_nothing():
    x = ag.tensor([1.0, 2.0], requires_grad=True)
    y = (x * x).sum()
    before = str(ag.Graph(y))
    ag.to_dot(y, values=True, grads=True)
    assert str(ag.Graph(y)) == before
    y.backward()
    assert x.grad.tolist() == [2.0, 4.0]


def test_indexing_is_readable():
    x = ag.tensor(np.arange(6.0).reshape(2, 3), requires_grad=True)
    assert "getitem(·, index=(0, 1:))" in ag.to_dot(x[0, 1:]).source


def test_arrays_of_other_things_than_floats():
    x = ag.tensor(np.arange(3), label="counts")
    drawing = describe(ag.Graph(x > 1))
    assert [n.value.lines for n in drawing.nodes] == [("[0, 1, 2]",), ("[False, False, True]",)]


@pytest.mark.parametrize("nothing", [[], ()])
def test_nothing_to_draw(nothing):
    with pytest.raises(ag.RenderError, match="nothing to draw"):
        ag.to_dot(nothing)


@pytest.mark.parametrize("wrong", [3.0, "x", [1.0], None, np.ones(3)])
def test_only_tensors_and_graphs_can_be_drawn(wrong):
    with pytest.raises(TypeError, match="pass a Tensor, a Graph or a sequence of Tensors"):
        ag.to_dot(wrong)


def test_a_graph_that_is_too_large_is_collapsed_and_says_so(tmp_path):
    x = ag.tensor(1.0, requires_grad=True)
    for _ in range(5_000):
        x = x * 1.0
    text = ag.render(x, tmp_path / "x.svg").read_text()
    assert "5,001 nodes, drawn as" in text and "collapse=False shows all" in text
    with pytest.raises(ag.RenderError, match="5,001 nodes"):
        ag.render(x, tmp_path / "y.png", collapse=False)
    assert not (tmp_path / "y.png").exists()


def test_a_hostile_label(tmp_path):
    x = ag.tensor(1.0, requires_grad=True, label='</text><script>alert("1")</script>')
    path = ag.render(np.exp(x), tmp_path / "x.svg")
    root = ET.fromstring(path.read_bytes())
    assert not [e for e in root.iter() if e.tag.endswith("script")]
    assert '</text><script>alert("1")</script>' in [e.text for e in root.iter()]


# Cotangents. -------------------------------------------------------------------------------------


def vector():
    x = ag.tensor([1.0, 2.0, 3.0], requires_grad=True, label="x")
    return x, x * x


def test_gradients_from_a_cotangent_are_drawn_and_left_behind_nowhere():
    x, y = vector()
    g = [1.0, 0.0, -1.0]
    for said in (ag.to_text(y, grad=g), ag.to_text(ag.Graph(y), grad=g),
                 ag.to_text([y, y.sum()], grad=[g, 0.0]), ag.to_text([y], grad=[g]),
                 ag.to_text([y], grad=g), ag.to_text(y, grad=ag.tensor(g))):
        assert "x: variable, float64 (3,), value [1, 2, 3], gradient [2, 0, -6]" in said
    assert "[2, 0, -6]" in ag.to_dot(y, grad=g).source and x.grad is None
    assert "gradient" not in ag.to_text(y)
    assert "[0.5, 0, -0.5]" in ag.to_dot(y, grad=np.array(g) / 2, backward=True, values=True).source


def test_a_page_starts_from_the_cotangent(tmp_path):
    x, y = vector()
    page = ag.render(y, tmp_path / "y.html", grad=[1.0, 0.0, -1.0]).read_text()
    assert "No backward pass" not in page and "[2, 0, -6]" in page and x.grad is None
    assert "No backward pass" in ag.render(y, tmp_path / "y.html").read_text()


@pytest.mark.parametrize(("make", "grad", "error", "message"), [
    (lambda y: y, np.ones(2), ag.ShapeError, r"render: grad has shape \(2,\)"),
    (lambda y: [y, y], [np.ones(3)], ag.ShapeError, "1 cotangents for 2 outputs"),
    (lambda y: y.detach() * 2, np.ones(3), ag.GradientError, "no leaf of the graph requires"),
    (lambda y: ag.compile(lambda: y * 1), np.ones(3), ag.RenderError, "the `grad` that they would"),
], ids=["shape", "number", "no gradient", "program"])
def test_a_cotangent_that_does_not_fit(make, grad, error, message, tmp_path):
    drawn = make(vector()[1])
    if callable(drawn):
        drawn()
    for suffix in ("svg", "html", "txt"):
        with pytest.raises(error, match=message):
            ag.render(drawn, tmp_path / f"y.{suffix}", grad=grad)
    assert list(tmp_path.iterdir()) == []


# What there is to draw. --------------------------------------------------------------------------


def test_no_graph_is_freed_before_it_is_drawn(tmp_path):
    """A Tensor keeps what it came of, and a backward pass lets go of nothing: no reference in a
    graph is weak, so that there is no such error to be told of."""

    def made():
        x = ag.tensor(0.5, requires_grad=True, label="x")
        return np.exp(np.sin(x))

    y, graph = made(), ag.Graph(made())
    gc.collect()
    y.backward()
    graph.bprop()
    y.backward()  # and again: nothing was freed
    for drawn in (y, graph):
        for suffix in ("svg", "html", "txt"):
            path = ag.render(drawn, tmp_path / f"y.{suffix}")
            assert "sin" in path.read_text() and "0.5" in path.read_text()
