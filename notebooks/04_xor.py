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
# # XOR
#
# The smallest task that one layer cannot do and two can: the best line is no line at all, linear
# layers add nothing, and a hidden layer moves the points until a line suffices.

# %%
import matplotlib.pyplot as plt
import numpy as np

import autograd_core as ag
import nn

plt.rcParams.update({"figure.dpi": 80, "figure.constrained_layout.use": True})
X = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]])
y = np.array([0.0, 1, 1, 0])

# %% [markdown]
# ## The best affine function
#
# The normal equation $A^T A \theta = A^T y$, with $A = (X, 1)$, has the solution $w = 0$,
# $b = 1/2$: whatever the input, the answer is one half. Gradient descent ends there too.

# %%
A = np.c_[X, np.ones(4)]
np.testing.assert_allclose(np.linalg.solve(A.T @ A, A.T @ y), [0, 0, 0.5], atol=1e-15)

theta = np.array([0.8, -0.5, 0.1])
slope = ag.grad(lambda theta: ((A @ theta - y) ** 2).mean())
for _ in range(500):
    theta = theta - 0.5 * slope(theta)
np.testing.assert_allclose(theta, [0, 0, 0.5], atol=1e-6)
assert np.linalg.eigvalsh(ag.hessian(lambda t: ((A @ t - y) ** 2).mean())(theta)).min() > 0

# %% [markdown]
# ## Linear layers collapse into one
#
# With $\sigma(v) = \alpha v + \beta$ a network of any depth is affine: $A^{(l)} = \alpha
# {w^{(l)}}^T A^{(l-1)}$ and $B^{(l)} = \alpha {w^{(l)}}^T B^{(l-1)} + \alpha b^{(l)} + \beta$,
# constructed here and compared.

# %%
alpha, beta = 0.7, -0.3
deep = nn.MLP([2, 5, 4, 3, 1], activation=lambda v: alpha * v + beta,
              output=lambda v: alpha * v + beta, rng=0, dtype=np.float64)
slope, offset = np.eye(2), np.zeros((2, 1))
for layer in deep:
    if isinstance(layer, nn.Linear):
        w = layer.weight.data
        offset = alpha * w.T @ offset + alpha * layer.bias.data[:, None] + beta
        slope = alpha * w.T @ slope
samples = np.random.default_rng(0).normal(size=(50, 2))
np.testing.assert_allclose(
    deep(samples).numpy(force=True), samples @ slope.T + offset.T, rtol=1e-12)
for sample in samples[:5]:  # the same slope everywhere
    jacobian = ag.jacobian(deep)(sample).numpy(force=True)
    np.testing.assert_allclose(jacobian, slope, rtol=1e-12)

# %% [markdown]
# ## The oracle
#
# $f(x) = w^T \max(0, xW + c) + b$ with $W = \begin{pmatrix}1 & 1\\1 & 1\end{pmatrix}$,
# $c = (0, -1)$, $w = (1, -2)$, $b = 0$ is XOR, exactly:

# %%
oracle = nn.networks.xor_oracle(dtype=np.float64)
W, c, w, b = (p.data for p in oracle.parameters())
stages = [X, X @ W, X @ W + c, np.maximum(X @ W + c, 0), np.maximum(X @ W + c, 0) @ w + b]
for name, stage in zip(("x", "xW", "xW + c", "max(0, xW + c)", "f(x)"), stages, strict=True):
    print(f"{name:>15}", stage.tolist())
assert np.array_equal(stages[1], [[0, 0], [1, 1], [1, 1], [2, 2]])
assert np.array_equal(stages[2], [[0, -1], [1, 0], [1, 0], [2, 1]])
assert np.array_equal(stages[3], [[0, 0], [1, 0], [1, 0], [2, 1]])
assert np.array_equal(np.ravel(stages[4]), y)
assert np.array_equal(np.ravel(oracle(X).numpy(force=True)), y)

# %% [markdown]
# In the hidden space the two points of the class 1 have become one, and a line separates the
# classes:

# %%
hidden = stages[3]
fig, axes = plt.subplots(1, 2, figsize=(8, 3.4))
for ax, points, title in ((axes[0], X, "Input space"), (axes[1], hidden, "Hidden space")):
    ax.scatter(*points.T, c=y, cmap="coolwarm", s=120, edgecolor="black", zorder=3)
    ax.set(title=title, xlim=(-0.4, 2.4), ylim=(-0.4, 1.4))
for (p, q), answer in zip(X, y, strict=True):
    axes[0].annotate(f"{answer:.0f}", (p, q), textcoords="offset points", xytext=(10, 8))
axes[0].set(xlabel="$x_1$", ylabel="$x_2$")
axes[1].set(xlabel="$h_1$", ylabel="$h_2$")
line = np.array([0.0, 2.4])
axes[1].plot(line, (line - 0.5) / 2, color="black")  # w·h + b = 1/2
plt.show()

weight, bias = np.ravel(w), float(np.ravel(b)[0])
assert np.array_equal(hidden @ weight + bias > 0.5, y == 1)
unit = nn.Perceptron(2, rng=0, dtype=np.float64)
assert nn.perceptron_fit(unit, hidden, y, epochs=100).converged  # as it never did on the inputs

