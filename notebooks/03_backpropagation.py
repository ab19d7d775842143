# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Back-propagation by hand and by machine
#
# The delta equations of the lectures, in matrix form, against the engine: one hidden layer, then
# any number, then the sums over single weights; and which signs belong to minimising.

# %%
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np

import autograd_core as ag
import nn

plt.rcParams.update({"figure.dpi": 80, "figure.constrained_layout.use": True})
rng = np.random.default_rng(0)


def sigmoid_slope(z):
    return ag.sigmoid(z) * (1 - ag.sigmoid(z))


# %% [markdown]
# ## One hidden layer
#
# For a column $x$ with the label $g$: $z = Wx$, $h = \sigma(z)$, $y = Uh$ and
# $\tilde y = \mathrm{softmax}(y)$. The lecture *maximises* $J = \log \tilde y_g$, so its deltas are
# $\delta^o = 1_g - \tilde y$, and $\delta^h = \sigma'(z) \circ U^T \delta^o$; weights change along
# $\delta^o h^T$ and $\delta^h x^T$. The gradient of the loss $-J$, which is minimised, is each of
# these with the other sign.

# %%
n_in, n_hidden, n_out = 4, 5, 3
W, U = rng.normal(size=(n_hidden, n_in)), rng.normal(size=(n_out, n_hidden))
x, label = rng.normal(size=(n_in, 1)), 2
one_hot = np.eye(n_out)[:, [label]]


def log_likelihood(W, U):
    y = U @ ag.sigmoid(W @ x)
    return ag.log_softmax(y, axis=0)[label, 0]


z = W @ x
h = ag.sigmoid(z)
delta_o = one_hot - ag.softmax(U @ h, axis=0)
delta_h = sigmoid_slope(z) * (U.T @ delta_o)
gradient_W, gradient_U = ag.grad(log_likelihood, argnums=(0, 1))(W, U)
np.testing.assert_allclose(gradient_U, delta_o @ h.T, rtol=1e-12)
np.testing.assert_allclose(gradient_W, delta_h @ x.T, rtol=1e-12)

# Minimised: the loss is -J, and δ = softmax(y) - 1_g.
loss_W, loss_U = ag.grad(lambda W, U: -log_likelihood(W, U), argnums=(0, 1))(W, U)
np.testing.assert_allclose(loss_U, (ag.softmax(U @ h, axis=0) - one_hot) @ h.T, rtol=1e-12)
np.testing.assert_allclose(loss_W, -gradient_W, rtol=1e-14)

# %% [markdown]
# A step along the lecture's delta raises the likelihood, a step along the loss's gradient lowers
# it: the sign is checked by what it does.

# %%
step = 1e-3
before = log_likelihood(W, U)
assert log_likelihood(W + step * delta_h @ x.T, U + step * delta_o @ h.T) > before
assert log_likelihood(W + step * loss_W, U + step * loss_U) < before

# %% [markdown]
# ## Layer by layer, for any depth
#
# $\delta^{(l-1)} = \sigma'(z^{(l-1)}) \circ {W^{(l)}}^T \delta^{(l)}$ and
# $\partial C / \partial W^{(l)} = \delta^{(l)} {a^{(l-1)}}^T$. Every $\delta$ is also the engine's
# gradient with respect to that layer's $z$, which the graph keeps for whoever asks.

# %%
sizes = [4, 6, 6, 6, 6, 3]
weights = [rng.normal(size=(m, n)) for n, m in pairwise(sizes)]
target = rng.normal(size=(3, 1))

a = x
leaves = [ag.tensor(w, requires_grad=True, label=f"W{i + 1}") for i, w in enumerate(weights)]
pre = []
for w in leaves:
    z = w @ a
    z.retain_grad()
    pre.append(z)
    a = ag.sigmoid(z)
cost = ((a - target) ** 2).sum() / 2
cost.backward()

