"""Exact values where formulas break: kinks, ties, zeros, infinities, overflow.

Warnings are errors here: a rule that is right only after a division by zero is not right.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from differences import close, slope

import autograd_core as ag

pytestmark = pytest.mark.filterwarnings("error")

inf, nan = np.inf, np.nan


def grad(f, *xs):
    """The gradients of the sum of f with respect to each argument."""
    results = ag.grad(lambda *xs: np.sum(f(*xs)), tuple(range(len(xs))))(*xs)
    return results[0] if len(xs) == 1 else results


def nth(f, n):
    """The n-th derivative of a function of one number."""
    for _ in range(n):
        f = ag.grad(f)
    return f


def is_zero(x):
    """0.0 exactly; neither NaN nor -1e-17."""
    assert np.all(np.asarray(x) == 0)


# Kinks. -----------------------------------------------------------------------------------------

def test_relu_is_flat_at_zero():
    np.testing.assert_array_equal(grad(ag.relu, np.array([-1.0, -0.0, 0.0, 2.0])), [0, 0, 0, 1])
    is_zero(nth(ag.relu, 1)(0.0))
    is_zero(nth(ag.relu, 2)(0.0))


def test_abs_is_flat_at_zero():
    np.testing.assert_array_equal(grad(np.abs, np.array([-2.0, 0.0, 3.0])), [-1, 0, 1])
    np.testing.assert_array_equal(grad(np.fabs, np.array([-2.0, 0.0, 3.0])), [-1, 0, 1])


def test_steps_have_no_slope():
    for f in (np.sign, np.floor, np.ceil, np.trunc, np.rint, np.round):
        is_zero(grad(f, np.array([-1.0, 0.0, 0.5, 2.0])))


def test_slope_of_the_positive_plus_the_negative_part_is_one():
    """max(x, 0) + min(x, 0) is x."""
    x = np.array([-1.0, 0.0, 1.0])
    np.testing.assert_array_equal(grad(lambda x: np.maximum(x, 0) + np.minimum(x, 0), x), 1)
    assert ag.grad(lambda x: np.maximum(x, 0.0) + np.minimum(0.0, x))(0.0) == 1


@pytest.mark.parametrize("f", [np.maximum, np.minimum])
def test_tied_operands_share(f):
    a, b = grad(f, np.array([1.0, 2.0, 3.0]), np.array([2.0, 2.0, 2.0]))
    assert a[1] == b[1] == 0.5
    np.testing.assert_array_equal(a + b, 1)
    assert ag.grad(lambda x: f(x, x))(3.0) == 1


@pytest.mark.parametrize("f", [np.max, np.min, np.amax, np.amin])
def test_tied_elements_share(f):
    np.testing.assert_array_equal(grad(f, np.full(4, 2.0)), 0.25)
    x = np.array([[1.0, 1.0, 0.0], [0.0, 2.0, 2.0]])
    chosen = x == f(x, axis=1, keepdims=True)
    np.testing.assert_array_equal(
        grad(lambda x: f(x, axis=1), x), chosen / chosen.sum(1, keepdims=True)
    )
    assert grad(f, np.float64(3)) == 1


def test_max_of_infinities():
    np.testing.assert_array_equal(grad(np.max, np.array([1.0, inf, inf])), [0, 0.5, 0.5])
    np.testing.assert_array_equal(grad(np.max, np.array([-inf, -inf])), 0.5)


def test_clip_shares_on_its_bounds():
    x = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
    np.testing.assert_array_equal(grad(lambda x: np.clip(x, -1, 1), x), [0, 0.5, 1, 0.5, 0])
    low = ag.grad(lambda low: np.clip(x, low, 3.0).sum())(-1.0)
    assert low == 1.5


# Powers. ----------------------------------------------------------------------------------------

@pytest.mark.parametrize("zero", [0, 0.0, np.zeros(3), np.zeros(3, int)], ids=repr)
def test_to_the_power_of_zero_is_flat(zero):
    x = np.array([-1.0, 0.0, 2.0])
    is_zero(grad(lambda x: x**zero, x))
    is_zero(grad(lambda x: np.power(x, zero), x))
    is_zero(ag.hessian(lambda x: (x**zero).sum())(x))


@pytest.mark.parametrize(
    "square", [lambda x: x**2, lambda x: x**2.0, lambda x: x * x, np.square,
               lambda x: np.power(x, np.array(2.0))],
)
def test_square_at_zero(square):
    assert [nth(square, n)(0.0) for n in (1, 2, 3)] == [0, 2, 0]
    np.testing.assert_array_equal(
        ag.hessian(lambda x: square(x).sum())(np.array([0.0, -3.0])), [[2, 0], [0, 2]]
    )


def test_integer_powers_at_zero():
    assert [nth(lambda x: x**3, n)(0.0) for n in (1, 2, 3, 4)] == [0, 0, 6, 0]
    assert [nth(lambda x: x**1, n)(0.0) for n in (1, 2)] == [1, 0]
    assert nth(lambda x: x**3, 2)(-2.0) == -12


def test_an_exponent_that_is_an_array():
    x, n = np.array([0.0, 0.0, 0.0, -2.0]), np.array([0.0, 1.0, 2.0, 3.0])
    np.testing.assert_array_equal(grad(lambda x: x**n, x), [0, 1, 0, 12])


def test_powers_of_zero_are_flat_in_the_exponent():
    n = np.array([0.0, 1.0, 2.5])
    is_zero(grad(lambda n: 0.0**n, n))
    is_zero(grad(lambda n: 0**n, n))
    is_zero(grad(lambda n: np.zeros(3) ** n, n))
    is_zero(ag.grad(lambda x, n: x**n, 1)(0.0, 2.0))
    is_zero(ag.grad(ag.grad(lambda x, n: x**n, 1), 1)(0.0, 2.0))


@pytest.mark.parametrize("base", [2, 2.5, np.float64(2.5), np.array(2.5)], ids=repr)
def test_a_constant_base(base):
    close(ag.grad(lambda n: base**n)(3.0), base**3.0 * math.log(base), 1e-14)
    assert ag.grad(lambda n: base**n)(np.float32(3.0)).dtype == np.float32


def test_second_derivatives_of_a_power_of_two_scalars():
    """∂²/∂n² xⁿ = xⁿ ln² x, ∂²/∂x∂n xⁿ = xⁿ⁻¹ (1 + n ln x), for Tensors of shape ()."""
    x, n = 1.7, -0.9
    f = lambda x, n: x**n  # noqa: E731
    close(ag.grad(ag.grad(f, 1), 1)(x, n), x**n * math.log(x) ** 2, 1e-13)
    close(ag.grad(ag.grad(f, 0), 1)(x, n), x ** (n - 1) * (1 + n * math.log(x)), 1e-13)
    close(ag.grad(ag.grad(f, 1), 0)(x, n), x ** (n - 1) * (1 + n * math.log(x)), 1e-13)
    close(ag.grad(ag.grad(f, 0), 0)(x, n), n * (n - 1) * x ** (n - 2), 1e-13)


def test_square_root_at_zero_is_infinitely_steep():
    with np.errstate(divide="ignore"):
        assert ag.grad(np.sqrt)(0.0) == inf
        assert ag.grad(lambda x: x**0.5)(0.0) == inf
        np.testing.assert_array_equal(grad(np.sqrt, np.array([0.0, 4.0])), [inf, 0.25])


def test_zero_times_infinity_stays_undefined():
    """Rules keep IEEE arithmetic: nothing turns 0·∞ into 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        assert np.isnan(ag.grad(lambda x: x * inf * 0.0)(1.0))
        assert np.isnan(ag.grad(lambda x: 0.0 * np.sqrt(x))(0.0))
        assert np.isnan(ag.grad(lambda x, y: x * y * 0.0)(1.0, inf))
        assert np.isnan((ag.tensor(inf, requires_grad=True) * 0).item())
    with np.errstate(invalid="ignore"):
        is_zero(grad(lambda x: x * 0.0, np.array([inf])))


