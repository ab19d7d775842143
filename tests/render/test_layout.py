"""The layout that needs no Graphviz."""

import itertools
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from standins import apply, chain, graph, leaf
from test_collapse import Layers, wild
from test_faces import HOSTILE

import autograd_core as ag
from autograd_core.render import drawing_of, engine, render
from autograd_core.render.describe import MAX_NODES, Drawing, Edge, Group, Node, clean, describe
from autograd_core.render.dot import RANK_DIRECTIONS
from autograd_core.render.layout import lay_out, svg, text_width

SVG = "{http://www.w3.org/2000/svg}"


def borders(box, margin=0.0):
    return (box.x - box.width / 2 - margin, box.y - box.height / 2 - margin,
            box.x + box.width / 2 + margin, box.y + box.height / 2 + margin)


def overlap(a, b):
    (l1, t1, r1, b1), (l2, t2, r2, b2) = borders(a), borders(b)
    return l1 < r2 and l2 < r1 and t1 < b2 and t2 < b1


def contains(outer, inner):
    (l1, t1, r1, b1), (l2, t2, r2, b2) = borders(outer, 0.01), borders(inner)
    return l1 <= l2 and t1 <= t2 and r1 >= r2 and b1 >= b2


def check(drawing, rankdir):
    """What holds of every layout."""
    layout = lay_out(drawing, rankdir)
    for a, b in itertools.combinations(layout.nodes.values(), 2):
        assert not overlap(a, b)
    parents = {g.name: g.parent for g in drawing.groups}

    def around(name):
        while name is not None:
            yield name
            name = parents[name]

    members = {node.name: set(around(node.group)) for node in drawing.nodes}
    for name, box in layout.groups.items():
        for node, inside in members.items():
            if name in inside:
                assert contains(box, layout.nodes[node])
            else:
                assert not overlap(box, layout.nodes[node])
        if parents[name] is not None:
            assert contains(layout.groups[parents[name]], box)
    for box in (*layout.nodes.values(), *layout.groups.values()):
        left, top, right, bottom = borders(box)
        assert left >= 0 and top >= 0 and right <= layout.width and bottom <= layout.height
    axis = 0 if rankdir in ("LR", "RL") else 1
    sign = -1 if rankdir in ("RL", "BT") else 1
    onwards = 0
    for i, (edge, points) in enumerate(zip(drawing.edges, layout.edges, strict=True)):
        for point, end in ((points[0], edge.tail), (points[-1], edge.head)):
            left, top, right, bottom = borders(layout.nodes[end], 0.01)
            assert left <= point[0] <= right and top <= point[1] <= bottom
        if i not in layout.straight:
            onwards += 1
            steps = [sign * (b[axis] - a[axis]) for a, b in itertools.pairwise(points)]
            assert all(step >= -1e-9 for step in steps)
    return layout, onwards


@pytest.mark.parametrize("rankdir", RANK_DIRECTIONS)
def test_nothing_overlaps_and_all_edges_lead_onwards(rankdir):
    for drawing in (describe(wild(60)), describe(chain(5)), Layers(4).drawing()):
        _, onwards = check(drawing, rankdir)
        assert onwards == len(drawing.edges)


@st.composite
def drawings(draw):
    """Any graph, any nest of groups, also ones that edges leave and enter again."""
    size = draw(st.integers(1, 14))
    depth = draw(st.integers(0, 4))
    groups = tuple(
        Group(f"g{i}", f"g{i}", draw(st.sampled_from(["module", "fused", "side"])),
              draw(st.sampled_from([None, *(f"g{j}" for j in range(i))])))
        for i in range(depth)
    )
    nodes = tuple(
        Node(f"n{i}", "operation", draw(st.sampled_from(["a", "a longer title", "w" * 40])),
             group=draw(st.sampled_from([None, *(g.name for g in groups)])))
        for i in range(size)
    )
    pairs = draw(st.lists(st.tuples(st.integers(0, size - 1), st.integers(0, size - 1)),
                          max_size=25))
    edges = tuple(Edge(f"n{min(a, b)}", f"n{max(a, b)}") for a, b in pairs if a != b)
    return Drawing(nodes, edges, groups=groups)


@settings(max_examples=80, deadline=None)
@given(drawings(), st.sampled_from(RANK_DIRECTIONS))
def test_any_drawing_can_be_laid_out(drawing, rankdir):
    check(drawing, rankdir)
    ET.fromstring(svg(drawing, rankdir))


