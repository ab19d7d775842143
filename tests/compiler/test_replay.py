"""Replaying graphs of scalars as arrays: equal to going node by node, and far fewer operations."""

import gc
import random
import weakref
from importlib import import_module

import numpy as np
import pytest
from test_micrograd import MLP

import autograd_core as ag
from autograd_core.compiler import replay

batch = import_module("autograd_core.compiler.passes.batch")  # not the pass of that name


def leaf(data):
    return ag.tensor(data, requires_grad=True)


@pytest.fixture
def eager_to_plan(monkeypatch):
    """Make a plan for every graph, and groups of any two instructions."""
    monkeypatch.setattr(replay, "MANY", 1)
    monkeypatch.setattr(replay, "FEWER", 0)
    monkeypatch.setattr(batch, "WORTH", 2)


def planned(graph):
    """The graph, after the two replays that it takes to make a plan, and its plan."""
    graph.fprop()
    graph.fprop()
    assert graph._replay is not None
    return graph._replay


def assert_same(graph, reference, tolerance=1e-13):
    """Each node has the value and the gradient of its twin, or neither has one."""
    assert len(graph) == len(reference)
    for node, twin in zip(graph.nodes, reference.nodes, strict=True):
        assert type(node.data) is type(twin.data)
        assert node.dtype == twin.dtype
        np.testing.assert_allclose(node.data, twin.data, tolerance, tolerance)
        assert (node.grad is None) == (twin.grad is None), node
        if node.grad is not None:
            assert type(node.grad) is type(twin.grad)
            assert node.grad.dtype == twin.grad.dtype and node.grad.shape == twin.grad.shape
            np.testing.assert_allclose(node.grad, twin.grad, tolerance, tolerance)


def check(build, values, others, cotangents=None, tolerance=1e-13):
    """A planned replay with ``others`` equals the graph built anew with them, run node by node."""
    leaves = [leaf(v) for v in values]
    graph = ag.Graph(build(*leaves))
    plan = planned(graph)
    for x, v in zip(leaves, others, strict=True):
        x.data = v
    graph.fprop()
    assert plan.current(), "the plan was not used"
    graph.bprop(cotangents)
    reference = ag.Graph(build(*(leaf(v) for v in others)))
    reference.bprop(cotangents)
    assert_same(graph, reference, tolerance)
    return graph


# micrograd's moons. ------------------------------------------------------------------------------


def moons(samples=12, sizes=(16, 16, 1)):
    random.seed(3)
    rng = np.random.default_rng(3)
    points = rng.standard_normal((samples, 2))
    labels = np.sign(points.prod(1)).tolist()
    model = MLP(ag.Value, 2, list(sizes))
    scores = [model([ag.Value(v) for v in row]) for row in points.tolist()]
    losses = [(1 + -label * score).relu() for label, score in zip(labels, scores, strict=True)]
    loss = sum(losses) * (1.0 / len(losses)) + 1e-4 * sum(p * p for p in model.parameters())
    return model, loss


def test_the_moons_are_trained_as_node_by_node():
    (model, loss), (twin, twin_loss) = moons(), moons()
    graph, reference = ag.Graph(loss), ag.Graph(twin_loss)
    planned(graph)
    for _ in range(5):
        assert graph.fprop() == pytest.approx(reference.fprop(), rel=1e-13)
        reference._replay = None
        graph.bprop()
        reference.bprop()
        assert_same(graph, reference)
        for network in (model, twin):
            for p in network.parameters():
                p.data -= 0.05 * p.grad
            network.zero_grad()


@pytest.mark.parametrize("samples", [10, 40])
def test_thousands_of_scalars_become_few_arrays(samples):
    """The number of array operations does not depend on that of the samples."""
    graph = ag.Graph(moons(samples)[1])
    plan = planned(graph)
    assert len(graph) > 640 * samples
    assert plan.length == 45


def test_a_replay_does_not_touch_the_nodes():
    """No work per node: none has a value of its own until it is asked."""
    graph = ag.Graph(moons()[1])
    plan = planned(graph)
    graph.fprop()
    graph.bprop()
    graph.bprop()
    assert len(plan.shelf.asked) == 1, "the output's alone"
    assert not plan.shelf.written
    some = graph.nodes[-7]
    assert some.data == some.data and plan.shelf.asked[1:] == [len(plan.nodes) - 7]


# Random programs. --------------------------------------------------------------------------------

