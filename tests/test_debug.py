"""debug_nans: what it names, when it stays silent, and what it tells to write instead."""

import re
import sys
import threading

import numpy as np
import pytest

import autograd_core as ag
from autograd_core import observe

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def leaf(value, label=None):
    return ag.tensor(value, requires_grad=True, label=label)


def alarm(f, *args):
    """The error that ``f`` raises in a block."""
    with pytest.raises(ag.NonFiniteError) as caught, ag.debug_nans():
        f(*args)
    return caught.value


def silent(f, *args):
    """What ``f`` returns in a block that raises no alarm."""
    with ag.debug_nans():
        return f(*args)


def here():
    return f"test_debug.py:{sys._getframe(1).f_lineno}"


# Forward. ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("f", "op", "kind", "at"), [
    (lambda x: np.log(x), "log", "-inf", 0.0),
    (lambda x: 1.0 / x, "divide", "inf", 0.0),
    (lambda x: np.sqrt(x - 1.0), "sqrt", "nan", -0.5),
    (lambda x: np.exp(x * 1000.0), "exp", "inf", 2000.0),
    (lambda x: (x - 0.5) ** 0.5, "power", "nan", -0.5),
    (lambda x: np.arcsin(x), "arcsin", "nan", 2.0),
    (lambda x: np.log1p(-x), "log1p", "nan", -2.0),
    (lambda x: x * 1e200 * 1e200, "multiply", "inf", 5e199),
    (lambda x: ag.special.gammaln(x), "gammaln", "inf", 0.0),
    (lambda x: np.arctanh(x), "arctanh", "nan", 2.0),
])
def test_the_operation_is_named_with_its_operands_and_its_line(f, op, kind, at):
    pytest.importorskip("scipy")
    x = leaf([0.5, 0.0, 2.0])
    error = alarm(lambda: f(x).sum().backward())
    assert error.node.op.name == op
    assert error.input is None
    message = str(error)
    assert message.startswith(f"{op}: {kind} in ")
    assert "float64(3,) from" in message and f"; {at} there" in message
    assert error.place.code.co_name == "<lambda>"
    assert f"(made at {error.place})" in message
    assert x.grad is None


def test_it_is_a_floating_point_error():
    assert issubclass(ag.NonFiniteError, FloatingPointError)


def test_the_first_of_several_is_named():
    def f():
        y = np.log(x)
        z = np.exp(-y * 2.0)
        return (z - z).sum().backward()

    x = leaf([0.0, 1.0])
    error = alarm(f)
    assert [node.op.name for node in error.path] == [
        "log", "negative", "multiply", "exp", "subtract", "sum"]


def test_by_elements_the_innocent_are_not_named():
    """log makes -inf where it is not chosen; the square root is what reaches the result."""
    x = leaf([0.0, 1.0, 4.0])

    def f():
        unchosen = np.log(x)
        guilty = np.sqrt(x - 2.0)
        return np.where(x > 0.5, guilty, 0.0) + np.where(x > 0.5, unchosen, 1.0)

    error = alarm(lambda: f().sum().backward())
    assert error.node.op.name == "sqrt"
    assert "in 1 of 3 elements, the first at [1]" in str(error)


def test_what_broadcasts_is_followed():
    x, w = leaf(np.ones((2, 3))), leaf([0.0, 1.0, 2.0])
    error = alarm(lambda: (x + np.log(w)).sum().backward())
    assert error.node.op.name == "log"
    assert "[0], out of" in str(error)


@pytest.mark.parametrize("f", [
    lambda x: np.linalg.det(np.eye(3) * x * 1e200),
    lambda x: np.exp(x * 1e4).sum(axis=0),
    lambda x: np.stack([x, np.log(x - 1.0)])[1].mean(),
    lambda x: (np.ones((3, 3)) @ np.log(x - 1.0)).max(),
])
def test_through_what_works_on_whole_arrays(f):
    x = leaf([1.0, 2.0, 3.0])
    error = alarm(lambda: f(x).backward())
    assert error.node.op.name in ("multiply", "exp", "log", "det")
    assert not np.isfinite(error.node.data).all()
    assert all(np.isfinite(t.data).all() for t in error.node.inputs if isinstance(t, ag.Tensor))


