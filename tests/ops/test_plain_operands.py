"""The package's own functions take what NumPy's do: Python numbers, lists, tuples, arrays."""

import numpy as np
import pytest

import autograd_core as ag

FUNCTIONS = {
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "softplus": lambda x: np.log1p(np.exp(x)),
    "logsumexp": lambda x: np.log(np.exp(x).sum()),
    "softmax": lambda x: np.exp(x) / np.exp(x).sum(-1, keepdims=True),
    "log_softmax": lambda x: x - np.log(np.exp(x).sum(-1, keepdims=True)),
    "stop_gradient": lambda x: x,
}


@pytest.mark.parametrize("x", [
    2.0, 2, [1.0, 2.0], (1, 2), [[1.0], [3.0]], np.float32(2.0), np.array(2.0),
    np.linspace(-1, 1, 100),
], ids=repr)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_is_no_tensor_is_computed_plainly(name, x):
    if name in ("softmax", "log_softmax") and not np.ndim(x):
        x = [x]  # along an axis
    result = getattr(ag, name)(x)
    assert not isinstance(result, ag.Tensor)
    np.testing.assert_allclose(result, FUNCTIONS[name](np.asarray(x, float)), rtol=1e-6)