# Products with zeros. ---------------------------------------------------------------------------

def _others(x, skip):
    return math.prod(v for i, v in enumerate(x) if i not in skip)


@pytest.mark.parametrize("zeros", [0, 1, 2, 3])
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 7])
def test_prod_with_zeros(zeros, n):
    """∂/∂xᵢ is the product of the others, ∂²/∂xᵢ∂xⱼ of those besides two."""
    x = np.arange(2.0, 2.0 + n)
    x[:zeros] = 0
    np.testing.assert_array_equal(ag.grad(np.prod)(x), [_others(x, {i}) for i in range(n)])
    expected = [[0 if i == j else _others(x, {i, j}) for j in range(n)] for i in range(n)]
    np.testing.assert_array_equal(ag.hessian(np.prod)(x), expected)


def test_prod_along_an_axis_with_zeros():
    x = np.array([[0.0, 2.0, 3.0], [0.0, 0.0, 5.0]])
    expected = [[6, 0, 0], [0, 0, 0]]
    np.testing.assert_array_equal(grad(lambda x: np.prod(x, axis=1), x), expected)


# Spread. ----------------------------------------------------------------------------------------

def test_std_of_a_constant_is_flat():
    x = np.full(4, 2.5)
    is_zero(grad(np.std, x))
    is_zero(grad(np.var, x))
    is_zero(grad(lambda x: np.std(x, axis=1), np.ones((2, 3))))
    is_zero(ag.hessian(np.std)(x))
    close(ag.hessian(np.var)(x), 2 * (np.eye(4) - 0.25) / 4, 1e-15)
    mixed = np.array([[1.0, 1.0], [1.0, 3.0]])
    np.testing.assert_array_equal(
        grad(lambda x: np.std(x, axis=1), mixed), [[0, 0], [-0.5, 0.5]]
    )


