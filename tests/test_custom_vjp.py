"""Functions with a rule of their own."""

import dataclasses
import gc
import weakref
from collections import namedtuple
from typing import Any

import numpy as np
import pytest

import autograd_core as ag

X = np.array([0.3, -0.7, 1.1])
Pair = namedtuple("Pair", "a b")


@dataclasses.dataclass
class Problem:
    a: Any
    b: Any
    kind: str = "linear"


def make(forward, backward):
    return ag.custom_vjp(forward).defvjp(backward)


#: A rule that is right, and what it is a rule of.
RIGHT = {
    "residual": (make(lambda x: (np.log1p(np.exp(x)), np.exp(x)),
                      lambda e, g: (g * (1 - 1 / (1 + e)),)), lambda x: np.log1p(np.exp(x))),
    "argument": (make(lambda x: (np.sin(x), x), lambda x, g: (g * np.cos(x),)), np.sin),
    "result": (make(lambda x: (lambda y: (y, y))(np.exp(x)), lambda y, g: (g * y,)), np.exp),
    "a result among others": (make(lambda x: (lambda y: (y, {"y": y, "x": x, "n": 2}))(np.tanh(x)),
                                   lambda r, g: (g * (1 - r["y"] ** r["n"]),)), np.tanh),
    "no residual": (make(lambda x: (x * 3.0, None), lambda none, g: (g * 3.0,)), lambda x: x * 3.0),
    "itself": (make(lambda x: (x, ()), lambda none, g: (g,)), lambda x: x),
    "another custom function": (make(
        lambda x: (np.sin(x), x), lambda x, g: (g * cosine(x),)), np.sin),
}
cosine = make(lambda x: (np.cos(x), x), lambda x, g: (-g * np.sin(x),))
TRANSFORMS = {
    "grad": lambda f: ag.grad(lambda x: (f(x) * X).sum())(X),
    "value_and_grad": lambda f: ag.value_and_grad(lambda x: (f(x) ** 2).sum())(X),
    "vjp": lambda f: ag.vjp(f, X)[1](X[::-1]),
    "jvp": lambda f: ag.jvp(f, (X,), (X[::-1],)),
    "jacobian": lambda f: ag.jacobian(f)(X),
    "columns": lambda f: ag.jacobian(lambda x: np.outer(f(x), X))(X),
    "hessian": lambda f: ag.hessian(lambda x: (f(x) ** 2).sum())(X),
    "hvp": lambda f: ag.hvp(lambda x: f(x).sum(), X, X),
    "third derivative": lambda f: ag.jacobian(ag.hessian(lambda x: f(x).sum()))(X),
    "compiled": lambda f: ag.compile(ag.grad(lambda x: f(x).sum()))(X),
    "compiled hessian": lambda f: ag.compile(ag.hessian(lambda x: f(x).sum()))(X),
    "of a compiled function": lambda f: ag.hessian(ag.compile(lambda x: f(x).sum()))(X),
    "checkpointed": lambda f: ag.hessian(ag.checkpoint(lambda x: f(f(x)).sum()))(X),
    "twice": lambda f: ag.hessian(lambda x: (f(f(x)) * f(x)).sum())(X),
}


@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)
@pytest.mark.parametrize(("f", "plain"), RIGHT.values(), ids=RIGHT)
def test_a_right_rule_gives_the_right_derivatives(f, plain, transform):
    found, expected = transform(f), transform(plain)
    pairs = zip(found, expected, strict=True) if isinstance(found, tuple) else [(found, expected)]
    for a, b in pairs:
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12)
        assert np.shape(a) == np.shape(b) and not isinstance(a, ag.Tensor)


@pytest.mark.parametrize(("f", "plain"), RIGHT.values(), ids=RIGHT)
def test_against_differences(f, plain):
    ag.check_grads(f, X, order=3, atol=1e-4, rtol=1e-4)
    ag.check_grads(lambda x: f(x * x) * x, X, order=2)


@pytest.mark.parametrize("wrong", [
    lambda e, g: (2 * g * e,), lambda e, g: (g,), lambda e, g: (None,), lambda e, g: (-g * e,),
])
def test_the_rule_is_what_counts(wrong):
    f = make(lambda x: (np.exp(x), np.exp(x)), wrong)
    with pytest.raises(ag.GradientCheckError):
        ag.check_grads(f, X)


def test_a_rule_that_is_wrong_at_second_order_only():
    """Its residual is cut off: what it depends on is not seen."""
    f = make(lambda x: (np.exp(x), ag.stop_gradient(np.exp(x))), lambda e, g: (g * e,))
    ag.check_grads(f, X, order=1)
    with pytest.raises(ag.GradientCheckError, match="order 2"):
        ag.check_grads(f, X, order=2)


