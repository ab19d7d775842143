"""A computation as data: its order, its listing, its replay, its reverse pass."""

import numpy as np
import pytest

import autograd_core as ag


def leaf(data, label=None):
    return ag.tensor(data, requires_grad=True, label=label)


def is_topological(graph):
    position = {node: i for i, node in enumerate(graph.nodes)}
    return all(
        position[x] < position[node]
        for node in graph.nodes for x in node.inputs if isinstance(x, ag.Tensor)
    )


# Nodes, inputs, outputs. -------------------------------------------------------------------------


def test_nodes_inputs_and_outputs():
    x, w, b = leaf([1.0, 2.0]), leaf([3.0, 4.0]), ag.tensor(1.0)
    product = x * w
    y = product.sum() + b
    graph = ag.Graph(y)
    assert graph.outputs == (y,)
    assert graph.inputs == [x, w, b]
    assert len(graph) == len(graph.nodes) == 6 and graph.nodes[-1] is y
    assert product in set(graph.nodes)
    assert is_topological(graph)
    assert repr(graph) == "Graph(3 operations on 3 leaves)"


def test_every_node_comes_once():
    x = leaf(0.5)
    y = x
    for _ in range(40):
        y = y * y - y
    graph = ag.Graph([y, x, y])
    assert len(graph) == 81 == len(set(graph.nodes)) and is_topological(graph)
    assert graph.outputs == (y, x, y)


def test_order_does_not_depend_on_when_leaves_were_assigned():
    x, w = leaf(2.0), leaf(3.0)
    y = x * w
    x.data = 5.0  # younger than y now
    graph = ag.Graph(y)
    assert graph.nodes == [x, w, y] and graph.fprop() == 15.0


def test_nothing_that_the_output_does_not_need_is_in_it():
    x = leaf(2.0)
    unused = x * 5
    graph = ag.Graph(x + 1)
    assert unused not in set(graph.nodes) and len(graph) == 2


@pytest.mark.parametrize(("outputs", "error", "message"), [
    (5, TypeError, "a Tensor or a sequence of Tensors, got int"),
    ("y", TypeError, "got str"),
    ([1.0], TypeError, "got float"),
    (np.ones(2), TypeError, "got ndarray"),
    ([], ValueError, "at least one output"),
])
def test_what_is_no_graph(outputs, error, message):
    with pytest.raises(error, match=message):
        ag.Graph(outputs)


# The listing. ------------------------------------------------------------------------------------


def test_listing_of_an_expression():
    x = leaf(0.5, label="x")
    u = np.exp(x)
    v = u + u**2
    v.label = "v"
    assert str(ag.Graph(np.exp(v) + np.sin(v))) == """\
%x = leaf : f64[]  requires gradient
%1 = exp(%x) : f64[]
%2 = power(%1, 2) : f64[]
%v = add(%1, %2) : f64[]
%3 = exp(%v) : f64[]
%4 = sin(%v) : f64[]
%5 = add(%3, %4) : f64[]
return %5"""


def test_listing_of_attributes_constants_and_dtypes():
    w = ag.tensor(np.ones((3, 2), np.float32), requires_grad=True, label="weight")
    x = ag.tensor(np.ones((4, 3), np.float32), label="x")
    h = np.maximum(x @ w + np.zeros(2, np.float32), 0)
    y = np.concatenate([h, h * 0.5], axis=1)[:, 1:3].reshape(-1).sum()
    assert str(ag.Graph([y, np.argmax(h > 1)])) == """\
%x = leaf : f32[4,3]
%weight = leaf : f32[3,2]  requires gradient
%1 = matmul(%x, %weight) : f32[4,2]
%2 = add(%1, const f32[2]) : f32[4,2]
%3 = maximum(%2, 0) : f32[4,2]
%4 = multiply(%3, 0.5) : f32[4,2]
%5 = concatenate(%3, %4, axis=1) : f32[4,4]
%6 = getitem(%5, index=(slice(None, None, None), slice(1, 3, None))) : f32[4,2]
%7 = reshape(%6, shape=(-1,)) : f32[8]
%8 = sum(%7, axis=None, keepdims=False) : f32[]
%9 = greater(%3, 1) : bool[4,2]
%10 = argmax(%9, axis=None, keepdims=False) : i64[]
return %8, %10"""


def test_listing_of_labels_that_repeat_or_are_no_names():
    a, b, c, d = leaf(1.0, "x"), leaf(2.0, "x"), leaf(3.0, "a b"), ag.tensor(4.0, label="1")
    y = (a + b) * c - d
    y.label = "x"
    assert str(ag.Graph([y, a])) == """\
%x = leaf : f64[]  requires gradient
%1 = leaf : f64[]  requires gradient
%2 = add(%x, %1) : f64[]
%3 = leaf : f64[]  requires gradient
%4 = multiply(%2, %3) : f64[]
%5 = leaf : f64[]
%6 = subtract(%4, %5) : f64[]
return %6, %x"""


