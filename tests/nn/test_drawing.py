"""Networks as pictures: the modules of a graph, and units with their weights."""

import re
import xml.etree.ElementTree as ET

import matplotlib.colors
import matplotlib.pyplot
import numpy as np
import pytest

import autograd_core as ag
import nn
from autograd_core.observe import Observer, origin_of
from autograd_core.render import drawing_of, html
from nn import palette
from nn.drawing import curves

SVG = "{http://www.w3.org/2000/svg}"
X = np.ones((4, 2), np.float32)


def test_operations_are_framed_by_the_modules_that_made_them():
    model = nn.MLP([2, 3, 1], rng=0)
    drawing = drawing_of(model, example=X)
    paths = {g.name: " > ".join(g.path) for g in drawing.groups}
    assert [(n.title, paths.get(n.group)) for n in drawing.nodes] == [
        ("x", None),
        ("W1", "MLP > layers.0: Linear(2, 3)"), ("matmul", "MLP > layers.0: Linear(2, 3)"),
        ("b1", "MLP > layers.0: Linear(2, 3)"), ("add", "MLP > layers.0: Linear(2, 3)"),
        ("relu", "MLP"),
        ("W2", "MLP > layers.2: Linear(3, 1)"), ("matmul", "MLP > layers.2: Linear(3, 1)"),
        ("b2", "MLP > layers.2: Linear(3, 1)"), ("add", "MLP > layers.2: Linear(3, 1)"),
    ]


def test_repeated_blocks_are_counted():
    model = nn.MLP([4] * 14 + [1], rng=0)
    text = ag.to_text(model, example=np.zeros((1, 4), np.float32), collapse=2)
    assert "(relu, Linear(4, 4)) × 12" in text


def test_nobody_observes_nothing_is_noted():
    y = nn.MLP([2, 3, 1], rng=0)(X)
    assert origin_of(y) is None
    with Observer():
        y = nn.MLP([2, 3, 1], rng=0)(X)
    assert [str(s) for s in origin_of(y).scopes] == ["MLP", "layers.2: Linear(3, 1)"]


def test_a_module_that_fails_leaves_no_scope_behind():
    model = nn.MLP([2, 3, 1], rng=0)
    with Observer():
        with pytest.raises(ag.ShapeError):
            model(np.ones((4, 5), np.float32))
        assert origin_of(ag.tensor(1.0) * 2.0).scopes == ()
        assert origin_of(model[0](X)).scopes == ("Linear(2, 3)",)


def test_drawing_a_module_changes_nothing():
    class Counting(nn.Module):
        def __init__(self):
            self.calls = nn.Buffer(np.zeros(1))
            self.w = nn.Parameter(np.ones(2))

        def forward(self, x):
            self.calls.assign(self.calls + 1.0)
            return x * self.w

    model = Counting()
    loss = (model(X) * 1.0).sum()
    before = model.state_dict()
    ag.to_dot(model, example=X, backward=True)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    assert model.w.grad is None
    loss.backward()
    np.testing.assert_array_equal(model.w.grad, [4.0, 4.0])


def test_the_options_of_pictures_hold_for_modules(tmp_path):
    model = nn.MLP([2, 3, 1], rng=0)
    for suffix in ("svg", "png", "pdf", "dot", "mmd", "txt", "html"):
        path = ag.render(model, tmp_path / f"m.{suffix}", example=X, collapse=1)
        assert path.stat().st_size > 100


# Units in columns. --------------------------------------------------------------------------------


def network(dot):
    """The nodes and edges of the picture: texts, colours, widths."""
    root = ET.fromstring(ag.to_svg(dot))
    nodes = {g.find(f"{SVG}title").text: [t.text for t in g.iter(f"{SVG}text")]
             for g in root.iter(f"{SVG}g") if g.get("class") == "node"}
    edges = {}
    for g in root.iter(f"{SVG}g"):
        if g.get("class") == "edge":
            path = next(g.iter(f"{SVG}path"))
            edges[g.find(f"{SVG}title").text] = (
                path.get("stroke").lower(), float(path.get("stroke-width") or 1),
                path.get("stroke-dasharray"),
            )
    return root, nodes, edges


