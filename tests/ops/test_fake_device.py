"""Arrays of another library flow through every rule, untouched by ndarray."""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
import pytest
import test_numpy_functions as table
from differences import Call, calls, close
from fake_device import DeviceArray, DeviceError, from_device, to_device

import autograd_core as ag
from autograd_core.op import OPS

CALLS = calls([op for op in OPS.values() if op.vjps is not None])


@contextmanager
def refused_by_scipy(op):
    """Lets an op say that SciPy computes it with NumPy's arrays only, if it is one that may.

    Those are in ``ag.special``, and computed in double precision or by functions in Python.
    """
    try:
        yield
    except NotImplementedError as refusal:
        if op.name not in ON_HOST or "with NumPy arrays only" not in str(refusal):
            raise


ON_HOST = {
    "betainc", "betaincc", "betaincinv", "betainccinv", "btdtria", "btdtrib", "beta_slope",
    "fdtr", "fdtrc", "fdtri", "fdtridfd", "stdtr", "stdtrit", "stdtridf", "student_slope",
    "bdtrik", "bdtrin", "nbdtrik", "nbdtrin", "zeta", "riemann_zeta", "zetac", "smirnov",
    "smirnovi", "smirnov_slope",
    "wofz", "voigt_profile", "bdtr", "bdtrc", "bdtri", "lambertw", "sph_harm_y",
    "sph_legendre_p", "assoc_legendre_p",
    "pbdv", "pbvv", "pbwa", *(f"spherical_{kind}n" for kind in "jyik"),
    *(f"mathieu_{kind}" for kind in ("cem", "sem", "modcem1", "modcem2", "modsem1", "modsem2")),
    *(f"{shape}_{kind}{cv}" for shape in ("pro", "obl") for kind in ("ang1", "rad1")
      for cv in ("", "_cv")),
}


class OnDevice(Call):
    """A call whose arrays, constants among them, are on the device."""

    def __init__(self, op, case, seed=0):
        super().__init__(op, case, np.float32, seed)
        self.inputs = [
            to_device(x) if isinstance(x, np.ndarray | np.generic) else x for x in self.inputs
        ]
        self.xs = [self.inputs[i] for i in self.places]
        if case.attrs.get("dtype") == np.float64:
            self.case = type(case)(case.inputs, {**case.attrs, "dtype": np.dtype(np.float32)})


def _cotangent(y):
    return np.random.default_rng(1).standard_normal(y.shape)


# The device itself: a guard that lets things pass guards nothing. -------------------------------

def test_the_device_refuses_conversion_and_mixing():
    x = to_device([1.0, 2.0])
    assert x.dtype == np.float32
    for refused in (
        lambda: np.asarray(x), lambda: np.array([x, x]), lambda: x + np.ones(2, np.float32),
        lambda: np.ones(2, np.float32) * x, lambda: np.where(np.array([True, False]), x, 0),
        lambda: np.concatenate([x, np.ones(2, np.float32)]), lambda: x @ np.ones((2, 2)),
        lambda: x.astype(np.float64), lambda: x * np.float64(2), lambda: np.arange(2, like=x) * x,
        lambda: np.zeros(2, like=x), lambda: np.arange(2, like=x) / 2,
    ):
        with pytest.raises(DeviceError):
            refused()


def test_the_device_computes():
    x = to_device([[1.0, 2.0], [3.0, 4.0]])
    np.testing.assert_array_equal(from_device(x.sum(0)), [4, 6])
    np.testing.assert_array_equal(from_device(2 * x.T - 1), [[1, 5], [3, 7]])
    np.testing.assert_array_equal(from_device(np.where(x > 2, x, 0)), [[0, 0], [3, 4]])
    assert from_device(x.sum()).shape == ()
    y = np.zeros_like(x)
    y[0] = x[1]
    np.add.at(y, to_device([1, 1]), to_device([1.0, 2.0]))
    np.testing.assert_array_equal(from_device(y), [[3, 4], [2, 4]])
    assert x.shape == np.shape(x) == (2, 2)


# Tensors that hold device arrays. ---------------------------------------------------------------