def test_hypot_and_its_gradient_at_the_origin():
    a, b = grad(np.hypot, np.array([0.0, 3.0]), np.array([0.0, 4.0]))
    np.testing.assert_array_equal(a, [0, 0.6])
    np.testing.assert_array_equal(b, [0, 0.8])


# Exponentials that would overflow. --------------------------------------------------------------

def test_sigmoid_far_out():
    x = np.array([-1000.0, -40.0, 0.0, 40.0, 1000.0])
    y = ag.sigmoid(x)
    np.testing.assert_array_equal(y[[0, 2, 4]], [0, 0.5, 1])
    close(y[1] / math.exp(-40), 1, 1e-14)
    g = grad(ag.sigmoid, x)
    np.testing.assert_array_equal(g[[0, 2, 4]], [0, 0.25, 0])
    close(g[1] / math.exp(-40), 1, 1e-14)
    for n in (1, 2, 3):
        is_zero(nth(ag.sigmoid, n)(1000.0))
        is_zero(nth(ag.sigmoid, n)(-1000.0))


def test_softplus_far_out():
    x = np.array([-1000.0, -40.0, 0.0, 40.0, 1000.0])
    y = ag.softplus(x)
    np.testing.assert_array_equal(y[[0, 4]], [0, 1000])
    close(y[1] / math.exp(-40), 1, 1e-14)
    close(y[2], math.log(2), 1e-15)
    np.testing.assert_array_equal(grad(ag.softplus, x)[[0, 2, 4]], [0, 0.5, 1])
    is_zero(nth(ag.softplus, 2)(1000.0))
    is_zero(nth(ag.softplus, 2)(-1000.0))


def test_sigmoid_and_softplus_in_single_precision():
    x = np.array([-200.0, 0.0, 200.0], np.float32)
    np.testing.assert_array_equal(ag.sigmoid(x), np.float32([0, 0.5, 1]))
    assert ag.sigmoid(x).dtype == ag.softplus(x).dtype == np.float32
    np.testing.assert_array_equal(grad(ag.softplus, x), np.float32([0, 0.5, 1]))


def test_logsumexp_is_shifted():
    close(ag.logsumexp(np.array([1e4, 1e4])), 1e4 + math.log(2), 1e-15)
    close(ag.logsumexp(np.array([-1e4, -1e4])), -1e4 + math.log(2), 1e-15)
    close(grad(ag.logsumexp, np.array([1e4, 0.0, 1e4])), [0.5, 0, 0.5], 1e-12)


