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
# # What a network predicts
#
# The cost decides what a network's answer means: a mean, a median, a quantile, a probability, or a
# whole distribution. Every usual output unit is a likelihood, and where one question has several
# answers, only an output that can say so finds them.

# %%
import matplotlib.pyplot as plt
import numpy as np
from scipy import special, stats

import autograd_core as ag
import nn

plt.rcParams.update({"figure.dpi": 80, "figure.constrained_layout.use": True})

# %% [markdown]
# ## One number for many
#
# Without an input there is one number $c$ to predict for all of a sample. The slope of
# $\sum (c - y)^2$ is 0 at the mean, that of $\sum |c - y|$ where as many values lie below as above:
# at the median. Tilted, so that what is too small costs $q$ and what is too large $1 - q$, the cost
# is least at the $q$-quantile. With skewed values these are different numbers.


# %%
def cost(name, sample, **options):
    """The cost of predicting one number for all of a sample."""
    loss = getattr(nn.losses, name)
    return lambda c: loss(c * np.ones_like(sample), sample, **options)


skewed = stats.expon()
for seed in range(100):
    sample = np.random.default_rng(seed).exponential(size=201)
    mean, median = sample.mean(), np.median(sample)
    assert abs(ag.grad(cost("mse", sample))(mean)) < 1e-12
    assert abs(ag.grad(cost("mae", sample))(median)) < 1e-12
    for name, best in (("mse", mean), ("mae", median)):
        c = cost(name, sample)
        assert c(best) < min(c(best - 0.05), c(best + 0.05), c(mean + median - best))

cs = np.linspace(0, 3, 301)
large = np.random.default_rng(0).exponential(size=20001)
fig, ax = plt.subplots(figsize=(6.4, 3.2))
for color, (label, c, best) in enumerate((
    ("squared", cost("mse", large), skewed.mean()),
    ("absolute", cost("mae", large), skewed.median()),
    ("tilted, q = 0.9", cost("pinball", large, quantile=0.9), skewed.ppf(0.9)),
)):
    costs = np.array([c(x) for x in cs])
    found = cs[np.argmin(costs)]
    print(f"{label}: least at {found:.2f}, which should be {best:.3f}")
    ax.plot(cs, costs, color=f"C{color}", label=label)
    ax.plot(found, costs.min(), "o", color=f"C{color}")
    assert abs(found - best) < 0.08
ax.set(title="Costs of one prediction for exponential values", xlabel="prediction", ylabel="cost",
       ylim=(0, 2.5))
ax.legend()
plt.show()

# %% [markdown]
# ## One number for each x
#
# The same holds at each $x$: of all functions the one that minimises
# $\mathbb{E}\,\lVert y - f(x)\rVert^2$ is the conditional mean, of $\mathbb{E}\,|y - f(x)|$ the
# conditional median. Here $y = \sin x$ plus noise that is skewed, and wider to the right; networks
# that differ in nothing but the cost learn the three curves.

# %%
center = lambda x: np.sin(x)  # noqa: E731
width = lambda x: 0.3 + 0.25 * x  # noqa: E731


def skewed_data(seed, n=4000):
    rng = np.random.default_rng(seed)
    x = rng.uniform(0, 6, (n, 1))
    return x, center(x) + width(x) * rng.exponential(size=(n, 1))


CURVES = {  # what is to be learned, and by which loss
    "mean": (skewed.mean(), "mse"),
    "median": (skewed.median(), "mae"),
    "0.9-quantile": (skewed.ppf(0.9), lambda p, y: nn.losses.pinball(p, y, quantile=0.9)),
}
inside = np.linspace(0.3, 5.7, 109)[:, None]


