"""How things show themselves, and functions that are drawn from an example."""

import base64
import re
import xml.etree.ElementTree as ET

import graphviz
import numpy as np
import pytest

import autograd_core as ag
import nn
from autograd_core.observe import Observer
from autograd_core.render import drawing_of


def shown(thing):
    bundle = thing._repr_mimebundle_(include=None, exclude=None)
    if "image/svg+xml" in bundle:
        ET.fromstring(bundle["image/svg+xml"].encode())
    return bundle


def test_a_computed_tensor_shows_its_graph_and_a_leaf_its_value():
    x = ag.tensor(2.0, requires_grad=True, label="x")
    bundle = shown(x * x)
    assert "multiply" in bundle["image/svg+xml"] and bundle["text/plain"] == repr(x * x)
    assert set(shown(x)) == {"text/plain"}
    assert "image/svg+xml" in shown(ag.Value(1.0).tanh())


def test_a_graph_shows_its_listing():
    graph = ag.Graph(ag.tensor(2.0, label="x") * 3.0)
    assert shown(graph)["text/plain"] == str(graph)
    assert graph.to_text() == ag.to_text(graph)


def test_graphs_render_themselves(tmp_path):
    graph = ag.Graph(ag.tensor(2.0, label="x") * 3.0)
    assert graph.render(tmp_path / "x.txt").read_text() == graph.to_text()


def test_a_compiled_function_shows_its_program_once_there_is_one():
    f = ag.compile(lambda x: np.sin(x) ** 2)
    assert set(shown(f)) == {"text/plain"}
    f(np.ones(3))
    assert "sin" in shown(f)["image/svg+xml"]


def test_large_graphs_collapse_and_larger_ones_are_text():
    x = ag.tensor(1.0)
    for _ in range(300):
        x = np.sin(x)
    bundle = shown(x)
    assert "sin ×" in bundle["image/svg+xml"]
    assert "ag.render(..., collapse=False) shows all" in bundle["image/svg+xml"]
    for _ in range(20_000):
        x = x * 1.0
    assert set(shown(x)) == {"text/plain"}
    assert shown(ag.Graph(x))["text/plain"].startswith("Graph(20300 operations")


def test_it_is_safe_where_nothing_lays_out(no_engine):
    x = ag.tensor(2.0, label="x") * 3.0
    assert "a simple layout instead" in shown(x)["image/svg+xml"]
    assert set(shown(ag.to_dot(x))) == {"text/plain"}


def test_it_is_safe_while_a_function_is_recorded():
    seen = []

    @ag.compile
    def f(x):
        seen.append(x._repr_mimebundle_())
        return x * 2.0

    f(np.ones(2))
    assert set(seen[0]) == {"text/plain"}


