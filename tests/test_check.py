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

    with pytest.raises(AssertionError, match=r"vjp of loss, order 1: analytical -?\d.*, "
                                             r"numerical -?\d.*difference \d.*allowed \d"):
        ag.check_grads(loss, X)


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
