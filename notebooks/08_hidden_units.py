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
# # Hidden units
#
# What a hidden unit does to its input: every activation of the lectures with its slope, units that
# learn their own bend, units that are silent for most inputs or for all, and what a network
# forgets when it learns something else.

# %%
import matplotlib.pyplot as plt
import numpy as np
from scipy import special
from sklearn.datasets import load_digits

import autograd_core as ag
import nn

plt.rcParams.update({"figure.dpi": 70, "figure.constrained_layout.use": True})

# %% [markdown]
# ## All of them, with their slopes
#
# Each row gives the function, its derivative as it is found in books, and where it has kinks; the
# engine differentiates the function and must find the derivative.

# %%
sigma = ag.sigmoid
phi = lambda z: np.exp(-z * z / 2) / np.sqrt(2 * np.pi)  # noqa: E731
between = lambda z: (np.abs(z) < 1) * 1.0  # noqa: E731


def leaky(z):
    return nn.activations.leaky_relu(z, 0.1)


def rbf(z):
    return np.exp(-(z**2))


ACTIVATIONS = {
    "step": ("step", lambda z: 0 * z),
    "sigmoid": ("sigmoid", lambda z: sigma(z) * (1 - sigma(z))),
    "tanh": ("tanh", lambda z: 1 - np.tanh(z) ** 2),
    "hard tanh": ("hard_tanh", between),
    "softsign": ("softsign", lambda z: 1 / (1 + np.abs(z)) ** 2),
    "radial basis": (rbf, lambda z: -2 * z * np.exp(-(z**2))),
    "rectifier": ("relu", lambda z: (z > 0) * 1.0),
    "leaky, 0.1": (leaky, lambda z: np.where(z > 0, 1, 0.1)),
    "absolute value": ("absolute", np.sign),
    "softplus": ("softplus", sigma),
    "ELU": ("elu", lambda z: np.where(z > 0, 1, np.exp(np.minimum(z, 0)))),
    "SELU": ("selu", lambda z: 1.0507009873554805 * np.where(
        z > 0, 1, 1.6732632423543772 * np.exp(np.minimum(z, 0)))),
    "SiLU": ("silu", lambda z: sigma(z) * (1 + z * (1 - sigma(z)))),
    "GELU": ("gelu", lambda z: special.ndtr(z) + z * phi(z)),
    "identity": ("identity", np.ones_like),
}
z = np.linspace(-6, 6, 1201)  # the kinks at -1, 0 and 1 among them
fig, axes = plt.subplots(3, 5, figsize=(13, 7.2))
for ax, (name, (f, derivative)) in zip(axes.ravel(), ACTIVATIONS.items(), strict=True):
    nn.plots.activation(f, low=-4, high=4, ax=ax)
    ax.set_title(name)
    ax.get_legend().remove()
    function = nn.activations.get(f)
    slope = ag.elementwise_grad(function)(z)
    np.testing.assert_allclose(slope, derivative(z), rtol=1e-9, atol=1e-12, err_msg=name)
    ag.check_grads(function, np.array([-2.3, -0.4, 0.7, 1.9]))
    if name in ("sigmoid", "tanh", "hard tanh", "softsign", "softplus", "rectifier", "leaky, 0.1"):
        assert (np.diff(np.asarray(function(z))) >= 0).all()  # never falls
for ax in axes[:, 0]:
    ax.set_ylabel("g(z) and g'(z)")
fig.suptitle("Activations (solid) and their derivatives (dashed)")
plt.show()

tanh, hard = np.tanh(z), nn.activations.hard_tanh(z)
assert np.abs(tanh - hard).max() < 0.25 and (np.sign(tanh) == np.sign(hard)).all()
gap = ag.softplus(z) - ag.relu(z)  # softplus lies above the rectifier, by ln 2 at most
assert (gap > 0).all() and np.isclose(gap.max(), np.log(2)) and z[np.argmax(gap)] == 0
np.testing.assert_allclose(ag.softplus(20 * z) / 20, ag.relu(z), atol=np.log(2) / 20 + 1e-12)

# %% [markdown]
# ## One formula for the rectifiers
#
# $g(z, \alpha) = \max(0, z) + \alpha \min(0, z)$: with $\alpha = 0$ the rectifier, small the leaky
# one, $-1$ the absolute value; a parametric rectifier learns it. Given data that some $\alpha$ has
# made, `nn.PReLU` finds it, whichever it was.

