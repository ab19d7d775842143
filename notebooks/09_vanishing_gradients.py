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
# # Vanishing and exploding gradients
#
# A gradient on its way back is multiplied once a layer. Where the factors are below one it
# vanishes, where they are above it explodes, and a network over time multiplies by the same matrix
# at every step. What initialisation, rectifiers, clipping and the gates of an LSTM change.

# %%
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import autograd_core as ag
import nn

plt.rcParams.update({"figure.dpi": 80, "figure.constrained_layout.use": True})

# %% [markdown]
# ## A chain of neurons
#
# With one neuron a layer, $a_i = \sigma(z_i)$ and $z_i = w_i a_{i-1} + b_i$,
# $$\frac{\partial C}{\partial w_i} = \frac{\partial C}{\partial a_N}
# \Big(\prod_{j=i+1}^{N} \sigma'(z_j) w_j\Big) \sigma'(z_i)\, a_{i-1}.$$


# %%
def chain(w, b, x):
    """All activations and all z."""
    a, zs = [x], []
    for wi, bi in zip(w, b, strict=True):
        zs.append(wi * a[-1] + bi)
        a.append(ag.sigmoid(zs[-1]))
    return a, zs


def slope(z):
    return ag.sigmoid(z) * (1 - ag.sigmoid(z))


rng = np.random.default_rng(0)
N, x, y = 8, 0.7, 0.0
w, b = rng.normal(size=N), rng.normal(size=N)


def cost(w, b):
    return (chain(w, b, x)[0][-1] - y) ** 2 / 2


gradient = ag.grad(cost)(w, b)
a, zs = chain(w, b, x)
for i in range(N):
    product = np.prod([slope(zs[j]) * w[j] for j in range(i + 1, N)])
    np.testing.assert_allclose(gradient[i], (a[-1] - y) * product * slope(zs[i]) * a[i], rtol=1e-12)

# %% [markdown]
# Since $|\sigma'| \le 1/4$, a layer with $|w| \le 1$ shrinks the gradient at least fourfold; with
# weights of normal size the slope of the first layer is far below that of the last. Large weights
# with biases that keep every $z_i$ at 0, where the slope is $1/4$, do the opposite.

# %%
z = np.linspace(-20, 20, 10001)
assert slope(z).max() == 0.25 and abs(z[np.argmax(slope(z))]) < 1e-9

deep = 30
norms = np.zeros((3, deep))
for seed in range(50):
    rng = np.random.default_rng(seed)
    for k, size in enumerate((1.0, None, 100.0)):
        w = rng.uniform(-1, 1, deep) if k == 0 else rng.normal(size=deep)
        b = np.zeros(deep)
        if size == 100.0:
            w = np.full(deep, 100.0)
            b = np.r_[-100.0 * x, np.full(deep - 1, -50.0)]  # w a + b = 0 in every layer
        gradient = np.abs(ag.grad(lambda b, w=w: cost(w, b))(b))
        norms[k] += np.log10(gradient) / 50
        if k == 0:  # at most a quarter from layer to layer
            assert (gradient[:-1] <= gradient[1:] / 4 + 1e-300).all()
        if size == 100.0:
            np.testing.assert_allclose(gradient[:-1], 25 * gradient[1:], rtol=1e-6)

fig, ax = plt.subplots(figsize=(5.6, 3.2))
for row, label in zip(norms, ("|w| < 1", "w normal", "w = 100, z = 0"), strict=True):
    ax.plot(range(1, deep + 1), row, label=label)
ax.set(title="Slope of the cost along a chain", xlabel="layer", ylabel="log10 of |∂C/∂b|")
ax.legend()
plt.show()
assert norms[1][0] < norms[1][-1] - 10

# %% [markdown]
# ## A network that learns at different speeds
#
# Four hidden layers of sigmoid units on the digits: the norm of each layer's gradient over the
# first epochs. The first layer is slowest, though nothing there is near a minimum.

# %%
digits = load_digits()
X, labels = (digits.data / 16).astype(np.float32), digits.target


