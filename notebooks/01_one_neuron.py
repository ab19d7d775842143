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
# # One neuron
#
# A neuron adds up its weighted inputs and bends the sum: what that does, how its weights are
# learned by the oldest rules there are, and which identities tie the usual bends together.

# %%
import warnings

import matplotlib.pyplot as plt
import numpy as np
from scipy.integrate import quad

import autograd_core as ag
import nn

plt.rcParams.update({"figure.dpi": 80, "figure.constrained_layout.use": True})
z = np.linspace(-6, 6, 241)

# %% [markdown]
# ## A weighted sum, and a bend
#
# $z = \sum_i w_i x_i + b$ and $a = \sigma(z) = 1 / (1 + e^{-z})$. `nn.Neuron` is just that, and the
# graph of one evaluation can be read:

# %%
neuron = nn.Neuron(3, "sigmoid", rng=0, dtype=np.float64)
x = np.array([0.5, -1.0, 2.0])
a = neuron(x)
print(ag.Graph(a))
by_hand = 1 / (1 + np.exp(-(neuron.weight.data @ x + neuron.bias.data)))
assert np.isclose(a.item(), by_hand, rtol=1e-15)

# %% [markdown]
# ## The slope of the sigmoid
#
# $\sigma'(z) = e^{-z} / (1 + e^{-z})^2 = \sigma(z)(1 - \sigma(z))$, at most $1/4$: the engine's
# derivative is both of these forms.

# %%
slope = ag.elementwise_grad(ag.sigmoid)(z)
fig, ax = plt.subplots(figsize=(5.2, 3))
ax.plot(z, ag.sigmoid(z), label=r"$\sigma(z)$")
ax.plot(z, slope, label=r"$\sigma'(z)$")
ax.axhline(0.25, color="grey", linewidth=0.8, linestyle=":")
ax.set(title="The sigmoid and its slope", xlabel="z", ylabel="value")
ax.legend()
plt.show()

sigma = ag.sigmoid(z)
np.testing.assert_allclose(slope, np.exp(-z) / (1 + np.exp(-z)) ** 2, rtol=1e-13)
np.testing.assert_allclose(slope, sigma * (1 - sigma), rtol=1e-12)
assert slope.max() == slope[np.argmin(np.abs(z))] == 0.25

# %% [markdown]
# Far out nothing overflows, and what is small is not lost: at $z = -700$ the slope is
# $e^{-700}$, to all its digits.

# %%
far = np.array([-700.0, 700.0])
assert np.array_equal(ag.sigmoid(np.array([-1000.0, 1000.0])), [0, 1])
np.testing.assert_allclose(ag.elementwise_grad(ag.sigmoid)(far)[0], np.exp(-700.0), rtol=1e-12)

# %% [markdown]
# ## The linear neuron and the delta rule
#
# Without a bend, $y = \sum_j w_j x_j$, and half the squared error $E = e^2/2$ with $e = d - y$
# falls fastest along $\Delta w = \mu e x$. That is minus $\mu$ times the gradient, which is how the
# engine finds it without being told the rule.

# %%
w, b, x, d, mu = np.array([0.2, -0.4]), 0.1, np.array([1.5, -2.0]), 1.0, 0.05
new_w, new_b, error = nn.delta_rule(w, b, x, d, lr=mu)
gradient_w, gradient_b = ag.grad(lambda w, b: (d - (w @ x + b)) ** 2 / 2, argnums=(0, 1))(w, b)
np.testing.assert_allclose(new_w - w, -mu * gradient_w, rtol=1e-14)
np.testing.assert_allclose(new_b - b, -mu * gradient_b, rtol=1e-13)
np.testing.assert_allclose(new_w - w, mu * error * x, rtol=1e-14)

# %% [markdown]
# On a noisy line it goes to the answer of least squares.

# %%
rng = np.random.default_rng(0)
X = rng.uniform(-1, 1, (100, 1))
Y = 2 * X[:, 0] - 0.5 + 0.1 * rng.standard_normal(100)
line = nn.LinearNeuron(1, rng=0, dtype=np.float64)
history = nn.delta_fit(line, X, Y, lr=0.02, epochs=200, seed=0)
least_squares = np.linalg.lstsq(np.c_[X, np.ones(100)], Y, rcond=None)[0]

fig, axes = plt.subplots(1, 2, figsize=(8, 3))
axes[0].plot(X, Y, ".", color="grey", label="samples")
axes[0].plot([-1, 1], line(np.array([[-1.0], [1.0]])).numpy(force=True), label="delta rule")
axes[0].set(title="A line through noise", xlabel="x", ylabel="y")
axes[0].legend()
axes[1].semilogy(history["loss"])
axes[1].set(title="Its error", xlabel="epoch", ylabel="mean of e²/2")
plt.show()
found = np.array([line.weight.data[0], line.bias.data])
assert np.abs(found - least_squares).max() < 0.02

# %% [markdown]
# ## The perceptron
#
# With a step for a bend, $y = 1$ where $w \cdot x + b > 0$, every mistake corrects the weights by
# $(d - y)x$. On classes that a line separates with margin $\gamma$ this ends after at most
# $(R/\gamma)^2$ corrections, $R$ being the longest $(x, 1)$; on XOR it never does.