# %%
for alpha, special_case in ((0.0, ag.relu(z)), (0.1, leaky(z)), (-1.0, np.abs(z)), (1.0, z)):
    np.testing.assert_array_equal(nn.activations.prelu(z, alpha), special_case)
    unit = nn.PReLU(1, dtype=np.float64)
    nn.fit(unit, z[:, None], np.maximum(0, z)[:, None] + alpha * np.minimum(0, z)[:, None],
           epochs=30, batch_size=100, seed=0, progress=False,
           optimizer=nn.optim.SGD(unit.parameters(), lr=0.05))
    np.testing.assert_allclose(unit.weight.data, alpha, atol=1e-6)

# %% [markdown]
# ## Maxout: a unit that learns its bend
#
# The largest of $k$ affine maps is convex and has up to $k$ pieces; as a tangent here, a chord
# there, it draws any convex function. For $x^2$ on $[-1, 1]$ the best has pieces of width
# $h = 2/k$, and the mean squared error $h^4/180$. The best of six starts comes close. In the
# others some maps never are the largest: these get no gradient and stay out for ever, and the error
# is that of fewer pieces.


# %%
xs = np.linspace(-1, 1, 401)[:, None]


def maxout_unit(k, seed, target, units=1):
    """k maps (of each of so many units, the second subtracted), fitted to a target."""
    layer = nn.MaxoutLayer(1, units, k, init=nn.init.normal(2.0), rng=seed, dtype=np.float64)
    signs = nn.init.given(np.array([[1.0], [-1.0]][:units]))
    model = nn.Sequential(layer, lambda h: h @ signs((units, 1), None, np.float64))
    nn.fit(model, xs, target(xs), epochs=800, batch_size=None, seed=seed, progress=False,
           optimizer=nn.optim.Adam(layer.parameters(), lr=nn.schedules.Cosine(0.03, 800)))
    prediction = nn.predict(model, xs)
    used = len(set((xs @ layer.weight.data + layer.bias.data)[:, :k].argmax(axis=1)))
    return ((prediction - target(xs)) ** 2).mean(), prediction, used


square = lambda x: x**2  # noqa: E731
pieces = (1, 2, 3, 4)
starts = {k: [maxout_unit(k, seed, square) for seed in range(6)] for k in pieces}
fits = {k: min(runs, key=lambda run: run[0]) for k, runs in starts.items()}
best_possible = {k: (2 / k) ** 4 / 180 for k in pieces}
for k in pieces:
    print(f"{k} maps: error {fits[k][0]:.1e}, the least possible {best_possible[k]:.1e};",
          "maps used per start:", [used for _, _, used in starts[k]])

waves = lambda x: np.sin(4 * x)  # noqa: E731
one = min((maxout_unit(8, seed, waves) for seed in range(2)), key=lambda run: run[0])
two = min((maxout_unit(8, seed, waves, units=2) for seed in range(4)), key=lambda run: run[0])

fig, axes = plt.subplots(1, 3, figsize=(12, 3.2))
axes[0].plot(xs, square(xs), color="black", label="$x^2$")
for k in (2, 4):
    axes[0].plot(xs, fits[k][1], label=f"k = {k}")
axes[0].set(title="One maxout unit", xlabel="x", ylabel="output")
axes[1].loglog(pieces, [fits[k][0] for k in pieces], "o-", label="learned")
axes[1].loglog(pieces, [best_possible[k] for k in pieces], ":", color="black", label="least")
axes[1].set(title="Error against pieces", xlabel="k", ylabel="mean squared error")
axes[1].set_xticks(pieces, pieces)
axes[1].minorticks_off()
axes[2].plot(xs, waves(xs), color="black", label="sin 4x")
axes[2].plot(xs, one[1], label="one unit")
axes[2].plot(xs, two[1], label="two units, subtracted")
axes[2].set(title="Convex only, and what two can do", xlabel="x", ylabel="output")
for ax in axes:
    ax.legend(fontsize="small")
plt.show()

for k in pieces:  # the least possible is for a continuum of x; 401 of them may be a little easier
    assert fits[k][0] < 2 * best_possible[k]
    assert all(0.97 * best_possible[used] < error for error, _, used in starts[k])
    assert (np.diff(fits[k][1][:, 0], 2) > -1e-12).all()  # convex