def test_a_tensor_keeps_the_array_as_it_is():
    x = to_device([1.0, 2.0])
    t = ag.tensor(x, requires_grad=True)
    assert t.data is x
    assert t.dtype == np.float32
    assert t.shape == (2,)
    assert (t * 2).data.__class__ is DeviceArray


def test_conversion_of_a_tensor_on_the_device_raises():
    t = ag.tensor(to_device([1.0, 2.0]))
    with pytest.raises(DeviceError):
        np.asarray(t)


@pytest.mark.parametrize(("op", "case"), CALLS)
def test_forward_and_backward(op, case):
    """Raw rules: gradients are device arrays, equal to those of the same call on the host."""
    with refused_by_scipy(op):
        call, host = OnDevice(op, case), Call(op, case, np.float32)
        leaves = [ag.tensor(x, requires_grad=True) for x in call.xs]
        y = call(*leaves)
        w = _cotangent(y)
        y.backward(to_device(w))
        close(from_device(y.data), host.forward(*host.xs), 1e-5)
        expected = ag.vjp(host, *host.xs)[1](w.astype(y.dtype))
        for leaf, g in zip(leaves, expected, strict=True):
            if leaf.grad is not None:
                assert leaf.grad.dtype == np.float32
                assert leaf.grad.shape == leaf.shape
                close(from_device(leaf.grad), g, 1e-4)


@pytest.mark.parametrize(("op", "case"), CALLS)
def test_second_order(op, case):
    """Recorded rules, differentiated once more."""
    with refused_by_scipy(op):

        def twice(call, put):
            leaves = [ag.tensor(x, requires_grad=True) for x in call.xs]
            y = call(*leaves)
            y.backward(put(_cotangent(y)), create_graph=True)
            first = [leaf.grad for leaf in leaves]
            total = sum((g * g).sum() for g in first if g is not None)
            if not isinstance(total, ag.Tensor) or not total.requires_grad:
                return first, [None] * len(leaves)
            for leaf in leaves:
                leaf.zero_grad()
            total.backward()
            return first, [leaf.grad for leaf in leaves]

        on_device = twice(OnDevice(op, case), to_device)
        on_host = twice(Call(op, case, np.float32), lambda w: w.astype(np.float32))
        for g, expected in zip(on_device[0], on_host[0], strict=True):
            assert (g is None) == (expected is None)
            if g is not None:
                close(from_device(g.data), expected.data, 1e-4)
        for g, expected in zip(on_device[1], on_host[1], strict=True):
            assert (g is None) == (expected is None)
            if g is not None:
                assert g.dtype == np.float32
                close(from_device(g), expected, 1e-3)


@pytest.mark.parametrize(("op", "case"), CALLS)
def test_replay(op, case):
    with refused_by_scipy(op):
        call, other = OnDevice(op, case), OnDevice(op, case, seed=7)
        leaves = [ag.tensor(x, requires_grad=True) for x in call.xs]
        y = call(*leaves)
        graph = ag.Graph(y)
        for leaf, x in zip(leaves, other.xs, strict=True):
            leaf.data = x
        close(from_device(graph.fprop()), from_device(other.forward(*other.xs)), 1e-6)


# The composites, in the spellings of the table of NumPy functions. -------------------------------

def _suits_the_device(row):
    """Leaves out calls that name an ndarray, a list of numbers or double precision themselves."""
    bound = table.Bound(row, np.float32)
    text = repr((row.args, row.kwargs))
    if any(arg.plain for arg in bound.args) or not bound.smooth:
        return False
    if any(named in text for named in ("float64", "array(", "[0.5", "returned", "weights=[")):
        return False
    if str(row).startswith("operator.") and ("memory" in str(row) or "lies" in str(row)):
        return False  # it does not tell how it lies
    if row.function in table.PLACING and (
        row.function in (np.nanquantile, np.nanpercentile) or "weights" in row.kwargs
    ):
        return False  # places in arrays of double precision, which the device has not
    try:
        outputs = bound(bound.values)
    except TypeError:
        return False
    return not any(np.dtype(y.dtype) == np.float64 for y in outputs)


ROWS = [row for row in table.ALL if _suits_the_device(row)]