def test_nan_out_of_given_infinities():
    """Masked scores, of which a whole row is masked: only then is the softmax undefined."""
    scores = leaf(np.zeros((2, 3)))
    keep = np.array([[True, False, True], [False, False, False]])

    def f(keep):
        return (ag.softmax(np.where(keep, scores, -np.inf)) * np.arange(3.0)).sum()

    silent(lambda: f(keep[:1]).backward())
    error = alarm(lambda: f(keep).backward())
    assert error.node.op.name == "softmax"
    assert "nan in 3 of 6 elements" in str(error) and "infinite" in str(error)


def test_of_infinities_minus_infinities():
    x = leaf([np.inf, 1.0])
    error = alarm(lambda: (x - x * 2.0).sum().backward())
    assert error.node.op.name == "subtract"
    assert "out of operands that are infinite" in str(error)


# When it stays silent. --------------------------------------------------------------------------


def test_what_is_not_chosen_raises_no_alarm():
    x = ag.tensor([0.0, 1.0, 4.0])
    w = leaf(2.0)
    y = silent(lambda: np.where(x > 0, np.log(x), 0.0) * w)
    assert np.isfinite(y.data).all()

    zero = ag.tensor(0.0)
    silent(lambda: np.where(np.array([True, True]), w, np.log(zero)).sum().backward())
    alarm(lambda: (np.where(np.array([True, False]), w, np.log(zero)) * [1.0, 0.0]).sum().data)


def test_what_is_dropped_raises_no_alarm():
    x = leaf([0.0, 1.0])

    def f():
        y = np.log(x)
        _ = y * 2.0
        z = 1.0 / x
        np.isfinite(z)
        return (x * x).sum()

    silent(lambda: f().backward())


def test_what_is_selected_away_raises_no_alarm():
    x = leaf([0.0, 1.0])
    silent(lambda: np.exp(-1.0 / (x * x)).sum().data)  # exp(-inf) = 0
    silent(lambda: np.maximum(np.log(x), -10.0).sum().data)
    silent(lambda: np.nan_to_num(np.log(x)).sum().data)
    silent(lambda: np.log(x)[1:].sum().data)
    silent(lambda: ag.logsumexp(np.log(x)).data)


def test_a_cotangent_of_zero_asks_for_nothing():
    x = leaf([1.0, 1e200])
    silent(lambda: (x * 1e200).backward(np.array([1.0, 0.0])))
    alarm(lambda: (x * 1e200).backward(np.array([1.0, 1.0])))


def test_leaves_and_constants_may_be_infinite():
    x = leaf([np.inf, np.nan, 1.0])
    silent(lambda: (x * 2.0).sum().data)
    silent(lambda: ag.tensor([np.nan]).data)
    silent(lambda: np.minimum(leaf(1.0), np.inf).backward())


def test_integers_and_booleans_are_finite():
    silent(lambda: (ag.tensor([1, 2]) // 2 == 0).data)


def test_after_the_block_all_is_as_ever():
    x = leaf([0.0, 1.0])
    with ag.debug_nans():
        pass
    np.log(x).sum().backward()
    assert x.grad[0] == np.inf
    assert observe.watching == 0


def test_another_error_is_left_alone():
    def f():
        f.kept = np.log(x)
        raise KeyError("mine")

    x = leaf([0.0])
    with pytest.raises(KeyError, match="mine"), ag.debug_nans():
        f()


def test_other_threads_are_left_alone():
    results = []
    x = leaf([0.0])
    with ag.debug_nans():
        thread = threading.Thread(target=lambda: results.append(np.log(x).sum().item()))
        thread.start()
        thread.join()
    assert results == [-np.inf]


# When it looks. ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("read", "what"), [
    (lambda y: y.data, "t.data"), (lambda y: y.item(), "t.item()"), (float, "float(t)"),
    (lambda y: y.detach().numpy(), "t.numpy()"), (lambda y: bool(y > 0) or y.tolist(), "tolist"),
])
def test_when_python_reads(read, what):
    x = ag.tensor(0.0)
    error = alarm(lambda: read(np.log(x)))
    assert error.node.op.name == "log"
    assert f"was read by {what}" in str(error) or what in str(error)