def learned(loss, x, y, seed):
    model = nn.Sequential(lambda x: x / 3 - 1, nn.MLP([1, 24, 24, 1], activation="tanh", rng=seed))
    rate = nn.schedules.Cosine(0.01, 40 * len(x) // 100)
    nn.fit(model, x, y, loss=loss, optimizer=nn.optim.Adam(model.parameters(), lr=rate), epochs=40,
           batch_size=100, seed=seed, progress=False)
    return nn.predict(model, inside)


SEEDS = range(5)
predictions = {
    name: np.array([learned(loss, *skewed_data(seed), seed) for seed in SEEDS])
    for name, (_, loss) in CURVES.items()
}


def distance(prediction, of):
    """How far predictions lie from a true curve, in widths of the noise, per seed."""
    true = center(inside) + width(inside) * CURVES[of][0]
    return np.sqrt((((prediction - true) / width(inside)) ** 2).mean(axis=(1, 2)))


x, y = skewed_data(0)
fig, axes = plt.subplots(1, 2, figsize=(9.6, 3.4))
axes[0].plot(x[::4], y[::4], ".", color="0.8", markersize=3)
for i, name in enumerate(CURVES):
    axes[0].plot(inside, center(inside) + width(inside) * CURVES[name][0], ":", color="black")
    axes[0].plot(inside, predictions[name][0], color=f"C{i}", label=CURVES[name][1]
                 if isinstance(CURVES[name][1], str) else "pinball, 0.9")
axes[0].set(title="Three costs, three answers (dotted: the truth)", xlabel="x", ylabel="y",
            ylim=(-1.5, 7))
axes[0].legend(loc="upper left")
table = np.array([[distance(predictions[a], b).mean() for b in CURVES] for a in CURVES])
axes[1].imshow(table, cmap="viridis_r")
for (i, j), value in np.ndenumerate(table):
    axes[1].text(j, i, f"{value:.2f}", ha="center", va="center",
                 color="white" if value > 1 else "black")
axes[1].set(title="Distance in widths of the noise", xlabel="from the true",
            ylabel="of what learns the",
            xticks=range(3), yticks=range(3), xticklabels=CURVES, yticklabels=CURVES)
plt.show()

for name in CURVES:
    for other in set(CURVES) - {name}:
        assert (2 * distance(predictions[name], name) < distance(predictions[name], other)).all()
above = np.mean([(skewed_data(9)[1] > np.interp(skewed_data(9)[0], inside[:, 0], p[:, 0])).mean()
                 for p in predictions["0.9-quantile"]])
assert 0.07 < above < 0.13  # a tenth of new values lies above it

# %% [markdown]
# A mean follows outliers, a median hardly does: with one value in fifty wrong by 20, the curve of
# the squared error moves by about 20/50, that of the absolute error almost not at all.

# %%
shifts = {}
for loss in ("mse", "mae"):
    moved = []
    for seed in range(3):
        x, y = skewed_data(seed)
        spoilt = y + 20 * (np.random.default_rng(50 + seed).uniform(size=y.shape) < 0.02)
        moved.append((learned(loss, x, spoilt, seed) - learned(loss, x, y, seed)).mean())
    shifts[loss] = np.array(moved, float)
print("moved by outliers:", {loss: moved.round(2).tolist() for loss, moved in shifts.items()})
assert (shifts["mse"] > 0.2).all() and (shifts["mse"] < 0.6).all()
assert (np.abs(shifts["mae"]) < 0.1).all()

# %% [markdown]
# ## Each cost is a likelihood
#
# Minimising $-\sum \ln p(y \mid x)$ is the rule that they all come from; the output unit says which
# $p$ is meant. SciPy knows the densities.

# %%
rng = np.random.default_rng(0)
z, t = rng.normal(size=50), rng.normal(size=50)
binary, k = rng.integers(0, 2, 50).astype(float), rng.integers(0, 5, 50)
logits, classes = rng.normal(size=(50, 3)), rng.integers(0, 3, 50)
s = np.exp(0.3 * rng.normal(size=50))
none = {"reduction": "none"}
UNITS = {  # the loss, the same by SciPy, and what may lie between them: a constant, a factor
    "Gaussian of variance 1": (nn.losses.mse(z, t, **none) / 2, -stats.norm(z).logpdf(t), False),
    "Laplace": (nn.losses.mae(z, t, **none), -stats.laplace(z).logpdf(t), False),
    "Gaussian": (nn.losses.gaussian_nll(z, t, log_variance=2 * np.log(s), full=True, **none),
                 -stats.norm(z, s).logpdf(t), True),
    "Bernoulli": (nn.losses.bce_with_logits(z, binary, **none),
                  -stats.bernoulli(ag.sigmoid(z)).logpmf(binary), True),
    "categorical": (nn.losses.cross_entropy(logits, classes, **none),
                    -np.array([stats.multinomial(1, p).logpmf(np.eye(3)[c])
                               for p, c in zip(ag.softmax(logits), classes, strict=True)]), True),
    "Poisson, less ln k!": (nn.losses.poisson_nll(z, k, **none),
                            -stats.poisson(np.exp(z)).logpmf(k) - special.gammaln(k + 1), True),
}
for name, (loss, likelihood, equal) in UNITS.items():
    between = likelihood - loss
    print(f"{name:<24} loss = -ln p" + ("" if equal else f" - {between.mean():.4f}"))
    np.testing.assert_allclose(between, 0 if equal else between.mean(), atol=1e-10)

# %% [markdown]
# On many samples the cost becomes $H(p) + D(p \parallel q)$: what the data's own uncertainty costs,
# which nothing can save, and what the model's difference from it costs, which is 0 at $q = p$. Any
# other answer costs more, the hard 0 or 1 as much as one that is too timid.

# %%
for p in (0.1, 0.35, 0.8):
    outcomes = np.random.default_rng(1).uniform(size=100_000) < p
    expected = p * ag.softplus(-z) + (1 - p) * ag.softplus(z)
    q = ag.sigmoid(z)
    entropy = stats.bernoulli(p).entropy()
    divergence = p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))
    np.testing.assert_allclose(expected, entropy + divergence, rtol=1e-10)
    measured = nn.losses.bce_with_logits(np.full(100_000, z[0]), outcomes)
    assert abs(measured - expected[0]) < 0.02
    assert (expected > entropy).all()

