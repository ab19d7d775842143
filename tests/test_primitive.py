"""Primitives that users define."""

import math

import numpy as np
import pytest

import autograd_core as ag


def cube(rule=lambda g, y, x: g * 3 * x**2):
    f = ag.primitive(lambda x: x**3)
    if rule is not None:
        f.defvjp(rule)
    return f


def test_a_primitive_is_differentiated_by_its_rule():
    f = cube(lambda g, y, x: g * 100.0)  # wrong on purpose, so that it must be this one
    assert ag.grad(f)(2.0) == 100.0


def test_a_primitive_is_one_node_that_computes_on_plain_arrays():
    seen = []

    @ag.primitive
    def f(x, y):
        seen.extend((type(x), type(y)))
        return x * y

    x = ag.tensor([1.0, 2.0])
    z = f(x, [3.0, 4.0])
    assert seen == [np.ndarray, np.ndarray]
    assert z.op.name == "f" and z.inputs[0] is x and z.data.tolist() == [3, 8]
    assert ag.Graph(z).fprop({x: [2.0, 2.0]}).tolist() == [6, 8]


def test_without_tensors_it_is_the_function():
    result = cube()(np.array([1.0, 2.0]))
    assert type(result) is np.ndarray and result.tolist() == [1, 8]


def test_decorator():
    @ag.primitive
    def double(x):
        """Twice x."""
        return 2 * x

    assert double.defvjp(lambda g, y, x: 2 * g) is double
    assert repr(double) == "<primitive double>"
    assert double.__name__ == "double" and double.__doc__ == "Twice x."
    assert ag.grad(double)(1.0) == 2.0


def test_rules_written_in_numpy_differentiate_again():
    f = cube()
    derivative = f
    for expected in (12.0, 12.0, 6.0, 0.0):
        derivative = ag.grad(derivative)
        assert derivative(2.0) == expected
    ag.check_grads(f, np.array([1.0, -2.0]), order=3)


def test_rules_may_use_other_primitives():
    sine, cosine = ag.primitive(np.sin), ag.primitive(np.cos)
    sine.defvjp(lambda g, y, x: g * cosine(x))
    cosine.defvjp(lambda g, y, x: -g * sine(x))
    ag.check_grads(sine, np.array([0.3, 2.0]), order=4)


def test_the_result_is_given_to_the_rule():
    f = ag.primitive(np.exp)
    f.defvjp(lambda g, y, x: g * y)
    ag.check_grads(f, 0.7, order=3)


def test_static_arguments():
    calls = []

    @ag.primitive
    def power(x, *, n, offset=0.0):
        return x**n + offset

    power.defvjp(lambda g, y, x, n, offset=0.0: calls.append((n, offset)) or g * n * x ** (n - 1))
    y = power(ag.tensor(2.0, requires_grad=True), n=3)
    assert y.attrs == {"n": 3} and y.item() == 8.0
    y.backward()
    assert y.inputs[0].grad == 12.0
    assert ag.grad(lambda x: power(x, n=2, offset=1.0))(5.0) == 10.0
    assert calls == [(3, 0.0), (2, 1.0)]


def test_a_static_array_is_copied():
    f = ag.primitive(lambda x, *, w: x * w)
    f.defvjp(lambda g, y, x, w: g * w)
    w = np.array([2.0, 3.0])
    x = ag.tensor([1.0, 1.0], requires_grad=True)
    y = f(x, w=w).sum()
    w[:] = 0.0
    y.backward()
    assert x.grad.tolist() == [2, 3]


def test_a_tensor_as_a_static_argument_is_refused():
    f = ag.primitive(lambda x, *, scale: x * scale)
    for x in (ag.tensor(1.0, requires_grad=True), 1.0):
        with pytest.raises(ag.GradientError, match=r"keyword argument scale.*by position"):
            f(x, scale=ag.tensor(2.0, requires_grad=True))


# Rules that are missing, or wrong. ---------------------------------------------------------------


