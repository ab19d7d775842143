"""The checker is itself checked: it passes what is right and catches what is wrong."""

import numpy as np
import pytest

import autograd_core as ag


def square(first, second=None):
    """x² with a given rule, and a given rule for the rule."""
    f = ag.primitive(lambda x: x * x)
    if second is None:
        f.defvjp(first)
        return f
    slope = ag.primitive(lambda x: 2 * x)
    slope.defvjp(second)
    f.defvjp(lambda g, y, x: g * slope(x))
    return f


X = np.array([0.5, -1.5])


@pytest.mark.parametrize("f", [
    np.tanh, lambda x: x @ x, lambda x: {"a": x[0] * x[1], "b": (x, None)}, lambda x: np.ones(3),
    square(lambda g, y, x: g * 2 * x), square(None, lambda g, y, x: 2 * g),
])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_right_derivatives_pass(f, order):
    if order == 3 and isinstance(f, type(square(None))):
        order = 2
    ag.check_grads(f, X, order=order, rtol=1e-4)


@pytest.mark.parametrize("rule", [
    lambda g, y, x: g * x, lambda g, y, x: -2 * g * x, lambda g, y, x: 2 * x,
    lambda g, y, x: g * 2 * x + 1e-3, lambda g, y, x: None, lambda g, y, x: g * 2 * x * np.nan,
], ids=["factor", "sign", "cotangent forgotten", "small", "None", "nan"])
def test_a_wrong_rule_is_caught_at_first_order(rule):
    with pytest.raises(ag.GradientCheckError, match=r"order 1: analytical .*numerical"):
        ag.check_grads(square(rule), X, order=1)


@pytest.mark.parametrize("rule", [
    lambda g, y, x: g, lambda g, y, x: 2 * g * x, lambda g, y, x: None,
], ids=["factor", "extra x", "None"])
def test_a_wrong_rule_is_caught_at_second_order(rule):
    f = square(None, rule)
    ag.check_grads(f, X, order=1)
    with pytest.raises(ag.GradientCheckError, match="order 2"):
        ag.check_grads(f, X, order=2)


def test_a_rule_frozen_at_first_order_is_caught_at_second():
    f = square(lambda g, y, x: g * 2 * ag.stop_gradient(x))
    ag.check_grads(f, X, order=1)
    with pytest.raises(ag.GradientCheckError, match="order 2"):
        ag.check_grads(f, X)  # to order 2 unless told


def test_one_wrong_argument_of_several_is_caught():
    f = ag.primitive(lambda a, b: a * b)
    f.defvjp(lambda g, y, a, b: g * b, lambda g, y, a, b: g)
    with pytest.raises(ag.GradientCheckError):
        ag.check_grads(f, X, X + 1, order=1)


def test_the_error_holds_both_numbers_and_the_name():
    def loss(x):
        return square(lambda g, y, x: g * x)(x)

    message = (r"vjp of loss by x, order 1: analytical -?\d.*, numerical -?\d.*"
               r"difference \d.*allowed \d")
    with pytest.raises(AssertionError, match=message) as caught:
        ag.check_grads(loss, X)
    check = caught.value.check
    assert isinstance(check, ag.GradientCheck)
    assert (check.argument, check.order, check.mode) == ("x", 1, "vjp")
    assert not check.agrees
    assert repr(check.analytical) in str(caught.value)
    assert repr(check.numerical) in str(caught.value)


def test_both_numbers_are_returned():
    checks = ag.check_grads(lambda x, y: np.sin(x) * y, X, X + 1, order=2)
    seen = {(c.argument, c.order, c.mode) for c in checks}
    every = "all arguments"
    assert seen == {(who, order, "vjp") for who in ("x", "y", every) for order in (1, 2)} | {
        (every, order, mode) for mode in ("jvp", "adjoint") for order in (1, 2)}
    for check in checks:
        assert check.agrees
        assert check.difference == abs(check.analytical - check.numerical) <= check.allowed
        assert np.isfinite(check.analytical)
    assert max(check.difference for check in checks) < 1e-6


def wrong_product(*rules):
    f = ag.primitive(lambda a, b: a * b)
    f.defvjp(*rules)
    return f