# %%
corners = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]])
for name, targets in {"and": [0, 0, 0, 1], "or": [0, 1, 1, 1], "nand": [1, 1, 1, 0]}.items():
    unit = nn.Perceptron(2, rng=0, dtype=np.float64)
    assert nn.perceptron_fit(unit, corners, targets, epochs=100).converged, name
    assert np.array_equal(unit(corners).numpy(force=True), targets)

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    xor = nn.perceptron_fit(nn.Perceptron(2, rng=0), corners, [0, 1, 1, 0], epochs=2000)
print(caught[0].message)
assert not xor.converged and min(xor["errors"]) > 0

# %% [markdown]
# Twenty clouds that a line separates, each within Novikoff's bound:

# %%
worst = 0.0
for seed in range(20):
    rng = np.random.default_rng(seed)
    direction = rng.standard_normal(2)
    direction /= np.linalg.norm(direction)
    cloud = rng.uniform(-1, 1, (200, 2))
    cloud = cloud[np.abs(cloud @ direction) > 0.1]
    labels = (cloud @ direction > 0).astype(float)
    unit = nn.Perceptron(2, rng=seed, dtype=np.float64)
    unit.weight.assign(np.zeros(2))
    history = nn.perceptron_fit(unit, cloud, labels, epochs=1000)
    margin = np.abs(cloud @ direction).min()
    bound = (np.linalg.norm(np.c_[cloud, np.ones(len(cloud))], axis=1).max() / margin) ** 2
    corrections = sum(history["errors"])
    assert history.converged and corrections <= bound
    worst = max(worst, corrections / bound)
print(f"at most {worst:.1%} of the bound")

fig, ax = plt.subplots(figsize=(4.2, 3.6))
ax.scatter(*cloud.T, c=labels, cmap="coolwarm", s=12)
(w0, w1), b0 = unit.weight.data, unit.bias.data
ax.axline((0, -b0 / w1), slope=-w0 / w1, color="black")
ax.set(title="A perceptron's line", xlabel="$x_1$", ylabel="$x_2$", xlim=(-1, 1), ylim=(-1, 1))
plt.show()

# %% [markdown]
# ## The rectifier, and its slope at 0
#
# $\max(0, z)$ has no derivative at 0; here it is 0, which is one of its subgradients. A unit whose
# input is negative learns nothing.

# %%
assert [ag.grad(ag.relu)(v) for v in (-1.0, 0.0, 1.0)] == [0, 0, 1]
asleep = nn.Neuron(1, "relu", rng=0, dtype=np.float64)
asleep.bias.assign(np.array(-10.0))
(asleep(np.array([1.0])) ** 2).backward()
assert asleep.weight.grad[0] == asleep.bias.grad == 0

# %% [markdown]
# ## A sigmoid by another name
#
# $\tanh(z) = 2\sigma(2z) - 1$, and the softplus $\zeta(z) = \ln(1 + e^z)$ is the integral of the
# sigmoid: $\zeta' = \sigma$, $\ln\sigma(z) = -\zeta(-z)$, $\zeta(z) - \zeta(-z) = z$; inverses are
# $\sigma^{-1}(p) = \ln(p / (1 - p))$ and $\zeta^{-1}(y) = \ln(e^y - 1)$.

# %%
zeta = ag.softplus
np.testing.assert_allclose(np.tanh(z), 2 * ag.sigmoid(2 * z) - 1, atol=1e-15)
np.testing.assert_allclose(1 - ag.sigmoid(z), ag.sigmoid(-z), rtol=1e-12)
np.testing.assert_allclose(ag.elementwise_grad(zeta)(z), ag.sigmoid(z), rtol=1e-14)
np.testing.assert_allclose(np.log(ag.sigmoid(z)), -zeta(-z), rtol=1e-12)
np.testing.assert_allclose(zeta(z) - zeta(-z), z, atol=1e-14)
np.testing.assert_allclose(np.log(sigma / (1 - sigma)), z, atol=1e-12)
np.testing.assert_allclose(np.log(np.exp(zeta(z)) - 1), z, atol=1e-12)
for end in (-3.0, 0.0, 2.0):
    np.testing.assert_allclose(quad(ag.sigmoid, -40, end)[0], zeta(end), rtol=1e-9)

fig, ax = plt.subplots(figsize=(5.2, 3))
ax.plot(z, zeta(z), label=r"$\zeta(z)$")
ax.plot(z, zeta(-z), label=r"$\zeta(-z)$")
ax.plot(z, ag.relu(z), color="grey", linestyle=":", label="max(0, z)")
ax.set(title="Softplus: a rectifier without a kink", xlabel="z", ylabel="value")
ax.legend()
plt.show()

# %% [markdown]
# ## Signs that move together
#
# One thing makes tanh more than another name. Units above a sigmoid layer get inputs that are all
# positive, and $\partial C/\partial w_{jk} = a_k \delta_j$: for one sample all weights into a unit
# grow together, or shrink together. Inputs of both signs let some grow while others shrink.

# %%
sample, wanted = np.random.default_rng(0).normal(size=(20, 3)), np.zeros(2)
together = {}
for bend in ("sigmoid", "tanh"):
    network = nn.MLP([3, 8, 2], activation=bend, rng=0, dtype=np.float64)
    signs = []
    for x in sample:
        network.zero_grad()
        nn.losses.mse(network(x), wanted).backward()
        signs.append(np.sign(network[2].weight.grad))  # of shape (from hidden unit, to output)
    together[bend] = np.mean([np.ptp(sign, axis=0) == 0 for sign in signs])
print("all weights into an output move in one direction, in so many cases:", together)
assert together["sigmoid"] == 1 and together["tanh"] < 0.2