@pytest.mark.parametrize("rules", [(), (None, lambda g, y, a, b: g * a)], ids=["none", "one"])
def test_a_missing_rule(rules):
    product = ag.primitive(lambda a, b: a * b)
    product.__name__ = "product"
    if rules:
        product.defvjp(*rules)
    a = ag.tensor(2.0, requires_grad=True)
    y = product(a, 3.0)
    assert y.item() == 6.0 and y.requires_grad
    with pytest.raises(ag.MissingRuleError, match=r"no derivative rule for .* 0.*defvjp"):
        y.backward()
    with pytest.raises(NotImplementedError):
        ag.grad(product)(2.0, 3.0)
    if rules:
        assert ag.grad(product, 1)(2.0, 3.0) == 2.0  # the other argument has one


def test_a_rule_beyond_those_given():
    f = ag.primitive(lambda a, b: a + b)
    f.defvjp(lambda g, y, a, b: g)
    with pytest.raises(ag.MissingRuleError, match="1"):
        ag.grad(f, 1)(1.0, 2.0)


def test_a_rule_that_returns_none_is_a_structural_zero():
    f = ag.primitive(lambda a, b: a * 1.0 + np.floor(b))
    f.defvjp(lambda g, y, a, b: g, lambda g, y, a, b: None)
    assert ag.grad(f, (0, 1))(1.5, 2.5) == (1.0, 0.0)
    gradients = ag.grad(lambda a, b: f(a, b).sum(), (0, 1))(np.ones(2), np.ones((3, 2)))
    assert gradients[0].tolist() == [3, 3] and gradients[1].tolist() == np.zeros((3, 2)).tolist()


@pytest.mark.parametrize("shape", [(2,), (3, 3), (5,), (2, 2)])
def test_a_rule_that_returns_a_wrong_shape(shape):
    f = cube(lambda g, y, x: np.ones(shape))
    with pytest.raises(ValueError, match=r"rule.*returned shape .*cannot be a cotangent of"):
        ag.grad(lambda x: f(x).sum())(np.ones((4, 3)))


@pytest.mark.parametrize("rule", [
    lambda g, y, x: g * np.ones((2, 4, 3)), lambda g, y, x: np.float64(2.0), lambda g, y, x: 2.0,
    lambda g, y, x: np.full((4, 1), 2.0), lambda g, y, x: np.full((4, 3), 2.0, np.float32),
], ids=["wider", "a scalar", "a number", "a column", "float32"])
def test_the_walk_sums_broadcasts_and_casts_for_a_rule(rule):
    f = cube(rule)
    result = ag.grad(lambda x: f(x).sum())(np.ones((4, 3)))
    assert result.dtype == np.float64 and result.tolist() == np.full((4, 3), 2.0).tolist()


def test_a_primitive_returns_one_array():
    x = ag.tensor(0.5, requires_grad=True)
    for f in (lambda x: (x, x), lambda x: [x], lambda x: None):
        with pytest.raises(TypeError, match="returns one array"):
            ag.primitive(f)(x)
    hidden = ag.tensor(2.0, requires_grad=True)
    with pytest.raises(TypeError, match="positional argument"):
        ag.primitive(lambda x: x * hidden)(x)


def test_a_python_number_is_an_array_too():
    f = ag.primitive(lambda x: math.sin(x))
    f.defvjp(lambda g, y, x: g * math.cos(x))
    y = f(ag.tensor(0.5, requires_grad=True))
    assert y.shape == () and y.dtype == np.float64
    assert ag.grad(f)(0.5) == math.cos(0.5)


def test_an_error_of_the_function_names_the_primitive():
    @ag.primitive
    def picky(x):
        raise ValueError("x must be positive")

    with pytest.raises(ValueError, match=r"picky\(float64.*x must be positive.*test_primitive\.py"):
        picky(ag.tensor(1.0))


def test_float32_stays_float32():
    f = cube(lambda g, y, x: (g * 3 * x**2).astype(np.float64))
    x = ag.tensor(np.ones(2, np.float32), requires_grad=True)
    f(x).sum().backward()
    assert x.grad.dtype == np.float32