def test_gradients_that_are_not_those_of_the_function():
    """What custom rules are for: clipped gradients, and straight-through rounding."""
    clipped = make(lambda x: (x, None), lambda none, g: (np.clip(g, -1, 1),))
    assert ag.grad(lambda x: (clipped(x) * [0.5, -3.0, 2.0]).sum())(X).tolist() == [0.5, -1, 1]
    through = make(lambda x: (np.round(x), None), lambda none, g: (g,))
    assert ag.grad(lambda x: (through(x) * X).sum())(X).tolist() == X.tolist()
    step = make(lambda x: (np.where(x > 0, 1.0, 0.0), x), lambda x, g: (g * (abs(x) < 1),))
    assert ag.grad(lambda x: step(x).sum())(X).tolist() == [1, 1, 0]
    constant = make(lambda x: (np.ones(3), None), lambda none, g: (2 * g,))
    assert ag.grad(lambda x: constant(x).sum())(X).tolist() == [2, 2, 2]


# Implicit functions. ----------------------------------------------------------------------------


@ag.custom_vjp
def root(a):
    """√a by Newton's iteration, which stops when it may."""
    x = a
    while abs(x * x - a) > 1e-14 * a:
        x = 0.5 * (x + a / x)
    return x, x


@root.defvjp
def root(x, g):
    return (g / (2 * x),)


def test_a_root_is_differentiated_by_the_rule_alone():
    derivatives = [np.sqrt]
    f = root
    for _ in range(3):
        f = ag.grad(f)
        derivatives.append(ag.grad(derivatives[-1]))
        np.testing.assert_allclose(f(2.0), derivatives[-1](2.0), rtol=1e-12)


def test_the_iterations_are_not_gone_back_through():
    """They have no rule at all."""
    opaque = ag.primitive(lambda x, a: 0.5 * (x + a / x))

    @ag.custom_vjp
    def f(a):
        x = a
        for _ in range(30):
            x = opaque(x, a)
        return x, x

    f.defvjp(lambda x, g: (g / (2 * x),))
    np.testing.assert_allclose(ag.grad(ag.grad(f))(2.0), -0.25 * 2**-1.5)
    np.testing.assert_allclose(ag.jvp(ag.grad(f), (2.0,), (1.0,))[1], -0.25 * 2**-1.5)


def test_checkpoint_forgets_the_iterations():
    """The result and the rule stay, what the forward function computed in between goes."""
    seen = []

    def forward(a):
        x = np.exp(a)
        seen.append(weakref.ref(x))
        return (lambda y: (y, y))(np.sqrt(x * 2.0))

    for function, alive in ((forward, True), (ag.checkpoint(forward), False)):
        f = make(function, lambda y, g: (g * y / 2,))
        gc.disable()
        try:
            y = f(ag.tensor(X, requires_grad=True))
            assert (seen[-1]() is not None) == alive
            assert y is not None
        finally:
            gc.enable()
        ag.check_grads(f, X)


# Containers. ------------------------------------------------------------------------------------


@ag.custom_vjp
def solve(problem, options, *vectors, transpose=False):
    a = problem.a.T if transpose else problem.a
    x = np.linalg.solve(a, problem.b + sum(vectors))
    return {"x": x, "norm": (np.sum(x**2), problem.kind)}, (problem, x, transpose)


@solve.defvjp
def solve(residuals, g):
    problem, x, transpose = residuals
    a = problem.a.T if transpose else problem.a
    gx = g["x"] + 2 * x * g["norm"][0]
    assert g["norm"][1] is None
    gb = np.linalg.solve(a.T, gx)
    ga = -np.outer(gb, x)
    return Problem(ga.T if transpose else ga, gb), None, gb, None


def plain_solve(problem, options, *vectors, transpose=False):
    x = np.linalg.solve(problem.a.T if transpose else problem.a, problem.b + sum(vectors))
    return {"x": x, "norm": (np.sum(x**2), problem.kind)}


