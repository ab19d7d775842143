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
# # Stochastic gradient
#
# The gradient of a loss over all samples is a mean, and a mean can be estimated from a few. How
# good the estimate is, what it costs, why the learning rate has to fall and how fast it may, and
# how AdaGrad and RMSProp give each weight a rate of its own.

# %%
import time
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import autograd_core as ag
import nn

plt.rcParams.update({"figure.dpi": 80, "figure.constrained_layout.use": True})
digits = load_digits()
X, labels = digits.data / 16, digits.target

# %% [markdown]
# ## The standard error of a gradient
#
# $\nabla J = \frac1N \sum_i \nabla J_i$. A mean of $n$ samples misses by $\sigma / \sqrt n$, where
# $\sigma$ is the standard deviation of one; for vectors, $\sigma^2$ is the sum over all
# coordinates. `ag.jacobian` of the losses gives the gradient of each sample, here of a network with
# 12 hidden units; then mini-batches are drawn, two thousand of each size, and their errors
# measured.


# %%
def losses(theta, x, y):
    """The loss of each sample, for a network with all its weights in one vector."""
    W, U = theta[:768].reshape(64, 12), theta[768:].reshape(12, 10)
    scores = np.tanh(x @ W) @ U
    return ag.logsumexp(scores, axis=1) - scores[np.arange(len(y)), y]


N = 600
x, y = X[:N], labels[:N]
rng = np.random.default_rng(0)
theta = rng.normal(size=888) / np.r_[np.full(768, 8.0), np.full(120, 3.5)]
each = ag.jacobian(losses)(theta, x, y)
whole = ag.grad(lambda theta: losses(theta, x, y).mean())(theta)
sigma = np.sqrt(((each - whole) ** 2).sum(axis=1).mean())

sizes = np.array([1, 3, 10, 30, 100, 300])
measured = {"with replacement": [], "without": []}
for n in sizes:
    for name, found in measured.items():
        if name == "without":
            batches = rng.random((2000, N)).argpartition(n - 1, axis=1)[:, :n]
        else:
            batches = rng.integers(0, N, (2000, n))
        shares = np.zeros((2000, N))  # of each sample in each batch
        np.add.at(shares, (np.arange(2000)[:, None], batches), 1 / n)
        found.append(np.sqrt(((shares @ each - whole) ** 2).sum(axis=1).mean()))

fig, ax = plt.subplots(figsize=(5.6, 3.2))
ax.loglog(sizes, sigma / np.sqrt(sizes), color="grey", label=r"$\sigma/\sqrt{n}$")
for (name, found), marker in zip(measured.items(), "os", strict=True):
    ax.loglog(sizes, found, marker, label=name)
ax.axhline(np.linalg.norm(whole), color="black", linewidth=0.8, linestyle=":",
           label="length of the gradient")
ax.set(title="How far a mini-batch's gradient is off", xlabel="samples in the batch",
       ylabel="root mean square error")
ax.legend(fontsize="small")
plt.show()

np.testing.assert_allclose(each.mean(axis=0), whole, rtol=1e-9, atol=1e-12)
np.testing.assert_allclose(measured["with replacement"], sigma / np.sqrt(sizes), rtol=0.05)
finite = np.sqrt((N - sizes) / (N - 1))  # what is drawn is no longer in the urn
np.testing.assert_allclose(measured["without"], sigma / np.sqrt(sizes) * finite, rtol=0.05)
order = np.polyfit(np.log(sizes), np.log(measured["with replacement"]), 1)[0]
print(f"error ~ n^{order:.3f}: a hundred times the samples for a tenth of the error")
assert -0.53 < order < -0.47

# %% [markdown]
# How large a batch should be depends on where one is. The variance of one sample, divided by the
# squared length of the gradient, is the size from which on the noise is smaller than the signal
# (the noise scale of McCandlish et al., "An empirical model of large-batch training", 2018). Far
# from a minimum a few samples show the way; near it no batch is large enough.