def test_printing_is_no_reading():
    x = leaf([0.0])

    def f():
        return repr(np.log(x)), str(ag.Graph(np.log(x)))

    assert "-inf" in silent(f)[0]


def test_at_the_end_of_the_block_what_is_held():
    x = leaf([0.0, 1.0])
    kept = []
    error = alarm(lambda: kept.append(np.log(x)))
    assert "which is held at the end of the block" in str(error) and error.node is kept[0]
    with ag.debug_nans():
        y = np.log(x)
        z = np.exp(y)  # what is held was used, and what came of it is finite
    assert np.isfinite(z.data).all()


def test_in_no_grad_too():
    x = leaf([0.0, 1.0])

    def f():
        with ag.no_grad():
            y = np.log(x) * 2.0
            z = y.sum()
        return float(z)

    error = alarm(f)
    assert str(error).startswith("log: -inf")
    assert [n.op.name for n in error.graph.nodes if n.op] == ["log", "multiply", "sum"]


def test_nothing_is_stored_when_it_raises():
    x = leaf([0.0, 1.0])
    x.grad = np.ones(2)
    alarm(lambda: np.sqrt(x).sum().backward())
    np.testing.assert_array_equal(x.grad, [1.0, 1.0])


# Backward. --------------------------------------------------------------------------------------


def test_a_slope_that_is_infinite():
    x = leaf([0.0, 4.0], label="x")

    def f():
        y = np.sqrt(x); f.line = here()  # noqa: E702
        return y.sum()

    error = alarm(lambda: f().backward())
    assert error.node.op.name == "sqrt" and error.input == 0
    message = str(error)
    assert message.startswith("backward of sqrt: inf in 1 of 2 elements, the first at [0],")
    assert f"(made at {f.line})" in message and str(error.place) == f.line
    assert "cotangent of the result: float64(2,) from 1 to 1; 1.0 there" in message
    assert "x: float64(2,) from 0 to 4; 0.0 there" in message
    assert "gradient of x" in message
    assert "trap" not in message
    assert [node.op.name for node in error.path] == ["sqrt", "sum"]


def test_which_input_s_cotangent():
    x, n = leaf([0.0, 2.0]), leaf([0.5, 1.0])
    error = alarm(lambda: (x**n).sum().backward())
    assert (error.node.op.name, error.input) == ("power", 0)
    silent(lambda: (ag.tensor([0.0, 2.0]) ** n).sum().backward())
    u, v = leaf(np.ones(2)), leaf(np.full(2, 1e-250))
    error = alarm(lambda: (u / v * 1e-100).sum().backward())
    assert (error.node.op.name, error.input) == ("divide", 1)
    assert "of its operand 1" in str(error)


def test_the_first_rule_in_the_order_of_the_walk():
    x = leaf([0.0])
    error = alarm(lambda: np.sqrt(np.sqrt(np.sqrt(x))).sum().backward())
    assert error.node.inputs[0].op.name == "sqrt"
    assert len(error.path) == 2