@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("compiled", [False, True])
def test_containers_in_and_out(transpose, compiled):
    a = np.array([[2.0, 0.5, 0.1], [0.2, 3.0, -0.4], [1.0, 0.1, 4.0]])

    def loss(f):
        def of(problem, vector):
            y = f(problem, {"mode": "fast"}, vector, 0.0, transpose=transpose)
            assert y["norm"][1] == "linear"
            return (y["x"] ** 3).sum() + np.sin(y["norm"][0])

        return of

    args = (Problem(a, X), X[::-1].copy())
    for order in (1, 2):
        results = []
        for f in (solve, plain_solve):
            gradient = ag.grad(loss(f), (0, 1))
            if order == 2:
                first = gradient
                gradient = ag.grad(
                    lambda p, v, first=first: sum((g * g).sum() for g in (
                        first(p, v)[0].a, first(p, v)[0].b, first(p, v)[1])), (0, 1))
            results.append((ag.compile(gradient) if compiled else gradient)(*args))
        (p, v), (q, w) = results
        assert p.kind == "linear"
        for x, y in ((p.a, q.a), (p.b, q.b), (v, w)):
            np.testing.assert_allclose(x, y, rtol=1e-9, atol=1e-10)


def test_named_tuples_and_lists():
    f = make(lambda p: ([p.a * p.b[0], p.a], p),
             lambda p, g: ([g[0] * p.b[0] + g[1], [g[0] * p.a]],))
    gradient = ag.grad(lambda p: np.sum(f(p)[0] ** 2) + f(p)[1].sum())(Pair(X, [2.0]))
    assert type(gradient) is Pair and type(gradient.b) is list
    np.testing.assert_allclose(gradient.a, 2 * X * 4 + 1)
    np.testing.assert_allclose(gradient.b[0], 2 * 2 * (X**2).sum())


def test_results_of_several_dtypes_and_shapes():
    """One call of the rule for all results of a dtype; zeros for those of another."""
    asked = []

    def backward(x, g):
        asked.append([None if part is None else (part.dtype, part.shape) for part in g])
        double, single, order, total, column = g
        assert order is None
        return (double * 2 + single.astype(float) * 3 + total + column[:, 0] * 4,)

    f = make(lambda x: ((x * 2.0, (x * 3).astype(np.float32), np.argsort(x), x.sum(),
                         (4 * x)[:, None]), x), backward)
    y, back = ag.vjp(lambda x: [t for t in f(x) if t.dtype.kind == "f"], X)
    single = np.array([0.5, 1.0, 2.0], np.float32)
    (g,) = back([X, single, 10.0, X[::-1, None]])
    np.testing.assert_allclose(g, 2 * X + 3 * single + 10 + 4 * X[::-1])
    kinds = [(np.float64, (3,)), (np.float32, (3,)), None, (np.float64, ()), (np.float64, (3, 1))]
    assert asked == [kinds, kinds]
    assert [t.dtype for t in y] == [np.float64, np.float32, np.float64, np.float64]


def test_one_of_several_results():
    f = make(lambda x: ((np.sin(x), np.cos(x)), x),
             lambda x, g: (g[0] * np.cos(x) - g[1] * np.sin(x),))
    np.testing.assert_allclose(ag.grad(lambda x: f(x)[0].sum())(X), np.cos(X))
    np.testing.assert_allclose(ag.grad(lambda x: f(x)[1].sum())(X), -np.sin(X))
    np.testing.assert_allclose(ag.hessian(lambda x: (f(x)[0] * f(x)[1]).sum())(X),
                               np.diag(-2 * np.sin(2 * X)), atol=1e-12)


def test_arguments_that_repeat_and_that_are_none():
    f = make(lambda a, b, c: (a * b, (a, b)), lambda r, g: (g * r[1], g * r[0], None))
    assert ag.grad(lambda x: f(x, x, None))(3.0) == 6.0
    assert ag.grad(lambda x: f(x, 2.0, "text"))(3.0) == 2.0
    assert f(3.0, 2.0, 1) == 6.0
    assert ag.grad(lambda x, n: f(x, n, n) * 1.0)(3.0, 4) == 4.0


def test_cotangents_are_summed_and_cast_as_for_any_rule():
    f = make(lambda x, b: (x + b, None), lambda none, g: (g, g))
    gx, gb = ag.grad(lambda x, b: f(x, b).sum(), (0, 1))(np.ones((4, 3), np.float32), np.ones(3))
    assert gx.dtype == np.float32 and gb.tolist() == [4, 4, 4]
    gx[:] = 7.0
    assert gb.tolist() == [4, 4, 4]


# Graphs. ----------------------------------------------------------------------------------------


def test_backward_and_replay():
    x = ag.tensor(X, requires_grad=True)
    y = RIGHT["residual"][0](x).sum()
    graph = ag.Graph(y)
    assert "custom_vjp" in str(graph)
    for k in range(4):
        np.testing.assert_allclose(graph.fprop({x: X + k}), np.log1p(np.exp(X + k)).sum())
        graph.bprop()
        np.testing.assert_allclose(x.grad, 1 / (1 + np.exp(-X - k)))


