"""What is shown of a graph."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from standins import Graph, apply, chain, graph, leaf

from autograd_core.errors import RenderError
from autograd_core.render.describe import Edge, clean, describe, quantity


def titles(drawing):
    return [node.title for node in drawing.nodes]


def last(*nodes, **options):
    return describe(graph(*nodes), **options).nodes[-1]


def test_kinds_of_nodes():
    w, x = leaf(requires_grad=True), leaf([1.0, 2.0])
    y = apply("multiply", w, x)
    drawing = describe(graph(w, x, y, apply("add", y, np.ones(2))))
    assert [node.kind for node in drawing.nodes] == [
        "variable", "input", "operation", "constant", "operation",
    ]
    assert [node.is_output for node in drawing.nodes] == [False] * 4 + [True]
    assert [node.name for node in drawing.nodes] == ["n0", "n1", "n2", "n3", "n4"]
    assert titles(drawing) == ["variable", "input", "multiply", "constant", "add"]


def test_every_output_is_marked():
    x = leaf()
    y, z = apply("sin", x), apply("cos", x)
    assert [n.is_output for n in describe(Graph([x, y, z], (y, z))).nodes] == [False, True, True]


def test_a_label_comes_before_the_operation():
    x = leaf(label="x")
    node = last(x, apply("power", x, 2, label="area"))
    assert (node.title, node.detail) == ("area", "= power(·, 2)")


def test_a_label_of_nothing_visible_is_no_label():
    assert last(leaf(label="\n\0 ", requires_grad=True)).title == "variable"


def test_a_node_used_twice_has_two_edges():
    x = leaf()
    assert describe(graph(x, apply("multiply", x, x))).edges == (
        Edge("n0", "n1", argument=0), Edge("n0", "n1", argument=1),
    )


def test_positions_are_given_where_the_order_matters():
    x, y = leaf(), leaf()
    assert describe(graph(x, y, apply("subtract", x, y))).edges == (
        Edge("n0", "n2", 0, argument=0), Edge("n1", "n2", 1, argument=1),
    )
    assert [e.position for e in describe(graph(x, y, apply("add", x, y))).edges] == [None, None]
    assert [e.position for e in describe(graph(x, apply("exp", x))).edges] == [None]
    # The scalar in the middle is written into the operation, and still counts.
    assert [e.position for e in describe(graph(x, y, apply("where", x, 0.0, y))).edges] == [0, 2]


@pytest.mark.parametrize(
    ("inputs", "attrs", "expected"),
    [
        ((), {}, "f(·)"),
        ((2,), {}, "f(·, 2)"),
        ((np.float32(0.1),), {}, "f(·, 0.1)"),
        ((np.array(3),), {}, "f(·, 3)"),
        ((1 / 3,), {}, "f(·, 0.33333)"),
        ((), {"axis": -1}, "f(·, axis=-1)"),
        ((), {"axis": (0, 1), "keepdims": True}, "f(·, axis=(0, 1), keepdims=True)"),
        ((), {"axis": (0,)}, "f(·, axis=(0,))"),
        ((), {"index": (slice(1, None, 2), Ellipsis, 3)}, "f(·, index=(1::2, ..., 3))"),
        ((), {"index": slice(None, 5)}, "f(·, index=:5)"),
        ((), {"index": None}, "f(·, index=None)"),
        ((), {"dtype": np.dtype("float32")}, "f(·, dtype=float32)"),
        ((), {"dtype": np.float32}, "f(·, dtype=float32)"),
        ((), {"mask": np.ones((2, 3), bool)}, "f(·, mask=bool (2, 3))"),
        ((), {"order": 1, "where": None}, "f(·, order=1)"),
    ],
)
def test_fixed_arguments_are_written_out(inputs, attrs, expected):
    x = leaf()
    assert last(x, apply("f", x, *inputs, attrs=attrs)).title == expected.replace("f(·)", "f")


def test_attributes_left_alone_are_not_shown():
    x = leaf()
    assert last(x, apply("sum", x, attrs={"axis": None, "keepdims": False})).title == "sum"


@pytest.mark.parametrize(
    ("value", "lines"),
    [
        (np.float64(3.14159265), ("3.1416",)),
        (np.float32(0.1), ("0.1",)),
        (np.float64(1e-8), ("1e-08",)),
        (np.int64(-7), ("-7",)),
        (np.bool_(True), ("True",)),
        (np.complex128(1 + 2j), ("1+2j",)),
        (10**400, ("huge",)),
        (np.zeros((0, 3)), ("empty",)),
        (np.array([1.0, 0.25]), ("[1, 0.25]",)),
        (np.array([[1, 2, 3], [4, 5, 6]]), ("[1, 2, 3]", "[4, 5, 6]")),
        (np.arange(100.0), ("min 0, max 99", "mean 49.5")),
        (np.ones((1, 2, 2), np.float32), ("min 1, max 1", "mean 1")),
        (np.array([3 + 4j] * 9), ("|·| min 5, max 5", "|·| mean 5")),
        (np.arange(12) % 3 == 0, ("4 of 12 true",)),
        (np.array(["a"] * 9), ("9 elements",)),
        (np.full(9, 60_000, np.float16), ("min 60000, max 60000", "mean 60000")),
    ],
)
def test_values(value, lines):
    assert quantity(value).lines == lines
    assert not quantity(value).alarming


@pytest.mark.parametrize(
    ("value", "lines"),
    [
        (np.float64("nan"), ("nan",)),
        (np.array([-np.inf, 1.0]), ("[-inf, 1]",)),
        (np.r_[np.arange(8.0), np.nan, np.inf, np.inf],
         ("min 0, max 7", "mean 3.5", "1 nan, 2 inf")),
        (np.full(7, np.nan), ("7 nan",)),
    ],
)
def test_nan_and_infinity_are_counted_and_alarming(value, lines):
    assert quantity(value).lines == lines
    assert quantity(value).alarming


def test_a_node_is_alarming_through_its_gradient_too():
    assert last(leaf(1.0, requires_grad=True, grad=np.float64("inf"))).alarming
    assert not last(leaf(np.nan), values=False).alarming


def test_type_of_scalars_and_arrays():
    assert last(leaf(1.0)).type == "float64"
    assert last(leaf(np.zeros((2, 3), np.float32))).type == "float32 (2, 3)"


def test_a_missing_gradient_is_a_dash_and_never_zero():
    x, y = leaf(requires_grad=True, grad=np.float64(0.0)), leaf(requires_grad=True)
    grads = [n.grad.lines for n in describe(graph(x, y, apply("add", x, y))).nodes]
    assert grads == [("0",), ("—",), ("—",)]


def test_a_gradient_may_itself_be_a_tensor():
    assert last(leaf(requires_grad=True, grad=leaf(2.5))).grad.lines == ("2.5",)


def test_gradients_are_left_out_where_there_is_none_at_all():
    x = leaf(requires_grad=True)
    assert last(x, apply("exp", x)).grad is None
    assert last(x, apply("exp", x), grads=True).grad.lines == ("—",)


def test_details_follow_the_size_unless_asked_for():
    small, middle, large = (describe(chain(n)).nodes[-1] for n in (150, 151, 501))
    assert small.value and small.type
    assert not middle.value and middle.type
    assert not large.value and not large.type
    asked = describe(chain(501), values=True, grads=True, shapes=True).nodes[-1]
    assert asked.value and asked.grad and asked.type
    refused = describe(chain(2), values=False, grads=False, shapes=False).nodes[-1]
    assert not refused.value and not refused.grad and not refused.type


def test_nothing_to_draw():
    with pytest.raises(RenderError, match="nothing to draw"):
        describe(Graph([], ()))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("two\nlines\tand\r\nmore", "two lines and more"),
        ("nul\0 and \x1b[31m", "nul and [31m"),
        ("\ud800 lone surrogate", "lone surrogate"),
        ("right-to-left \u202e override", "right-to-left override"),
        ("αβ∇ 漢字 😀", "αβ∇ 漢字 😀"),
        ("x" * 60, "x" * 60),
        ("x" * 10_000, "x" * 59 + "…"),
        (" " * 10_000 + "x", "…"),
        ("", ""),
    ],
)
def test_clean(text, expected):
    assert clean(text) == expected


@given(st.text())
def test_clean_gives_one_short_printable_line(text):
    line = clean(text)
    assert line.isprintable() and len(line) <= 60 and line == line.strip() == clean(line)