def test_a_forward_infinity_that_only_the_gradient_sees():
    x, w = leaf([1.0, 1000.0], label="x"), leaf(1.0, label="w")

    def f():
        return np.where(x < 10, np.exp(x) * w, 0.0).sum()

    assert np.isfinite(f().item())
    error = alarm(lambda: f().backward())
    assert error.node.op.name == "exp" and error.input is None
    assert "gradient of" in str(error) and "backward pass of the result of multiply" in str(error)
    assert [node.op.name for node in error.path] == ["exp", "multiply", "where", "sum"]
    assert "    np.piecewise(x, [x < 10], [lambda x:" not in str(error)
    assert "    np.where(x < 10, np.exp(np.where(x < 10, x, 1.0)) * w, 0.0)\n" in str(error)


def test_a_sum_of_cotangents_that_overflows():
    x = leaf(1.0)
    error = alarm(lambda: ((x - 1.0) * 1.7e308 + (x - 1.0) * 1.7e308).backward())
    assert error.input is not None
    assert "inf" in str(error)


def test_gradients_are_judged_at_the_leaves():
    """The cotangent of what sqrt got is infinite, and the mask throws it away."""
    x = leaf([0.0, 4.0])
    silent(lambda: np.sqrt(x[1:]).sum().backward())
    silent(lambda: np.sqrt(np.where(x > 0, x, 1.0)).sum().backward())


# The trap of where. -----------------------------------------------------------------------------

TRAPS = [
    (lambda x: np.where(x > 0, np.sqrt(x), 0.0), "np.piecewise(x, [x > 0], [np.sqrt, 0.0])"),
    (lambda x: np.where(x > 0, np.log(x), 0.0), "np.piecewise(x, [x > 0], [np.log, 0.0])"),
    (lambda x: np.where(x <= 0, 0.0, np.sqrt(x)), "np.piecewise(x, [x <= 0], [0.0, np.sqrt])"),
    (lambda x: np.where(x > 0, 1.0 / x, 0.0), "np.piecewise(x, [x > 0], [lambda x: 1.0 / x, 0.0])"),
    (lambda x: np.where(x > 0, x * np.log(x), x**2),
     "np.piecewise(x, [x > 0], [lambda x: x * np.log(x), lambda x: x**2])"),
    (lambda x: np.where(x != 0, np.sin(x) / x, 1.0),
     "np.piecewise(x, [x != 0], [lambda x: np.sin(x) / x, 1.0])"),
    (lambda x: np.where(x > 0, np.sqrt(x) * 3.0 + 1.0, -x),
     "np.piecewise(x, [x > 0], [lambda x: (np.sqrt(x) * 3.0) + 1.0, lambda x: -x])"),
    (lambda x: 2.0 * np.tanh(np.where(x > 0, np.sqrt(x), x)),
     None),
]


@pytest.mark.parametrize(("f", "rewrite"), TRAPS)
def test_the_trap_is_explained_and_its_rewrite_is_right(f, rewrite):
    value = np.array([0.0, 1.0, 4.0])
    x = leaf(value, label="x")
    error = alarm(lambda: f(x).sum().backward())
    message = str(error)
    assert "This is the trap of np.where" in message
    if rewrite is None:
        return
    assert f"\n    {rewrite}\n" in message
    codes = re.findall(r"^    (np\..*)$", message, re.M)
    assert len(codes) == 3
    before, piecewise, double = codes
    grads = []
    for code in (before, piecewise, double):
        g = eval(f"lambda x: {code}", {"np": np})
        np.testing.assert_allclose(np.asarray(g(x.detach()).data)[1:], f(value)[1:])
        grads.append(ag.elementwise_grad(g)(value))
    np.testing.assert_allclose(grads[0][1:], grads[1][1:])
    assert np.isnan(grads[0][0]) and np.isfinite(grads[1]).all()
    np.testing.assert_allclose(grads[2], grads[1])
    for code in (piecewise, double):
        silent(lambda code=code: eval(code, {"np": np, "x": x}).sum().backward())


