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
# # Slow learning and the right cost
#
# A neuron that is badly wrong should learn fast. With the squared error it does the opposite, and
# the cost function that puts this right is the one that the output unit asks for.

# %%
import matplotlib.pyplot as plt
import numpy as np

import autograd_core as ag
import nn

plt.rcParams.update({"figure.dpi": 80, "figure.constrained_layout.use": True})

# %% [markdown]
# ## One neuron, one sample
#
# It shall answer $y = 0$ to $x = 1$, starting from $w = 0.6, b = 0.9$ (output 0.82), or from
# $w = b = 2$ (output 0.98). With $C = (y - a)^2/2$ the slope is $a \sigma'(z)$, which vanishes
# where the neuron is most wrong; with the cross-entropy it is $x(a - y)$.

# %%
x, y = 1.0, 0.0
COSTS = {
    "quadratic": lambda z: (y - ag.sigmoid(z)) ** 2 / 2,
    "cross-entropy": lambda z: nn.losses.bce_with_logits(z, np.array(y)),
}
STARTS = {"good": (0.6, 0.9), "bad": (2.0, 2.0)}


def learn(cost, w, b, lr, epochs=300):
    """The neuron's outputs, epoch by epoch."""
    slope = ag.grad(lambda w, b: cost(np.asarray(1.0) * w * x + b), argnums=(0, 1))
    outputs = []
    for _ in range(epochs):
        outputs.append(ag.sigmoid(w * x + b))
        dw, db = slope(w, b)
        w, b = w - lr * dw, b - lr * db
    return np.array(outputs)


runs = {(name, start): learn(cost, *STARTS[start], 0.15)
        for name, cost in COSTS.items() for start in STARTS}
fig, axes = plt.subplots(1, 2, figsize=(8, 3), sharey=True)
for ax, name in zip(axes, COSTS, strict=True):
    for start in STARTS:
        ax.plot(runs[name, start], label=f"{start} start")
    ax.set(title=name.capitalize(), xlabel="epoch")
    ax.legend()
axes[0].set_ylabel("output, to become 0")
plt.show()

for w, b in STARTS.values():
    z = np.asarray(w * x + b)
    a = ag.sigmoid(z)
    quadratic, entropy = (ag.grad(cost)(z) for cost in COSTS.values())
    np.testing.assert_allclose(quadratic, a * a * (1 - a), rtol=1e-12)  # a σ'(z)
    np.testing.assert_allclose(entropy, x * (a - y), rtol=1e-12)


def half_life(outputs):
    """Epochs until the output is below one half."""
    return int(np.argmax(outputs < 0.5)) if (outputs < 0.5).any() else len(outputs)


times = {key: half_life(outputs) for key, outputs in runs.items()}
print(times)
assert times["quadratic", "bad"] > 4 * times["quadratic", "good"]
assert times["cross-entropy", "bad"] < 3 * times["cross-entropy", "good"]
slope_at_start = {key: outputs[0] - outputs[1] for key, outputs in runs.items()}
assert slope_at_start["quadratic", "bad"] < slope_at_start["quadratic", "good"]
assert slope_at_start["cross-entropy", "bad"] < 1  # and yet it moves:
assert runs["cross-entropy", "bad"][30] < runs["quadratic", "bad"][30] - 0.2

# %% [markdown]
# ## Many samples, many outputs
#
# $C = -\frac1m \sum_x \sum_j [y_j \ln a_j + (1 - y_j)\ln(1 - a_j)]$ has the slopes
# $\frac1m \sum_x x_k (a_j - y_j)$ and $\frac1m \sum_x (a_j - y_j)$; it is never negative, near 0
# where the outputs are right, and least at $a = y$ also for targets between 0 and 1.

# %%
rng = np.random.default_rng(0)
X, Y = rng.normal(size=(20, 4)), rng.integers(0, 2, (20, 3)).astype(float)
layer = nn.Linear(4, 3, rng=0, dtype=np.float64)
loss = nn.losses.bce_with_logits(layer(X), Y) * 3  # a mean over outputs too: times their number
loss.backward()
a = ag.sigmoid(X @ layer.weight.data + layer.bias.data)
np.testing.assert_allclose(
    loss.item(), -(Y * np.log(a) + (1 - Y) * np.log(1 - a)).sum() / 20, rtol=1e-12)
np.testing.assert_allclose(layer.weight.grad, X.T @ (a - Y) / 20, rtol=1e-11)
np.testing.assert_allclose(layer.bias.grad, (a - Y).mean(axis=0), rtol=1e-11)

logits = np.linspace(-8, 8, 1601)
for target in (0.0, 0.3, 0.8, 1.0):
    cost = nn.losses.bce_with_logits(logits, np.full_like(logits, target), reduction="none")
    assert cost.min() >= 0
    best = ag.sigmoid(logits[np.argmin(cost)])
    assert abs(best - target) < 0.002