def test_compiled_nothing_is_left_of_it():
    step = ag.compile(ag.grad(lambda x: RIGHT["residual"][0](x).sum()))
    for k in range(3):
        np.testing.assert_allclose(step(X + k), 1 / (1 + np.exp(-X - k)))
    after = step.explain().split("as run:")[1]
    assert "custom_vjp" not in after and step.recompiles == 0


def test_compiled_with_leaves_that_are_assigned_to():
    w = ag.tensor(X, requires_grad=True)
    f = RIGHT["argument"][0]

    def step():
        w.zero_grad()
        w.assign(w + 1.0)
        f(w).sum().backward()
        return w.grad * 1.0

    compiled = ag.compile(step)
    for k in range(1, 4):
        np.testing.assert_allclose(np.asarray(compiled()), np.cos(X + k))


def test_nothing_is_recorded_that_need_not_be():
    f = RIGHT["residual"][0]
    x = ag.tensor(X, requires_grad=True)
    with ag.no_grad():
        assert not f(x).requires_grad
    assert isinstance(f(X), np.ndarray)
    assert "custom_vjp" not in str(ag.Graph(f(ag.tensor(X))))


def test_it_is_freed():
    gc.disable()
    try:
        x = ag.tensor(X, requires_grad=True)
        y = RIGHT["a result among others"][0](x).sum()
        nodes = [weakref.ref(node) for node in ag.Graph(y).nodes]
        y.backward()
        del y
        assert [ref() for ref in nodes if ref() is not None] == [x]
    finally:
        gc.enable()


# Errors. ----------------------------------------------------------------------------------------

W = ag.tensor(X, requires_grad=True, label="w")
#: Wrong functions and rules, and what they raise.
WRONG = {
    "no pair": (lambda x: x, None, TypeError, r"returns a pair `\(value, residuals\)`"),
    "no rule": (lambda x: (x, None), None, NotImplementedError, r"no rule.*defvjp"),
    "no tuple": (lambda x: (x, None), lambda r, g: g, TypeError, "each of its 1 arguments"),
    "too many": (lambda x: (x, None), lambda r, g: (g, g), TypeError, "each of its 1 arguments"),
    "another structure": (lambda x: (x, None), lambda r, g: ([g, g],), TypeError,
                          r"cotangent of argument 0 holds \["),
    "another shape": (lambda x: (x, None), lambda r, g: (np.ones((2, 2)),), ValueError,
                      r"returned shape \(2, 2\)"),
    "closure in the value": (lambda x: (x * W, None), lambda r, g: (g,), ag.GradientError,
                             r"Tensor of shape \(3,\) that requires a gradient and is no argument"),
    "closure in a residual": (lambda x: (x, np.sin(W)), lambda r, g: (g,), ag.GradientError,
                              "is no argument"),
    "closure returned": (lambda x: (W, None), lambda r, g: (g,), ag.GradientError, "no argument"),
    "closure in the rule": (lambda x: (x, None), lambda r, g: (g * W,), TypeError,
                            "returned a Tensor"),
}


@pytest.mark.parametrize(("forward", "backward", "error", "message"), WRONG.values(), ids=WRONG)
def test_what_is_wrong(forward, backward, error, message):
    f = ag.custom_vjp(forward)
    if backward is not None:
        f.defvjp(backward)
    with pytest.raises(error, match=message):
        ag.grad(lambda x: f(x).sum())(X)


def test_a_closure_over_the_argument_of_an_enclosing_transform_is_refused():
    def outer(s):
        f = make(lambda x: (x * s, x), lambda x, g: (g,))
        return ag.grad(f)(2.0)

    with pytest.raises(ag.GradientError, match="no argument"):
        ag.grad(outer)(3.0)


def test_tensors_by_keyword_are_refused():
    f = make(lambda x, *, k: (x * k, None), lambda r, g: (g,))
    with pytest.raises(ag.GradientError, match="keyword argument k is a Tensor"):
        ag.grad(lambda k: f(1.0, k=[k]))(2.0)
    with pytest.raises(TypeError, match=r"custom_vjp: a function is needed"):
        ag.custom_vjp(3)


def test_names():
    @ag.custom_vjp
    def smooth(x):
        """What it does."""
        return x, None

    assert smooth.__name__ == "smooth" and smooth.__doc__ == "What it does."
    assert repr(smooth) == "<custom_vjp smooth>"
    with pytest.raises(NotImplementedError, match="smooth"):
        ag.grad(smooth)(1.0)