def test_listing_of_a_lone_leaf():
    assert str(ag.Graph(ag.tensor([True, False]))) == "%1 = leaf : bool[2]\nreturn %1"


def test_listings_are_deterministic():
    def build():
        x = leaf(np.ones((2, 3)), "x")
        return str(ag.Graph((ag.softmax(x * x) @ x.T).mean()))

    assert build() == build()


# fprop. ------------------------------------------------------------------------------------------


def test_fprop_uses_what_the_leaves_hold_now():
    x, w = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    y = (x * w).sum()
    graph = ag.Graph(y)
    assert graph.fprop() == 11.0 == y.item()
    x.data = [10.0, 0.0]
    w.data[0] = 5.0
    assert graph.fprop() == 50.0 == y.item()
    y.backward()
    assert x.grad.tolist() == [5, 4] and w.grad.tolist() == [10, 0]


def test_fprop_with_feed():
    x, w = leaf([1.0, 2.0], "x"), leaf([3.0, 4.0], "w")
    y = (x * w).sum()
    graph = ag.Graph(y)
    assert graph.fprop({x: [1, 1]}) == 7.0
    assert x.data.tolist() == [1, 1] and x.dtype == np.float64
    assert graph.fprop({x: ag.tensor([2.0, 2.0]), w: np.ones(2)}) == 4.0
    y.backward()
    assert x.grad.tolist() == [1, 1] and w.grad.tolist() == [2, 2]


def test_a_fed_array_is_copied():
    x = leaf([1.0, 2.0])
    y = (x.reshape(2, 1) * x).sum()
    graph = ag.Graph(y)
    fed = np.array([3.0, 4.0])
    graph.fprop({x: fed})
    fed[:] = 0.0
    graph.bprop()
    assert x.data.tolist() == [3, 4] and x.grad.tolist() == [14, 14]


def test_what_fprop_returns_cannot_be_written_into():
    x = leaf([1.0, 2.0])
    result = ag.Graph(x * 2).fprop()
    with pytest.raises(ValueError, match="read-only"):
        result[0] = 9.0


def test_fprop_may_change_shapes():
    x, w = leaf(np.ones((2, 3))), leaf(np.ones(3))
    graph = ag.Graph((x @ w).sum())
    assert graph.fprop({x: np.ones((7, 3))}) == 21.0
    graph.bprop()
    assert x.grad.shape == (7, 3) and w.grad.tolist() == [7, 7, 7]


def test_fprop_of_several_outputs():
    x = leaf(3.0)
    y = x * x
    graph = ag.Graph((y, y + 1, x))
    assert graph.fprop({x: 2.0}) == (4.0, 5.0, 2.0)
    assert ag.Graph([y]).fprop() == (4.0,)


def test_fprop_reaches_nodes_that_others_used():
    """A consumer outside the replayed graph is out of date afterwards, and says so."""
    x = leaf(3.0)
    y = x * x
    other = y * 2
    ag.Graph(y).fprop({x: 5.0})
    with pytest.raises(ag.StaleGraphError, match="the result of multiply"):
        other.backward()
    ag.Graph(other).fprop()
    other.backward()
    assert x.grad == 20.0


@pytest.mark.parametrize(("feed", "error", "message"), [
    (lambda x, y: {y: 1.0}, TypeError, "leaves of this graph"),
    (lambda x, y: {ag.tensor(1.0): 1.0}, TypeError, "leaves of this graph"),
    (lambda x, y: {"x": 1.0}, TypeError, "leaves of this graph, got 'x'"),
    (lambda x, y: {x: np.ones((2, 4))}, ag.ShapeError,
     r"matmul\(float64\(2, 4\), float64\(3, 2\)\).*inner sizes 4 and 3"),
    (lambda x, y: {x: "text"}, TypeError, "dtype <U4"),
    (lambda x, y: {x: np.ones((2, 3), complex)}, TypeError, "dtype complex128"),
], ids=["a computed node", "a foreign leaf", "a name", "shape", "text", "complex"])
def test_a_wrong_feed_changes_nothing(feed, error, message):
    x, w = leaf(np.ones((2, 3))), leaf(np.ones((3, 2)))
    y = np.exp(x @ w).sum()
    graph = ag.Graph(y)
    before = [node.data.copy() for node in graph.nodes]
    with pytest.raises(error, match=message):
        graph.fprop(feed(x, y))
    for node, value in zip(graph.nodes, before, strict=True):
        np.testing.assert_array_equal(node.data, value)
    y.backward()  # and nothing is out of date
    assert x.grad.shape == (2, 3)


