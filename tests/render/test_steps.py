"""The steps of a page are what the engine does: same terms, same order, same numbers."""

import ast

import numpy as np
import pytest

import autograd_core as ag
import nn
from autograd_core.render.steps import steps

RNG = np.random.default_rng(0)


def leaf(value, label=None, dtype=None):
    return ag.tensor(value, requires_grad=True, dtype=dtype, label=label)


def expression():
    x = leaf(0.5, "x")
    c = np.exp(x) + np.exp(x) ** 2
    return np.exp(c) + np.sin(c)


def square():
    x = leaf(3.0, "x")
    return x * x


def deep_diamonds():
    x = leaf(0.3, "x")
    for _ in range(12):
        x = np.sin(x) * x + x
    return x


def network():
    model = nn.MLP([2, 5, 3], rng=0)
    x = RNG.standard_normal((7, 2)).astype(np.float32)
    return nn.losses.cross_entropy(model(x), RNG.integers(0, 3, 7))


def neurons():
    model = nn.Layer(3, 4, "tanh", rng=0)
    return (model(np.ones(3, np.float32)) ** 2).sum()


def broadcasting():
    a, b, c = leaf(np.ones((3, 1)), "a"), leaf(np.arange(4.0), "b"), leaf(2.0, "c")
    return ((a * b + c) / (1.0 + b * b)).sum() + a.mean()


def indexing_and_products():
    a, b = leaf(RNG.standard_normal((4, 4))), leaf(RNG.standard_normal((4, 4)))
    return np.einsum("ij,jk->", a[:, ::2], b[[0, 2]]) + np.linalg.det(a @ b) + a[0, 0] * a[0, 0]


def half_precision():
    w = leaf(np.linspace(-1, 1, 6), "w", np.float32)
    return np.logaddexp(w, w[::-1]).mean() * 3


def second_derivative():
    x = leaf(0.7, "x")
    y = np.sin(x) * x**3
    y.backward(create_graph=True)
    return x.grad * x


def several_uses_of_views():
    x = leaf(np.arange(6.0).reshape(2, 3))
    return (x.T @ x).sum() + x.reshape(-1)[2:].sum() * x.max() + np.where(x > 2, x, -x).sum()


def checkpointed():
    x, w = leaf(RNG.standard_normal(4), "x"), leaf(RNG.standard_normal((4, 4)), "w")
    return (ag.checkpoint(lambda x, w: np.tanh(x @ w) * x)(x, w) + x).sum()


def parts_of_an_array():
    """Gradients of slices, which the walk adds in place."""
    x = leaf(RNG.standard_normal((6, 3)), "x")
    return sum(np.sin(x[i]).sum() * (i + 1) for i in range(6)) + x[1:4, 0].sum() * x[2, 2]


GRAPHS = [expression, square, deep_diamonds, network, neurons, broadcasting, indexing_and_products,
          half_precision, second_derivative, several_uses_of_views, checkpointed, parts_of_an_array]


@pytest.mark.parametrize("make", GRAPHS, ids=lambda f: f.__name__)
def test_the_gradients_are_those_of_backward_to_the_last_bit(make):
    y = make()
    graph = ag.Graph(y)
    for node in graph.inputs:
        node.zero_grad()
    found = steps(graph)
    assert found.no_backward is None
    assert all(node.grad is None for node in graph.inputs), "drawing writes no gradient"
    y.backward()
    leaves = [(i, node) for i, node in enumerate(graph.nodes) if node.is_leaf]
    assert {i for i, node in leaves if node.requires_grad} <= found.gradients.keys()
    for i, node in leaves:
        if node.requires_grad:
            want = node.grad.numpy(force=True) if isinstance(node.grad, ag.Tensor) else node.grad
            assert found.gradients[i].tobytes() == want.tobytes()
            assert found.gradients[i].dtype == node.dtype
    # And of every node between, those that bprop leaves there.
    graph.bprop()
    for i, node in enumerate(graph.nodes):
        if node.grad is None:
            assert i not in found.gradients
        else:
            np.testing.assert_array_equal(found.gradients[i], node.grad)


@pytest.mark.parametrize("make", GRAPHS, ids=lambda f: f.__name__)
def test_the_terms_add_up_to_the_gradients_in_their_order(make):
    graph = ag.Graph(make())
    found = steps(graph)
    sums = {}
    for step in found.backward:
        term = step.term.array
        sums[step.node] = sums[step.node] + term if step.node in sums else term
        np.testing.assert_array_equal(step.result.array, sums[step.node])
        if step.local is not None:
            g = sums[step.consumer]
            np.testing.assert_allclose(g * step.local, term, rtol=1e-5)
        if step.consumer is not None:
            consumer = graph.nodes[step.consumer]
            assert consumer.inputs[step.argument] is graph.nodes[step.node]
    assert sums.keys() == found.gradients.keys()
    for i, total in sums.items():
        np.testing.assert_array_equal(found.gradients[i], total)
    last = {step.node: k for k, step in enumerate(found.backward)}
    assert [k for k, step in enumerate(found.backward) if step.last] == sorted(last.values())


