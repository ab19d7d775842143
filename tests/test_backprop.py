"""The reverse walk: sums over paths, seeds, accumulation, and what is left untouched."""

import gc
import pickle
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import autograd_core as ag


def leaf(data, label=None):
    return ag.tensor(data, requires_grad=True, label=label)


def counting(rule=lambda g, y, x: g * 1.0, forward=lambda x: x * 1.0):
    """A primitive, and the list that every call of its rule is noted in."""
    calls = []

    def noted(*args):
        calls.append(args)
        return rule(*args)

    f = ag.primitive(forward)
    f.defvjp(noted)
    return f, calls


# The sum over paths. -----------------------------------------------------------------------------


def test_a_node_used_twice():
    a = leaf(3.0)
    b = a + a
    c = b * b
    c.backward()
    assert c.item() == 36.0 and a.grad == 24.0


def test_two_edges_between_the_same_nodes():
    x = leaf(3.0)
    y = x * x
    assert y.inputs == (x, x)
    y.backward()
    assert x.grad == 6.0


@pytest.mark.parametrize(("f", "derivative"), [
    (lambda x: x + x * x + x * x * x, lambda x: 1 + 2 * x + 3 * x**2),
    (lambda x: (lambda u: np.exp(u + u**2) + np.sin(u + u**2))(np.exp(x)),
     lambda x: (lambda u: (np.exp(u + u**2) + np.cos(u + u**2)) * (1 + 2 * u) * u)(np.exp(x))),
    (lambda x: (x - x) * x, lambda x: 0 * x),
    (lambda x: np.stack([x, x, x * 2]).sum(), lambda x: 4.0 + 0 * x),
    (lambda x: np.where(True, x, 0.0) + x * 1.0 + x * 1.0 + x, lambda x: 4.0 + 0 * x),
    (lambda x: x**x, lambda x: x**x * (np.log(x) + 1)),
])
def test_multi_path_graphs(f, derivative):
    x = leaf(0.5)
    f(x).backward()
    np.testing.assert_allclose(x.grad, derivative(0.5), rtol=1e-14)


def test_a_leaf_that_is_the_output():
    x = leaf([1.0, 2.0])
    x.backward(np.array([3.0, 4.0]))
    assert x.grad.tolist() == [3, 4]


def test_branches_without_gradient_are_not_walked():
    f, calls = counting()
    x, c = leaf(2.0), ag.tensor(3.0)
    (f(c) * x).backward()
    assert calls == [] and x.grad == 3.0 and c.grad is None


@pytest.mark.parametrize("depth", [1, 10, 60])
def test_a_lattice_of_diamonds_is_walked_once(depth):
    f, calls = counting()
    x = leaf(1.0)
    y = x
    for _ in range(depth):
        y = f(y) + f(y)
    y.backward()
    assert x.grad == 2.0**depth  # as many paths
    assert len(calls) == 2 * depth


def test_a_fan_out_of_100_000():
    x = leaf([1.0, 2.0])
    total = ag.tensor(0.0)
    f, calls = counting()
    f_x = f(x)
    for i in range(100_000):
        total = total + f_x[i % 2]
    total.backward()
    assert x.grad.tolist() == [50_000, 50_000] and len(calls) == 1


def test_an_operation_with_1000_operands():
    xs = [leaf(float(i)) for i in range(10)]
    np.stack(xs * 100).sum().backward()
    assert [x.grad for x in xs] == [100.0] * 10


CHAIN = textwrap.dedent(
    """
    import sys, threading

    import numpy as np

    import autograd_core as ag


    def main():
        n = 1_000_000
        x = ag.tensor(1.0, requires_grad=True, label="x")
        y = x
        for _ in range(n // 2):
            y = -(y * 1.0)
        y.backward()
        assert y.item() == 1.0 and x.grad == 1.0, x.grad
        graph = ag.Graph(y)
        assert len(graph) == n + 1
        listing = str(graph)
        assert listing.count("\\n") == n + 1
        assert listing.endswith(f"%{n} = negative(%{n - 1}) : f64[]\\nreturn %{n}")
        assert graph.fprop({x: 3.0}) == 3.0
        graph.bprop()
        assert x.grad == 1.0
        del graph, y  # a recursive deallocation would overflow the stack here
        print("done")


    sys.setrecursionlimit(200)
    threading.stack_size(256 * 1024)
    thread = threading.Thread(target=main)
    thread.start()
    thread.join()
    """
)