# %% [markdown]
# ## Sigmoid units say a probability
#
# The event happens with the probability $p(x)$, and the network sees only whether it did. From
# $\tilde P(y) = e^{yz}$ follows $P(y) = \sigma((2y - 1)z)$. A threshold unit
# $\max(0, \min(1, z))$ is a probability too, but where $z$ has left $[0, 1]$ its slope is 0: from
# such a start it never learns.

# %%
for y01 in (0, 1):
    np.testing.assert_allclose(np.exp(y01 * z) / (1 + np.exp(z)), ag.sigmoid((2 * y01 - 1) * z))

chance = lambda x: 0.5 + 0.45 * np.sin(2 * x)  # noqa: E731
grid = np.linspace(-2.8, 2.8, 113)[:, None]


def of_events(seed, clipped):
    rng = np.random.default_rng(seed)
    x = rng.uniform(-3, 3, (6000, 1))
    happened = (rng.uniform(size=x.shape) < chance(x)).astype(np.float32)
    model = nn.MLP([1, 24, 24, 1], activation="tanh", rng=seed)
    if clipped:
        model[4].bias.assign(np.array([-3.0]))  # z starts to the left of [0, 1] everywhere
    loss = ((lambda z, y: nn.losses.bce(np.clip(z, 0, 1), y)) if clipped
            else nn.losses.bce_with_logits)
    rate = nn.schedules.Cosine(0.01, 40 * 60)
    before = {name: p.data.copy() for name, p in model.named_parameters()}
    nn.fit(model, x, happened, loss=loss, optimizer=nn.optim.Adam(model.parameters(), lr=rate),
           epochs=3 if clipped else 40, batch_size=100, seed=seed, progress=False)
    moved = any((p.data != before[name]).any() for name, p in model.named_parameters())
    return nn.predict(model, grid), moved


probabilities = []
for seed in SEEDS:
    z_learned, _ = of_events(seed, clipped=False)
    probabilities.append(ag.sigmoid(z_learned))
    assert np.abs(probabilities[-1] - chance(grid)).mean() < 0.06
    flat, moved = of_events(seed, clipped=True)
    assert not moved and (flat < 0).all()

# %% [markdown]
# Softmax units do the same for classes. They answer to differences only,
# $\mathrm{softmax}(z + c) = \mathrm{softmax}(z)$, so that one of the $z$ might be held at 0; with
# two classes that is the sigmoid.

# %%
np.testing.assert_allclose(ag.softmax(logits + 7.0), ag.softmax(logits), rtol=1e-12)
two = np.stack([np.zeros(50), z], axis=1)
np.testing.assert_allclose(ag.softmax(two)[:, 1], ag.sigmoid(z), rtol=1e-12)
scores = lambda x: np.concatenate([2 * np.sin(2 * x), x, 1 - x**2 / 2], axis=1)  # noqa: E731
softmaxes = []
for seed in SEEDS:
    rng = np.random.default_rng(seed)
    x = rng.uniform(-3, 3, (6000, 1))
    drawn = ag.random.categorical(rng, scores(x)).numpy()
    model = nn.MLP([1, 24, 24, 3], activation="tanh", rng=seed)
    nn.fit(model, x, drawn, loss="cross_entropy", epochs=40, batch_size=100, seed=seed,
           optimizer=nn.optim.Adam(model.parameters(), lr=nn.schedules.Cosine(0.01, 2400)),
           progress=False)
    softmaxes.append(ag.softmax(nn.predict(model, grid)))
    assert np.abs(softmaxes[-1] - ag.softmax(scores(grid))).mean() < 0.06