def test_piecewise_evaluates_and_differentiates_on_its_own_elements():
    seen = []

    def root(x):
        seen.append(np.asarray(x.data))
        return np.sqrt(x)

    x = leaf([0.0, 1.0, 4.0])
    silent(lambda: np.piecewise(x, [x > 0], [root, 0.0]).sum().backward())
    np.testing.assert_array_equal(seen, [[1.0, 4.0]])
    np.testing.assert_array_equal(x.grad, [0.0, 0.5, 0.25])


def test_a_trap_of_other_variables_gets_the_rewrite_that_fits():
    x, w = leaf([0.0, 1.0], label="x"), leaf([1.0, 2.0], label="w")
    error = alarm(lambda: np.where(x > 0, np.log(x) * w, w).sum().backward())
    message = str(error)
    assert "np.where(x > 0, np.log(np.where(x > 0, x, 1.0)) * w, w)" in message
    assert "np.piecewise" not in message


def test_a_zero_cotangent_for_another_reason_is_no_trap():
    x = leaf([0.0, 1.0])
    error = alarm(lambda: (np.sqrt(x) * np.array([0.0, 1.0])).sum().backward())
    assert error.node.op.name == "sqrt"
    assert "trap" not in str(error)


def test_names_of_leaves_without_one():
    error = alarm(lambda: ag.grad(lambda x: np.where(x > 0, np.sqrt(x), 0.0).sum())(np.zeros(2)))
    assert "np.piecewise(x, [x > 0], [np.sqrt, 0.0])" in str(error)


# Transforms. ------------------------------------------------------------------------------------

X = np.array([0.0, 1.0])


def root(x):
    return np.sqrt(x).sum()


@pytest.mark.parametrize("f", [
    lambda: ag.grad(root)(X), lambda: ag.value_and_grad(root)(X),
    lambda: ag.elementwise_grad(np.sqrt)(X), lambda: ag.jacobian(np.sqrt)(X),
    lambda: ag.vjp(np.sqrt, X)[1](np.ones(2)), lambda: ag.jvp(np.sqrt, (X,), (np.ones(2),)),
    lambda: ag.hessian(root)(X), lambda: ag.hvp(root, X, np.ones(2)),
], ids=lambda f: None)
def test_gradients_of_transforms(f):
    error = alarm(f)
    assert error.input is not None
    assert "sqrt" in str(error)


@pytest.mark.parametrize("f", [
    lambda f: ag.value_and_grad(lambda x: f(x).sum())(X), lambda f: ag.vjp(f, X),
    lambda f: ag.jvp(f, (X,), (np.ones(2),)),
])
def test_values_of_transforms(f):
    error = alarm(f, np.log)
    assert error.node.op.name == "log" or "in the derivative of log" in str(error)


@pytest.mark.parametrize("f", [
    lambda: ag.grad(root)(X + 1), lambda: ag.hessian(root)(X + 1),
    lambda: ag.jacobian(np.sqrt)(X + 1),
    lambda: ag.jvp(np.sqrt, (X + 1,), (X,)), lambda: ag.hvp(root, X + 1, X),
    lambda: ag.jvp(lambda x: x * 0.0 + np.square(x), (X,), (X * 0,)),
])
def test_transforms_that_are_right_raise_no_alarm(f):
    silent(f)


def test_a_second_derivative_names_the_forward_line():
    def f(x):
        y = x**1.5; f.line = here()  # noqa: E702
        return y.sum()

    np.testing.assert_array_equal(ag.grad(f)(X), [0.0, 1.5])
    error = alarm(ag.hessian(f), X)
    message = str(error)
    assert "backward of power" in message
    assert f"(made at {f.line}, in the derivative of power)" in message


def test_create_graph_twice():
    x = leaf([0.0, 1.0])

    def f():
        (x**1.5).sum().backward(create_graph=True)
        g = x.grad
        x.zero_grad()
        g.sum().backward()

    assert "power" in str(alarm(f))


# Other sources. ---------------------------------------------------------------------------------