# %%
scales, heights = [], []
descend = ag.compile(ag.value_and_grad(lambda theta: losses(theta, x, y).mean()))
for epoch in range(301):
    height, slope = descend(theta)
    if epoch in (0, 30, 100, 300):
        spread = ((ag.jacobian(losses)(theta, x, y) - slope) ** 2).sum(axis=1).mean()
        scales.append(spread / (slope @ slope))
        heights.append(height)
        print(f"loss {height:.3f}: as much signal as noise from {scales[-1]:8.1f} samples on")
    theta = theta - 1.0 * slope
assert scales[0] < 100 < 20 * scales[0] < scales[-1]
assert heights == sorted(heights, reverse=True)

# %% [markdown]
# ## Batch against mini-batch
#
# An epoch costs the same arithmetic whatever the batch size: one gradient of each sample. With a
# batch of all it buys a single step. The same linear classifier with four batch sizes, each at the
# rate, of five, that has the lowest losses on the way:

# %%
RATES = (0.03, 0.1, 0.3, 1.0, 3.0)
EPOCHS = {1: 4, 8: 12, 64: 12, 1797: 60}


def train(size, rate, epochs, seed=0):
    """Losses over all samples before the training and after each epoch, and the seconds gone by."""
    model = nn.Linear(64, 10, init="zeros", rng=0)
    begin, pause = time.perf_counter(), 0.0
    found, seconds = [np.log(10)], [0.0]

    def look(epoch, history):
        nonlocal pause
        seconds.append(time.perf_counter() - begin - pause)
        found.append(float(nn.losses.cross_entropy(nn.predict(model, X), labels)))
        pause += time.perf_counter() - begin - pause - seconds[-1]

    nn.fit(model, X, labels, loss="cross_entropy", epochs=epochs, batch_size=size, seed=seed,
           optimizer=nn.optim.SGD(model.parameters(), lr=rate), progress=False, callbacks=[look])
    return np.array(found), np.array(seconds)


curves = {}
for size, epochs in EPOCHS.items():
    trial = {rate: train(size, rate, min(epochs, 12))[0].mean()
             for rate in (RATES[:3] if size == 1 else RATES)}
    best = min(trial, key=trial.get)
    curves[size] = (best, *train(size, best, epochs))