print(f"sin 4x: error of one unit {one[0]:.3f}, of two {two[0]:.3f}")
assert one[0] > 0.05 > 0.02 > two[0]
for seed in range(50):  # convex whatever the weights are, also in many dimensions
    layer = nn.MaxoutLayer(5, 3, k=4, rng=seed, dtype=np.float64)
    a, b = np.random.default_rng(seed).normal(size=(2, 100, 5))
    middle, ends = nn.predict(layer, (a + b) / 2), nn.predict(layer, a) + nn.predict(layer, b)
    assert (middle <= ends / 2 + 1e-12).all()

# %% [markdown]
# Rectifiers are maxout units with two maps, one of them fixed: $\max(0, z)$, $\max(0.1 z, z)$,
# $\max(-z, z)$.

# %%
for slope, same in ((0.0, ag.relu(z)), (0.1, leaky(z)), (-1.0, np.abs(z))):
    layer = nn.MaxoutLayer(1, 1, 2, init=nn.init.given([[slope, 1.0]]), dtype=np.float64)
    np.testing.assert_array_equal(nn.predict(layer, z[:, None])[:, 0], same)

# %% [markdown]
# ## Radial basis functions: units with a place
#
# $h_i = \exp(-\lVert W_{:,i} - x \rVert^2 / \sigma_i^2)$ answers near its centre and is silent
# elsewhere. One such unit tells the inside of a ring from the ring, for which sigmoids need
# several; far from all it has seen it answers nothing, where a rectifier network is as sure as can
# be. The price: without a centre nearby there is no slope either, the more so the more inputs there
# are.


# %%
def rings(seed, n=600):
    rng = np.random.default_rng(seed)
    radius = np.where(np.arange(n) % 2, rng.uniform(0, 0.8, n), rng.uniform(1.2, 2, n))
    angle = rng.uniform(0, 2 * np.pi, n)
    X = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return X, (radius < 1).astype(float)[:, None]


def classifier(seed, hidden, width):
    model = nn.Sequential(hidden, nn.Linear(width, 1, rng=seed))
    X, y = rings(seed)
    nn.fit(model, X, y, loss="bce_with_logits", epochs=60, seed=seed, progress=False,
           optimizer=nn.optim.Adam(model.parameters(), lr=0.03))
    return model, ((nn.predict(model, X) > 0) == y).mean()


def sigmoids(n, seed):
    return nn.Sequential(nn.Linear(2, n, init="xavier", rng=seed), nn.Sigmoid())


found = {"one RBF": [], "one sigmoid": [], "eight sigmoids": []}
for seed in range(3):
    found["one RBF"].append(classifier(seed, nn.RBF(2, 1, rng=seed), 1)[1])
    found["one sigmoid"].append(classifier(seed, sigmoids(1, seed), 1)[1])
    found["eight sigmoids"].append(classifier(seed, sigmoids(8, seed), 8)[1])
print({name: np.round(right, 2).tolist() for name, right in found.items()})
assert min(found["one RBF"]) > 0.97 and max(found["one sigmoid"]) < 0.75
assert min(found["eight sigmoids"]) > 0.9

angles = np.linspace(0, 2 * np.pi, 100)[:, None]
far = 50 * np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
local, _ = classifier(0, nn.RBF(2, 1, rng=0), 1)
straight, _ = classifier(0, nn.MLP([2, 16, 16], output="relu", rng=0), 16)
spread = [np.ptp(nn.predict(model, far)) for model in (local, straight)]
print("range of the answers far from all data: RBF and rectifiers", np.round(spread, 3))
assert spread[0] < 1e-3 and spread[1] > 10

silent = {}
for n in (2, 10, 50, 200):
    rng = np.random.default_rng(n)
    inputs, unit = rng.normal(size=(500, n)), nn.RBF(n, 64, sigma=2.0, rng=n, dtype=np.float64)
    silent[n] = (nn.predict(unit, inputs) < 1e-3).mean()
print("share of silent pairs of unit and input:", {n: float(s) for n, s in silent.items()})
assert silent[2] < 0.1 and silent[50] > 0.9

# %% [markdown]
# ## Rectifiers are sparse
#
# At the start a rectifier is silent for half of its inputs, since $z$ and $-z$ are equally likely.
# Sigmoids are never silent. For each input the network that is left is linear: its output is
# $x W_{\text{eff}}$ plus a constant, the paths along active units alone.