def test_logsumexp_with_infinities():
    x = np.array([-inf, 0.0, 0.0])
    close(ag.logsumexp(x), math.log(2), 1e-15)
    close(grad(ag.logsumexp, x), [0, 0.5, 0.5], 1e-15)
    empty = np.full(3, -inf)
    assert ag.logsumexp(empty) == -inf
    is_zero(grad(ag.logsumexp, empty))
    rows = np.array([[-inf, -inf], [1.0, 1.0]])
    g = grad(lambda x: ag.logsumexp(x, axis=1), rows)
    is_zero(g[0])
    close(g[1], 0.5, 1e-15)


def test_logsumexp_with_plus_infinity():
    """The value is inf; the share of an infinite element is inf - inf, undefined."""
    x = np.array([inf, 0.0])
    with np.errstate(over="ignore", invalid="ignore"):
        assert ag.logsumexp(x) == inf
        g = grad(ag.logsumexp, x)
    assert np.isnan(g[0])
    assert g[1] == 0


def test_softmax_far_out():
    x = np.array([1e4, 1e4 + math.log(3), -1e4])
    close(ag.softmax(x), [0.25, 0.75, 0], 1e-11)
    assert ag.softmax(x).sum() == 1
    g = grad(lambda x: ag.softmax(x)[1], x)
    close(g, [-0.1875, 0.1875, 0], 1e-11)
    with_masked = np.array([0.0, -inf, 0.0])
    np.testing.assert_array_equal(ag.softmax(with_masked), [0.5, 0, 0.5])
    np.testing.assert_array_equal(grad(lambda x: ag.softmax(x)[0], with_masked), [0.25, 0, -0.25])


def test_log_softmax_far_out():
    x = np.array([1e4, 0.0, -1e4])
    np.testing.assert_array_equal(ag.log_softmax(x), [0, -1e4, -2e4])
    np.testing.assert_array_equal(grad(lambda x: ag.log_softmax(x)[2], x), [-1, 0, 1])


def test_gradient_of_log_softmax():
    """∂ log softmax(x)ᵢ / ∂xⱼ = δᵢⱼ - softmax(x)ⱼ, and no more than one exponential per element."""
    x = np.array([0.3, -1.2, 2.0])
    jacobian = ag.jacobian(ag.log_softmax)(x)
    close(jacobian, np.eye(3) - ag.softmax(x), 1e-15)
    close(ag.jacobian(ag.softmax)(x),
          np.diag(ag.softmax(x)) - np.outer(ag.softmax(x), ag.softmax(x)), 1e-15)


def test_logaddexp_far_out():
    a, b = grad(np.logaddexp, np.array([1e4, 0.0]), np.array([1e4, 1e4]))
    close(a, [0.5, 0], 1e-12)
    close(b, [0.5, 1], 1e-12)


def test_expm1_and_log1p_near_zero():
    for x in (1e-20, -1e-20, 0.0):
        assert ag.tensor(x, requires_grad=True).data == np.expm1(x)
        assert np.expm1(ag.tensor(x)).item() == x
        assert np.log1p(ag.tensor(x)).item() == x
        assert ag.grad(np.expm1)(x) == 1
        assert ag.grad(np.log1p)(x) == 1
        assert nth(np.expm1, 2)(x) == 1
        assert nth(np.log1p, 2)(x) == -1


def test_tanh_far_out():
    for n in (1, 2, 3):
        is_zero(nth(np.tanh, n)(1000.0))


def test_the_fourth_derivative_of_tanh():
    """tanh⁗ = 8 t (1 - t²) (2 - 3t²) with t = tanh x."""
    for x in (-1.3, 0.0, 0.2, 2.0):
        t = math.tanh(x)
        close(nth(np.tanh, 4)(x), 8 * t * (1 - t * t) * (2 - 3 * t * t), 1e-13)
    x = np.linspace(-2, 2, 5)
    f = np.tanh
    for _ in range(4):
        f = ag.elementwise_grad(f)
    t = np.tanh(x)
    close(f(x), 8 * t * (1 - t * t) * (2 - 3 * t * t), 1e-13)


# Choosing and accumulating. ---------------------------------------------------------------------