def gradient_norms(activation, init, epochs=12):
    """Per epoch, the norm of the gradient of each layer's weights; and the accuracy at the end."""
    model = nn.MLP([64, 30, 30, 30, 30, 10], activation=activation, init=init, rng=0)
    layers = [layer for layer in model if isinstance(layer, nn.Linear)]
    optimizer = nn.optim.SGD(model.parameters(), lr=0.1)
    norms = []

    def look(epoch, history):
        model.zero_grad()
        nn.losses.cross_entropy(model(X), labels).backward()
        norms.append([np.linalg.norm(layer.weight.grad) for layer in layers])
        model.zero_grad()

    nn.fit(model, X, labels, loss="cross_entropy", optimizer=optimizer, epochs=epochs, seed=0,
           progress=False, callbacks=[look])
    return np.array(norms), (nn.predict(model, X).argmax(axis=1) == labels).mean()


small = lambda shape, rng, dtype: (0.5 * rng.standard_normal(shape)).astype(dtype)  # noqa: E731
runs = {
    "sigmoid": gradient_norms("sigmoid", "xavier"),
    "tanh": gradient_norms("tanh", "xavier"),
    "relu, He": gradient_norms("relu", "he"),
}
fig, axes = plt.subplots(1, 3, figsize=(10, 3), sharey=True)
for ax, (name, (norms, accuracy)) in zip(axes, runs.items(), strict=True):
    for i, series in enumerate(norms.T):
        ax.semilogy(range(1, len(norms) + 1), series, label=f"layer {i + 1}")
    ax.set(title=f"{name}: {accuracy:.0%} right", xlabel="epoch")
axes[0].set_ylabel("norm of the gradient")
axes[-1].legend()
plt.show()

sigmoid, rectifier = runs["sigmoid"][0][0], runs["relu, He"][0][0]
assert (np.diff(sigmoid) > 0).all() and sigmoid[-1] > 50 * sigmoid[0]
assert rectifier[-1] < 20 * rectifier[0]
assert runs["sigmoid"][1] < 0.3 < 0.9 < runs["relu, He"][1]

# %% [markdown]
# `nn.diagnose` says it in words, and what else can be wrong: units that are saturated because the
# weights are too large, or dead.

# %%
vanishing = nn.MLP([64, *[30] * 7, 10], activation="sigmoid", rng=0)
report = nn.diagnose(vanishing, X, labels, loss="cross_entropy")
print(report)
large = lambda shape, rng, dtype: (8 * rng.standard_normal(shape)).astype(dtype)  # noqa: E731
saturated = nn.diagnose(nn.MLP([64, 30, 30, 10], activation="tanh", init=large, rng=0), X, labels,
                        loss="cross_entropy")
healthy = nn.diagnose(nn.MLP([64, 30, 30, 10], activation="relu", rng=0), X, labels,
                      loss="cross_entropy")
assert "vanish" in str(report).lower()
assert "saturat" in str(saturated).lower()
assert not healthy.problems

# %% [markdown]
# ## Over time: powers of one matrix
#
# A recurrent network sends its error back through $W^T$ once a step:
# $\delta_{t-k} = (W^T)^k \delta_t$, and $W^k = V \Lambda^k V^{-1}$. Eigenvalues above one make it
# explode, below one vanish, at the rate of the largest.

# %%
rng = np.random.default_rng(0)
basis = rng.normal(size=(5, 5))
steps = np.arange(0, 41, 5)
fig, ax = plt.subplots(figsize=(5.6, 3.2))
for radius in (0.8, 1.0, 1.2):
    eigenvalues = radius * np.array([1.0, -0.9, 0.5, 0.3, -0.2])
    W = basis @ np.diag(eigenvalues) @ np.linalg.inv(basis)
    norms = []
    for k in steps:
        def last_state(h, W=W, k=k):
            for _ in range(k):
                h = W @ h
            return (h * np.arange(1.0, 6)).sum()

        delta = ag.grad(last_state)(np.ones(5))
        power = basis @ np.diag(eigenvalues**k) @ np.linalg.inv(basis)
        np.testing.assert_allclose(delta, power.T @ np.arange(1.0, 6), rtol=1e-8)
        norms.append(np.linalg.norm(delta))
    ax.semilogy(steps, norms, "o-", label=f"largest eigenvalue {radius}")
    rate = (norms[-1] / norms[-4]) ** (1 / 15)
    np.testing.assert_allclose(rate, radius, rtol=0.02)