@pytest.mark.parametrize("make", GRAPHS, ids=lambda f: f.__name__)
def test_forward_steps_are_the_operations_in_order_with_their_values(make):
    graph = ag.Graph(make())
    found = steps(graph)
    assert [step.node for step in found.forward] == [
        i for i, node in enumerate(graph.nodes) if not node.is_leaf]
    for step in found.forward:
        np.testing.assert_array_equal(step.result.array, graph.nodes[step.node].numpy(force=True))
        assert all(step.formula) and step.target == found.names[step.node]
    assert len(set(found.names)) == len(found.names)


def test_the_formulas_hold_the_numbers():
    x, y = leaf(2.0, "x"), leaf(-0.25, "y")
    z = x * y
    z.label = "z"
    found = steps(ag.Graph(z))
    assert [step.text for step in found.forward] == ["z = x * y = 2 * (-0.25) = -0.5"]
    assert [step.text for step in found.backward] == [
        "dz/dz = 1",
        "dz/dx += dz/dz * dz/dx = 1 * (-0.25) = -0.25",
        "dz/dy += dz/dz * dz/dy = 1 * 2 = 2",
    ]


def test_both_uses_of_a_square_are_steps_and_are_summed():
    x = leaf(3.0, "x")
    found = steps(ag.Graph(x * x))
    _, first, second = found.backward
    assert first.text == "dz/dx += dz/dz * dz/dx = 1 * 3 = 3" and not first.last
    assert second.sum == "3 + 3 = 6" and second.last


@pytest.mark.parametrize(("op", "text"), [
    (lambda a, b: a - b, "a - b"), (lambda a, b: a / b, "a / b"), (lambda a, b: a**b, "a ** b"),
    (lambda a, b: -a, "-a"), (lambda a, b: np.exp(a), "exp(a)"),
    (lambda a, b: 2.0 - a, "2 - a"), (lambda a, b: a ** (-2), "a ** (-2)"),
    (lambda a, b: np.maximum(a, b), "maximum(a, b)"),
    (lambda a, b: a.sum(), "sum(a)"), (lambda a, b: a + np.float64(1.5), "a + 1.5"),
])
def test_operations_are_written_as_python_writes_them(op, text):
    found = steps(ag.Graph(op(leaf(2.0, "a"), leaf(3.0, "b"))))
    assert found.forward[-1].formula[0] == text


def test_names_are_short_unique_and_those_of_the_listing():
    long, twice = leaf(1.0, "a name that is far too long"), leaf(2.0, "w")
    again = leaf(3.0, "w")
    y = (long + twice) * again
    graph = ag.Graph(y)
    found = steps(graph)
    assert found.names == ("v1", "w", "v2", "v3", "z")
    taken = leaf(1.0, "v1")
    assert steps(ag.Graph(np.exp(taken) + leaf(1.0, "z"))).names == ("v1", "v2", "z", "v3")


def test_a_leaf_that_no_path_reaches_differentiably_gets_its_zero():
    x = leaf(2.5, "x")
    y = np.floor(x) + leaf(1.0, "y")
    found = steps(ag.Graph(y))
    y.backward()
    assert x.grad == 0
    assert "dz/dx = a sum over no path = 0" in [step.text for step in found.backward]
    assert found.gradients[0] == 0


def test_several_outputs_are_summed_as_bprop_sums_them():
    x = leaf(2.0, "x")
    graph = ag.Graph([x * x, np.sin(x), x * x * x])
    found = steps(graph)
    graph.bprop()
    assert found.gradients[0] == x.grad
    assert sum(step.consumer is None for step in found.backward) == 3


def test_a_graph_replayed_as_arrays_gives_its_steps_too():
    weights = [ag.Value(0.1 * i) for i in range(20)]
    graph = ag.Graph(sum((w * x - 1.0).relu() ** 2 for x in (1.0, 2.0, 3.0) for w in weights))
    for _ in range(4):
        graph.fprop()
    found = steps(graph)
    graph.bprop()
    for i, node in enumerate(graph.nodes):
        if node.is_leaf:
            np.testing.assert_allclose(found.gradients[i], node.grad, rtol=1e-14)


def test_rules_are_asked_and_not_second_guessed():
    @ag.primitive
    def odd(x):
        return x * 1.0

    odd.defvjp(lambda g, y, x: g * 42.0)
    x = leaf(2.0, "x")
    assert steps(ag.Graph(odd(x))).gradients[0] == 42.0


# Cotangents, and arrays in formulas. --------------------------------------------------------------