def test_a_digraph_shows_itself_without_a_dot_on_path(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    dot = ag.to_dot(ag.tensor(1.0, label="x"))
    assert isinstance(dot, graphviz.Digraph)
    assert ">x<" in shown(dot)["image/svg+xml"]


def test_a_digraph_of_ones_own_is_laid_out_as_it_is(tmp_path):
    mine = graphviz.Digraph(graph_attr={"rankdir": "TB"})
    mine.edge("a", "b")
    adopted = ag.to_dot(mine)
    assert adopted.source == mine.source and "image/svg+xml" in shown(adopted)
    assert "a&#45;&gt;b" in ag.to_svg(mine)
    assert ag.render(mine, tmp_path / "g.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ag.RenderError, match="unknown format"):
        ag.render(mine, tmp_path / "g.mmd")
    assert [p.name for p in tmp_path.iterdir()] == ["g.png"]


# Functions, from an example. ----------------------------------------------------------------------


def test_a_function_is_drawn_from_an_example():
    def f(x, scale):
        return {"y": np.sin(x) * scale, "z": x + 1.0}

    text = ag.to_text(f, example=(np.ones(3), 2.0))
    assert "1. x: input, float64 (3,)" in text and "scale: input" in text
    assert text.count("output") == 2


def test_an_example_may_be_a_tensor_and_gradients_are_possible():
    x = ag.tensor(0.5, requires_grad=True, label="t")
    drawing = drawing_of(lambda a: np.exp(a), example=x, backward=True)
    assert [n.title for n in drawing.nodes if n.is_output] == ["exp", "∂/∂t"]


def test_what_has_no_example_or_needs_none():
    with pytest.raises(TypeError, match="pass an `example`"):
        ag.to_dot(np.sin)
    with pytest.raises(ag.RenderError, match="needs none: leave it out"):
        ag.to_dot(ag.tensor(1.0), example=1.0)
    with pytest.raises(ag.RenderError, match="needs none"):
        ag.to_dot(ag.compile(np.sin), example=1.0)
    with pytest.raises(ag.RenderError, match="returned no Tensor"):
        ag.to_dot(lambda x: 3.0, example=1.0)


def test_scopes_frame_what_was_observed_and_places_are_known():
    with Observer():
        x = ag.tensor(1.0, label="x")
        with ag.scope("outer"), ag.scope('in "<ner>"'):
            y = np.sin(x)
        z = y + 1.0
    drawing = drawing_of(z)
    assert [g.path for g in drawing.groups] == [("outer",), ("outer", 'in "<ner>"')]
    assert drawing.nodes[1].group == drawing.groups[1].name
    assert all(n.place.startswith("test_notebook.py:") for n in drawing.nodes)
    assert "test_notebook.py:" not in ag.to_dot(z).source
    assert "test_notebook.py:" in ag.to_dot(z, places=True).source
    assert 'in "<ner>"' in ag.to_svg(z).replace("&quot;", '"').replace("&lt;", "<").replace(
        "&gt;", ">")


def test_a_part_that_runs_twice_is_drawn_twice():
    def cell(x):
        with ag.scope("cell"):
            return np.tanh(x * 0.5)

    drawing = drawing_of(lambda x: cell(cell(x) + 1.0), example=1.0)
    assert [g.title for g in drawing.groups] == ["cell", "cell"]
    many = drawing_of(lambda x: unrolled(cell, x, 12), example=1.0, collapse=1)
    assert any(node.title.endswith("cell) × 11") or "× 1" in node.title for node in many.nodes)


def unrolled(cell, x, steps):
    for _ in range(steps):
        x = cell(x) + 1.0
    return x


# Notebooks that leave the notebook. ---------------------------------------------------------------


def things():
    """One of each that shows itself, by its name; and those that are text."""
    x = ag.tensor(0.5, requires_grad=True, label="x")
    y = np.exp(np.sin(x) * x) + x**2
    graph = ag.Graph(y)
    graph.bprop()
    f = ag.compile(lambda a: np.sin(a) ** 2 + np.cos(a))
    f(np.ones(3))
    model = nn.MLP([2, 6, 3], "tanh", rng=0)
    X = np.random.default_rng(0).standard_normal((60, 2))
    history = nn.fit(model, X, np.arange(60) % 3, loss="cross_entropy", metrics="accuracy",
                     validation_split=0.2, epochs=8, progress=False, seed=0)
    pictures = {"Tensor": y, "Graph": graph, "compiled": f, "Module": model, "History": history,
                "network": nn.draw(model)}
    return pictures, {"leaf": ag.tensor(np.ones((3, 4))), "large": nn.MLP([64, 128, 10], rng=0)}


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_nothing_is_clipped(browser, tmp_path, dark):
    pictures, _ = things()
    page = tmp_path / "all.html"
    page.write_text("<!DOCTYPE html><meta charset=utf-8>" + "".join(
        shown(thing)["image/svg+xml"].partition("<svg")[2].join(("<svg", ""))
        for thing in pictures.values()), "utf-8")
    browser.open(page, dark=dark)
    found = browser.run("""[...document.querySelectorAll("body > svg")].map(svg => {
        const box = svg.viewBox.baseVal, around = svg.getBBox();
        return [around.x - box.x, around.y - box.y, box.x + box.width - around.x - around.width,
                box.y + box.height - around.y - around.height];
    })""")
    assert len(found) == len(pictures)
    for name, room in zip(pictures, found, strict=True):
        assert min(room) >= -1.0, name


def exported(things, folder):
    """What nbconvert makes of a notebook that has shown these, sanitised."""
    nbconvert, nbformat = pytest.importorskip("nbconvert"), pytest.importorskip("nbformat")
    cells = []
    for name, thing in things.items():
        cell = nbformat.v4.new_code_cell(name, execution_count=1)
        cell.outputs = [nbformat.v4.new_output("execute_result", data=shown(thing),
                                               execution_count=1)]
        cells.append(cell)
    exporter = nbconvert.HTMLExporter(template_name="basic", sanitize_html=True)
    body, _ = exporter.from_notebook_node(nbformat.v4.new_notebook(cells=cells))
    path = folder / "notebook.html"
    path.write_text(f"<!DOCTYPE html><meta charset=utf-8><body>{body}", "utf-8")
    return path, body


def test_the_sanitised_export_keeps_pictures_and_texts(tmp_path):
    pictures, texts = things()
    _, body = exported({**pictures, **texts}, tmp_path)
    drawn = re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', body)
    assert len(drawn) == len(pictures)
    for thing, source in zip(pictures.values(), drawn, strict=True):
        kept = ET.fromstring(base64.b64decode(source))
        assert ET.tostring(kept) == ET.tostring(ET.fromstring(
            shown(thing)["image/svg+xml"].encode()))
    assert "[1., 1., 1., 1.]" in body and "Linear(64, 128)" in body


def test_the_export_is_shown_whole(browser, tmp_path):
    pictures, texts = things()
    path, _ = exported({**pictures, **texts}, tmp_path)
    browser.open(path, size=(1000, 800))
    found = browser.run("""[...document.images].map(i => {
        const box = i.getBoundingClientRect();
        return [i.naturalWidth, i.naturalHeight, box.width, box.height, box.right];
    })""")
    assert len(found) == len(pictures)
    for width, height, shown_width, shown_height, right in found:
        assert width > 50 and abs(shown_width / shown_height - width / height) < 0.05
        assert right <= 1000 or shown_width == width  # then one scrolls