ax.set(title="An error signal on its way back in time", xlabel="steps", ylabel="norm of δ")
ax.legend()
plt.show()

# %% [markdown]
# With a bend in between each step also multiplies by $g'(z)$, and the signal is the sum over all
# outputs that lie after it: $\delta^{h_i} = g'(z_i) \circ (V^T \delta^{y_i} + W^T
# \delta^{h_{i+1}})$.

# %%
T, hidden, n_in, n_out = 6, 4, 3, 2
U, W, V = (rng.normal(size=s) / 2 for s in ((hidden, n_in), (hidden, hidden), (n_out, hidden)))
inputs, targets = rng.normal(size=(T, n_in)), rng.normal(size=(T, n_out))

Wt = ag.tensor(W, requires_grad=True)
h, loss, pre = np.zeros(hidden), 0.0, []
for t in range(T):
    z = U @ inputs[t] + Wt @ h
    z.retain_grad()
    pre.append(z)
    h = np.tanh(z)
    loss = loss + ((V @ h - targets[t]) ** 2).sum() / 2
loss.backward()

states = [np.tanh(z.numpy(force=True)) for z in pre]
delta, total = np.zeros(hidden), np.zeros_like(W)
for t in reversed(range(T)):
    delta_y = V @ states[t] - targets[t]
    delta = (1 - states[t] ** 2) * (V.T @ delta_y + W.T @ delta)
    np.testing.assert_allclose(pre[t].grad, delta, rtol=1e-10)
    total += np.outer(delta, states[t - 1] if t else np.zeros(hidden))
np.testing.assert_allclose(Wt.grad, total, rtol=1e-10)

# %% [markdown]
# ## Clipping
#
# Weights that make the state explode give gradients of any size; one step along such a gradient
# throws the network away. Scaled down to a norm of one, the direction stays and training goes on.


# %%
def train_recurrent(clip, steps=300):
    """Losses of a network that shall learn the mean of a sequence, its weights far too large."""
    rng = np.random.default_rng(0)
    sequences = rng.normal(size=(64, 20, 1)).astype(np.float32)
    answers = 3 * sequences.mean(axis=1)
    recurrent, output = nn.RNN(1, 16, rng=0), nn.Linear(16, 1, rng=0)
    for p in recurrent.parameters():
        if p.shape == (16, 16):
            p.assign(p.data * 2.0)
    parameters = [*recurrent.parameters(), *output.parameters()]
    optimizer = nn.optim.SGD(parameters, lr=0.2, clip_norm=clip)

    @ag.compile
    def step():
        optimizer.zero_grad()
        states, _ = recurrent(sequences)
        loss = nn.losses.mse(output(states[:, -1]), answers)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return np.array([step().item() for _ in range(steps)])


with np.errstate(all="ignore"):
    free, clipped = train_recurrent(None), train_recurrent(1.0)
fig, ax = plt.subplots(figsize=(5.6, 3))
ax.semilogy(free, label="as they come")
ax.semilogy(clipped, label="clipped to norm 1")
ax.set(title="A recurrent network with large weights", xlabel="step", ylabel="loss")
ax.legend()
plt.show()
assert not np.isfinite(free[-1])
assert clipped[-10:].mean() < clipped[0] / 4

# %% [markdown]
# ## Over time: a memory that is added to
#
# The first of 100 inputs is 1 or -1; noise just as large follows; at the end the network shall say
# which it was. In a tanh network the signal from the end to the beginning is a product of 99
# Jacobians $W^T \mathrm{diag}(1 - h^2)$, and next to nothing arrives. An LSTM's memory is a sum,
# $c_t = f_t \circ c_{t-1} + i_t \circ g_t$, so that $\partial c_t / \partial c_{t-1}$ has on its
# diagonal path the forget gate $f_t$ alone: as near to one as its bias says.

# %%
STEPS, UNITS = 100, 16


def recall(seed, n):
    """Sequences of noise whose first number is 1 or -1, and which it was."""
    rng = np.random.default_rng(seed)
    x = np.zeros((n, STEPS, 2), np.float32)
    x[:, :, 0] = rng.normal(size=(n, STEPS))
    x[:, 0, 0] = rng.choice([-1, 1], n)
    x[:, 0, 1] = 1  # marks the beginning
    return x, (x[:, 0, :1] > 0).astype(np.float32)