@pytest.mark.parametrize(("rules", "culprit"), [
    ((lambda g, y, a, b: g * b, lambda g, y, a, b: g), "b"),
    ((lambda g, y, a, b: g, lambda g, y, a, b: g * a), "a"),
    ((lambda g, y, a, b: None, lambda g, y, a, b: None), "a"),
])
@pytest.mark.parametrize(("call", "path"), [
    (lambda f: lambda a, b: f(a, b), "{}"),
    (lambda f: lambda first, params: f(params["a"], params["b"][0]), "params['{}']"),
    (lambda f: lambda *rest: f(*rest), "rest[{}]"),
])
def test_the_wrong_argument_is_named(rules, culprit, call, path):
    args = {"{}": (X, X + 1), "params['{}']": (X, {"a": X, "b": [X + 1]}),
            "rest[{}]": (X, X + 1)}[path]
    if path == "rest[{}]":
        culprit = "ab".index(culprit)
    with pytest.raises(ag.GradientCheckError) as caught:
        ag.check_grads(call(wrong_product(*rules)), *args)
    expected = path.format(culprit) + ("[0]" if "params" in path and culprit == "b" else "")
    assert caught.value.check.argument == expected
    assert f"by {expected}, order 1" in str(caught.value)


def test_errors_that_cancel_are_found_one_argument_at_a_time():
    """Along equal directions the errors of the two rules would cancel."""
    f = wrong_product(lambda g, y, a, b: g * (b + 1), lambda g, y, a, b: g * (a - 1))
    with pytest.raises(ag.GradientCheckError) as caught:
        ag.check_grads(f, X, X)
    assert caught.value.check.argument == "a"


def test_a_forward_mode_that_is_no_adjoint_is_found():
    """A rule that is not linear in the cotangent at which a product with a tangent looks."""
    f = ag.primitive(lambda x: np.sin(x))
    f.defvjp(lambda g, y, x: ag.stop_gradient(g) * np.cos(x) if isinstance(g, ag.Tensor)
             else g * np.cos(x))
    with pytest.raises(ag.GradientCheckError, match=r"jvp of .* by x"):
        ag.check_grads(f, X, order=1)


Z = X + 1j * np.array([0.3, 0.7])


@pytest.mark.parametrize("f", [
    np.tanh, np.abs, np.conj, np.real, np.imag, np.angle, lambda z: np.abs(z @ z) ** 2,
    lambda z: np.real(z) + 1j * np.imag(z) ** 2, np.fft.fft,
    lambda z: {"a": z * 2, "b": np.imag(z)},
])
@pytest.mark.parametrize("dtype", [complex, np.complex64])
def test_complex_functions(f, dtype):
    checks = ag.check_grads(f, Z.astype(dtype), order=3 if dtype is complex else 1, rtol=1e-3)
    assert all(check.agrees for check in checks)


@pytest.mark.parametrize("rule", [
    lambda g, y, z: g * np.conj(np.cos(z)), lambda g, y, z: np.conj(g) * np.cos(z),
    lambda g, y, z: np.real(g) * np.cos(z), lambda g, y, z: g * np.cos(np.real(z)),
], ids=["conjugated slope", "conjugated cotangent", "real cotangent", "real argument"])
def test_a_wrong_complex_rule_is_caught(rule):
    f = ag.primitive(np.sin)
    f.defvjp(rule)
    with pytest.raises(ag.GradientCheckError, match="order 1"):
        ag.check_grads(f, Z)


def test_real_and_complex_arguments_together():
    ag.check_grads(lambda x, z: np.exp(x * z), X, Z)
    ag.check_grads(lambda x, z: np.abs(z) ** x, np.abs(X), Z)


def test_a_kink_is_caught():
    with pytest.raises(ag.GradientCheckError):
        ag.check_grads(np.abs, np.zeros(2))


@pytest.mark.parametrize("args", [
    (0.5,), (np.float32(0.5),), (X.astype(np.float32),), (np.ones((2, 0)),), (X, 2.0, [X]),
], ids=["number", "float32", "float32 array", "empty", "structure"])
def test_arguments(args):
    def f(x, y=1.0, z=(1.0,)):
        return np.tanh(x) * y * z[0]

    ag.check_grads(f, *args)


def test_tensors_as_arguments_and_in_closures():
    w = ag.tensor(2.0, requires_grad=True)
    ag.check_grads(lambda x: (x**2 * w).sum(), X)
    ag.check_grads(lambda x: (x**2).sum(), ag.tensor(X, requires_grad=True))
    assert w.grad is None


def test_integers_have_no_derivative():
    with pytest.raises(ag.GradientError):
        ag.check_grads(np.square, 3)


def test_results_are_reproducible_and_tolerances_are_honoured():
    f = square(lambda g, y, x: g * 2 * x * (1 + 1e-4))
    messages = []
    for _ in range(2):
        with pytest.raises(ag.GradientCheckError) as caught:
            ag.check_grads(f, X)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    ag.check_grads(f, X, order=1, rtol=1e-2)