def test_a_layer_is_ordered_so_that_edges_do_not_cross():
    xs = [leaf() for _ in range(6)]
    ys = [apply("exp", x) for x in reversed(xs)]
    total = apply("add", *ys)
    layout = lay_out(describe(graph(*xs, *ys, total)))
    tails = [layout.nodes[f"n{i}"].y for i in range(6)]
    heads = [layout.nodes[f"n{6 + i}"].y for i in range(6)]
    assert np.argsort(tails).tolist() == np.argsort(heads[::-1]).tolist()


def test_a_chain_is_a_straight_line():
    layout = lay_out(describe(chain(6)))
    assert len({round(box.y, 6) for box in layout.nodes.values()}) == 1


def test_text_fits_into_its_node():
    x = leaf(label="MMMMMMMMWWWWWW 漢字漢字 😀", requires_grad=True)
    drawing = describe(graph(x))
    assert lay_out(drawing).nodes["n0"].width > text_width(drawing.nodes[0].title, 11, True)


def test_the_picture_says_what_the_graph_says():
    x = ag.tensor(2.0, requires_grad=True, label="x")
    y = x * x - np.exp(x)
    y.backward()
    root = ET.fromstring(svg(drawing_of(y, title="a title")))
    texts = [element.text for element in root.iter(f"{SVG}text")]
    assert {"a title", "x", "multiply", "exp", "subtract", "2", "∂ 2", "0", "1"} <= set(texts)
    kinds = [g.get("class") for g in root.iter(f"{SVG}g")]
    assert kinds.count("node") == 4 and kinds.count("edge") == 5
    ids = [g.get("id") for g in root.iter(f"{SVG}g") if g.get("id")]
    assert len(ids) == len(set(ids)) and {"n0", "e4"} <= set(ids)


def test_the_ids_are_those_of_graphviz():
    drawing = Layers(2).drawing()
    ours, theirs = (
        {g.get("id") for g in ET.fromstring(text).iter(f"{SVG}g") if g.get("class") != "graph"}
        for text in (svg(drawing), engine.picture(drawing, "svg"))
    )
    assert ours == theirs


@settings(max_examples=100, deadline=None)
@given(HOSTILE)
@example("</text><script>alert(1)</script>")
@example('" onload="alert(1)')
@example("]]> <!-- --> &amp; &#60;")
@example("x" * 10_000)
@example("👩‍💻 \ud800 \ufffe \x7f")
def test_labels_arrive_as_they_are(label):
    x = leaf(label=label)
    drawing = describe(graph(x, apply(label, x)), values=False, shapes=False, title=label)
    groups = (Group("g0", clean(label), "module"),)
    nodes = tuple(Node(n.name, n.kind, n.title, n.detail, group="g0") for n in drawing.nodes)
    root = ET.fromstring(svg(Drawing(nodes, drawing.edges, drawing.title, groups)))
    assert {e.tag for e in root.iter()} <= {
        f"{SVG}{t}" for t in ("svg", "g", "rect", "text", "title", "path", "polygon")}
    assert not any(name.startswith("on") for e in root.iter() for name in e.attrib)
    line = clean(label)
    texts = [element.text or "" for element in root.iter(f"{SVG}text")]
    assert (line or "input") in texts and (line or "operation") in texts


def test_without_graphviz_an_svg_is_drawn_and_says_so(no_engine, tmp_path):
    x = ag.tensor(1.0, label="x")
    text = render(np.exp(x), tmp_path / "x.svg").read_text()
    assert "there is no Graphviz: a simple layout instead" in text
    with pytest.raises(ag.RenderError, match=r"Install Graphviz.*\.svg needs no engine"):
        render(np.exp(x), tmp_path / "x.png")
    assert [path.name for path in tmp_path.iterdir()] == ["x.svg"]


def test_what_is_too_large_for_graphviz_is_drawn_all_the_same(tmp_path):
    x = ag.tensor(1.0)
    for _ in range(MAX_NODES):
        x = x * 1.0
    text = render(x, tmp_path / "x.svg", collapse=False).read_text()
    assert "too large for Graphviz" in text and text.count('class="node"') == MAX_NODES + 1
    with pytest.raises(ag.RenderError, match=r"1,001 nodes .* Leave `collapse` out"):
        render(x, tmp_path / "x.png", collapse=False)


def test_edges_that_lead_back_run_beside_the_drawing():
    drawing = Drawing(
        (Node("n0", "variable", "w"), Node("n1", "update", "w <-")),
        (Edge("n0", "n1"), Edge("n1", "n0", back=True)),
    )
    for rankdir in RANK_DIRECTIONS:
        layout, onwards = check(drawing, rankdir)
        assert onwards == 1 and layout.straight == {1}
        across = rankdir in ("LR", "RL")
        lane = layout.edges[1][1][1 if across else 0]
        assert all(lane > borders(box)[3 if across else 2] for box in layout.nodes.values())
        assert lane < (layout.height if across else layout.width)