class LastOutput(nn.Module):
    """Reads a sequence and answers from its last state."""

    def __init__(self, layer, seed):
        self.layer, self.answer = layer, nn.Linear(UNITS, 1, rng=seed)

    def forward(self, x):
        outputs, _ = self.layer(x)
        return self.answer(outputs[:, -1])


def long_lstm(seed):
    """An LSTM whose units remember for 2 to 100 steps: 1 / (1 - f) is how long a memory lasts."""
    lstm = nn.LSTM(2, UNITS, rng=seed)
    spans = np.random.default_rng(seed).uniform(1, STEPS - 1, UNITS)
    bias = np.zeros(4 * UNITS)
    bias[:UNITS], bias[UNITS : 2 * UNITS] = -np.log(spans), np.log(spans)  # of gates i and f
    lstm.bias_ih_l0.assign(bias)
    return lstm


LAYERS = {
    "tanh RNN": lambda seed: nn.RNN(2, UNITS, rng=seed),
    "LSTM, forget bias 1": lambda seed: nn.LSTM(2, UNITS, rng=seed),
    "LSTM, long memories": long_lstm,
}
for bias in (0.0, 1.0, np.log(STEPS - 1)):
    print(f"forget bias {bias:.1f}: gate {ag.sigmoid(bias):.2f}, of a memory {STEPS} steps later "
          f"{ag.sigmoid(bias) ** STEPS:.0e} is left")
assert ag.sigmoid(1.0) ** STEPS < 1e-13 and ag.sigmoid(np.log(STEPS - 1)) ** STEPS > 0.3

# %% [markdown]
# The signal $\partial C/\partial x_t$ before training, and what is then learned in six epochs.

# %%
X, y = recall(0, 1000)
held_out = recall(1, 500)
signals, accuracies = {}, {}
for name, make in LAYERS.items():
    norms, rows = [], []
    for seed in range(5):
        model = LastOutput(make(seed), seed)
        x = ag.tensor(X[:40], requires_grad=True)
        nn.losses.bce_with_logits(model(x), y[:40]).backward()
        norms.append(np.sqrt((x.grad**2).sum(axis=(0, 2))))
        if seed < 3:
            optimizer = nn.optim.Adam(model.parameters(), lr=0.02, clip_norm=1.0)
            history = nn.fit(model, X, y, loss="bce_with_logits", optimizer=optimizer, epochs=6,
                             batch_size=40, validation_data=held_out, metrics="accuracy",
                             seed=seed, progress=False)
            rows.append(history["val_accuracy"])
    signals[name], accuracies[name] = np.array(norms), np.array(rows)

fig, axes = plt.subplots(1, 2, figsize=(9, 3.2))
for i, name in enumerate(LAYERS):
    mean = np.exp(np.log(signals[name]).mean(axis=0))
    axes[0].semilogy(np.arange(1, STEPS + 1), mean / mean[-1], label=name)
    for row in accuracies[name]:
        axes[1].plot(range(1, 7), row, color=f"C{i}", alpha=0.7)
axes[0].set(title="How much of the signal arrives", xlabel="step of the input",
            ylabel="∂C/∂x, of that at the end")
axes[1].set(title="What is learned, three seeds each", xlabel="epoch", ylabel="answers right",
            ylim=(0.4, 1.03))
axes[0].legend(fontsize="small")
plt.show()

arrives = {name: np.exp(np.log(s[:, 0] / s[:, -1]).mean()) for name, s in signals.items()}
final = {name: rows[:, -1] for name, rows in accuracies.items()}
for name in LAYERS:
    print(f"{name:<19}  {arrives[name]:.0e} of the signal arrives; right: {final[name].round(2)}")
assert arrives["tanh RNN"] < 0.01 and arrives["LSTM, long memories"] > 0.03
assert arrives["LSTM, long memories"] > 10 * max(arrives["tanh RNN"],
                                                 arrives["LSTM, forget bias 1"])
assert (final["LSTM, long memories"] > 0.9).all()
assert (final["tanh RNN"] < 0.75).all()

# %% [markdown]
# The gate makes the difference, not the letters: with a forget bias of 1 an LSTM keeps a memory for
# four steps or so, and learns as little here as the tanh network.
