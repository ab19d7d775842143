"""The DOT source, and that nothing in a graph can break it or reach outside its label."""

import subprocess
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from standins import apply, graph, leaf

from autograd_core.errors import RenderError
from autograd_core.render import to_dot
from autograd_core.render.describe import Drawing, Edge, Group, Node, clean
from autograd_core.render.dot import digraph
from autograd_core.render.engine import draw

SVG = "{http://www.w3.org/2000/svg}"


def svg(drawable, **options):
    return ET.fromstring(draw(to_dot(drawable, **options), "svg"))


def texts(root):
    return [element.text for element in root.iter(f"{SVG}text")]


def groups(root, kind):
    return [g for g in root.iter(f"{SVG}g") if g.get("class") == kind]


def test_the_picture_has_the_nodes_and_edges_of_the_graph():
    x, w = leaf(label="x"), leaf(requires_grad=True, label="w")
    y = apply("multiply", x, w)
    root = svg(graph(x, w, y, apply("subtract", y, y)))
    assert len(groups(root, "node")) == 4
    assert [g.find(f"{SVG}title").text for g in groups(root, "edge")] == [
        "n0->n2", "n1->n2", "n2->n3", "n2->n3",
    ]
    assert {"x", "w", "multiply", "subtract", "0", "1", "float64"} <= set(texts(root))


def test_title():
    assert "loss <1> & more" in texts(svg(graph(leaf()), title="loss <1> & more"))


def test_the_source_is_deterministic():
    x = leaf([1.0, 2.0], label="x")
    assert len({to_dot(graph(x, apply("exp", x))).source for _ in range(3)}) == 1


def test_kinds_are_told_apart_without_colour():
    w, x = leaf(requires_grad=True), leaf()
    y = apply("dot", w, x)
    body = to_dot(graph(w, x, y, apply("add", y, np.ones(2)))).body
    nodes = [line for line in body if "->" not in line]
    shapes = [
        tuple(
            part for part in line.split()
            if part.startswith(("style", "shape", "penwidth", "peripheries"))
        )
        for line in nodes
    ]
    assert len(set(shapes)) == 5  # variable, input, operation, constant, output


def test_alarming_values_are_bold_and_framed():
    source = to_dot(graph(leaf(np.nan))).source
    assert "<B>nan</B>" in source
    assert "penwidth=2.5" in source


def test_rankdir():
    assert "rankdir=TB" in to_dot(graph(leaf()), rankdir="TB").source
    with pytest.raises(RenderError, match=r"unknown rankdir 'up': use one of LR, TB, RL, BT"):
        to_dot(graph(leaf()), rankdir="up")


hostile = st.text(
    st.one_of(st.sampled_from('<>&"\'\\{}|[];=-#/NGEHTLlnr \n\0'), st.characters()), max_size=80
)


@settings(max_examples=200, deadline=None)
@given(hostile)
@example("</TD></TR></TABLE>> evil [label=x]; n9 -> n0; //")
@example('"]; n9 [label="x')
@example("<B>bold</B>")
@example("&lt;&#60;&amp;")
@example(r"\N \G \L \E \T \H \l \n \\ \\\ \x")
@example("{a|<port> b}")
@example("]]> <!-- --> <![CDATA[")
@example("👩‍💻 \ud800 \ufffe \x7f")
@example("x" * 10_000)
def test_labels_arrive_as_they_are_and_stay_in_their_place(label):
    x = leaf(label=label)
    root = svg(graph(x, apply(label, x)), title=label, values=False, shapes=False)
    assert len(groups(root, "node")) == 2
    assert len(groups(root, "edge")) == 1
    line = clean(label)
    expected = line + (line or "input") + (line or "operation")
    shown = "".join(text or "" for text in texts(root))
    assert shown.replace(" ", "") == expected.replace(" ", "")


@settings(max_examples=100, deadline=None)
@given(hostile)
@example("</FONT>> evil [label=x]; n9 -> n0; //")
@example(r"\N \G \L")
@example("x" * 10_000)
def test_names_of_modules_places_notes_and_legends_stay_in_theirs(text):
    line = clean(text) or "x"
    nodes = (Node("n0", "input", "a", group="g0", place=line, colour=0),
             Node("n1", "group", line, "2 operations", group="g0"))
    drawing = Drawing(nodes, (Edge("n0", "n1", count=3),), None,
                      (Group("g0", line, "module", None, (line,)),), note=f"{line}\n{line}",
                      legend=(line,) * 5, places=True)
    root = ET.fromstring(draw(digraph(drawing), "svg"))
    assert len(groups(root, "node")) == 2 and len(groups(root, "cluster")) == 1
    assert len(groups(root, "edge")) == 1
    shown = "".join(text or "" for text in texts(root)).replace(" ", "")
    assert shown.count(line.replace(" ", "")) >= 2 + 1 + 1 + 5 + 1


def test_importing_loads_neither_graphviz_nor_fonts():
    code = (
        "import sys; from autograd_core.render import render, to_dot; "
        "print([m for m in ('graphviz', 'pygraphviz', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