# %%
digits = load_digits()
X, labels = (digits.data / 16).astype(np.float32), digits.target
shares = {"relu": [], "sigmoid": []}
for seed in range(20):
    for activation, rows in shares.items():
        hidden = nn.MLP([64, 100, 100], activation, output=activation, rng=seed)
        rows.append((nn.predict(hidden, X) == 0).mean())
print("silent at the start:", {name: f"{np.mean(rows):.1%}" for name, rows in shares.items()})
assert abs(np.mean(shares["relu"]) - 0.5) < 0.1 and not any(shares["sigmoid"])

model = nn.MLP([64, 100, 100, 10], rng=0, dtype=np.float64)
for image in X[:5].astype(float):
    active = [nn.predict(nn.Sequential(*list(model)[:n]), image[None])[0] > 0 for n in (2, 4)]
    w1, w2, w3 = (model[i].weight.data for i in (0, 2, 4))
    paths = (w1 * active[0]) @ (w2 * active[1]) @ w3
    np.testing.assert_allclose(ag.jacobian(model)(image).numpy(force=True), paths.T,
                               atol=1e-12)
    # With all biases 0, as at the start, there is no constant.
    np.testing.assert_allclose(nn.predict(model, image[None])[0], image @ paths, atol=1e-12)

# %% [markdown]
# A penalty on the activations makes them sparser still; for a while that costs nothing.


# %%
class Watched(nn.Module):
    """A network that returns its hidden activations too."""

    def __init__(self, seed):
        self.hidden, self.output = nn.MLP([64, 100, 100], output="relu", rng=seed), nn.Linear(
            100, 10, rng=seed)

    def forward(self, x):
        h = self.hidden(x)
        return np.concatenate([self.output(h), h], axis=1)


def sparse_training(strength, seed):
    """The share of silent activations and of right answers on digits that were not trained on."""
    model = Watched(seed)

    def loss(both, y):
        return nn.losses.cross_entropy(both[:, :10], y) + strength * both[:, 10:].mean()

    nn.fit(model, X[:1200], labels[:1200], loss=loss, epochs=25, batch_size=50, seed=seed,
           progress=False)
    both = nn.predict(model, X[1200:])
    return (both[:, 10:] == 0).mean(), (both[:, :10].argmax(axis=1) == labels[1200:]).mean()


strengths = (0.0, 0.1, 1.0, 10.0)
trained = np.array([[sparse_training(s, seed) for seed in range(2)] for s in strengths])
fig, ax = plt.subplots(figsize=(5.6, 3.2))
for s, rows in zip(strengths, trained, strict=True):
    ax.plot(100 * rows[:, 0], 100 * rows[:, 1], "o", label=f"penalty {s:g}")
ax.set(title="Sparsity and accuracy on new digits", xlabel="silent activations (%)",
       ylabel="right (%)", ylim=(80, 100))
ax.legend()
plt.show()
sparsity, right = trained.mean(axis=1).T
assert (np.diff(sparsity) > 0).all() and sparsity[-1] > 0.85
assert right[1] > right[0] - 0.02 and right[2] > right[0] - 0.04

# %% [markdown]
# ## Dead units
#
# A rectifier that is silent for every input gets no gradient: whatever happens behind it, its
# weights stay where they are. Here all biases start at $-5$, as after one step that was far too
# long. In twenty epochs no hidden weight changes by one bit, and all that is learned is how often
# each digit comes. Leaky rectifiers learn from the same start.


# %%
def unlucky(activation, seed):
    """Trained from large negative biases: how the hidden layer was, is, and what it learned."""
    model = nn.MLP([64, 50, 10], activation, init="he", rng=seed)
    model[0].bias.assign(np.full(50, -5.0))
    report = nn.diagnose(model, X, labels, loss="cross_entropy")
    before = model[0].weight.data.copy()
    nn.fit(model, X, labels, loss="cross_entropy", epochs=20, seed=seed, progress=False,
           optimizer=nn.optim.SGD(model.parameters(), lr=0.05, momentum=0.9))
    moved = (model[0].weight.data != before).any(axis=0).mean()
    return report, moved, (nn.predict(model, X).argmax(axis=1) == labels).mean()


for seed in range(3):
    report, moved, right = unlucky("relu", seed)
    leaky_report, leaky_moved, leaky_right = unlucky(leaky, seed)
    print(f"units that changed, answers right: rectifiers {moved:.0%}, {right:.0%}; "
          f"leaky {leaky_moved:.0%}, {leaky_right:.0%}")
    assert moved == 0 and right < 0.15
    assert leaky_moved == 1 and leaky_right > 0.85
    assert "dead" in report.problems and "dead" not in leaky_report.problems