def test_integers_are_not_fed_fractions():
    n = ag.tensor(2)
    graph = ag.Graph(n * 1.5)
    assert graph.fprop({n: 3}) == 4.5
    with pytest.raises(TypeError, match=r"float64.*int64"):
        graph.fprop({n: 2.7})


def test_an_operation_that_fails_for_other_reasons_changes_nothing():
    x = leaf([1.0, 2.0, 3.0])
    y = x[2] * x[0]
    graph = ag.Graph(y)
    with pytest.raises(IndexError):
        graph.fprop({x: [1.0, 2.0]})
    assert x.data.tolist() == [1, 2, 3] and y.item() == 3.0


# bprop. ------------------------------------------------------------------------------------------


def test_bprop_reaches_every_node():
    x, c = leaf(3.0), ag.tensor(2.0)
    u = x * c
    mask = u > 0
    y = u * u * mask
    ag.Graph(y).bprop()
    assert (x.grad, u.grad, y.grad) == (24.0, 12.0, 1.0)
    assert c.grad is None and mask.grad is None


def test_bprop_sets_and_does_not_accumulate():
    x = leaf(3.0)
    graph = ag.Graph(x * x)
    graph.bprop()
    graph.bprop()
    assert x.grad == 6.0
    graph.fprop({x: 4.0})
    graph.bprop(0.5)
    assert x.grad == 4.0


def test_bprop_of_several_outputs_adds_them_up():
    x = leaf([1.0, 2.0])
    y = x * x
    graph = ag.Graph([y.sum(), y])
    graph.bprop([1.0, np.array([10.0, 20.0])])
    assert x.grad.tolist() == [22, 84] and y.grad.tolist() == [11, 21]
    scalar = leaf(3.0)
    ag.Graph([scalar * 2, scalar * scalar, scalar * 2]).bprop()
    assert scalar.grad == 10.0


def test_one_node_as_two_outputs():
    x = leaf(3.0)
    y = x * x
    ag.Graph([y, y, x]).bprop([1.0, 2.0, 10.0])
    assert y.grad == 3.0 and x.grad == 28.0


def test_gradients_from_bprop_share_nothing():
    x = leaf([1.0, 2.0])
    y = x + 0.0
    z = y + 0.0
    ag.Graph(z).bprop(np.ones(2))
    x.grad[:] = 5.0
    y.grad[:] = 6.0
    assert (x.grad.tolist(), y.grad.tolist(), z.grad.tolist()) == ([5, 5], [6, 6], [1, 1])


def test_bprop_errors():
    x = leaf([1.0, 2.0])
    graph = ag.Graph([x * x, x.sum()])
    with pytest.raises(ag.ShapeError, match="1 cotangents for 2 outputs"):
        graph.bprop([1.0])
    with pytest.raises(ag.ShapeError, match=r"shape \(3,\)"):
        graph.bprop([np.ones(3), 1.0])
    with pytest.raises(ag.GradientError, match="single gradient"):
        graph.bprop()
    with pytest.raises(ag.GradientError, match="no leaf of the graph requires a gradient"):
        ag.Graph(ag.tensor(2.0) * 3).bprop()
    assert all(node.grad is None for node in graph.nodes)


def test_bprop_of_an_outdated_graph():
    x = leaf([1.0, 2.0])
    graph = ag.Graph((x * x).sum())
    x.data[0] = 5.0
    with pytest.raises(ag.StaleGraphError, match="fprop"):
        graph.bprop()
    graph.fprop()
    graph.bprop()
    assert x.grad.tolist() == [10, 4]


def test_replay_is_what_running_again_gives():
    rng = np.random.default_rng(0)

    def loss(x, w, b):
        h = np.tanh(x @ w + b)
        picked = np.where(h > 0, h, h * 0.1)[:, ::-1]
        return (ag.logsumexp(picked, axis=1) - np.max(picked, axis=1)).mean() + h.std()

    x, w, b = (leaf(rng.standard_normal(s)) for s in ((5, 3), (3, 4), (4,)))
    graph = ag.Graph(loss(x, w, b))
    for _ in range(3):
        values = [rng.standard_normal(t.shape) for t in (x, w, b)]
        replayed = graph.fprop(dict(zip((x, w, b), values, strict=True)))
        graph.bprop()
        fresh = [leaf(v) for v in values]
        out = loss(*fresh)
        out.backward()
        assert replayed == out.item()
        for t, f in zip((x, w, b), fresh, strict=True):
            np.testing.assert_array_equal(t.grad, f.grad)