def test_units_weights_and_biases():
    model = nn.networks.xor_oracle()
    _, nodes, edges = network(nn.draw(model))
    assert nodes["t0"] == ["input", "2 features"] and nodes["t1"] == ["relu", "2 units"]
    assert nodes["t2"] == ["linear", "1 unit"]
    assert nodes["u0_0"] == ["x", "1"] and nodes["u1_1"] == ["-1"]
    legend = edges.pop("l0a->l0b"), edges.pop("l1a->l1b")
    assert nodes["l0"] == ["weight > 0"] and nodes["l1"] == ["weight < 0"]
    assert len(edges) == 6 and len([n for n in nodes if n[0] == "u"]) == 5
    positive, negative = edges["u1_0->u2_0"], edges["u1_1->u2_0"]
    assert (positive[0], negative[0]) == (palette.POSITIVE, palette.NEGATIVE)
    assert [(x[0], bool(x[2])) for x in legend] == [
        (palette.POSITIVE, False), (palette.NEGATIVE, True)]
    assert positive[2] is None and negative[2] is not None  # told apart without colour, too
    assert negative[1] > positive[1]
    assert nodes["w_u1_1_u2_0"] == ["-2"] and nodes["w_u0_0_u1_0"] == ["1"]


def test_units_stand_in_columns_in_order():
    root, *_ = network(nn.draw(nn.MLP([3, 4, 2], rng=0)))
    places = {g.find(f"{SVG}title").text: next(g.iter(f"{SVG}ellipse"))
              for g in root.iter(f"{SVG}g")
              if g.get("class") == "node" and g.find(f"{SVG}title").text[0] == "u"}
    for k, size in enumerate((3, 4, 2)):
        xs = [float(places[f"u{k}_{i}"].get("cx")) for i in range(size)]
        ys = [float(places[f"u{k}_{i}"].get("cy")) for i in range(size)]
        assert max(xs) - min(xs) < 0.1 and ys == sorted(ys)


def test_wide_layers_are_cut_and_say_so():
    _, nodes, edges = network(nn.draw(nn.MLP([30, 5], rng=0), max_units=8))
    assert nodes["u0_more"] == ["⋮"] and "u0_29" in nodes and "u0_10" not in nodes
    assert nodes["t0"] == ["input", "30 features"] and len(edges) == 7 * 5 + 2
    with pytest.raises(ValueError, match="max_units"):
        nn.draw(nn.MLP([2, 1], rng=0), max_units=2)


@pytest.mark.parametrize("model", [
    nn.Neuron(3, "tanh", rng=0), nn.Layer(3, 2, "relu", rng=0), nn.Linear(3, 2, bias=False, rng=0),
    nn.Sequential(nn.Layer(3, 2, rng=0), nn.Sequential(nn.Linear(2, 2, rng=0), nn.Tanh())),
], ids=lambda model: type(model).__name__)
def test_what_can_be_drawn(model, tmp_path):
    for suffix in ("svg", "png", "pdf"):
        assert nn.draw(model, tmp_path / f"n.{suffix}").stat().st_size > 500


def test_what_cannot(tmp_path):
    with pytest.raises(ag.RenderError, match=r"Embedding has no picture.*example=x"):
        nn.draw(nn.Sequential(nn.Embedding(3, 2), nn.Linear(2, 1)), tmp_path / "n.svg")
    with pytest.raises(ag.RenderError, match="no layers of units"):
        nn.draw(nn.Sequential(nn.Tanh()))
    with pytest.raises(ag.RenderError, match="2 units is followed by one that takes 3"):
        nn.draw(nn.Sequential(nn.Linear(2, 2), nn.Linear(3, 1)))
    with pytest.raises(FileNotFoundError):
        nn.draw(nn.Linear(2, 2), tmp_path / "missing" / "n.svg")
    assert not list(tmp_path.iterdir())