fig, axes = plt.subplots(1, 2, figsize=(9, 3.2), sharey=True)
axes[0].plot(grid, chance(grid), ":", color="black", label="true")
axes[0].plot(grid, probabilities[0], label="learned")
for i in range(3):
    axes[1].plot(grid, ag.softmax(scores(grid))[:, i], ":", color="black")
    axes[1].plot(grid, softmaxes[0][:, i], label=f"class {i}")
for ax, title in zip(axes, ("A sigmoid unit", "Three softmax units"), strict=True):
    ax.set(title=f"{title}: probabilities from outcomes", xlabel="x")
    ax.legend()
axes[0].set_ylabel("probability")
plt.show()

# %% [markdown]
# ## Two linear units: a mean and how sure it is
#
# A linear unit may give any number, which suits a mean; a variance must be positive, so it is the
# logarithm that the second unit gives. Where the noise changes with $x$, the likelihood of new data
# is higher than with the best single width, and the intervals hold what they promise.

# %%
noise = lambda x: 0.05 + 0.2 * (1 + np.sin(2 * x))  # noqa: E731


def gaussian_data(seed, n=4000):
    rng = np.random.default_rng(seed)
    x = rng.uniform(-3, 3, (n, 1))
    return x, np.cos(x) + noise(x) * rng.normal(size=x.shape)


def both(prediction, y):
    return nn.losses.gaussian_nll(prediction[:, :1], y, log_variance=prediction[:, 1:], full=True)


coverage, gains, sigmas = [], [], []
for seed in SEEDS:
    x, y = gaussian_data(seed)
    model = nn.MLP([1, 24, 24, 2], activation="tanh", rng=seed)
    nn.fit(model, x, y, loss=both, epochs=40, batch_size=100, seed=seed, progress=False,
           optimizer=nn.optim.Adam(model.parameters(), lr=nn.schedules.Cosine(0.01, 1600)))
    x, y = gaussian_data(100 + seed)
    mean, log_variance = np.split(nn.predict(model, x), 2, axis=1)
    surprise = np.abs(y - mean) / np.exp(log_variance / 2)
    coverage.append([(surprise < width).mean() for width in (1, 2)])
    single = stats.norm(mean, np.sqrt(((y - mean) ** 2).mean())).logpdf(y).mean()
    gains.append(-both(nn.predict(model, x), y) - single)
    sigmas.append(np.exp(nn.predict(model, grid)[:, 1:] / 2))
print("within one and two widths:", np.round(np.mean(coverage, axis=0), 3),
      "gain in ln p:", np.round(np.mean(gains), 3))

fig, ax = plt.subplots(figsize=(6.4, 3.2))
mean, log_variance = np.split(nn.predict(model, grid), 2, axis=1)
ax.plot(x[::4], y[::4], ".", color="0.75", markersize=3)
ax.plot(grid, mean, label="mean")
for sign in (-2, 2):
    ax.plot(grid, mean + sign * np.exp(log_variance / 2), color="C1",
            label="two widths to either side" if sign > 0 else None)
ax.set(title="A mean and a width, both learned", xlabel="x", ylabel="y")
ax.legend()
plt.show()
assert np.abs(np.array(coverage) - [0.683, 0.954]).max() < 0.05
assert min(gains) > 0.1
assert all(np.abs(np.log(s / noise(grid))).mean() < 0.25 for s in sigmas)

# %% [markdown]
# ## Several answers: a mixture of densities
#
# $x = y + 0.3 \sin(2\pi y) + \text{noise}$ has one $x$ for each $y$. Asked the other way round, for
# $y$ given $x$, there are up to three answers. Least squares gives their mean, which may be none of
# them; `nn.MixtureDensity` gives the weights, means and widths of Gaussians,
# $p(y \mid x) = \sum_i \pi_i(x)\, \mathcal N(y; \mu_i(x), \sigma_i^2(x))$, trained by $-\ln p$.


# %%
def forwards(y):
    return y + 0.3 * np.sin(2 * np.pi * y)


def inverted(seed, n=2000):
    rng = np.random.default_rng(seed)
    y = rng.uniform(0, 1, (n, 1))
    return forwards(y) + rng.uniform(-0.1, 0.1, (n, 1)), y


def fitted(seed, head, loss):
    x, y = inverted(seed)
    model = nn.Sequential(lambda x: 4 * x - 2, nn.Linear(1, 24, init="xavier", rng=seed), nn.Tanh(),
                          head)
    nn.fit(model, x, y, loss=loss, epochs=150, batch_size=100, seed=seed, progress=False,
           optimizer=nn.optim.Adam(model.parameters(), lr=nn.schedules.Cosine(0.02, 3000)))
    return model