UNARY = [
    lambda a: a.tanh(), lambda a: (a * 0.2).exp(), lambda a: a.relu(), lambda a: a**2 * 0.2,
    lambda a: a**3 * 0.1, lambda a: (a * a + 1.0) ** 0.5, lambda a: (a * a + 1.5) ** -1,
    lambda a: -a, lambda a: abs(a), lambda a: 1.5 - a, lambda a: 2.0 / (a * a + 1), np.sin,
    lambda a: np.log(a * a + 1.0), lambda a: a.sigmoid(), np.sign, np.floor,
    lambda a: 1.3 ** (a * 0.3), lambda a: a + 1, lambda a: a * 0.7, lambda a: np.sqrt(a * a + 2),
    lambda a: a**0, lambda a: np.square(a) * 0.1, lambda a: np.float64(0.5) * a,
    ag.stop_gradient, lambda a: ag.softplus(a), lambda a: np.where(a > 0.1, a, 0.3),
]
BINARY = [
    lambda a, b: a + b, lambda a, b: a - b, lambda a, b: a * b * 0.3, np.maximum, np.minimum,
    lambda a, b: a / (b * b + 1.5), lambda a, b: np.where(a > b, a, b * 0.5),
    lambda a, b: a * (b > 0), lambda a, b: (a * a + 0.5) ** (b * 0.2), np.hypot,
    lambda a, b: sum([a, b, a, 1.0, b]), lambda a, b: np.where(a == b, 1.0, a),
]