def test_without_graphviz_the_svg_is_the_same_picture(no_engine, tmp_path):
    model = nn.networks.xor_oracle()
    root = ET.fromstring(nn.draw(model, tmp_path / "n.svg").read_text())
    texts = ["".join(t.itertext()) for t in root.iter(f"{SVG}text")]
    assert texts == ["1", "1", "1", "1", "1", "-2", "x1", "x2", "0", "-1", "0", "input",
                     "2 features", "relu", "2 units", "linear", "1 unit", "weight > 0",
                     "weight < 0"]
    lines = [(p.get("stroke"), p.get("stroke-dasharray")) for p in root.iter(f"{SVG}path")]
    assert len(lines) == 8 and len(set(lines)) == 2 == len(set(lines[-2:]))
    left, top, width, height = map(float, root.get("viewBox").split())
    for circle in root.iter(f"{SVG}circle"):
        x, y, r = (float(circle.get(name)) for name in ("cx", "cy", "r"))
        assert left <= x - r and x + r <= width and top <= y - r and y + r <= height
    with pytest.raises(ag.RenderError, match="no layout engine"):
        nn.draw(model, tmp_path / "n.png")
    assert [path.name for path in tmp_path.iterdir()] == ["n.svg"]
    ET.fromstring(model._repr_mimebundle_()["image/svg+xml"])
    wide = nn.draw(nn.MLP([30, 5], rng=0), tmp_path / "w.svg", max_units=8).read_text()
    assert "⋮" in wide


def test_signs_have_one_pair_of_colours_in_all_pictures():
    css = html.part("autograd_core.render", "shell.css")
    assert f"--positive: {palette.POSITIVE}; --negative: {palette.NEGATIVE};" in css
    script = html.part("nn", "playground.js")
    assert f'HUES = ["{palette.NEGATIVE}", "{palette.POSITIVE}"' in script
    assert "solid orange positive, dashed blue negative" in script
    ends = [matplotlib.colors.to_hex(palette.scheme()(x)) for x in (0.0, 1.0)]
    assert ends == [palette.NEGATIVE, palette.POSITIVE]
    ax = nn.plots.weights(np.array([[-1.0, 1.0]]))
    assert ax.images[0].get_cmap() == palette.scheme() and ax.images[0].get_clim() == (-1, 1)
    matplotlib.pyplot.close(ax.figure)


def test_extreme_weights_do_not_break_it():
    model = nn.Linear(2, 2, rng=0)
    model.weight.assign(np.array([[np.nan, np.inf], [0.0, -1e30]], np.float32))
    model.bias.assign(np.array([np.nan, -np.inf], np.float32))
    network(nn.draw(model))
    model.weight.assign(np.zeros((2, 2), np.float32))
    network(nn.draw(model))


def test_a_hostile_name_stays_in_its_place():
    def act(z):
        return z

    act.__name__ = '</TD>> evil [label=x]; \\N "<b>' * 3
    _, nodes, _ = network(nn.draw(nn.Sequential(nn.Linear(2, 2, rng=0), act)))
    assert nodes["t1"][0].startswith("</TD>> evil") and len(nodes) == 2 + 2 + 2 + 4 + 2


# In notebooks. ------------------------------------------------------------------------------------


def test_modules_show_themselves():
    small = nn.MLP([2, 3, 1], rng=0)._repr_mimebundle_()
    assert set(small) == {"text/plain", "image/svg+xml"}
    assert small["text/plain"] == repr(nn.MLP([2, 3, 1], rng=0))
    assert set(nn.MLP([784, 512, 10], rng=0)._repr_mimebundle_()) == {"text/plain"}
    assert set(nn.Embedding(3, 2)._repr_mimebundle_()) == {"text/plain"}


def test_a_history_shows_its_curves():
    history = nn.History()
    assert set(history._repr_mimebundle_()) == {"text/plain"}
    for i in range(5):
        history.append(loss=1.0 / (i + 1), val_loss=2.0, accuracy=i / 5)
    bundle = history._repr_mimebundle_()
    root = ET.fromstring(bundle["image/svg+xml"])
    lines = list(root.iter(f"{SVG}polyline"))
    assert len(lines) == 3
    points = [tuple(map(float, p.split(","))) for p in lines[0].get("points").split()]
    assert len(points) == 5 and points == sorted(points)  # the epochs from left to right
    assert [y for _, y in points] == sorted(y for _, y in points)  # a falling loss falls
    assert any("val_loss: 2" in (t.text or "") for t in root.iter(f"{SVG}text"))


@pytest.mark.parametrize("epochs", [
    {}, {"loss": [1.0]}, {"loss": [np.nan, np.inf]}, {"loss": [1.0, 1.0], "x": [3.0]},
    {"a<b&\"\0": [1.0, 2.0]}, {"loss": []},
])
def test_curves_of_anything(epochs):
    text = curves(epochs)
    ET.fromstring(text)
    assert not re.search(r"\bnan[,\s\"]|inf,", text.replace("nan</text>", ""))
