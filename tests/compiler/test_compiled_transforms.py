"""Functions of functions, compiled: they give what they give without the compiler, and nest."""

import dataclasses

import numpy as np
import pytest

import autograd_core as ag

A = np.array([[2.0, -1.0, 0.5], [0.3, 1.0, 4.0], [1.0, 1.0, -1.0], [0.5, 0.0, 2.0]])
XS = [np.array([0.5, -1.0, 2.0]), np.array([0.1, 0.7, -0.3]), np.array([1.5, 0.0, 0.2])]


@dataclasses.dataclass(frozen=True)
class State:
    x: np.ndarray
    gain: float
    name: str = "state"


def rosenbrock(x):
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def newton(x):
    """Two steps of Newton's method, as loops of minimisation have them."""
    for _ in range(2):
        x = x - np.linalg.solve(ag.hessian(rosenbrock)(x) + 10 * np.eye(3), ag.grad(rosenbrock)(x))
    return x


def descent(x):
    velocity = np.zeros_like(x)
    for _ in range(3):
        gradient, (value,) = ag.grad_and_aux(lambda x: (rosenbrock(x), (rosenbrock(x),)))(x)
        velocity = 0.9 * velocity - 1e-4 * gradient
        x = x + velocity
    return x, value


FUNCTIONS = {
    "jacobian, rows": ag.jacobian(lambda x: np.sin(A @ x)[:2] * x[:2]),
    "jacobian, columns": ag.jacobian(lambda x: np.sin(A @ x)),
    "jacobian of a matrix": ag.jacobian(lambda x: np.outer(x, np.exp(x))),
    "jacobian of a jacobian": ag.jacobian(ag.jacobian(lambda x: np.tanh(A @ x))),
    "hessian": ag.hessian(rosenbrock),
    "third derivative": ag.jacobian(ag.hessian(rosenbrock)),
    "hvp": lambda x: ag.hvp(rosenbrock, x, np.cos(x)),
    "ggnvp": lambda x: ag.ggnvp(lambda x: np.tanh(A @ x), lambda y: (y**4).sum(), x, x[::-1]),
    "jvp": lambda x: ag.jvp(lambda x: A @ np.exp(x), (x,), (np.sin(x),)),
    "vjp": lambda x: ag.vjp(lambda x: A @ np.exp(x), x)[1](np.ones(4)),
    "deriv": lambda x: ag.deriv(lambda t: np.sin(t * x))(x[0]),
    "deriv, element by element": ag.deriv(np.tanh),
    "grad_and_aux": ag.grad_and_aux(lambda x: (rosenbrock(x), {"y": x * 2.0, "n": 3})),
    "newton": newton,
    "descent": descent,
    "a dataclass": lambda x: ag.grad(lambda s: (s.x**2).sum() * s.gain)(State(x, 2.0)),
}


def same(a, b):
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        a, b = list(a.values()), list(b.values())
    if dataclasses.is_dataclass(a):
        assert type(a) is type(b)
        a, b = list(vars(a).values()), list(vars(b).values())
    if isinstance(a, list | tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            same(x, y)
    elif isinstance(a, np.ndarray | np.generic):
        assert type(a) is type(b) and a.dtype == b.dtype and a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)
    else:
        assert a == b


@pytest.mark.parametrize("f", FUNCTIONS.values(), ids=FUNCTIONS)
def test_compiled_equals_eager(f):
    compiled = ag.compile(f)
    for x in XS:
        same(compiled(x), f(x))
    assert compiled.recompiles == 0


@pytest.mark.parametrize("f", FUNCTIONS.values(), ids=FUNCTIONS)
def test_single_precision_stays(f):
    compiled = ag.compile(f)
    for x in XS[:2]:
        x = x.astype(np.float32)
        found, expected = compiled(x), f(x)
        for a, b in zip(ag.containers.flatten(found)[0], ag.containers.flatten(expected)[0],
                        strict=True):
            assert np.asarray(a).dtype == np.asarray(b).dtype


@pytest.mark.parametrize("transform", [ag.jacobian, ag.hessian, ag.deriv, ag.grad],
                         ids=lambda t: t.__name__)
def test_transforms_of_compiled_functions(transform):
    f = (lambda x: rosenbrock(x)) if transform is not ag.deriv else np.tanh
    same(transform(ag.compile(f))(XS[0]), transform(f)(XS[0]))
    same(ag.compile(transform(ag.compile(f)))(XS[0]), transform(f)(XS[0]))
    twice = ag.compile(transform(f))
    same(ag.jacobian(twice)(XS[0]), ag.jacobian(transform(f))(XS[0]))


def test_ggnvp_and_hvp_of_compiled_functions():
    f, loss = (lambda x: np.tanh(A @ x)), (lambda y: (y**4).sum())
    x, v = XS[:2]
    same(ag.ggnvp(ag.compile(f), ag.compile(loss), x, v), ag.ggnvp(f, loss, x, v))
    same(ag.hvp(ag.compile(rosenbrock), x, v), ag.hvp(rosenbrock, x, v))


def test_numbers_of_python_meet_constants():
    """A slope that is a constant times an argument that is a Python float: NumPy's scalar."""
    gradient = ag.compile(ag.grad(lambda w, b: np.sum(w * 2.0 + b * w), (0, 1)))
    for b in (3.0, 4.0):
        w = np.ones(2)
        by_w, by_b = gradient(w, b)
        assert by_w.tolist() == [2 + b] * 2 and by_b == 2.0
        assert type(by_b) is np.float64
    product = ag.compile(ag.grad(lambda x, a, b: np.sum(x) * 0.0 + np.sum(np.ones(2) * a) * b,
                                 (1, 2)))
    for a in (2.0, 5.0):
        by_a, by_b = product(np.ones(2), a, 3.0)
        assert (by_a, by_b) == (6.0, 2 * a) and type(by_b) is np.float64
