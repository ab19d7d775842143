"""What is drawn is true: values are computed again from the picture alone, and compared."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import autograd_core as ag
from autograd_core.compiler.numpy_executor import _updates_last, memory
from autograd_core.compiler.program import Var
from autograd_core.op import OPS
from autograd_core.render import drawing_of, engine
from autograd_core.render.layout import svg

SVG = "{http://www.w3.org/2000/svg}"
UNARY = [np.sin, np.exp, np.tanh, np.negative, lambda a: a**2, lambda a: 0.25 * a,
         lambda a: 3.0 - a, np.abs]
BINARY = [np.add, np.subtract, np.multiply, np.arctan2, np.maximum]


def build(steps, start):
    made = list(start)
    for kind, i, j in steps:
        a, b = made[i % len(made)], made[j % len(made)]
        made.append(UNARY[kind](a) if kind < len(UNARY) else BINARY[kind - len(UNARY)](a, b))
    return made[-1]


STEPS = st.lists(
    st.tuples(st.integers(0, len(UNARY) + len(BINARY) - 1), st.integers(0, 30),
              st.integers(0, 30)),
    min_size=1, max_size=12,
)


def read(picture):
    """From an SVG: per node its heading and its value, and the edges in order."""
    root = ET.fromstring(picture)
    nodes, edges = {}, {}
    for g in root.iter(f"{SVG}g"):
        name = g.find(f"{SVG}title")
        if g.get("class") == "node":
            texts = [(t.text or "").strip() for t in g.iter(f"{SVG}text")]
            value = texts[texts.index("value") + 1]
            heading = " ".join(texts[:next(i for i, t in enumerate(texts) if "float64" in t)])
            nodes[name.text] = heading.split(" = ")[-1], float(value)
        elif g.get("class") == "edge":
            edges[int(g.get("id")[1:])] = tuple(name.text.split("->"))
    return nodes, [edges[i] for i in range(len(edges))]


def recomputed(call, arguments):
    """The value of `power(·, 2)` for the arguments that arrive along the edges."""
    match = re.fullmatch(r"(\w+)(?:\((.*)\))?", call)
    given = iter(arguments)
    operands = [next(given) if x == "·" else float(x)
                for x in (match[2].split(", ") if match[2] else ["·"] * len(arguments))]
    return OPS[match[1]].forward(*map(np.float64, operands))


@settings(max_examples=25, deadline=None)
@given(STEPS, st.booleans())
def test_a_picture_of_scalars_can_be_computed_again(steps, by_graphviz):
    x, y = (ag.tensor(v, requires_grad=True, label=n) for n, v in (("x", 0.4), ("y", 0.7)))
    with np.errstate(all="ignore"):
        drawing = drawing_of(build(steps, (x, y)), cotangents=False, derivatives=False)
    picture = engine.picture(drawing, "svg") if by_graphviz else svg(drawing)
    nodes, edges = read(picture)
    assert len(nodes) == len(drawing.nodes)
    for name, (call, value) in nodes.items():
        arguments = [nodes[tail][1] for tail, head in edges if head == name]
        if arguments:
            with np.errstate(all="ignore"):
                # Five digits are drawn, and errors grow through exp.
                assert recomputed(call, arguments) == pytest.approx(value, rel=2e-2, abs=1e-3,
                                                                    nan_ok=True)


def keywords(call):
    """`axis=0, keepdims=True` of a drawn call."""
    found = re.findall(r"(\w+)=(\([^)]*\)|[^,()]+)", call)
    return {name: eval(value, {"__builtins__": {}}) for name, value in found}


@settings(max_examples=40, deadline=None)
@given(STEPS, st.integers(0, 3))
def test_the_values_of_arrays_follow_from_each_other_along_the_edges(steps, end):
    rng = np.random.default_rng(0)
    w = ag.tensor(rng.normal(size=(2, 3)), requires_grad=True)
    b = ag.tensor(rng.normal(size=3), requires_grad=True)
    with np.errstate(all="ignore"):
        y = build(steps, (w, b, w * np.arange(3.0)))
        y = (y, y.sum(), np.sum(y, axis=-1), np.sum(y, axis=0, keepdims=True))[end]
    drawing = drawing_of(y, values=True)
    nodes = {node.name: node for node in drawing.nodes}
    for node in drawing.nodes:
        if node.kind != "operation":
            continue
        arguments = {e.argument: nodes[e.tail].value.array
                     for e in drawing.edges if e.head == node.name}
        arguments |= {i: float(text) for i, text in node.scalars}
        operands = [arguments[i] for i in range(len(arguments))]
        attrs = {"axis": None, "keepdims": False} if node.op == "sum" else {}
        with np.errstate(all="ignore"):
            again = OPS[node.op].forward(*operands, **attrs | keywords(node.title))
        np.testing.assert_allclose(again, node.value.array, rtol=1e-12)
        assert node.value.array.shape == node.shape


def test_a_planted_lie_is_caught():
    x = ag.tensor(0.4, requires_grad=True, label="x")
    picture = engine.picture(drawing_of(np.sin(x)), "svg").decode()
    nodes, edges = read(picture.replace(">0.38942<", ">0.48942<"))
    ((tail, head),) = edges
    assert recomputed(nodes[head][0], [nodes[tail][1]]) != pytest.approx(nodes[head][1], rel=2e-2)


@pytest.fixture(scope="module")
def program():
    w = ag.tensor(np.ones((8, 8)), requires_grad=True, label="w")

    @ag.compile
    def step(x):
        y = np.sin(x @ w)
        z = np.exp(np.cos(y) * 2.0) + y
        w.assign(w - 0.1 * (x.T @ z))
        return (z * y).sum()

    step(np.ones((8, 8)))
    return step


def test_values_of_one_colour_are_never_needed_at_the_same_time(program):
    drawing = drawing_of(program)
    after = program.programs[-1][1]
    within, in_place = memory(after, 1)
    steps = _updates_last(after)  # the order of the run
    made = {x: n for n, i in enumerate(steps) for x in i.outs}
    read_last = dict(made)
    for n, instruction in enumerate(steps):
        for x in instruction.args:
            if isinstance(x, Var) and x in made:
                read_last[x] = n
    for x, (a, size) in within.items():
        for y, (b, other) in within.items():
            if x is not y and a < b + other and b < a + size:
                assert read_last[x] <= made[y] or read_last[y] <= made[x]
    assert drawing.legend and any("updated in place" in text for text in drawing.legend)
    assert in_place
    by_colour = {}
    for node in drawing.nodes:
        if node.colour is not None:
            assert f"memory {node.colour + 1}" in node.type
            by_colour.setdefault(node.colour, []).append(node)
    assert sorted(by_colour) == list(range(len(drawing.legend)))
    assert all(len(nodes) > 1 for nodes in by_colour.values())
    source = ag.to_dot(program).source
    assert all(text in source for text in ("updated in place", "BGCOLOR"))


def test_the_memory_is_that_of_what_is_run(program):
    assert not drawing_of(program, stage="before").legend
    assert not drawing_of(program, buffers=False).legend
    assert not drawing_of(program.programs[-1][1]).legend
    assert drawing_of(program.programs[-1][1], buffers=True).legend
    with pytest.raises(ag.RenderError, match="memory of a program"):
        ag.to_dot(ag.tensor(1.0), buffers=True)
