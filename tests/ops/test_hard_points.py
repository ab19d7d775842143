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


def test_logaddexp_of_infinities():
    """The larger takes all, also when it is infinite; where both are -inf, neither counts."""
    for f in (np.logaddexp, np.logaddexp2):
        a, b = np.array([inf, 0.0, -inf, 0.0, -inf]), np.array([0.0, inf, 0.0, -inf, -inf])
        da, db = ag.vjp(f, a, b)[1](np.ones(5))
        np.testing.assert_array_equal(da, [1, 0, 0, 1, 0])
        np.testing.assert_array_equal(db, [0, 1, 1, 0, 0])
        is_zero(nth(lambda x, f=f: f(x, 0.0), 2)(inf))
        is_zero(nth(lambda x, f=f: f(x, -inf), 2)(1.0))
        da, db = grad(f, np.array([1e4, 0.0]), np.array([1e4, 1e4]))
        close(da, [0.5, 0], 1e-12)
        close(db, [0.5, 1], 1e-12)
    close(nth(lambda x: np.logaddexp(x, 0.0), 2)(0.0), 0.25, 1e-15)


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


def test_arctan2_at_the_origin_is_flat():
    for n in (1, 2):
        is_zero(nth(lambda t: np.arctan2(t, 0.0 * t), n)(0.0))
    a, b = grad(np.arctan2, np.zeros(2), np.array([0.0, 2.0]))
    np.testing.assert_array_equal(a, [0, 0.5])
    is_zero(b)
    tiny = 1e-200  # whose square is 0
    close(ag.grad(lambda a: np.arctan2(a, tiny))(tiny) * tiny, 0.5, 1e-15)


def test_sinc_at_zero():
    """sinc(x) = Σ (-1)ᵏ (πx)²ᵏ / (2k + 1)!."""
    p = math.pi
    expected = [0, -(p**2) / 3, 0, p**4 / 5, 0, -(p**6) / 7]
    for n, value in enumerate(expected, 1):
        close(nth(np.sinc, n)(0.0) / p**n, value / p**n, 1e-15)
    assert ag.grad(np.sinc)(1e-9) / (-(p**2) * 1e-9 / 3) == pytest.approx(1, rel=1e-14)
    for x in (0.3, 2.0, 2.6, 3.5, 40.2):
        u = p * x
        close(ag.grad(np.sinc)(x), p * (u * math.cos(u) - math.sin(u)) / u**2, 1e-14)
        close(nth(np.sinc, 2)(x),
              p**2 * ((2 - u**2) * math.sin(u) - 2 * u * math.cos(u)) / u**3, 1e-13)
    assert ag.grad(np.sinc)(np.float32(0.3)).dtype == np.float32


def test_derivatives_of_i0():
    """I₀' = I₁, and x² I₀'' + x I₀' = x² I₀."""
    is_zero(ag.grad(np.i0)(0.0))
    assert nth(np.i0, 2)(0.0) == 0.5
    close(nth(np.i0, 4)(0.0), 3 / 8, 1e-15)
    for x in (1e-9, 0.3, 5.0, 30.0, 600.0):
        left = x * nth(np.i0, 2)(x) + ag.grad(np.i0)(x)
        close(left / (x * np.i0(x)), 1, 1e-13)


def test_the_smaller_and_larger_of_numbers_and_nan():
    a, b = np.array([nan, 1.0, 2.0, nan]), np.array([1.0, nan, 2.0, nan])
    for f in (np.fmax, np.fmin):
        da, db = grad(f, a, b)
        np.testing.assert_array_equal(da, [0, 1, 0.5, 0])
        np.testing.assert_array_equal(db, [1, 0, 0.5, 0])


def test_signs_and_steps_at_zero():
    is_zero(ag.grad(lambda x: np.copysign(x, -1.0))(0.0))
    np.testing.assert_array_equal(grad(lambda x: np.copysign(x, -0.0), np.array([2.0, -2.0])),
                                  [-1, 1])
    x = np.array([-1.0, 0.0, 1.0])
    is_zero(grad(lambda x: np.heaviside(x, 0.5), x))
    np.testing.assert_array_equal(grad(lambda h: np.heaviside(x, h), np.ones(3)), [0, 1, 0])
    is_zero(grad(np.angle, x))
    is_zero(grad(np.imag, x))


def test_what_nan_to_num_replaces_is_flat():
    x = np.array([1.0, nan, inf, -inf])
    np.testing.assert_array_equal(grad(np.nan_to_num, x), [1, 0, 0, 0])
    with pytest.raises(TypeError, match="copy=False"):
        np.nan_to_num(ag.tensor(x, requires_grad=True), copy=False)


