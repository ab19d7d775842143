"""The pictures of the README, drawn into the folder of this file: `make pictures`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import autograd_core as ag
import nn

FOLDER = Path(__file__).parent


def expression() -> Path:
    """exp(c) + sin(c), c = exp(x) + exp(x)², with values, gradients and local derivatives."""
    x = ag.tensor(0.5, requires_grad=True, label="x")
    c = np.exp(x) + np.exp(x) ** 2
    c.label = "c"
    f = np.exp(c) + np.sin(c)
    f.label = "f"
    graph = ag.Graph(f)
    graph.bprop()
    return graph.render(FOLDER / "expression.svg", shapes=False)


def modules() -> Path:
    """The operations of a network, in frames named after the modules that made them."""
    model = nn.MLP([2, 8, 1], activation="tanh", output="sigmoid", rng=0)
    x = np.random.default_rng(0).uniform(-1, 1, (16, 2)).astype(np.float32)
    return ag.render(model, FOLDER / "modules.svg", example=x, values=False)


def network() -> Path:
    """A network that has learned XOR, unit by unit, its weights as lines."""
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
    y = np.array([[0], [1], [1], [0]], np.float32)
    model = nn.MLP([2, 4, 1], activation="tanh", rng=1)
    optimizer = nn.optim.Adam(model.parameters(), lr=0.05)
    nn.fit(model, x, y, loss="bce_with_logits", optimizer=optimizer, epochs=300, batch_size=4,
           progress=False, seed=0)
    assert ((nn.predict(model, x) > 0) == y).all()
    nn.draw(model, FOLDER / "network.svg")
    return FOLDER / "network.svg"


if __name__ == "__main__":
    for draw in (expression, modules, network):
        print(f"wrote {draw()}")
