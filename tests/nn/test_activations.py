"""Activations where it is hard: at kinks, far out, in other array types; their formulas and
derivatives in general are tested with the modules, in test_units.py."""

import math
import subprocess
import sys

import numpy as np
import pytest
from fake_device import DeviceArray, from_device, to_device

import autograd_core as ag
import nn
from nn import activations

ELEMENTWISE = ["absolute", "elu", "gelu", "hard_tanh", "identity", "leaky_relu", "relu", "selu",
               "sigmoid", "silu", "softplus", "softsign", "step", "tanh"]
ALL = [*ELEMENTWISE, "log_softmax", "softmax"]
SELU_LEFT = 1.0507009873554805 * 1.6732632423543772

#: Point, slope and, where it exists from the side that is meant, the second derivative.
SLOPES = {
    "absolute": [(0.0, 0.0, None)],
    "elu": [(0.0, 1.0, 1.0), (1e-12, 1.0, 0.0), (-1e-12, 1.0, 1.0)],
    "gelu": [(0.0, 0.5, 2 / math.sqrt(2 * math.pi))],
    "hard_tanh": [(-1.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.999, 1.0, 0.0), (0.0, 1.0, 0.0)],
    "identity": [(0.0, 1.0, None)],
    "leaky_relu": [(0.0, 0.01, 0.0), (1e-300, 1.0, 0.0)],
    "relu": [(0.0, 0.0, 0.0)],
    "selu": [(0.0, SELU_LEFT, SELU_LEFT), (1e-12, 1.0507009873554805, 0.0)],
    "sigmoid": [(0.0, 0.25, 0.0)],
    "silu": [(0.0, 0.5, 0.5)],
    "softplus": [(0.0, 0.5, 0.25)],
    "softsign": [(0.0, 1.0, None)],
    "step": [(0.0, 0.0, 0.0), (2.0, 0.0, 0.0)],
    "tanh": [(0.0, 1.0, 0.0)],
}


@pytest.mark.parametrize("name", SLOPES)
def test_slopes_at_kinks_and_at_zero(name):
    f = activations.get(name)
    for z, first, second in SLOPES[name]:
        assert ag.grad(f)(z) == pytest.approx(first, abs=1e-11)
        if second is not None:
            assert ag.grad(ag.grad(f))(z) == pytest.approx(second, abs=1e-11)


def test_the_learned_slope_is_learned_from_the_left_side_only():
    slopes = ag.grad(lambda a: activations.prelu(np.array([-2.0, 0.0, 3.0]), a).sum())(0.25)
    assert slopes == -2.0
    assert ag.grad(lambda z: activations.prelu(z, 0.25))(0.0) == 0.25


