"""Large drawings made small, and that nothing is lost in them without being counted."""

from itertools import pairwise

import numpy as np
import pytest
from standins import chain, graph, leaf

import autograd_core as ag
from autograd_core.render import drawing_of
from autograd_core.render.collapse import BUDGET, collapse
from autograd_core.render.describe import MAX_NODES, Origin, describe, walk


class Layers:
    """A network whose operations know the modules that made them."""

    def __init__(self, depth):
        self.scopes = {}
        self.weights = []
        x = ag.tensor(np.ones((2, 4)), label="x")
        for i in range(depth):
            w = ag.tensor(np.eye(4), requires_grad=True, label=f"w{i}")
            z = self.made(x @ w, "Net", f"{i}: Linear(4, 4)")
            x = self.made(np.tanh(z), "Net", f"{i}: Linear(4, 4)", "tanh")
        self.out = self.made(x.sum())

    def made(self, tensor, *scopes):
        self.scopes[id(tensor)] = Origin(None, scopes)
        return tensor

    def drawing(self, **options):
        return describe(ag.Graph(self.out), origin=lambda t: self.scopes.get(id(t), Origin()),
                        **options)


def test_operations_are_in_the_group_of_their_module_and_so_are_its_parameters():
    drawing = Layers(2).drawing()
    paths = {g.name: " > ".join(g.path) for g in drawing.groups}
    assert [(n.title, paths.get(n.group)) for n in drawing.nodes] == [
        ("x", None),
        ("w0", "Net > 0: Linear(4, 4)"),
        ("matmul", "Net > 0: Linear(4, 4)"),
        ("tanh", "Net > 0: Linear(4, 4) > tanh"),
        ("w1", "Net > 1: Linear(4, 4)"),
        ("matmul", "Net > 1: Linear(4, 4)"),
        ("tanh", "Net > 1: Linear(4, 4) > tanh"),
        ("sum", None),
    ]
    assert all(g.kind == "module" for g in drawing.groups)
    steps = [step if step is None else step.title for step in walk(drawing)]
    assert steps == [
        "x", "Net", "0: Linear(4, 4)", "w0", "matmul", "tanh", "tanh", None, None,
        "1: Linear(4, 4)", "w1", "matmul", "tanh", "tanh", None, None, None, "sum",
    ]


def test_a_parameter_of_two_modules_is_in_what_holds_both():
    w = ag.tensor(2.0, requires_grad=True, label="w")
    a, b = w * 3.0, w * 4.0
    y = a + b
    scopes = {id(a): ("Net", "a"), id(b): ("Net", "b"), id(y): ("Net",)}
    drawing = describe(ag.Graph(y), origin=lambda t: Origin(None, scopes.get(id(t), ())))
    titles = {g.name: g.title for g in drawing.groups}
    assert [titles.get(n.group) for n in drawing.nodes] == ["Net", "a", "b", "Net"]


def shown(drawing):
    return [f"{n.title} [{n.detail}]" if n.kind == "group" else n.title for n in drawing.nodes]


def test_depths():
    net = Layers(2)
    assert shown(collapse(net.drawing(), 1)) == ["x", "Net [4 operations, 32 parameters]", "sum"]
    assert shown(collapse(net.drawing(), 2)) == [
        "x", "0: Linear(4, 4) [2 operations, 16 parameters]",
        "1: Linear(4, 4) [2 operations, 16 parameters]", "sum",
    ]
    third = collapse(net.drawing(), 3)
    assert shown(third)[:4] == ["x", "w0", "matmul", "tanh"]  # a box of one is no box
    assert collapse(net.drawing(), False) == collapse(net.drawing()) == net.drawing()


def test_a_callback_chooses():
    seen = []

    def first(path):
        seen.append(path)
        return path[-1].startswith("0")

    drawing = collapse(Layers(2).drawing(), first)
    assert shown(drawing) == [
        "x", "0: Linear(4, 4) [2 operations, 16 parameters]", "w1", "matmul", "tanh", "sum",
    ]
    assert ("Net", "1: Linear(4, 4)", "tanh") in seen
    assert {g.title for g in drawing.groups} == {"Net", "1: Linear(4, 4)", "tanh"}