def test_parts_of_a_number():
    assert ag.grad(lambda x: np.frexp(x)[0])(5.0) == 1 / 8
    assert ag.grad(lambda x: np.modf(x)[0])(-2.5) == 1
    is_zero(ag.grad(lambda x: np.modf(x)[1])(-2.5))
    assert ag.grad(lambda x: np.ldexp(x, 3))(0.7) == 8
    a, b = grad(np.fmod, np.array([5.5, -5.5]), np.array([2.0, 2.0]))
    np.testing.assert_array_equal(a, [1, 1])
    np.testing.assert_array_equal(b, [-2, 2])


# Without NaN. -----------------------------------------------------------------------------------

def test_a_nan_that_is_left_out_gets_nothing():
    x = np.array([2.0, nan, 3.0])
    np.testing.assert_array_equal(grad(np.nansum, x), [1, 0, 1])
    np.testing.assert_array_equal(grad(np.nanprod, x), [3, 0, 2])
    np.testing.assert_array_equal(grad(np.nanmean, x), [0.5, 0, 0.5])
    np.testing.assert_array_equal(grad(np.nanmax, x), [0, 0, 1])
    np.testing.assert_array_equal(grad(np.nanmin, x), [1, 0, 0])
    np.testing.assert_array_equal(grad(np.nanvar, x), [-0.5, 0, 0.5])
    np.testing.assert_array_equal(grad(np.nanstd, x), [-0.5, 0, 0.5])
    np.testing.assert_array_equal(grad(np.nancumsum, x), [3, 0, 1])
    np.testing.assert_array_equal(grad(np.nancumprod, x), [1 + 1 + 3, 0, 2])
    is_zero(grad(np.nanstd, np.array([2.0, nan, 2.0])))
    np.testing.assert_array_equal(grad(np.nanmax, np.array([2.0, nan, 2.0])), [0.5, 0, 0.5])


# Order. -----------------------------------------------------------------------------------------

def test_ties_in_a_sort_keep_their_order():
    x, w = np.array([2.0, 1.0, 2.0, 1.0]), np.array([1.0, 10.0, 100.0, 1000.0])
    np.testing.assert_array_equal(grad(lambda x: w * np.sort(x), x), [100, 1, 1000, 10])
    np.testing.assert_array_equal(np.sort(ag.tensor([nan, 1.0, -inf])).data, [-inf, 1, nan])


def test_the_median_of_an_even_number_is_shared():
    np.testing.assert_array_equal(grad(np.median, np.array([4.0, 1.0, 2.0, 8.0])), [0.5, 0, 0.5, 0])
    np.testing.assert_array_equal(grad(np.median, np.array([4.0, 1.0, 2.0])), [0, 0, 1])
    np.testing.assert_array_equal(grad(np.median, np.full(4, 3.0)), [0, 0.5, 0.5, 0])
    assert np.isnan(np.median(ag.tensor([1.0, nan, 2.0])).data)
    assert np.isnan(np.quantile(ag.tensor([1.0, nan, 2.0]), 0.1).data)


def test_quantiles_by_their_level():
    """Linear between the elements: the slope by q is their distance times n - 1."""
    x = np.array([1.0, 5.0, 2.0])
    assert ag.grad(lambda q: np.quantile(x, q))(0.75) == 6
    assert ag.grad(lambda q: np.percentile(x, q))(25.0) == pytest.approx(0.02)
    np.testing.assert_array_equal(grad(lambda x: np.quantile(x, 0.75), x), [0, 0.5, 0.5])
    np.testing.assert_array_equal(grad(lambda x: np.quantile(x, 1.0), x), [0, 1, 0])


def test_equal_values_are_represented_by_the_first():
    np.testing.assert_array_equal(grad(np.unique, np.array([2.0, 1.0, 2.0])), [1, 1, 0])


def test_running_extrema():
    """Of tied elements, the latest has the gradient."""
    x = np.array([1.0, 3.0, 2.0, 3.0, 0.0])
    np.testing.assert_array_equal(grad(np.maximum.accumulate, x), [1, 2, 0, 2, 0])
    np.testing.assert_array_equal(grad(np.minimum.accumulate, x), [4, 0, 0, 0, 1])
    y = np.maximum.accumulate(ag.tensor([1.0, nan, 2.0])).data
    np.testing.assert_array_equal(y, [1, nan, nan])


# Products, running. -----------------------------------------------------------------------------