def test_where_passes_the_gradient_of_what_it_takes():
    mask = np.array([True, False, True])
    a, b = grad(lambda a, b: np.where(mask, a, b), np.ones(3), np.ones(3))
    np.testing.assert_array_equal(a, mask)
    np.testing.assert_array_equal(b, ~mask)
    a = ag.grad(lambda a: np.where(mask, a, 0.0).sum())(1.0)
    assert a == 2


def test_where_does_not_protect_what_it_leaves_out():
    """As in NumPy and its kin, both branches are computed: guard the argument, not the result."""
    x = np.array([0.0, 4.0])
    with np.errstate(divide="ignore", invalid="ignore"):
        assert np.isnan(grad(lambda x: np.where(x > 0, np.sqrt(x), 0.0), x)[0])
    guarded = grad(lambda x: np.where(x > 0, np.sqrt(np.where(x > 0, x, 1.0)), 0.0), x)
    np.testing.assert_array_equal(guarded, [0, 0.25])


def test_three_paths_through_where_on_a_scalar():
    """np.where makes an array of shape (), which must be summed like any other cotangent."""
    f = lambda x: sum(np.where(True, x, 0.0) for _ in range(5))  # noqa: E731
    assert ag.grad(f)(1.0) == 5
    assert ag.grad(ag.grad(lambda x: f(x) * f(x)))(1.0) == 50


def test_cumsum():
    """The gradient of Σ wᵢ (x₀ + ... + xᵢ) is the sum of the weights from each place on."""
    w = np.array([1.0, 10.0, 100.0])
    np.testing.assert_array_equal(grad(lambda x: w * np.cumsum(x), np.ones(3)), [111, 110, 100])
    x = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(
        grad(lambda x: np.cumsum(x, 0), x), [[2, 2, 2], [1, 1, 1]]
    )


def test_indexing_an_element_twice_adds_up():
    x = np.array([1.0, 2.0, 3.0])
    np.testing.assert_array_equal(grad(lambda x: x[[0, 0, 2]], x), [2, 0, 1])
    np.testing.assert_array_equal(
        grad(lambda x: x[np.array([[0, 1], [1, 1]])], x), [1, 3, 0]
    )


def test_setting_an_element_twice_keeps_the_last():
    x, v = np.zeros(3), np.array([1.0, 2.0, 4.0])

    np.testing.assert_array_equal(ag.tensor(x).at[[0, 0, 2]].set(v).data, [2, 0, 4])
    dx, dv = grad(lambda x, v: x.at[[0, 0, 2]].set(v), x, v)
    np.testing.assert_array_equal(dx, [0, 1, 0])
    np.testing.assert_array_equal(dv, [0, 1, 1])


def test_remainder():
    """∂(a mod b)/∂b = -floor(a / b), also for negative a."""
    a, b = grad(np.remainder, np.array([5.5, -5.5]), np.array([2.0, 2.0]))
    np.testing.assert_array_equal(a, [1, 1])
    np.testing.assert_array_equal(b, [-2, 3])


def test_arctan2_in_all_quadrants():
    a, b = np.array([1.0, 1.0, -1.0, -1.0, 0.0]), np.array([1.0, -1.0, 1.0, -1.0, 2.0])
    da, db = grad(np.arctan2, a, b)
    close(da, slope(lambda t: np.arctan2(a + t, b)), 1e-9)
    close(db, slope(lambda t: np.arctan2(a, b + t)), 1e-9)


def test_derivatives_of_a_negative_base():
    """x³ at negative x has derivatives; those by the exponent do not exist, and are NaN."""
    assert ag.grad(lambda x: x**3.0)(-2.0) == 12
    with np.errstate(invalid="ignore"):
        assert np.isnan(ag.grad(lambda n: np.array(-2.0) ** n)(3.0))
        assert np.isnan(ag.grad(lambda n: (-2.0) ** n)(3.0))


def test_trigonometric_values():
    assert ag.grad(np.sin)(0.0) == 1
    assert ag.grad(np.cos)(0.0) == 0
    assert ag.grad(np.tan)(0.0) == 1
    assert ag.grad(np.arctan)(1.0) == 0.5
    assert ag.grad(np.arcsin)(0.0) == 1
    assert [nth(np.sin, n)(0.0) for n in range(1, 6)] == [1, 0, -1, 0, 1]