# %% [markdown]
# ## Features without learning them
#
# The hidden layer learns its features. Support vector machines take very many that are given, and
# need not write them down, as all that they compute is inner products, $K(x, x') = \langle\phi(x),
# \phi(x')\rangle$. $(1 + x \cdot x')^2$ is the inner product of six features, among them $x_1 x_2$,
# which XOR needs; the Gaussian kernel is that of infinitely many. An answer is $f(x) = \sum_i
# \alpha_i K(x_i, x)$ with $K\alpha = y$. With either kernel $K$ has full rank, and the answer is
# exact; the linear one, $x \cdot x'$, has rank 2 and none.


# %%
def features(x):
    one, two = x[..., 0], x[..., 1]
    root = np.sqrt(2.0)
    return np.stack([np.ones_like(one), root * one, root * two, one**2, two**2, root * one * two],
                    axis=-1)


KERNELS = {
    "linear": lambda a, b: a @ b.T,
    "(1 + x·x')²": lambda a, b: (1 + a @ b.T) ** 2,
    "exp(-|x - x'|²)": lambda a, b: np.exp(-((a[:, None] - b) ** 2).sum(axis=2)),
}
np.testing.assert_allclose(KERNELS["(1 + x·x')²"](X, X), features(X) @ features(X).T, rtol=1e-14)
ranks = {name: int(np.linalg.matrix_rank(kernel(X, X))) for name, kernel in KERNELS.items()}
print("rank of K on the four points:", ranks)

axis = np.linspace(-0.5, 1.5, 61)
grid = np.stack(np.meshgrid(axis, axis), axis=-1)
fig, axes = plt.subplots(1, 2, figsize=(8, 3.2))
for ax, (name, kernel) in zip(axes, list(KERNELS.items())[1:], strict=True):
    alpha = np.linalg.solve(kernel(X, X), y)
    np.testing.assert_allclose(kernel(X, X) @ alpha, y, atol=1e-12)
    surface = (kernel(grid.reshape(-1, 2), X) @ alpha).reshape(61, 61)
    filled = ax.contourf(axis, axis, surface, levels=np.linspace(-1, 2, 10), cmap="coolwarm",
                         extend="both")
    ax.contour(axis, axis, surface, levels=[0.5], colors="black")
    ax.scatter(*X.T, c=y, cmap="coolwarm", s=90, edgecolor="black")
    ax.set(title=f"K = {name}", xlabel="$x_1$")
axes[0].set_ylabel("$x_2$")
fig.colorbar(filled, ax=axes, label="f(x)")
plt.show()
assert ranks["linear"] == 2 and ranks["(1 + x·x')²"] == ranks["exp(-|x - x'|²)"] == 4

# %% [markdown]
# ## Learned, from a hundred seeds
#
# A network of 2-8-1 with tanh units and cross-entropy. Every seed succeeds; with two hidden units,
# as many as the oracle has, some end in a local minimum, and rectifiers fail more often than tanh:
# a unit that is silent on all four points gets no gradient and stays silent.


# %%
def learn(sizes, activation, seed, epochs=600):
    model = nn.MLP(sizes, activation=activation, rng=seed)
    nn.fit(model, X, y[:, None], loss="bce_with_logits", batch_size=None, epochs=epochs, seed=0,
           optimizer=nn.optim.Adam(model.parameters(), lr=0.05), progress=False)
    return model, np.array_equal(nn.predict(model, X)[:, 0] > 0, y == 1)


solved = [learn([2, 8, 1], "tanh", seed, epochs=150)[1] for seed in range(100)]
print(f"2-8-1, tanh: {sum(solved)} of 100")
assert all(solved)

# %%
outcomes = {}
silent = 0
for activation in ("tanh", "relu"):
    outcomes[activation] = 0
    for seed in range(30):
        model, right = learn([2, 2, 1], activation, seed, epochs=400)
        outcomes[activation] += right
        if activation == "relu" and not right:
            units = nn.predict(nn.Sequential(model[0], model[1]), X)
            silent += bool((units == 0).all(axis=0).any())
print(f"2-2-1: tanh {outcomes['tanh']} of 30, relu {outcomes['relu']} of 30; "
      f"{silent} failures with a silent unit")
assert outcomes["relu"] < outcomes["tanh"] <= 30
assert silent > 0

# %% [markdown]
# What a trained network of 2-8-1 does with the square:

# %%
model, _ = learn([2, 8, 1], "tanh", 0, epochs=300)
axis = np.linspace(-0.5, 1.5, 81)
grid = np.stack(np.meshgrid(axis, axis), axis=-1)
surface = ag.sigmoid(nn.predict(model, grid.reshape(-1, 2))).reshape(81, 81)
fig, ax = plt.subplots(figsize=(4.4, 3.6))
filled = ax.contourf(axis, axis, surface, levels=np.linspace(0, 1, 11), cmap="coolwarm")
ax.scatter(*X.T, c=y, cmap="coolwarm", s=90, edgecolor="black")
ax.set(title="Learned XOR", xlabel="$x_1$", ylabel="$x_2$")
fig.colorbar(filled, ax=ax, label="probability of 1")
plt.show()