activations, zs = [x], []
for w in weights:
    zs.append(w @ activations[-1])
    activations.append(ag.sigmoid(zs[-1]))
delta = (activations[-1] - target) * sigmoid_slope(zs[-1])
deltas = [delta]
for w, z in zip(reversed(weights), reversed(zs[:-1]), strict=False):
    delta = sigmoid_slope(z) * (w.T @ delta)
    deltas.insert(0, delta)
for w, z, d, a in zip(leaves, pre, deltas, activations, strict=False):
    np.testing.assert_allclose(z.grad, d, rtol=1e-11)
    np.testing.assert_allclose(w.grad, d @ a.T, rtol=1e-11)

fig, ax = plt.subplots(figsize=(5, 3))
ax.bar([f"δ{i + 1}" for i in range(len(deltas))], [np.linalg.norm(d) for d in deltas])
ax.set(title="Error signal by layer", xlabel="layer, from the input", ylabel="norm of δ")
plt.show()

# %% [markdown]
# ## One weight at a time
#
# With the error $e_i = d_i - y_i$ of output $i$ the internal error of unit $j$ is the sum
# $\sum_i e_i w_{ji}$, and $\Delta w_{kj} = \mu\, y_k \sum_i e_i w_{ji}$; a bend
# $\Theta$ multiplies it by $\Theta'$. The loops below are that; the engine agrees, with and without
# a bend.

# %%
inputs, hidden, outputs = rng.normal(size=3), 4, 2
w_in, w_out = rng.normal(size=(3, hidden)), rng.normal(size=(hidden, outputs))
desired, mu = rng.normal(size=outputs), 0.1

for bend, slope in ((lambda v: v, np.ones_like), (np.tanh, lambda v: 1 - np.tanh(v) ** 2)):
    def error(w_in, w_out, bend=bend):
        return ((desired - bend(bend(inputs @ w_in) @ w_out)) ** 2).sum() / 2

    v_hidden = inputs @ w_in
    v_out = bend(v_hidden) @ w_out
    e = (desired - bend(v_out)) * slope(v_out)
    change = np.empty_like(w_in)
    for k in range(3):
        for j in range(hidden):
            internal = sum(e[i] * w_out[j, i] for i in range(outputs))
            change[k, j] = mu * slope(v_hidden[[j]])[0] * inputs[k] * internal
    gradient_in, gradient_out = ag.grad(error, argnums=(0, 1))(w_in, w_out)
    np.testing.assert_allclose(change, -mu * gradient_in, rtol=1e-12)
    np.testing.assert_allclose(np.outer(bend(v_hidden), mu * e), -mu * gradient_out, rtol=1e-12)

# %% [markdown]
# ## The same, through the layers of `nn`
#
# `nn.Linear` holds $W^T$ (a batch of rows comes in), so its gradient is $a^T \delta$. For a batch
# the deltas are rows and the products sum over the samples.

# %%
model = nn.MLP([4, 5, 3], activation="sigmoid", rng=0, dtype=np.float64)
X, labels = rng.normal(size=(8, 4)), rng.integers(0, 3, 8)
nn.losses.cross_entropy(model(X), labels).backward()
first, second = (layer for layer in model if isinstance(layer, nn.Linear))

z = X @ first.weight.data + first.bias.data
h = ag.sigmoid(z)
delta_o = (ag.softmax(h @ second.weight.data + second.bias.data, axis=1) - np.eye(3)[labels]) / 8
delta_h = sigmoid_slope(z) * (delta_o @ second.weight.data.T)
np.testing.assert_allclose(second.weight.grad, h.T @ delta_o, rtol=1e-11)
np.testing.assert_allclose(second.bias.grad, delta_o.sum(axis=0), rtol=1e-11)
np.testing.assert_allclose(first.weight.grad, X.T @ delta_h, rtol=1e-11)
np.testing.assert_allclose(first.bias.grad, delta_h.sum(axis=0), rtol=1e-11)