def test_a_backward_pass_from_a_cotangent_is_that_of_backward():
    x = leaf([1.0, 2.0, 3.0], "x")
    y = np.sin(x) * x
    g = np.array([1.0, 0.0, -2.0])
    found = steps(ag.Graph(y), [g])
    assert found.no_backward is None and x.grad is None
    y.backward(g)
    np.testing.assert_array_equal(found.gradients[0], x.grad)
    assert found.backward[0].text.endswith("= [1, 0, -2]")
    with pytest.raises(ag.ShapeError, match=r"render: grad has shape \(2,\) but the output"):
        steps(ag.Graph(y), [np.ones(2)])


def numbers(text):
    """The array that a formula writes out."""
    return np.array(ast.literal_eval(text))


def test_products_of_small_arrays_are_written_out():
    x, w = leaf([[1.0, 2.0], [3.0, 4.0]], "x"), leaf([0.5, -1.0], "w")
    y = x * w
    found = steps(ag.Graph(y), [np.array([[1.0, 2.0], [0.0, -1.0]])])
    texts = {step.target: step.formula for step in found.backward}
    assert texts["dz/dx"] == (
        "dz/dz * dz/dx", "[[1, 2], [0, -1]] * [[0.5, -1], [0.5, -1]]", "[[0.5, -2], [0, 1]]")
    assert texts["dz/dw"] == (
        "dz/dz * dz/dw", "[[1, 2], [0, -1]] * [[1, 2], [3, 4]], summed to [2]", "[1, 0]")
    assert [step.formula for step in found.forward][-1] == (
        "x * w", "[[1, 2], [3, 4]] * [0.5, -1]", "[[0.5, -2], [1.5, -4]]")


def test_what_is_no_product_of_elements_says_so_with_its_numbers():
    a, b = leaf([[1.0, 2.0]], "a"), leaf([[3.0], [4.0]], "b")
    found = steps(ag.Graph((a @ b).sum()))
    texts = {step.target: step.formula[1:] for step in found.backward}
    assert texts["dz/da"] == ("[1] pulled back through matmul, argument 0", "[3, 4]")
    assert texts["dz/db"] == ("[1] pulled back through matmul, argument 1", "[[1], [2]]")


def test_of_large_arrays_shape_and_range_are_said():
    x = leaf(np.linspace(-1.0, 3.0, 12).reshape(3, 4), "x")
    found = steps(ag.Graph((x * 2.0).sum()))
    assert found.forward[0].formula == (
        "x * 2", "[3×4: -1 to 3] * 2", "float64[3×4: -2 to 6]")
    assert found.backward[-1].formula[1:] == (
        "[3×4: 1 to 1] * [3×4: 2 to 2]", "float64[3×4: 2 to 2]")
    x.data[0, 0] = np.nan
    with np.errstate(invalid="ignore"):
        assert "float64[3×4: not all finite]" in steps(ag.Graph(x * 2.0)).forward[0].text


@pytest.mark.parametrize("make", GRAPHS, ids=lambda f: f.__name__)
def test_products_that_are_written_out_are_what_is_added(make):
    """Each number in a formula is that of the walk; wrong ones would be told apart here."""
    graph = ag.Graph(make())
    for step in steps(graph).backward:
        if step.consumer is None or " * [" not in step.formula[1] or ":" in step.text:
            continue
        a, b = (numbers(part) for part in step.formula[1].partition(", summed")[0].split(" * "))
        summed = (a * b).sum() - np.asarray(step.term.array, float).sum()
        assert abs(summed) < 1e-2 * (1 + np.abs(a * b).sum())  # they have five digits


def test_what_keeps_the_backward_pass_away_is_said():
    assert "requires_grad=True" in steps(ag.Graph(np.exp(ag.tensor(1.0)))).no_backward
    vector = np.exp(leaf([1.0, 2.0], "x"))
    vector.label = "y"
    said = steps(ag.Graph(vector)).no_backward
    assert "y has shape (2,)" in said and "grad=np.ones((2,))" in said and "y.sum()" in said

    @ag.primitive
    def mute(x):
        return x * 1.0

    found = steps(ag.Graph(mute(leaf(1.0))))
    assert "no derivative rule" in found.no_backward
    assert len(found.forward) == 1 and found.backward == ()


def test_a_stale_graph_is_refused():
    x = leaf(2.0, "x")
    y = np.exp(x)
    x.data = 3.0
    with pytest.raises(ag.StaleGraphError, match="fprop"):
        steps(ag.Graph(y))


def test_nan_and_infinity_are_shown_without_a_warning():
    x = leaf(0.0, "x")
    with np.errstate(all="ignore"):
        y = np.log(x) * x
    found = steps(ag.Graph(y))
    assert any(step.result.alarming for step in (*found.forward, *found.backward))


def test_thousands_of_operations_are_no_recursion():
    x = leaf(1.0)
    y = x
    for _ in range(1_000):
        y = y * 1.0 + 0.0
    found = steps(ag.Graph(y))
    assert found.gradients[0] == 1.0 and len(found.forward) == 2_000