def test_nearly_all_functions_suit_the_device():
    assert len({str(row) for row in ROWS}) > 150


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_numpy_function(row):
    bound = table.Bound(row, np.float32)
    tensors = [
        ag.tensor(to_device(v), requires_grad=arg.kind in "fn")
        for v, arg in zip(bound.values, bound.args, strict=True)
    ]
    outputs = table.recorded(row, bound(tensors))
    for y, expected in zip(outputs, bound(bound.values), strict=True):
        close(from_device(y.data), expected, 1e-5)
    hosts = bound.tensors()
    references = bound(hosts)
    for y, reference in zip(outputs, references, strict=True):
        if y.requires_grad:
            w = _cotangent(y)
            y.backward(to_device(w))
            reference.backward(w.astype(reference.dtype))
    for t, host in zip(tensors, hosts, strict=True):
        if host.grad is not None:
            close(from_device(t.grad), host.grad, 1e-4)


# Whole computations. -----------------------------------------------------------------------------

def test_a_network_trains_on_the_device():
    rng = np.random.default_rng(0)
    x, target = to_device(rng.standard_normal((8, 3))), to_device(rng.standard_normal((8, 2)))
    w = ag.tensor(to_device(rng.standard_normal((3, 2))), requires_grad=True)
    b = ag.tensor(to_device(np.zeros(2)), requires_grad=True)
    losses = []
    for _ in range(20):
        loss = ((np.tanh(x @ w + b) - target) ** 2).mean()
        loss.backward()
        losses.append(float(loss.item()))
        for p in (w, b):
            p.data = p.data - 0.1 * p.grad
            p.zero_grad()
    assert losses[-1] < losses[0]
    assert type(w.data) is DeviceArray


def test_transforms_on_the_device():
    x, v = to_device([0.5, -1.0]), to_device([1.0, 2.0])
    host, along = np.float32([0.5, -1.0]), np.float32([1.0, 2.0])

    def f(x):
        return (np.sin(x) * x**3).sum()

    close(from_device(ag.grad(f)(x)), ag.grad(f)(host), 1e-6)
    close(from_device(ag.hvp(f, x, v)), ag.hvp(f, host, along), 1e-5)
    value, tangent = ag.jvp(np.tanh, (x,), (v,))
    close(from_device(value), np.tanh(host), 1e-6)
    close(from_device(tangent), ag.jvp(np.tanh, (host,), (along,))[1], 1e-6)


# Functions of functions. ------------------------------------------------------------------------

W = np.linspace(0.1, 1.2, 12, dtype=np.float32).reshape(4, 3)
wave = ag.custom_vjp(lambda x: ((np.sin(x), x * 2), x)).defvjp(
    lambda x, g: (g[0] * np.cos(x) + 2 * g[1],))


def _steps(w, x):
    return np.tanh(w @ x)


TRANSFORMS = {
    "rows": lambda w, x: ag.jacobian(lambda x: _steps(w, x)[:2] * x[:2])(x),
    "columns": lambda w, x: ag.jacobian(lambda x: _steps(w, x))(x),
    "hessian": lambda w, x: ag.hessian(lambda x: (_steps(w, x) ** 2).sum())(x),
    "hvp": lambda w, x: ag.hvp(lambda x: (_steps(w, x) ** 2).sum(), x, x),
    "ggnvp": lambda w, x: ag.ggnvp(lambda x: _steps(w, x), lambda y: (y**2).sum(), x, x),
    "grad_and_aux": lambda w, x: ag.grad_and_aux(lambda x: (_steps(w, x).sum(), x * 2))(x)[1],
    "deriv": lambda w, x: ag.deriv(np.tanh)(x),
    "checkpoint": lambda w, x: ag.grad(lambda x: sum(
        y.sum() for y in ag.checkpoint(lambda x: (_steps(w, x), x * x))(x)))(x),
    "custom_vjp": lambda w, x: ag.grad(lambda x: (wave(x)[0] * wave(x)[1]).sum())(x),
}


@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)
def test_transforms_stay_on_the_device(transform):
    x = np.array([0.1, 0.2, -0.3], np.float32)
    found = transform(to_device(W), to_device(x))
    assert isinstance(found, DeviceArray) and found.dtype == np.float32
    close(from_device(found), transform(W, x), 1e-5)