fig, axes = plt.subplots(1, 3, figsize=(10, 3), sharey=True)
for size, (rate, found, seconds) in curves.items():
    epochs, steps = np.arange(len(found)), -(-len(X) // size)
    for ax, horizontal in zip(axes, (epochs, epochs * steps, seconds), strict=True):
        ax.loglog(horizontal[1:], found[1:], ".-", label=f"{size}, rate {rate:g}")
for ax, title in zip(axes, ("epoch", "step", "second"), strict=True):
    ax.set(title=f"Loss per {title}", xlabel=f"{title}s")
axes[0].set_ylabel("loss over all samples")
axes[2].legend(title="batch", fontsize="small")
plt.show()

# %% [markdown]
# Per epoch the small batches win, because they have taken more steps; per step the large ones,
# because each of their steps is the better one. Per second neither: a batch of one leaves the
# processor idle, which could do the arithmetic of several samples in the time of one call. In
# gradients of single samples until the loss is below 0.3:


# %%
def cost(size, goal=0.3):
    """Gradients of single samples that were computed until the loss was below the goal."""
    found = curves[size][1]
    return int(np.argmax(found < goal)) * len(X) if (found < goal).any() else np.inf


costs = {size: cost(size) for size in curves}
print(costs)
assert costs[1797] >= 3 * costs[64] and costs[64] >= costs[8]
after_one = {size: found[1] for size, (_, found, _) in curves.items()}
assert after_one[8] < after_one[64] < after_one[1797]
per_step = {size: (found[0] - found[1]) / -(-len(X) // size)
            for size, (_, found, _) in curves.items()}
assert per_step[1] < per_step[8] < per_step[64] < per_step[1797]

# %% [markdown]
# ## Noise, and a rate that stays
#
# The simplest case has an answer in closed form. On $J = \theta^2/2$ with a gradient that is off by
# noise of variance one, $\theta \leftarrow \theta - \eta(\theta + \xi)$: what is left of the start
# dies out like $(1 - \eta)^k$, and noise is added anew in each step, until both balance at
# $\mathrm{E}\,\theta^2 = \eta / (2 - \eta)$. A constant rate never arrives.
#
# Each of 2,000 weights is one run, with noise of its own; the step is compiled, and draws afresh at
# each call.


# %%
def noisy_descent(rate, steps=4000, start=2.0):
    """Mean of θ² over 2,000 runs, and mean of θ, after each step."""
    weights = nn.Parameter(np.full(2000, start))
    optimizer = nn.optim.SGD([weights], lr=rate)
    rng = np.random.default_rng(0)

    @ag.compile
    def step():
        optimizer.zero_grad()
        noise = ag.random.normal(rng, size=2000)
        (weights**2 / 2 + noise * weights).sum().backward()
        optimizer.step()
        return (weights**2).mean().detach(), weights.mean().detach()

    return np.array([[part.item() for part in step()] for _ in range(steps)]).T


k = np.arange(1, 4001)
constant = {rate: noisy_descent(rate)[0] for rate in (0.3, 0.03, 0.003)}
fig, ax = plt.subplots(figsize=(5.6, 3.2))
for rate, found in constant.items():
    ax.loglog(k, found, label=f"η = {rate}")
    ax.axhline(rate / (2 - rate), color="grey", linewidth=0.8, linestyle=":")
ax.set(title="A constant rate ends at its noise", xlabel="step", ylabel="mean of θ²")
ax.legend()
plt.show()

for rate in (0.3, 0.03):
    np.testing.assert_allclose(constant[rate][-1000:].mean(), rate / (2 - rate), rtol=0.05)
decay = (1 - 0.03) ** (2 * k)
exact = 4 * decay + 0.03 / (2 - 0.03) * (1 - decay)
np.testing.assert_allclose(constant[0.03], exact, rtol=0.2)

# %% [markdown]
# ## A rate that falls: the sums of Robbins and Monro
#
# Stochastic gradient descent arrives if $\sum_k \eta_k = \infty$, so that any distance can be
# covered, and $\sum_k \eta_k^2 < \infty$, so that the noise dies out. $1/k$ fulfils both;
# $k^{-3/4}$ too; a rate that falls like $1/k^2$ or exponentially gets stuck on its way; a constant
# one keeps its noise.

# %%
SCHEDULES = {
    "constant": nn.schedules.Constant(0.1),
    "1/k": nn.schedules.InverseTime(1.0, decay=1.0),
    "k^(-3/4)": nn.schedules.InverseTime(1.0, decay=1.0, power=0.75),
    "1/k²": lambda k: 0.5 / (1 + k) ** 2,
    "0.97^k": nn.schedules.Exponential(0.03, 0.97),
}
ends = (100, 1000, 10_000, 100_000)
sums, squares = {}, {}
for name, schedule in SCHEDULES.items():
    rates = np.array([schedule(step) for step in range(max(ends))])
    sums[name], squares[name] = np.cumsum(rates), np.cumsum(rates**2)
print("sum of the first         " + "".join(f"{end:>12,}" for end in ends))
for name in SCHEDULES:
    for what, partial in (("rates", sums), ("squares", squares)):
        print(f"{name:>10} {what:>8}      "
              + "".join(f"{partial[name][end - 1]:12.3f}" for end in ends))

for end, following in pairwise(ends):  # as much again in each decade
    grown = {name: s[following - 1] - s[end - 1] for name, s in sums.items()}
    np.testing.assert_allclose(grown["1/k"], np.log(10), rtol=0.01)
    assert grown["k^(-3/4)"] > 5 and grown["constant"] > 50
    assert grown["1/k²"] < 0.01 and grown["0.97^k"] < 0.05
np.testing.assert_allclose(squares["1/k"][-1], np.pi**2 / 6, rtol=1e-4)
np.testing.assert_allclose(sums["0.97^k"][-1], 0.03 / (1 - 0.97), rtol=1e-9)
assert squares["k^(-3/4)"][-1] - squares["k^(-3/4)"][9999] < 0.02
assert squares["constant"][-1] > 900
try:
    nn.schedules.InverseTime(1.0, decay=1.0, power=0.5)
except ValueError as refused:
    print("\n" + str(refused))
else:
    raise AssertionError("a power of one half has an infinite sum of squares")

# %% [markdown]
# On the noisy parabola it happens as the sums say. With $1/k$ the error is $1/k$, which is that of
# the mean of $k$ samples, and no method can do better; the two rates with a finite sum stay where
# they are stuck, for ever.

# %%
falling = {name: noisy_descent(schedule) for name, schedule in SCHEDULES.items()}
fig, ax = plt.subplots(figsize=(5.6, 3.4))
for name, (found, _) in falling.items():
    ax.loglog(k, found, label=name)
ax.loglog(k, 1 / k, color="grey", linestyle=":", label="error of a mean of k")
ax.set(title="Five schedules on a noisy parabola", xlabel="step", ylabel="mean of θ²")
ax.legend(fontsize="small")
plt.show()

final = {name: found[-500:].mean() for name, (found, _) in falling.items()}
np.testing.assert_allclose(falling["1/k"][0][[99, 999, 3999]], 1 / k[[99, 999, 3999]], rtol=0.15)
assert final["1/k"] < final["k^(-3/4)"] < final["constant"] / 10 < final["0.97^k"] / 100
for name in ("1/k²", "0.97^k"):  # what is left of the start is the product of all 1 - η
    rates = np.array([SCHEDULES[name](step) for step in range(4000)])
    np.testing.assert_allclose(falling[name][1][-1], 2 * np.prod(1 - rates), rtol=0.1)
    assert falling[name][1][-1] > 0.3

# %% [markdown]
# ## In practice: linear decay
#
# $\eta_k = (1 - k/T)\,\eta_0 + (k/T)\,\eta_T$ up to step $T$, and $\eta_T$ from then on. A rate as
# large as it may be gets far; that it falls lets the noise settle. Twenty weights are fitted to
# 2,000 noisy samples, from five seeds; the height above the answer of least squares is drawn.

# %%
rng = np.random.default_rng(4)
inputs = rng.normal(size=(2000, 20))
answers = inputs @ rng.normal(size=(20, 1)) + rng.normal(size=(2000, 1))
least = float(np.linalg.lstsq(inputs, answers, rcond=None)[1][0]) / 2000


def above_least(rate, seed, epochs=10):
    """Mean squared error above the least one, after each epoch."""
    model = nn.Linear(20, 1, bias=False, init="zeros", rng=0, dtype=np.float64)
    found = []

    def look(epoch, history):
        found.append(nn.metrics.mse(nn.predict(model, inputs), answers) - least)

    nn.fit(model, inputs, answers, epochs=epochs, batch_size=16, seed=seed, progress=False,
           optimizer=nn.optim.SGD(model.parameters(), lr=rate), callbacks=[look])
    return found


T = 8 * 125
linear = nn.schedules.LinearDecay(0.05, steps=T, end=0.0005)
outcomes = {
    name: np.array([above_least(rate, seed) for seed in range(5)])
    for name, rate in {"constant 0.05": 0.05, "constant 0.0005": 0.0005,
                       "linear decay": linear}.items()}

fig, axes = plt.subplots(1, 2, figsize=(8.4, 3))
axes[0].plot([linear(step) for step in range(10 * 125)])
axes[0].set(title="Linear decay", xlabel="step", ylabel="learning rate")
for name, found in outcomes.items():
    axes[1].semilogy(range(1, 11), found.mean(axis=0), label=name)
    axes[1].fill_between(range(1, 11), found.min(axis=0), found.max(axis=0), alpha=0.2)
axes[1].set(title="Three rates, five seeds each", xlabel="epoch", ylabel="loss above the least")
axes[1].legend()
plt.show()

for step in (0, 1, T // 3, T - 1):
    by_hand = (1 - step / T) * 0.05 + step / T * 0.0005
    np.testing.assert_allclose(linear(step), by_hand, rtol=1e-12)
assert linear(T) == linear(10 * T) == 0.0005
for other in ("constant 0.05", "constant 0.0005"):
    assert outcomes["linear decay"][:, -1].max() < outcomes[other][:, -1].min() / 3

# %% [markdown]
# ## A rate for each coordinate
#
# Plain descent has one rate for all weights, which the steepest direction dictates. AdaGrad divides
# each coordinate's step by the root of the sum of its squared gradients, $s \leftarrow s + g^2$;
# RMSProp by that of a moving average, $v \leftarrow \rho v + (1 - \rho) g^2$. Written out, and
# against the library:


# %%
def run(optimizer_of, gradient_of, start, steps):
    """The weights, before the first and after each step."""
    weights = nn.Parameter(np.array(start, float))
    optimizer, found = optimizer_of([weights]), [np.array(start, float)]
    for step in range(steps):
        weights.grad = gradient_of(found[-1], step)
        optimizer.step()
        found.append(weights.numpy(force=True).copy())
    return np.array(found)


gradients = np.random.default_rng(1).normal(size=(50, 3)) * [1, 10, 100]
given = lambda weights, step: gradients[step]  # noqa: E731
s, v, a, r = np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3)
for g in gradients:
    s, v = s + g**2, 0.9 * v + 0.1 * g**2
    a, r = a - 0.5 * g / np.sqrt(s), r - 0.01 * g / np.sqrt(v)
adagrad = lambda p: nn.optim.AdaGrad(p, lr=0.5)  # noqa: E731
rmsprop = lambda p: nn.optim.RMSProp(p, lr=0.01, rho=0.9)  # noqa: E731
np.testing.assert_allclose(run(adagrad, given, np.zeros(3), 50)[-1], a, rtol=1e-7)
np.testing.assert_allclose(run(rmsprop, given, np.zeros(3), 50)[-1], r, rtol=1e-7)

# %% [markdown]
# So the scale of a coordinate drops out. In a valley a thousand times steeper one way than the
# other, $J = \frac12\sum_i \lambda_i w_i^2$, both coordinates take the same path; under plain
# descent, with the largest rate that is stable, the flat one hardly moves.

# %%
curvature = np.array([1000.0, 1.0])
valley = lambda weights, step: curvature * weights  # noqa: E731
start = np.ones(2)
paths = {
    "plain descent": run(lambda p: nn.optim.SGD(p, lr=0.00195), valley, start, 60),
    "AdaGrad": run(lambda p: nn.optim.AdaGrad(p, lr=0.5), valley, start, 60),
    "RMSProp": run(lambda p: nn.optim.RMSProp(p, lr=0.05, rho=0.9), valley, start, 60),
}
fig, axes = plt.subplots(1, 3, figsize=(10, 2.9), sharex=True, sharey=True)
for ax, (name, path) in zip(axes, paths.items(), strict=True):
    ax.plot(np.abs(path[:, 0]), label="steep coordinate")
    ax.plot(np.abs(path[:, 1]), "--", label="flat coordinate")
    ax.set(title=name, xlabel="step")
axes[0].set_ylabel("distance to the minimum")
axes[0].legend(fontsize="small")
plt.show()

for name in ("AdaGrad", "RMSProp"):
    np.testing.assert_allclose(paths[name][:, 0], paths[name][:, 1], rtol=1e-4, atol=1e-6)
assert np.abs(paths["AdaGrad"][-1]).max() < 1e-3
assert paths["plain descent"][-1, 1] > 0.85
np.testing.assert_allclose(paths["RMSProp"][1], 1 - 0.05 / np.sqrt(0.1), rtol=1e-6)
assert np.abs(run(lambda p: nn.optim.SGD(p, lr=0.00205), valley, start, 60)[-1, 0]) > 1  # unstable

# %% [markdown]
# AdaGrad was made for rare features. Words of a text, say, of which each document holds a few: the
# weight of a word that comes in one document of 200 gets a gradient only there. The sum of its
# squares is small, its rate stays high: $\eta / \sqrt{s}$, about $1/\sqrt{\text{frequency}}$.

# %%
rng = np.random.default_rng(2)
frequency = np.geomspace(0.5, 0.005, 30)
words = (rng.random((8000, 30)) < frequency).astype(float)
meaning = rng.choice([-2.0, 2.0], 30)
spam = (rng.random(8000) < ag.sigmoid(words @ meaning)).astype(float)
learned, effective = {}, None
for name, optimizer_of in {"plain descent": lambda p: nn.optim.SGD(p, lr=0.3),
                           "AdaGrad": lambda p: nn.optim.AdaGrad(p, lr=0.3)}.items():
    model = nn.Linear(30, 1, bias=False, init="zeros", rng=0, dtype=np.float64)
    optimizer = optimizer_of(model.parameters())
    nn.fit(model, words, spam[:, None], loss="bce_with_logits", batch_size=10, epochs=1, seed=0,
           optimizer=optimizer, progress=False)
    learned[name] = model.weight.numpy(force=True)[:, 0] * np.sign(meaning)
    if name == "AdaGrad":
        (squared,) = optimizer.state_dict()["state"][0]
        effective = 0.3 / np.sqrt(squared[:, 0])

fig, axes = plt.subplots(1, 2, figsize=(8.4, 3))
for name, values in learned.items():
    axes[0].semilogx(frequency, values, ".-", label=name)
axes[0].axhline(2, color="grey", linewidth=0.8, linestyle=":")
axes[0].set(title="What was learned of each word", xlabel="frequency", ylabel="weight, to be 2")
axes[0].legend()
axes[1].loglog(frequency, effective, ".-", color="C1", label="AdaGrad")
axes[1].axhline(0.3, color="C0", label="plain descent")
axes[1].set(title="The rate of each weight", xlabel="frequency", ylabel="learning rate")
axes[1].legend()
plt.show()

rare = frequency < 0.02
order = np.polyfit(np.log(frequency), np.log(effective), 1)[0]
print(f"rate ~ frequency^{order:.2f}; weight of the rare words: "
      + ", ".join(f"{name} {values[rare].mean():.2f}" for name, values in learned.items()))
assert -0.6 < order < -0.35
assert learned["AdaGrad"][rare].mean() > 1.3 * learned["plain descent"][rare].mean()

# %% [markdown]
# But a sum only grows, and AdaGrad's rate only falls, like $1/\sqrt k$. When the target moves, or
# when the first gradients were the largest, it comes too late; RMSProp forgets, and follows.

# %%
noise = np.random.default_rng(3).normal(size=(4000, 200))
target = lambda step: 0.0 if step < 2000 else 3.0  # noqa: E731
chase = lambda weights, step: weights - target(step) + noise[step]  # noqa: E731
followed = {name: run(optimizer_of, chase, np.zeros(200), 4000).mean(axis=1)
            for name, optimizer_of in {
                "AdaGrad": lambda p: nn.optim.AdaGrad(p, lr=0.1),
                "RMSProp": lambda p: nn.optim.RMSProp(p, lr=0.01, rho=0.99)}.items()}
fig, ax = plt.subplots(figsize=(5.6, 3))
ax.plot([target(step) for step in range(4000)], color="black", linewidth=0.8, label="target")
for name, path in followed.items():
    ax.plot(path, label=f"{name}, mean of 200")
ax.set(title="A target that moves", xlabel="step", ylabel="weight")
ax.legend()
plt.show()
arrival = {name: int(np.argmax(path > 2.7)) - 2000 if (path > 2.7).any() else 2000
           for name, path in followed.items()}
print("steps until nine tenths of the way:", arrival)
assert arrival["RMSProp"] < 800 and arrival["AdaGrad"] > 2 * arrival["RMSProp"]