def test_a_chain_of_1_000_000_nodes_on_a_small_stack():
    """Forward, backward, listing, replay and freeing, with 256 KiB of stack: no recursion."""
    run = subprocess.run([sys.executable, "-c", CHAIN], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout == "done\n", run.stderr


# Seeds. ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [
    np.array([1.0, 2.0]), [1, 2], np.array([1, 2]), np.array([1.0, 2.0], np.float32),
    ag.tensor([1.0, 2.0]),
], ids=["array", "list", "integers", "float32", "Tensor"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_seed_has_the_output_s_shape(seed, dtype):
    x = ag.tensor(np.array([3.0, 4.0], dtype), requires_grad=True)
    (x * x).backward(seed)
    assert x.grad.tolist() == [6, 16] and x.grad.dtype == dtype


@pytest.mark.parametrize("seed", [1.0, np.ones(3), np.ones((1, 2)), np.ones((2, 1)), []],
                         ids=["number", "longer", "row", "column", "empty"])
def test_a_seed_of_another_shape(seed):
    x = leaf([3.0, 4.0])
    with pytest.raises(ag.ShapeError, match=r"grad has shape .* the output has shape \(2,\)"):
        (x * x).backward(seed)
    assert x.grad is None


def test_a_seed_is_not_kept():
    x, seed = leaf([3.0, 4.0]), np.array([1.0, 2.0])
    (x + 0.0).backward(seed)
    x.grad[0] = 7.0
    assert seed.tolist() == [1, 2]
    seed[:] = 0.0
    assert x.grad.tolist() == [7, 2]


def test_a_scalar_needs_no_seed():
    for scale in (None, 2.0, np.float64(2.0), ag.tensor(2.0)):
        x = leaf(3.0)
        (x * x).backward(scale)
        assert x.grad == (6.0 if scale is None else 12.0)


@pytest.mark.parametrize("shape", [(1,), (2,), (1, 1), (0,)])
def test_a_non_scalar_needs_a_seed(shape):
    x = leaf(np.ones(shape))
    with pytest.raises(ag.GradientError, match=r"y\.sum\(\)\.backward\(\)") as caught:
        (x * 2).backward()
    assert f"np.ones({shape})" in str(caught.value)
    assert x.grad is None


# Errors come before changes. ---------------------------------------------------------------------


def test_nothing_requires_a_gradient():
    x = ag.tensor(2.0, label="x")
    for y in (x, x * x, leaf(1.0) > 0, ag.stop_gradient(leaf(1.0) * 2)):
        with pytest.raises(ag.GradientError, match="requires_grad=True"):
            y.backward()


def test_an_error_leaves_every_gradient_as_it_was():
    good, bad = leaf(2.0), leaf(3.0)
    no_rule = ag.primitive(lambda x: x * 1.0)
    wrong_shape = ag.primitive(lambda x: x * 1.0)
    wrong_shape.defvjp(lambda g, y, x: np.ones(3))
    raising = ag.primitive(lambda x: x * 1.0)
    raising.defvjp(lambda g, y, x: 1 // 0)
    good.grad = bad.grad = 7.0
    for f, error in ((no_rule, ag.MissingRuleError), (raising, ZeroDivisionError)):
        with pytest.raises(error):
            (f(bad) + good).backward()
        assert (good.grad, bad.grad) == (7.0, 7.0)
        with pytest.raises(error):
            ag.Graph(f(bad) + good).bprop()
        assert (good.grad, bad.grad) == (7.0, 7.0)
    y = bad * bad + good
    bad.data = 4.0
    with pytest.raises(ag.StaleGraphError):
        y.backward()
    assert (good.grad, bad.grad) == (7.0, 7.0)


def test_a_gradient_of_another_shape_is_waiting():
    x, w = leaf([1.0, 2.0]), leaf(3.0)
    (x.sum() * w).backward()
    x.data = np.ones(3)
    with pytest.raises(ag.ShapeError, match="zero_grad"):
        (x.sum() * w).backward()
    assert x.grad.tolist() == [3, 3] and w.grad == 3.0


# Accumulation. -----------------------------------------------------------------------------------


def test_gradients_accumulate_until_they_are_cleared():
    x = leaf(3.0)
    y = x * x
    y.backward()
    y.backward()
    (x * 4).backward()
    assert x.grad == 16.0
    x.zero_grad()
    assert x.grad is None
    y.backward()
    assert x.grad == 6.0


def test_accumulating_does_not_write_into_the_old_gradient():
    x = leaf([1.0, 2.0])
    (x * x).sum().backward()
    first = x.grad
    (x * x).sum().backward()
    assert first.tolist() == [2, 4] and x.grad.tolist() == [4, 8]


SHARED = np.array([5.0, 5.0])


def user(rule, *more, forward=lambda *xs: sum(xs) * 1.0):
    f = ag.primitive(forward)
    f.defvjp(rule, *more)
    return f


ALIASING = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "reshape": lambda a, b: a.reshape(1, 2) + b.reshape(2, 1).T,
    "stack": lambda a, b: np.stack([a, b]),
    "views": lambda a, b: a[::-1][::-1] + b[:],
    "broadcast": lambda a, b: np.broadcast_to(a, (3, 2)) + np.broadcast_to(b, (3, 2)),
    "sum": lambda a, b: a.sum() + b.sum(),
    "where": lambda a, b: np.where(True, a, 0) + np.where(True, b, 0),
    "g itself": lambda a, b: user(lambda g, y, a, b: g, lambda g, y, a, b: g)(a, b),
    "a view of g": lambda a, b: user(lambda g, y, a, b: g[:], lambda g, y, a, b: g[:])(a, b),
    "an input": lambda a, b: user(lambda g, y, a, b: a, lambda g, y, a, b: b)(a, b),
    "the other input": lambda a, b: user(lambda g, y, a, b: b, lambda g, y, a, b: a)(a, b),
    "the result": lambda a, b: user(lambda g, y, a, b: y, lambda g, y, a, b: y)(a, b),
    "an array of the rule's": lambda a, b: user(
        lambda g, y, a, b: SHARED, lambda g, y, a, b: SHARED)(a, b),
    "a forward that returns its input": lambda a, b: user(
        lambda g, y, x: g, forward=lambda x: x)(a) + b,
}


@pytest.mark.parametrize("f", ALIASING.values(), ids=ALIASING)
@pytest.mark.parametrize("twice", [False, True], ids=["one path", "two paths"])
def test_gradients_share_memory_with_nothing(f, twice):
    a, b = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    y = f(a, b) + f(b, a) if twice else f(a, b)
    seed = np.ones(y.shape)
    y.backward(seed)
    grads = [a.grad.copy(), b.grad.copy()]
    everything = [a.data, b.data, seed, SHARED, y.detach().numpy()]
    for t, other in ((a, b), (b, a)):
        assert not any(np.shares_memory(t.grad, x) for x in (*everything, other.grad))
        t.grad[:] = -99.0  # what gradient clipping does
        assert other.grad.tolist() != [-99, -99]
        t.grad = grads[0] if t is a else grads[1]
    assert SHARED.tolist() == [5, 5] and a.data.tolist() == [1, 2] and b.data.tolist() == [3, 4]
    a.zero_grad()
    b.zero_grad()
    y.backward(seed)  # nothing that the graph computes with was changed
    assert a.grad.tolist() == grads[0].tolist() and b.grad.tolist() == grads[1].tolist()


# Gradients of gradients, and of what is on the way. ----------------------------------------------


def test_create_graph_gives_gradients_that_can_be_differentiated():
    x = leaf(2.0)
    (x**3).backward(create_graph=True)
    first = x.grad
    assert isinstance(first, ag.Tensor) and first.item() == 12.0
    x.zero_grad()
    first.backward(create_graph=True)
    second = x.grad
    assert second.item() == 12.0
    x.zero_grad()
    second.backward()
    assert x.grad == 6.0 and not isinstance(x.grad, ag.Tensor)


def test_create_graph_with_a_seed():
    x, v = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    (x * x).backward(v, create_graph=True)
    assert x.grad.data.tolist() == [6, 16]
    g = x.grad
    x.zero_grad()
    g.sum().backward()
    assert x.grad.tolist() == [6, 8] and v.grad.tolist() == [2, 4]


def test_a_gradient_penalty():
    """d/dw of |d(w x²)/dx|² = (2 w x)² is 8 w x²."""
    w, x = leaf(3.0), leaf(2.0)
    (w * x * x).backward(create_graph=True)
    penalty = x.grad**2
    w.zero_grad()
    penalty.backward()
    assert w.grad == 8 * 3 * 4


def test_retain_grad():
    x = leaf([1.0, 2.0])
    y = x * 3
    z = y * y
    y.retain_grad()
    z.sum().backward()
    assert y.grad.tolist() == [6, 12] and z.grad is None and x.grad.tolist() == [18, 36]
    y.grad[:] = 0.0
    z.sum().backward()
    assert y.grad.tolist() == [6, 12] and x.grad.tolist() == [36, 72]
    with pytest.raises(ag.GradientError, match="does not require a gradient"):
        ag.tensor(1.0).retain_grad()


def test_only_living_tensors_retain_their_gradients(monkeypatch):
    """When they are gone, walks no longer look for them; one that is sent to another process goes
    on there."""
    engine = sys.modules["autograd_core.tensor"]
    monkeypatch.setattr(engine, "_retaining", {})
    x = ag.tensor(2.0, requires_grad=True)
    y = x * x
    y.retain_grad()
    assert len(engine._retaining) == 1
    sent = pickle.dumps(y * 3.0)
    del y
    assert not engine._retaining
    z = pickle.loads(sent)
    z.backward()
    assert z.inputs[0].grad == 3.0 and len(engine._retaining) == 1
    del z
    assert not engine._retaining


def test_intermediate_gradients_are_not_kept():
    x = leaf(2.0)
    y = x * 3
    (y * y).backward()
    assert y.grad is None and x.grad == 36.0


def test_stop_gradient():
    x = leaf(3.0)
    (x * ag.stop_gradient(x)).backward()
    assert x.grad == 3.0
    assert ag.Graph(ag.stop_gradient(x) * 2).fprop({x: 5.0}) == 10.0  # but it is recomputed


def test_integer_branches_carry_no_gradient():
    x = leaf([1.5, -2.5])
    counts = np.sum(x > 0)
    y = (x * counts).sum() + x.astype(int).sum()
    y.backward()
    assert x.grad.tolist() == [1, 1]


def test_nan_and_infinity_are_not_swallowed():
    x = leaf([0.0, 1.0])
    with np.errstate(divide="ignore", invalid="ignore"):
        (np.log(x) * 0.0).sum().backward()
    assert np.isnan(x.grad[0]) and x.grad[1] == 0.0


# Rules are asked only for what is needed. --------------------------------------------------------


def test_a_rule_is_called_only_where_a_gradient_is_wanted():
    asked = []
    f = ag.primitive(lambda a, b: a * b)
    f.defvjp(lambda g, y, a, b: asked.append("a") or g * b,
             lambda g, y, a, b: asked.append("b") or g * a)
    x = leaf(2.0)
    f(x, 3.0).backward()
    f(x, ag.tensor(3.0)).backward()
    assert asked == ["a", "a"] and x.grad == 6.0
    assert ag.grad(f, 1)(2.0, 3.0) == 2.0 and asked[2:] == ["b"]


def test_no_warning_comes_from_a_dead_argument():
    x = leaf(-2.0)
    (x**2).backward()  # the rule for the exponent would take log(-2)
    (x / 3.0).backward()
    assert x.grad == -4.0 + 1 / 3


def test_walks_leave_no_cycles():
    """Reference counting alone frees a graph, also after a walk and after an error."""
    gc.collect()
    gc.disable()
    try:
        x = leaf([1.0, 2.0])
        for _ in range(3):
            y = (x * x).sum()
            y.backward()
            with pytest.raises(ag.ShapeError):
                y.backward(np.ones(3))
            del y
        x.zero_grad()
        del x
        assert gc.collect() < 300  # pytest's own; a graph would be collected in every round
        assert not any(issubclass(type(o), ag.Tensor) and o.op is not None
                       for o in gc.get_objects())
    finally:
        gc.enable()


# Parts of an array. -------------------------------------------------------------------------------


PARTS = [
    (slice(0, 3), slice(2, 5), 4, -1), (0, 0, 0, 1), (np.array([0, 0, 3]), slice(1, 4), 3),
    (np.array([True, False, True, True, False]), 2, ...), ((slice(None), 1), 2, (2, 1)),
    (None, (slice(None), None), 1), ((np.array([1, 1]), np.array([0, 1])), (1, 0)),
]


@pytest.mark.parametrize("parts", PARTS, ids=str)
@pytest.mark.parametrize("first", ["parts", "whole"])
def test_gradients_of_parts_add_up_in_place(parts, first):
    """Also with terms that are no parts in between, and none changes another array."""
    value = np.random.default_rng(0).standard_normal((5, 2))
    x = ag.tensor(value, requires_grad=True)
    y = x * 1.0
    whole = (y * y).sum()
    terms = [(np.cos(k) * y[part] ** 2).sum() for k, part in enumerate(parts)]
    total = whole if first == "whole" else 0.0
    for term in terms:
        total = total + term
    if first != "whole":
        total = total + whole
    y.retain_grad()
    total.backward()
    expected = 2 * value
    for k, part in enumerate(parts):
        np.add.at(expected, part, 2 * np.cos(k) * value[part])
    np.testing.assert_allclose(x.grad, expected, rtol=1e-12)
    np.testing.assert_array_equal(y.grad, x.grad)
    recorded = ag.tensor(value, requires_grad=True)  # without a walk in place
    sum((np.cos(k) * recorded[part] ** 2).sum() for k, part in enumerate(parts)).backward(
        create_graph=True)
    np.testing.assert_allclose(recorded.grad.numpy(force=True), expected - 2 * value, rtol=1e-12,
                               atol=1e-15)


def test_an_array_is_taken_apart_without_an_array_of_zeros_for_each_part(monkeypatch):
    x = ag.tensor(np.ones((40, 3)), requires_grad=True)
    loss = sum(((k * x[k]) ** 2).sum() for k in range(40))
    made, zeros = [], np.zeros
    monkeypatch.setattr(np, "zeros", lambda *args: made.append(args) or zeros(*args))
    loss.backward()
    assert len(made) == 1
    assert x.grad[:, 0].tolist() == [2 * k * k for k in range(40)]


# What the walk comes to, and in which order. -----------------------------------------------------


def test_a_leaf_behind_structural_zeros_alone_gets_zeros():
    x, z = (ag.tensor(np.ones(3), requires_grad=True) for _ in range(2))
    (np.floor(np.exp(x) * 2.0).sum() + z.sum()).backward()
    assert x.grad.tolist() == [0.0, 0.0, 0.0] and z.grad.tolist() == [1.0, 1.0, 1.0]


def test_a_term_arrives_after_a_structural_zero():
    x = ag.tensor(np.full(2, 0.5), requires_grad=True)
    y = x * 3.0
    (np.rint(y) + np.exp(np.rint(y)) + y * y).sum().backward()  # the youngest path brings nothing
    np.testing.assert_allclose(x.grad, 18 * x.numpy(force=True))


def test_a_replaced_constant_operand_is_noticed():
    """Also one that no gradient goes to, and one in a place for which an op has no rule."""
    x = ag.tensor(np.ones(3), requires_grad=True)
    factor, index = ag.tensor([1.0, 2.0, 3.0]), ag.tensor([0, 2])
    for y, leaf in ((x * factor, factor), (x[index], index)):
        loss = y.sum()
        leaf.assign(leaf.numpy() * 0)
        with pytest.raises(ag.StaleGraphError, match="changed after"):
            loss.backward()
    assert x.grad is None


def test_a_walk_that_finds_a_stale_value_late_changes_no_gradient():
    x, old = (ag.tensor([1.0, 2.0], requires_grad=True) for _ in range(2))
    loss = (np.exp(old * 1.0) * x).sum()  # the way to x is walked first
    old.assign([3.0, 4.0])
    with pytest.raises(ag.StaleGraphError):
        loss.backward()
    assert x.grad is None and old.grad is None


def test_a_sum_s_terms_share_no_array():
    """The rule of a sum hands its cotangent on as it is."""
    x, y, z = (ag.tensor(np.ones(3), requires_grad=True) for _ in range(3))
    (x + y + z + x).sum().backward()
    assert x.grad.tolist() == [2.0] * 3 and y.grad.tolist() == z.grad.tolist() == [1.0] * 3
    arrays = [x.grad, y.grad, z.grad]
    assert not any(np.shares_memory(a, b) for a in arrays for b in arrays if a is not b)