runs = {}
for seed in SEEDS:
    mixture = nn.MixtureDensity(24, components=3, rng=seed)
    runs[seed] = (
        fitted(seed, nn.Linear(24, 1, init="xavier", rng=seed), "mse"),
        fitted(seed, nn.Linear(24, 2, init="xavier", rng=seed), both),
        fitted(seed, mixture, "mdn_nll"), mixture,
    )

# %%
middle = np.random.default_rng(7).uniform(0.25, 0.75, (2000, 1))
mdn_seeds = []
for seed, (squares, gaussian, mdn, mixture) in runs.items():
    new_x, new_y = inverted(1000 + seed)
    likelihoods = [-both(nn.predict(gaussian, new_x), new_y),
                   -nn.losses.mdn_nll(nn.predict(mdn, new_x), new_y)]
    drawn = mixture.sample(nn.predict(mdn, middle), rng=seed).numpy()
    hits = [(np.abs(forwards(answer) - middle) < 0.15).mean()
            for answer in (nn.predict(squares, middle), drawn)]
    # What least squares predicts is what the mixture has for a mean.
    apart = np.abs(mixture.mean(nn.predict(mdn, middle)) - nn.predict(squares, middle)).mean()
    mdn_seeds.append((*likelihoods, *hits, apart))
names = ("ln p, one Gaussian", "ln p, mixture", "answers right, least squares",
         "answers right, samples", "distance of the means")
for name, column in zip(names, np.transpose(mdn_seeds), strict=True):
    print(f"{name:<29}", np.round(column, 2))
one_gaussian, of_mixture, by_squares, by_samples, apart = np.transpose(mdn_seeds)
assert (of_mixture > one_gaussian).all() and np.median(of_mixture - one_gaussian) > 0.4
assert (by_squares < by_samples - 0.1).all() and np.median(by_samples) > 0.8
assert np.median(by_squares) < 0.5 and np.median(apart) < 0.15

# %% [markdown]
# A start may end in a mixture that misses a branch; the likelihood of new data tells which is good.
# The picture of the lectures: $x$ drawn evenly, $y$ drawn from $p(y \mid x)$. To the right the
# three weights: where $x$ has one answer, one component takes all; in the middle they share.

# %%
best = int(np.argmax(of_mixture))
squares, gaussian, mdn, mixture = runs[best]
x, y = inverted(best)
even = np.random.default_rng(3).uniform(0, 1, (2000, 1))
grid = np.linspace(0, 1, 201)[:, None]
fig, axes = plt.subplots(1, 4, figsize=(13, 3.3))
axes[0].plot(x, y, ".", markersize=2, color="0.6")
axes[0].plot(grid, nn.predict(squares, grid), color="C3", label="least squares")
axes[0].set(title="Data and their mean", xlabel="x", ylabel="y")
axes[0].legend()
for ax, model, title in ((axes[1], gaussian, "One Gaussian"), (axes[2], mdn, "A mixture of three")):
    prediction = nn.predict(model, even)
    if model is mdn:
        drawn = mixture.sample(prediction, rng=0).numpy()
    else:
        drawn = ag.random.normal(np.random.default_rng(0), prediction[:, :1],
                                 np.exp(prediction[:, 1:] / 2)).numpy()
    ax.plot(even, drawn, ".", markersize=2)
    ax.set(title=f"{title}: samples", xlabel="x", ylabel="y", ylim=(-0.3, 1.3))
weights, means, scales = mixture.parameters_of(nn.predict(mdn, grid))
for i in range(3):
    axes[3].plot(grid, weights[:, i], label=f"$\\pi_{i + 1}$")
axes[3].set(title="Weights of the components", xlabel="x", ylabel="weight")
axes[3].legend()
plt.show()


def answers(x):
    """The y in [0, 1] for which the relation without noise gives x."""
    y = np.linspace(0, 1, 10_001)
    above = forwards(y) > x
    return y[:-1][above[1:] != above[:-1]]


for x, count in ((0.05, 1), (0.5, 3), (0.95, 1)):
    assert len(answers(x)) == count
    weights, means, _ = (p[0] for p in mixture.parameters_of(nn.predict(mdn, np.array([[x]]))))
    several = np.exp(-(weights * np.log(weights + 1e-30)).sum())  # as of so many equal ones
    print(f"x = {x}: answers {answers(x).round(2)}, components as of {several:.2f} equal ones")
    assert abs(several - count) < 0.8
    if count == 3:  # each is one of the answers
        np.testing.assert_allclose(np.sort(means[:, 0]), answers(x), atol=0.1)