def test_primitives_of_the_user():
    @ag.primitive
    def odd(x):
        return np.where(x > 1, np.nan, x)

    odd.defvjp(lambda g, y, x: np.where(x < 0.5, np.inf, g))
    x = leaf([0.0, 2.0])
    error = alarm(lambda: odd(x).sum().backward())
    assert error.node.op.name == "odd" and error.input is None
    x = leaf([0.0, 1.0])
    error = alarm(lambda: odd(x).sum().backward())
    assert error.node.op.name == "odd" and error.input == 0
    assert "backward of odd" in str(error)


def test_complex_values():
    z = ag.tensor(np.array([0j, 1 + 1j]))
    error = alarm(lambda: np.log(z).data)
    assert error.node.op.name == "log"
    assert "from 0 to 1.41421 in size; 0j there" in str(error)
    silent(lambda: np.exp(z).data)


def test_single_precision():
    x = leaf(np.array([100.0, 1.0], np.float32))
    assert "float32(2,) from 1 to 100; 100.0 there" in str(alarm(lambda: np.exp(x).data))
    silent(lambda: np.exp(x.astype(float)).data)


def test_scopes_are_named():
    x = leaf([0.0, 1.0])

    def f():
        with ag.scope("MLP"), ag.scope("layers.1"):
            y = np.log(x)
        return y.sum().item()

    assert "in MLP > layers.1)" in str(alarm(f))


def test_what_was_made_before_the_block_is_found():
    x = leaf([0.0, 1.0])
    y = np.sqrt(x).sum()
    error = alarm(y.backward)
    assert error.node.op.name == "sqrt" and error.place is None
    assert "made before the block" in str(error)


def test_replays():
    x = leaf([1.0, 4.0])
    graph = ag.Graph(np.where(x < 10, np.sqrt(x), 0.0).sum())
    silent(graph.fprop)
    silent(graph.bprop)
    graph.fprop({x: [0.0, 1.0]})
    assert "backward of sqrt" in str(alarm(graph.bprop))
    assert alarm(graph.fprop, {x: [-1.0, 1.0]}).node.op.name == "sqrt"


def test_replays_of_many_scalars():
    xs = [ag.Value(1.0 + i) for i in range(100)]
    graph = ag.Graph(sum((x.sqrt() * x for x in xs), ag.Value(0.0)))
    for _ in range(4):
        graph.fprop()
    assert graph._replay is not None
    graph.fprop({xs[7]: 0.0})
    graph.bprop()
    error = alarm(graph.bprop)
    assert error.node.op.name == "sqrt" and error.node.inputs == (xs[7],)


# Compiled functions. ----------------------------------------------------------------------------


def test_a_compiled_function_is_looked_into():
    @ag.compile
    def f(x):
        y = x - 1.0
        z = np.log(y); f.line = here()  # noqa: E702
        return z.sum()

    f(np.array([2.0, 3.0]))
    error = alarm(f, np.array([1.0, 3.0]))
    assert error.node.op.name == "log"
    assert str(error.place) == f.line
    assert f(np.array([1.0, 3.0])) == -np.inf
    assert f.recompiles == 0


def test_a_compiled_training_step():
    w = leaf([1.0, 2.0])

    @ag.compile
    def step(x):
        loss = np.sqrt(x @ w).sum()
        loss.backward()
        w.assign(w - 0.1 * w.grad)
        w.zero_grad()
        return loss

    x = np.array([[1.0, 1.0], [1.0, 2.0]])
    step(x)
    other = leaf(w.data)
    with ag.debug_nans():
        step(x)
    after = w.data
    w.assign(other)
    step(x)
    np.testing.assert_allclose(w.data, after)
    before = w.data
    error = alarm(step, np.zeros((2, 2)))
    assert "backward of sqrt" in str(error)
    np.testing.assert_array_equal(w.data, before)