print(report)

# %% [markdown]
# ## Forgetting
#
# A network learns task A, the digits, until 97 % are right, and then task B, the same digits with
# their pixels in another order; nobody shows it A again. How much of A is left when B is learned as
# well? The faster the training, the less; but a maxout network keeps more than a sigmoid network
# with as many parameters, even where it learns in half the time. Rectifiers keep nearly as much.


# %%
def network(kind, seed):
    if kind == "maxout":  # 5200 + 3280 + 410 = 8890 parameters
        return nn.Sequential(nn.MaxoutLayer(64, 40, 2, rng=seed),
                             nn.MaxoutLayer(40, 40, 2, rng=seed + 100),
                             nn.Linear(40, 10, init="xavier", rng=seed))
    return nn.MLP([64, 62, 62, 10], kind, rng=seed)  # 4030 + 3906 + 630 = 8566


def forgetting(kind, lr, seed):
    """Per epoch, the share of A and of B that is right, and when B began."""
    tasks = [(X, labels), (X[:, np.random.default_rng(seed).permutation(64)], labels)]
    model, rows = network(kind, seed), []
    for task in range(2):
        def look(epoch, history, task=task):
            rows.append([(nn.predict(model, x).argmax(axis=1) == y).mean() for x, y in tasks])
            return bool(rows[-1][task] > 0.97)

        nn.fit(model, *tasks[task], loss="cross_entropy", epochs=100, seed=seed, progress=False,
               optimizer=nn.optim.SGD(model.parameters(), lr=lr, momentum=0.9), callbacks=[look])
        if task == 0:
            begins = len(rows)
    return np.array(rows), begins


RATES = {"maxout": (0.003, 0.01, 0.03), "relu": (0.01,), "sigmoid": (0.03, 0.1)}
runs = {(kind, lr): [forgetting(kind, lr, seed) for seed in range(6)]
        for kind, rates in RATES.items() for lr in rates}
kept = {key: np.array([rows[-1, 0] for rows, _ in trials]) for key, trials in runs.items()}
epochs = {key: np.mean([len(rows) for rows, _ in trials]) for key, trials in runs.items()}

fig, axes = plt.subplots(1, 3, figsize=(12, 3.3))
for ax, key in zip(axes, (("maxout", 0.01), ("sigmoid", 0.1)), strict=False):
    rows, begins = runs[key][0]
    for i, task in enumerate("AB"):
        ax.plot(range(1, len(rows) + 1), 100 * rows[:, i], label=f"task {task}")
    ax.axvline(begins + 0.5, color="0.6", linestyle=":")
    ax.set(title=f"{key[0]}: A, then B", xlabel="epoch", ylabel="right (%)", ylim=(0, 102))
    ax.legend()
for kind, rates in RATES.items():
    axes[2].errorbar([epochs[kind, lr] for lr in rates],
                     [100 * kept[kind, lr].mean() for lr in rates],
                     yerr=[100 * kept[kind, lr].std() for lr in rates], fmt="o-", label=kind)
axes[2].set(title="What is left of A", xlabel="epochs for both tasks", ylabel="right (%)",
            xlim=(0, 50), ylim=(0, 100))
axes[2].legend()
plt.show()
for kind, rates in RATES.items():
    print(f"{kind:<8}", ", ".join(f"rate {lr}: {kept[kind, lr].mean():.0%} left of A after "
                                  f"{epochs[kind, lr]:.0f} epochs" for lr in rates))

assert all(rows[-1, 1] > 0.97 and rows[begins - 1, 0] > 0.97  # both were learned
           for trials in runs.values() for rows, begins in trials)
assert kept["maxout", 0.003].mean() > kept["maxout", 0.03].mean() + 0.1
more = []
for of_maxout, of_sigmoid in ((0.003, 0.03), (0.01, 0.1)):
    assert epochs["maxout", of_maxout] < epochs["sigmoid", of_sigmoid]  # no slower, and yet
    more.append(kept["maxout", of_maxout] - kept["sigmoid", of_sigmoid])
assert np.mean(more) > 0.06
counts = {kind: sum(p.size for p in network(kind, 0).parameters()) for kind in RATES}
assert max(counts.values()) < 1.05 * min(counts.values())