#: f(-1000) and f(1000), with the slopes there.
FAR = {
    "absolute": (1000, 1000, -1, 1), "elu": (-1, 1000, 0, 1), "gelu": (0, 1000, 0, 1),
    "hard_tanh": (-1, 1, 0, 0), "identity": (-1000, 1000, 1, 1),
    "leaky_relu": (-10, 1000, 0.01, 1), "relu": (0, 1000, 0, 1),
    "selu": (-SELU_LEFT, 1050.7009873554805, 0, 1.0507009873554805), "sigmoid": (0, 1, 0, 0),
    "silu": (0, 1000, 0, 1), "softplus": (0, 1000, 0, 1),
    "softsign": (-1000 / 1001, 1000 / 1001, 1 / 1001**2, 1 / 1001**2), "step": (0, 1, 0, 0),
    "tanh": (-1, 1, 0, 0),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", [*ELEMENTWISE, "gelu tanh"])
def test_far_out_nothing_overflows(name, dtype):
    """A warning would be an error."""
    f = activations.get(name) if name in FAR else lambda z: activations.gelu(z, "tanh")
    left, right, *slopes = FAR[name.split()[0]]
    z = ag.tensor(np.array([-1000, 1000]), requires_grad=True, dtype=dtype)
    y = f(z)
    (y * 1).sum().backward()
    np.testing.assert_allclose(y.numpy(force=True), [left, right], rtol=1e-6, atol=1e-30)
    # softsign: 1/(1 + z) - z/(1 + z)², of which three of seven digits cancel
    np.testing.assert_allclose(z.grad, slopes, rtol=2e-4, atol=1e-30)
    for extreme in (1e6, 1e15):
        z = ag.tensor(np.array([-extreme, extreme]), requires_grad=True, dtype=dtype)
        y = f(z)
        (y * 1).sum().backward()
        assert np.isfinite(y.numpy(force=True)).all() and np.isfinite(z.grad).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_far_out_softmax_is_certain(dtype):
    z = np.array([[1000.0, 0.0, -1000.0]], dtype)
    assert activations.softmax(z).tolist() == [[1, 0, 0]]
    assert activations.log_softmax(z).tolist() == [[0, -1000, -2000]]


def test_the_approximate_gelu_is_close():
    z = np.linspace(-10, 10, 4001)
    difference = activations.gelu(z) - activations.gelu(z, approximate="tanh")
    assert 1e-5 < np.abs(difference).max() < 5e-4
    for f in (activations.gelu, nn.GELU):
        with pytest.raises(ValueError, match="'none' or 'tanh', got 'erf'"):
            f(*([z] if f is activations.gelu else []), approximate="erf")


def test_selu_keeps_mean_and_variance():
    """Its numbers are the fixed point: E f(z) = 0 and E f(z)² = 1 for standard normal z."""
    z = np.linspace(-12, 12, 400_001)
    density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    y = activations.selu(z)
    assert np.trapezoid(y * density, z) == pytest.approx(0, abs=1e-8)
    assert np.trapezoid(y**2 * density, z) == pytest.approx(1, abs=1e-8)


@pytest.mark.parametrize("name", ALL)
def test_arrays_of_other_libraries_flow_through(name):
    if name == "gelu":
        f = lambda z: activations.gelu(z, "tanh")  # noqa: E731  # SciPy knows ndarrays only
    else:
        f = activations.get(name)
    z = np.linspace(-3, 3, 8, dtype=np.float32).reshape(2, 4)
    leaf = ag.tensor(to_device(z), requires_grad=True)
    y = f(leaf)
    y.backward(to_device(np.ones_like(z)))
    assert isinstance(y.detach().numpy(), DeviceArray)
    np.testing.assert_allclose(from_device(y.detach().numpy()), f(z), rtol=1e-6)
    expected = ag.tensor(z, requires_grad=True)
    f(expected).backward(np.ones_like(z))
    np.testing.assert_allclose(from_device(leaf.grad), expected.grad, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ALL)
def test_not_a_number_stays_visible(name):
    with np.errstate(invalid="ignore"):  # np.logaddexp says so, for one
        assert np.isnan(activations.get(name)(np.array([math.nan]))).all()


@pytest.mark.parametrize(("shape", "k"), [((4, 5), 2), ((), 1), ((4,), 0)])
def test_maxout_of_groups_that_do_not_fit(shape, k):
    with pytest.raises(ag.ShapeError, match="cannot be divided"):
        activations.maxout(np.ones(shape), k)


def test_maxout_shares_the_gradient_of_ties():
    assert ag.grad(lambda z: activations.maxout(z, 2).sum())(
        np.array([1.0, 1.0, 0.0, 2.0])).tolist() == [0.5, 0.5, 0, 1]


def test_prelu_of_another_number_of_channels():
    with pytest.raises(ag.ShapeError, match=r"3 slopes for an input of shape \(4, 2\)"):
        nn.PReLU(3)(np.ones((4, 2), np.float32))
    assert nn.PReLU(3)(np.ones(3, np.float32)).shape == (3,)  # one sample


def test_sizes_of_modules():
    for make in (lambda: nn.PReLU(0), lambda: nn.Maxout(0), lambda: nn.Flatten(-1)):
        with pytest.raises(ValueError, match="must"):
            make()


def test_scipy_is_loaded_for_gelu_only():
    code = ("import sys, numpy as np, nn\n"
            "nn.MLP([2, 3, 1], 'selu')(np.ones(2, np.float32)); nn.GELU('tanh')(np.ones(2))\n"
            "assert 'scipy' not in sys.modules\n"
            "nn.GELU()(np.ones(2))\n"
            "assert 'scipy.special' in sys.modules\n")
    subprocess.run([sys.executable, "-c", code], check=True)