def test_gradients_of_compiled_functions():
    f = ag.compile(lambda x: np.where(x > 0, np.sqrt(x), 0.0).sum())
    silent(ag.grad(f), np.ones(2))
    error = alarm(ag.grad(f), np.zeros(2))
    assert error.node.op.name == "sqrt"
    assert "trap" in str(error)


def test_checkpoints_are_looked_into():
    f = ag.checkpoint(lambda x: np.where(x > 0, np.sqrt(x), 0.0).sum())
    error = alarm(ag.grad(f), np.zeros(2))
    assert error.node.op.name == "sqrt"
    assert "trap" in str(error)


def test_results_are_what_they_are_otherwise():
    t = leaf([1.0, 2.0])
    rng = np.random.default_rng(0)

    @ag.compile
    def f(x, s, n):
        return {"a": x * 2.0, "t": t * x, "same": x, "n": n, "s": s * x,
                "z": ag.random.normal(rng, size=2), "c": np.ones(2)}

    args = np.array([1.0, 2.0], np.float32), 3.0, 2
    f(*args)
    state = rng.bit_generator.state
    plain = f(*args)
    rng.bit_generator.state = state
    watched = silent(f, *args)
    for name, x in plain.items():
        assert type(watched[name]) is type(x), name
        np.testing.assert_array_equal(getattr(watched[name], "data", watched[name]),
                                      getattr(x, "data", x))
        assert getattr(watched[name], "dtype", None) == getattr(x, "dtype", None)


def test_a_block_inside_of_a_compiled_function():
    rng, other = np.random.default_rng(0), np.random.default_rng(0)

    @ag.compile
    def f(x):
        noise = ag.random.normal(rng, size=2)
        with ag.debug_nans():
            y = np.log(x).sum()
        return y + noise.sum() * 0.0, noise

    for _ in range(2):
        y, noise = f(np.array([1.0, 2.0]))
        np.testing.assert_allclose(y.data, np.log(2.0))
        np.testing.assert_array_equal(noise.data, other.standard_normal(2))
        with pytest.raises(ag.NonFiniteError, match="log: -inf"):
            f(np.array([0.0, 2.0]))
        other.standard_normal(2)


def test_a_training_names_the_layer_and_the_line():
    import nn

    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Dropout(0.5), nn.Linear(3, 1))
    x = np.ones((8, 2))

    def loss(prediction, target):
        return np.log(prediction - prediction).mean() + (target * 0.0).sum()

    def train(loss):
        nn.fit(model, x, np.ones((8, 1)), loss=loss, epochs=2, batch_size=4, progress=False, seed=0)

    train("mse")
    before = [p.data for p in model.parameters()]
    with ag.debug_nans():
        train("mse")
    assert any((p.data != b).any() for p, b in zip(model.parameters(), before, strict=True))
    before = [p.data for p in model.parameters()]
    error = alarm(train, loss)
    assert error.node.op.name == "log" and error.place.code is loss.__code__
    for p, b in zip(model.parameters(), before, strict=True):
        np.testing.assert_array_equal(p.data, b)
    weight = next(iter(model.parameters()))
    weight.assign(np.full(weight.shape, 1e30))  # of single precision
    error = alarm(lambda: model(ag.tensor(x * 1e30, dtype=np.float32)).sum().backward())
    assert error.node.op.name == "matmul"
    assert "in Sequential" in str(error) and "Linear" in str(error)


# The path. --------------------------------------------------------------------------------------


