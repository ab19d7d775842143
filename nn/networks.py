"""Published networks, with the weights that were published."""

from __future__ import annotations

from typing import Any

import numpy as np

from .layers import MLP, Linear

__all__ = ["xor_oracle"]


def xor_oracle(dtype: Any = np.float32) -> MLP:
    """The solution of XOR that can be found by looking: y = w · max(0, x W + c) + b with

    W = [[1, 1], [1, 1]], c = [0, -1], w = [1, -2], b = 0.

    Source: Goodfellow, Bengio, Courville, "Deep learning" (2016), equations 6.4 to 6.6.

    >>> nn.networks.xor_oracle()(np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)).tolist()
    [[0.0], [1.0], [1.0], [0.0]]
    """
    network = MLP([2, 2, 1], "relu", init="zeros", dtype=dtype)
    hidden, _, output = network
    assert isinstance(hidden, Linear) and isinstance(output, Linear)
    assert hidden.bias is not None
    hidden.weight.assign(np.ones((2, 2)))
    hidden.bias.assign(np.array([0, -1]))
    output.weight.assign(np.array([[1], [-2]]))
    return network