def random_program(seed, length):
    rng = random.Random(seed)
    width = rng.choice([1, 3, 8])
    steps = [
        (rng.choice(UNARY), None, rng.random()) if rng.random() < 0.5
        else (rng.choice(BINARY), rng.random(), rng.random())
        for _ in range(rng.randint(1, max(1, length // width)))
    ]

    def build(*leaves):
        values = list(leaves)
        for step, i, j in steps:
            # Several copies of a step on other operands, so that there is something to batch.
            start = len(values)
            for k in range(width):
                a = values[(int(j * start) + k) % start]
                value = step(a) if i is None else step(a, values[(int(i * start) + 2 * k) % start])
                values.append(value.tanh() if k == 2 else value)
        return [sum([*values[-5:], leaves[0]]), values[-1] * 1.0, values[len(values) // 2] * 1.0]

    return build


@pytest.mark.parametrize("seed", range(500))
def test_random_programs(seed, eager_to_plan):
    rng = np.random.default_rng(seed)
    dtype = np.float32 if seed % 4 == 3 else np.float64
    values, others = rng.uniform(-1.5, 1.5, (2, 4)).astype(dtype)
    build = random_program(seed, (10, 40, 100)[seed % 3])
    check(build, list(values), list(others), [1.0, -0.5, 2.0],
          2e-4 if dtype is np.float32 else 1e-11)


# Kinds of graphs. --------------------------------------------------------------------------------


def test_arrays_and_scalars_in_one_graph(eager_to_plan):
    def build(x, w, b):
        rows = [sum(x[i, j] * w[j] for j in range(3)) + b for i in range(4)]
        hidden = np.stack([r.tanh() for r in rows])
        again = (hidden * 2.0 + x.sum()).max()
        return again + sum(r * r for r in rows) + sum(hidden[i] * hidden[3 - i] for i in range(4))

    rng = np.random.default_rng(0)
    check(build, [rng.standard_normal(s)[()] for s in ((4, 3), (3,), ())],
          [rng.standard_normal(s)[()] for s in ((4, 3), (3,), ())])


def test_an_array_of_which_each_element_is_read_once(eager_to_plan):
    check(lambda x: sum([x[0], x[1], x[2], x[-1]]), [np.arange(4.0)], [np.arange(4.0) + 1])
    check(lambda x: [sum([x[0], x[1], x[2], x[-1]]), x * 1.0], [np.arange(4.0)], [np.ones(4)],
          [1.0, np.ones(4)])
    # The gradients of the array and of its elements differ where it is an output, too.
    check(lambda x: [sum(x[i] ** 2 for i in range(4)), x], [np.arange(4.0)], [np.ones(4)],
          [1.0, np.array([5.0, 6.0, 7.0, 8.0])])


def test_partial_sums_are_visible_and_have_their_gradients(eager_to_plan):
    def build(*xs):
        total, sums = 0, []
        for x in xs:
            total = total + x * 2.0
            sums.append(total)
        return [total, sums[3] * 3.0, sums[5]]

    graph = check(build, [1.0] * 8, list(np.arange(8.0)), [1.0, 2.0, 3.0])
    assert "cumsum" not in str(graph)


def test_a_partial_sum_that_the_chain_comes_back_to(eager_to_plan):
    def build(x):
        s = x + 1.0
        for _ in range(6):
            s = s + s.tanh()
            s = s + x
            s = s + 0.5
            s = s + x * 0.1
        return s

    check(build, [0.3], [-0.2])


def test_fan_out_and_repeated_operands(eager_to_plan):
    check(lambda x, y: sum([x * x, x * x, y * x, y * y, x * y]) + (x + x) + sum([x + x, y + y]),
          [1.0, 2.0], [3.0, -4.0])


def test_negative_zero_and_the_zero_that_sums_start_with(eager_to_plan):
    graph = check(lambda x, y: [sum([x, y, x, y]), sum([x * -0.0, x * 0.0, y * -0.0])],
                  [1.0, 2.0], [-0.0, -0.0], [1.0, 1.0])
    assert not np.signbit(graph.outputs[0].data)


def test_a_rule_is_not_asked_where_no_gradient_arrives(eager_to_plan):
    """√x at 0 behind a comparison: 0 · ∞ would be NaN."""
    def build(*xs):
        roots = [x**0.5 for x in xs]
        return sum(np.where(root > 0.5, x, -x) for root, x in zip(roots[:4], xs[:4], strict=True)) \
            + sum(roots[4:])

    check(build, [1.0] * 8, [0.0] * 4 + [1.0, 2.0, 3.0, 4.0])


def test_a_leaf_behind_a_structural_zero_gets_zero(eager_to_plan):
    graph = check(lambda x: np.sign(x) * 3.0 + np.floor(x), [0.3], [-2.5])
    assert graph.inputs[0].grad == 0.0


def test_leaves_that_require_no_gradient(eager_to_plan):
    w = [leaf(float(i)) for i in range(6)]
    x = [ag.tensor(float(i)) for i in range(6)]
    n = [ag.tensor(i) for i in range(6)]
    graph = ag.Graph(sum(a * b * c for a, b, c in zip(w, x, n, strict=True)))
    planned(graph)
    for i in range(6):
        x[i].data = 2.0
        n[i].data = 3
    assert graph.fprop() == 6.0 * 15
    graph.bprop()
    assert [a.grad for a in w] == [6.0] * 6
    assert all(t.grad is None for t in (*x, *n))


def test_a_chain_of_many_thousand_additions():
    x = ag.Value(0.5)
    s = x
    for i in range(200_000):
        s = s + i
    graph = ag.Graph(s)
    plan = planned(graph)
    assert plan.length < 10
    expected = graph.fprop({x: 1.5})
    graph.bprop()
    assert expected == 1.5 + sum(range(200_000)) and x.grad == 1.0
    assert graph.nodes[1000].data == 1.5 + sum(range(1000)) and graph.nodes[1000].grad == 1.0


def test_a_chain_of_other_things_goes_node_by_node():
    x = ag.Value(0.5)
    y = x
    for _ in range(50_000):
        y = np.sin(y)
    graph = ag.Graph(y)
    graph.fprop()
    graph.fprop()
    assert graph._replay is None
    assert graph.fprop({x: 0.5}) == y.item()


# What is seen from outside. ----------------------------------------------------------------------


@pytest.fixture
def small(eager_to_plan):
    """Leaves, squares of them, their sum, and the graph of it with its plan made."""
    xs = [ag.Value(float(i + 1)) for i in range(6)]
    squares = [x * x for x in xs]
    graph = ag.Graph(sum(squares))
    planned(graph)
    return xs, squares, graph


def test_values_are_read_by_every_road(small):
    xs, squares, graph = small
    assert graph.fprop({xs[1]: 7.0}) == 136.0
    y = squares[1]
    assert y.data == y.item() == y.numpy(force=True) == y.tolist() == 49.0
    assert f"{y:.1f}" == "49.0" and repr(squares[2]) == "tensor(9., op=multiply)"
    assert (y + 1).data == 50.0 and squares[3].shape == () and squares[3].dtype == np.float64
    assert float(squares[3].detach()) == 16.0


def test_going_backward_eagerly_through_replayed_nodes(small):
    xs, squares, graph = small
    graph.fprop({xs[1]: 7.0})
    z = squares[1] * squares[0]
    z.backward()
    assert xs[1].grad == 14.0 and xs[0].grad == 98.0
    graph.outputs[0].backward()
    assert xs[1].grad == 28.0 and xs[5].grad == 12.0


def test_a_leaf_changed_after_a_replay_makes_the_graph_stale(small):
    xs, squares, graph = small
    graph.fprop()
    xs[1].data = 5.0
    for backward in (graph.bprop, graph.outputs[0].backward, squares[1].backward):
        with pytest.raises(ag.StaleGraphError):
            backward()
    squares[2].backward()
    assert xs[2].grad == 6.0
    graph.fprop()
    graph.bprop()
    assert xs[1].grad == 10.0


def test_consumers_from_before_a_replay_are_stale(small):
    _xs, squares, graph = small
    z = squares[1] * 2.0
    graph.fprop()
    with pytest.raises(ag.StaleGraphError):
        z.backward()


def test_gradients_set_by_the_user_are_replaced(small):
    xs, squares, graph = small
    graph.fprop()
    graph.bprop()
    graph.bprop()
    squares[0].grad = 9.0
    squares[1].zero_grad()
    xs[0].grad = 9.0
    assert squares[0].grad == 9.0 and squares[1].grad is None
    graph.fprop()
    assert squares[0].grad == 9.0 and squares[1].grad is None
    graph.bprop(2.0)
    assert squares[0].grad == squares[1].grad == 2.0 and xs[0].grad == 4.0


def test_what_was_read_does_not_change_later(small):
    xs, squares, graph = small
    graph.fprop()
    graph.bprop()
    value, slope, leaf_slope = squares[1].data, squares[1].grad, xs[1].grad
    graph.fprop({xs[1]: 9.0})
    graph.bprop(3.0)
    assert (value, slope, leaf_slope) == (4.0, 1.0, 4.0)
    assert (squares[1].data, squares[1].grad, xs[1].grad) == (81.0, 3.0, 54.0)


def test_two_graphs_share_nodes(small):
    xs, squares, graph = small
    other = ag.Graph(sum(s * 2.0 for s in squares))
    other.fprop()
    planned(other)
    graph.fprop({xs[0]: 3.0})
    assert squares[0].data == 9.0
    other.fprop({xs[0]: 5.0})
    assert squares[0].data == 25.0
    with pytest.raises(ag.StaleGraphError):
        graph.bprop()
    other.bprop()
    assert squares[0].grad == 2.0 and xs[0].grad == 20.0
    graph.fprop()
    graph.bprop()
    assert squares[0].grad == 1.0 and xs[0].grad == 10.0
    assert squares[0].data == 25.0
    assert other.fprop() == 2 * graph.fprop()


def test_other_kinds_of_values_go_node_by_node_and_back(eager_to_plan):
    xs = [leaf(float(i)) for i in range(6)]
    a = leaf(np.ones(3))
    graph = ag.Graph(sum(x * 2.0 for x in xs) + a.sum())
    plan = planned(graph)
    graph.fprop()
    assert graph.fprop({a: np.ones(5)}) == 35.0 and plan.shelf.lost
    graph.bprop()
    assert a.grad.shape == (5,)
    assert graph.fprop({a: np.zeros(3), xs[0]: 1.0}) == 32.0 and plan.current()
    graph.bprop()
    assert a.grad.tolist() == [1, 1, 1] and xs[0].grad == 2.0
    xs[0].data = np.float32(1.0)
    assert graph.fprop() == 32.0 and not plan.current()


def test_a_failing_operation_is_named_and_changes_nothing(eager_to_plan):
    x, a = leaf(np.ones(3)), leaf(np.ones(3))
    graph = ag.Graph((x * a).sum())
    planned(graph)
    graph.fprop()
    with pytest.raises(ag.ShapeError, match="multiply"):
        graph.fprop({x: np.ones(4)})
    assert x.shape == (3,) and graph.fprop() == 3.0
    graph.bprop()
    assert x.grad.tolist() == [1, 1, 1]


def test_requires_grad_switched_off(small):
    xs, _squares, graph = small
    xs[0].requires_grad = False
    graph.fprop()
    graph.bprop()
    assert xs[0].grad is None and xs[1].grad == 4.0


def test_unknown_attributes_are_still_errors():
    with pytest.raises(AttributeError, match="'Tensor' object has no attribute 'gard'"):
        _ = ag.tensor(1.0).gard


def test_a_planned_graph_is_freed_without_the_garbage_collector(eager_to_plan):
    xs = [ag.Value(float(i)) for i in range(6)]
    graph = ag.Graph(sum(x * x for x in xs))
    planned(graph)
    graph.fprop()
    graph.bprop()
    alive = weakref.ref(graph.nodes[-1])
    gc.disable()
    try:
        del graph
        assert alive() is None
    finally:
        gc.enable()


# A planted fault. --------------------------------------------------------------------------------


def test_an_index_off_by_one_is_caught(eager_to_plan, monkeypatch):
    """The comparison with the graph built anew notices a wrong element in any gather."""
    correct = batch._Layout.take

    def wrong(self, array, index, apart):
        return correct(self, array, (index + 1) % array.type.size, apart)

    caught = 0
    monkeypatch.setattr(batch._Layout, "take", wrong)
    for seed in range(0, 40, 2):
        values, others = np.random.default_rng(seed).uniform(-1.5, 1.5, (2, 4))
        try:
            check(random_program(seed, 100), list(values), list(others), [1.0, -0.5, 2.0])
        except AssertionError:
            caught += 1
    assert caught >= 15