def test_the_path_can_be_drawn(tmp_path):
    x, w = leaf([0.0, 1.0], label="x"), leaf([[1.0, 2.0], [3.0, 4.0]], label="w")

    def f():
        h = np.tanh(np.tanh(x) @ w)
        return ((np.sqrt(x) + h) * 2.0 + np.exp(h)).sum()

    error = alarm(lambda: f().backward())
    graph = error.graph
    assert [node.op.name for node in graph.nodes if node.op] == [
        "sqrt", "add", "multiply", "add", "sum"]
    assert {node.label for node in graph.inputs} == {"x", "tanh(...)", "exp(...)"}
    assert graph.outputs[0].data == error.path[-1].data
    np.testing.assert_array_equal(next(n for n in graph.nodes if n.label == "not finite").grad,
                                  [2.0, 2.0])
    assert "sqrt" in ag.to_dot(graph).source
    path = ag.render(graph, tmp_path / "path.svg")
    assert "sqrt" in path.read_text()
    assert error.path[0].inputs[0] is x  # the graph itself is as it was


@pytest.mark.parametrize("backward", [False, True])
def test_a_chain_of_ten_thousand_operations(backward):
    x = leaf([0.0, 4.0])

    def f():
        y = np.sqrt(x) if backward else np.log(x)
        for _ in range(10_000):
            y = y + 1.0
        y.sum().backward()

    error = alarm(f)
    assert error.node.op.name == ("sqrt" if backward else "log")
    assert len(error.path) == 10_002
    assert "10001 operations further on" in str(error)
    graph = error.graph
    assert 50 < len(graph) < 100
    assert any("operations ..." in (node.label or "") for node in graph.nodes)
    ag.to_dot(graph)


# Planted faults. --------------------------------------------------------------------------------


@ag.primitive
def poison(x, at=0):
    y = np.array(x)
    y.reshape(-1)[at] = np.nan
    return y[()]


poison.defvjp(lambda g, y, x, at: g)


@ag.primitive
def venom(x, at=0):
    return np.array(x)[()]


def _venomous(g, y, x, at):
    g = np.array(g)
    g.reshape(-1)[at] = np.nan
    return g[()]


venom.defvjp(_venomous)


@pytest.mark.parametrize("planted", [poison, venom])
@pytest.mark.parametrize("seed", range(40))
def test_a_planted_fault_is_found_if_and_only_if_it_gets_out(seed, planted):
    """A random program with one operation that makes a nan at one element."""
    rng = np.random.default_rng(seed)
    leaves = [leaf(rng.normal(size=shape)) for shape in ((), (3,), (2, 3))]
    steps = [
        lambda a, b: a * b, lambda a, b: np.tanh(a) + b, lambda a, b: np.where(mask, a, b),
        lambda a, b: a.sum() - b, lambda a, b: np.maximum(a, 0.1) * b, lambda a, b: b[..., :1] + a
        if b.ndim else a, lambda a, b: np.stack([a, a])[rng.integers(2)] * 0.5,
    ]

    def build(guilty):
        nonlocal mask
        pool = list(leaves)
        where = int(rng.integers(8))
        for k in range(14):
            mask = rng.random(3) < 0.5
            a, b = (pool[rng.integers(len(pool))] for _ in range(2))
            y = steps[rng.integers(len(steps))](a, b)
            if k == where and guilty is not None:
                y = guilty(y, at=int(rng.integers(y.size)))
            pool.append(y)
        return sum(t.sum() for t in pool[-2:])

    mask = None
    state = rng.bit_generator.state

    def run(guilty):
        rng.bit_generator.state = state
        for x in leaves:
            x.grad = None
        y = build(guilty)
        y.backward()
        return [y.data, *(x.grad for x in leaves if x.grad is not None)]

    silent(run, None)
    harmless = all(np.isfinite(x).all() for x in run(planted))
    if harmless:
        silent(run, planted)
    else:
        error = alarm(run, planted)
        assert error.node.op.name == planted.__name__
        assert (error.input is None) == (planted is poison)


def test_both_outcomes_occur():
    """The test above would be worth little if every fault got out, or none."""
    x = leaf([1.0, 2.0])
    silent(lambda: np.where([False, True], poison(x, at=0) * 1.0, x).sum().data)
    alarm(lambda: np.where([False, True], poison(x, at=1) * 1.0, x).sum().data)