def test_repeated_blocks_are_drawn_once():
    drawing = collapse(Layers(12).drawing(), 2)
    # The first one reads the input, which is no block, so it is not like the others.
    assert shown(drawing) == [
        "x", "0: Linear(4, 4) [2 operations, 16 parameters]",
        "Linear(4, 4) × 11 [22 operations, 176 parameters]", "sum",
    ]
    assert [(e.tail, e.head) for e in drawing.edges] == [
        (a.name, b.name) for a, b in pairwise(drawing.nodes)
    ]


def test_blocks_that_differ_are_not_called_repeated():
    net = Layers(5)
    drawing = net.drawing()
    assert not any("×" in title for title in shown(collapse(drawing, lambda path: "9" in path)))
    x = ag.tensor(np.ones((2, 4)))
    for i, n in enumerate((4, 5, 6, 7)):
        w = ag.tensor(np.ones((x.shape[1], n)), requires_grad=True)
        x = net.made(x @ w, f"{i}: Layer")
    net.out = x
    assert not any("×" in title for title in shown(collapse(net.drawing(), 1)))


def total(drawing):
    return sum(node.count for node in drawing.nodes)


@pytest.mark.parametrize("size", [MAX_NODES + 1, 10_000])
def test_a_chain_is_one_block(size):
    drawing = collapse(describe(chain(size)))
    assert len(drawing.nodes) < 5 and total(drawing) == size
    assert f"{size:,} nodes, drawn as" in drawing.note


def wild(size, seed=0):
    """A graph without any regularity."""
    rng = np.random.default_rng(seed)
    x = ag.tensor(0.5, requires_grad=True)
    made = [x]
    while len(made) < size:
        i, j = rng.integers(max(0, len(made) - 20), len(made), 2)
        f = (np.minimum, np.arctan2, np.subtract, np.maximum)[rng.integers(4)]
        made.append(f(made[i], made[j]))
    return ag.Graph(made[-20:])


def wide(size):
    x = [ag.tensor(float(i), requires_grad=True) for i in range(size)]
    return ag.Graph(sum(np.sin(a) * np.cos(a) for a in x))


@pytest.mark.parametrize("make", [lambda: wild(10_000), lambda: wide(3_000)])
def test_any_large_graph_becomes_a_small_drawing(make):
    drawn = make()
    full = describe(drawn)
    drawing = collapse(full)
    assert len(drawing.nodes) <= 2 * BUDGET
    assert total(drawing) == len(full.nodes)
    names = {node.name for node in drawing.nodes}
    assert {e.tail for e in drawing.edges} | {e.head for e in drawing.edges} <= names
    assert any(node.is_output for node in drawing.nodes)


def test_every_edge_is_counted_or_inside():
    full = describe(wild(1_500))
    small = collapse(full)
    assert sum(e.count for e in small.edges) <= len(full.edges)
    heads = {n.name for n in small.nodes if n.kind != "group"}
    for name in heads & {n.name for n in full.nodes}:
        arriving = sum(e.count for e in small.edges if e.head == name)
        assert arriving == sum(e.head == name for e in full.edges)


def test_small_drawings_are_left_alone():
    drawing = describe(chain(MAX_NODES))
    assert collapse(drawing) is drawing


def test_alarm_is_not_hidden():
    net = Layers(2)
    net.out.inputs[0].inputs[0].inputs[1]._value[0, 0] = np.nan
    node = collapse(net.drawing(), 1).nodes[1]
    assert node.kind == "group" and node.alarming


def test_stale_values_are_said_to_be_stale():
    w = ag.tensor(2.0, requires_grad=True, label="w")
    y = w * w
    assert drawing_of(y).note is None
    w.data = 5.0
    assert drawing_of(y).note.startswith("w has changed since")
    ag.Graph(y).fprop()
    assert drawing_of(y).note is None


def test_nested_groups_in_every_notation():
    drawing = Layers(2).drawing(title="t")
    from autograd_core.render.dot import digraph
    from autograd_core.render.mermaid import mermaid
    from autograd_core.render.outline import outline

    source = digraph(drawing).source
    assert source.count("subgraph cluster_") == 5 and source.count("{") == source.count("}")
    flowchart = mermaid(drawing)
    assert flowchart.count("subgraph ") == flowchart.count("end\n") == 5
    assert "Net:\n  0: Linear(4, 4):\n    2. w0: variable" in outline(drawing)


def test_hand_made_graphs_need_no_clock():
    assert describe(graph(leaf())).note is None