# %% [markdown]
# ## Softmax and log-likelihood
#
# For classes, $a = \mathrm{softmax}(z)$ with the cost $-\ln a_y$ has the same slopes again:
# $\partial C/\partial b_j = a_j - y_j$ and $\partial C/\partial w_{jk} = a_k^{L-1}(a_j - y_j)$.

# %%
labels = rng.integers(0, 3, 20)
layer.zero_grad()
nn.losses.cross_entropy(layer(X), labels).backward()
a = ag.softmax(X @ layer.weight.data + layer.bias.data, axis=1)
one_hot = np.eye(3)[labels]
np.testing.assert_allclose(a.sum(axis=1), 1, rtol=1e-14)
np.testing.assert_allclose(layer.bias.grad, (a - one_hot).mean(axis=0), rtol=1e-11)
np.testing.assert_allclose(layer.weight.grad, X.T @ (a - one_hot) / 20, rtol=1e-11)
z = rng.normal(size=5)
np.testing.assert_allclose(ag.softmax(z), ag.softmax(z + 1000), rtol=1e-12)

# %% [markdown]
# ## The logarithm belongs inside
#
# $\ln \mathrm{softmax}(z)_i = z_i - \ln\sum_j e^{z_j}$. Computed as it is written first, the
# exponential underflows and the logarithm of 0 follows; computed in one, every digit stays.

# %%
extreme = np.array([1000.0, 0.0, -1000.0])
with np.errstate(divide="ignore"):
    naive = np.log(ag.softmax(extreme))
stable = ag.log_softmax(extreme)
print("naive: ", naive, "\nstable:", stable)
assert np.isneginf(naive[1:]).all()
np.testing.assert_array_equal(stable, [0, -1000, -2000])
slope = ag.grad(lambda z: ag.log_softmax(z)[2])(extreme)
np.testing.assert_array_equal(slope, [-1, 0, 1])
with np.errstate(all="ignore"):
    assert not np.isfinite(ag.grad(lambda z: np.log(ag.softmax(z))[2])(extreme)).all()

# %% [markdown]
# ## Where it saturates, and where it must not
#
# A sigmoid unit's cost is $\zeta((1 - 2y)z)$: flat only where the answer is already right. The
# squared error is flat wherever the sigmoid is, also where it is as wrong as can be.

# %%
z = np.linspace(-8, 8, 161)
fig, axes = plt.subplots(1, 2, figsize=(8, 3))
for target in (0.0, 1.0):
    log_cost = nn.losses.bce_with_logits(z, np.full_like(z, target), reduction="none")
    np.testing.assert_allclose(log_cost, ag.softplus((1 - 2 * target) * z), rtol=1e-10)
    axes[0].plot(z, log_cost, label=f"y = {target:g}")
    axes[1].plot(z, (ag.sigmoid(z) - target) ** 2, label=f"y = {target:g}")
for ax, title in zip(axes, ("Log-likelihood", "Squared error"), strict=True):
    ax.set(title=title, xlabel="z", ylabel="cost")
    ax.legend()
plt.show()

wrong = 8.0  # for y = 0
assert ag.grad(lambda z: ag.softplus(z))(wrong) > 0.99
assert ag.grad(lambda z: ag.sigmoid(z) ** 2)(wrong) < 1e-3
assert ag.grad(lambda z: ag.softplus(z))(-wrong) < 1e-3  # right: here it may be flat

# %% [markdown]
# ## Softmax with the squared error
#
# It has no logarithm to undo the exponential. From a start that is confidently wrong it does not
# learn, where the log-likelihood does.


# %%
def accuracy_after(loss, epochs=40):
    rng = np.random.default_rng(1)
    X = rng.normal(size=(300, 2))
    labels = np.digitize(X[:, 0], [-0.4, 0.4])
    model = nn.Linear(2, 3, rng=0)
    model.bias.assign(np.array([0, 0, 25.0]))  # sure of the third class, whatever comes
    nn.fit(model, X, labels if loss == "cross_entropy" else np.eye(3)[labels], epochs=epochs,
           seed=0, progress=False, optimizer=nn.optim.SGD(model.parameters(), lr=1.0),
           loss=loss if loss == "cross_entropy" else
           lambda z, y: nn.losses.mse(ag.softmax(z, axis=1), y))
    return (nn.predict(model, X).argmax(axis=1) == labels).mean()


likelihood, squared = accuracy_after("cross_entropy"), accuracy_after("mse")
print(f"right after 40 epochs: log-likelihood {likelihood:.0%}, squared error {squared:.0%}")
assert likelihood > 0.9 > 0.6 > squared