@pytest.mark.parametrize("zeros", [(), (0,), (2,), (1, 3), (0, 1, 2)])
@pytest.mark.parametrize("n", [1, 2, 4, 5, 9])
def test_cumprod_with_zeros(zeros, n):
    """∂yₖ/∂xᵢ is the product of the others up to k; exact, to second order."""
    x = np.arange(2.0, 2.0 + n)
    x[[i for i in zeros if i < n]] = 0
    w = np.arange(1.0, 1.0 + n)

    def product(k, skip):
        return math.prod(v for i, v in enumerate(x[: k + 1]) if i not in skip)

    expected = [sum(w[k] * product(k, {i}) for k in range(i, n)) for i in range(n)]
    np.testing.assert_array_equal(grad(lambda x: w * np.cumprod(x), x), expected)
    hessian = [[0 if i == j else sum(w[k] * product(k, {i, j}) for k in range(max(i, j), n))
                for j in range(n)] for i in range(n)]
    np.testing.assert_array_equal(ag.hessian(lambda x: (w * np.cumprod(x)).sum())(x), hessian)


# Piecewise, interpolation, correlation. ---------------------------------------------------------

def test_piecewise_protects_what_it_leaves_out():
    """The answer to np.where(x > 0, np.sqrt(x), 0), whose gradient is NaN at 0."""
    f = lambda x: np.piecewise(x, [x > 0], [np.sqrt, 0.0])  # noqa: E731
    np.testing.assert_array_equal(grad(f, np.array([0.0, 4.0, -1.0])), [0, 0.25, 0])
    is_zero(ag.grad(f)(0.0))
    assert ag.grad(f)(4.0) == 0.25
    assert nth(f, 2)(4.0) == -1 / 32
    is_zero(nth(f, 2)(-4.0))


def test_of_overlapping_pieces_the_last_alone_is_evaluated():
    x = np.array([-1.0, 0.0, 4.0])
    f = lambda x: np.piecewise(x, [x > -2, x <= 0], [np.sqrt, lambda v: 3 * v])  # noqa: E731
    with np.errstate(invalid="ignore"):
        expected = f(x)
    np.testing.assert_array_equal(f(ag.tensor(x)).data, expected)
    np.testing.assert_array_equal(grad(f, x), [3, 3, 0.25])


def test_piecewise_replays_its_conditions():
    x = ag.tensor([-1.0, 4.0], requires_grad=True)
    graph = ag.Graph(np.piecewise(x, [x > 0], [np.sqrt, lambda v: -v]))
    x.data = [9.0, -2.0]
    np.testing.assert_array_equal(graph.fprop(), [3, 2])
    x.data = [-9.0, -2.0]
    np.testing.assert_array_equal(graph.fprop(), [9, 2])


def test_interpolation_at_and_beyond_the_points():
    xp, fp = np.array([0.0, 1.0, 3.0]), np.array([0.0, 2.0, -2.0])
    x = np.array([-1.0, 0.0, 1.0, 2.0, 3.0, 4.0])
    np.testing.assert_array_equal(grad(lambda x: np.interp(x, xp, fp), x), [0, 2, -2, -2, -2, 0])
    np.testing.assert_array_equal(
        grad(lambda fp: np.interp(x, xp, fp), fp), [2, 1.5, 2.5]
    )
    np.testing.assert_array_equal(np.interp(ag.tensor([nan, inf]), xp, fp).data, [nan, -2])


def test_the_correlation_with_itself_is_flat():
    x = np.array([[1.0, 2.0, 4.0], [2.0, 4.0, 8.0]])
    close(grad(lambda x: np.corrcoef(x), x), 0, 1e-12)


def test_reductions_of_chosen_elements():
    x, some = np.array([3.0, 9.0, 5.0]), np.array([True, False, True])
    np.testing.assert_array_equal(grad(lambda x: np.mean(x, where=some), x), [0.5, 0, 0.5])
    np.testing.assert_array_equal(grad(lambda x: np.max(x, initial=4.0, where=some), x), [0, 0, 1])
    np.testing.assert_array_equal(grad(lambda x: np.max(x, initial=9.0), x), [0, 0.5, 0])
    is_zero(grad(lambda x: np.std(x, where=some), np.array([2.0, nan, 2.0])))


def test_trigonometric_values():
    assert ag.grad(np.sin)(0.0) == 1
    assert ag.grad(np.cos)(0.0) == 0
    assert ag.grad(np.tan)(0.0) == 1
    assert ag.grad(np.arctan)(1.0) == 0.5
    assert ag.grad(np.arcsin)(0.0) == 1
    assert [nth(np.sin, n)(0.0) for n in range(1, 6)] == [1, 0, -1, 0, 1]
