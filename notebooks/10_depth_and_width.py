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
# # Depth and width
#
# A layer of rectifiers folds its input, and what the layers behind it do is done on every sheet of
# the fold: pieces multiply with depth and add up with width. How many there can be, how many there
# are in a network that nobody has built, what random layers do to a circle, and how many units a
# shallow network needs for what a deep one does.

# %%
from itertools import pairwise
from math import comb

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.collections import PolyCollection
from scipy import ndimage

import autograd_core as ag
import nn

plt.rcParams.update({"figure.dpi": 64, "figure.constrained_layout.use": True})


def parameters(model):
    return sum(p.size for p in model.parameters())


# %% [markdown]
# ## Teeth
#
# Two rectifiers make a tent, $2\max(0, x) - 4\max(0, x - \frac12)$ on $[0, 1]$, which runs through
# its range twice. Put one behind another: each doubles the number of pieces. $L$ layers of two
# units have $2^L$ pieces and $6L + 1$ parameters; a shallow network with as many has $2L$ units and
# can have $2L + 1$ pieces.


# %%
def tents(layers):
    """An MLP of 1-2-2-...-1 whose function has 2^layers pieces on [0, 1]."""
    model = nn.MLP([1, *[2] * layers, 1], rng=0, dtype=np.float64)
    linear = [layer for layer in model if isinstance(layer, nn.Linear)]
    back = np.array([[2.0], [-4.0]])
    linear[0].weight.assign(np.ones((1, 2)))
    for layer in linear[1:-1]:
        layer.weight.assign(back @ np.ones((1, 2)))
    for layer in linear[:-1]:
        layer.bias.assign(np.array([0.0, -0.5]))
    linear[-1].weight.assign(back)
    return model


def breaks(model, start, end):
    """Where on the line from start to end a rectifier network has its kinks, as t in [0, 1]: exact.

    Between the kinks of one layer the next layer's inputs are linear in t, so that each of its
    units has a zero where the values at two neighbouring kinks differ in sign.
    """
    t = np.array([0.0, 1.0])
    layers = [layer for layer in model if isinstance(layer, nn.Linear)]
    for depth in range(len(layers) - 1):
        x = start + t[:, None] * (end - start)
        for layer in layers[:depth]:
            x = np.maximum(x @ layer.weight.data + layer.bias.data, 0)
        z = x @ layers[depth].weight.data + layers[depth].bias.data
        i, unit = np.nonzero(np.diff(np.sign(z), axis=0) != 0)
        a, b = z[i, unit], z[i + 1, unit]
        t = np.unique(np.concatenate([t, t[i] + (t[i + 1] - t[i]) * a / (a - b)]))
        t = t[np.concatenate([[True], np.diff(t) > 1e-12])]
    return t


def pieces_on(model, start, end):
    """How many pieces the function has on the line: kinks that change its slope, plus one."""
    t = breaks(model, start, end)
    middle = (t[1:] + t[:-1])[:, None] / 2
    along = lambda t: model(start + t * (end - start))  # noqa: E731
    _, slope = ag.jvp(along, (middle,), (np.ones_like(middle),))
    slope = slope.numpy(force=True)[:, 0]
    return 1 + (np.abs(np.diff(slope)) > 1e-9 * np.abs(slope).max()).sum()


zero, one = np.zeros(1), np.ones(1)
DEPTHS = (1, 2, 3, 4, 6, 8)
deep_pieces, shallow_pieces = [], []
for layers in DEPTHS:
    model = tents(layers)
    shallow = nn.MLP([1, 2 * layers, 1], rng=0, dtype=np.float64)
    assert parameters(model) == parameters(shallow) == 6 * layers + 1
    # The best that a shallow one can do: a kink in [0, 1] for every unit.
    shallow[0].weight.assign(np.ones((1, 2 * layers)))
    shallow[0].bias.assign(-(np.arange(2 * layers) + 0.5) / (2 * layers))
    deep_pieces.append(pieces_on(model, zero, one))
    shallow_pieces.append(pieces_on(shallow, zero, one))
    assert deep_pieces[-1] == 2**layers and shallow_pieces[-1] == 2 * layers + 1

xs = np.linspace(0, 1, 1025)[:, None]
fig, axes = plt.subplots(1, 4, figsize=(12.5, 2.9))
for ax, layers in zip(axes, (1, 2, 4), strict=False):
    ax.plot(xs, nn.predict(tents(layers), xs))
    ax.set(title=f"{layers} layer{'s' * (layers > 1)} of two units", xlabel="x", ylabel="output")
axes[3].semilogy([6 * n + 1 for n in DEPTHS], deep_pieces, "o-", label="deep")
axes[3].semilogy([6 * n + 1 for n in DEPTHS], shallow_pieces, "o-", label="shallow")
axes[3].set(title="Pieces", xlabel="parameters", ylabel="number")
axes[3].legend()
plt.show()

# %% [markdown]
# ## Regions of a plane
#
# In the plane a unit of the first layer cuts along a line, and one of a later layer along a line
# that breaks wherever it crosses those before it. Here polygons are cut unit by unit, which counts
# the regions exactly. $n$ lines in general position make $1 + n + \binom{n}{2}$ regions
# (Zaslavsky's formula), no more, whatever the weights; in each region the engine's gradient is
# constant.


# %%
def cut(polygon, values, tolerance):
    """The parts of a convex polygon where an affine function, given at its corners, is < 0, > 0."""
    if values.min() > -tolerance or values.max() < tolerance:
        return [polygon]
    after, then = np.roll(polygon, -1, axis=0), np.roll(values, -1)
    parts = []
    for sign in (-1, 1):
        inside = sign * values >= 0
        crossing = values * then < 0
        share = np.where(crossing, values / np.where(crossing, values - then, 1), 0)[:, None]
        corners = np.stack([polygon, polygon + share * (after - polygon)], axis=1)
        parts.append(corners[np.stack([inside, crossing], axis=1)])
    return parts


def regions(model, window):
    """The convex polygons on which a rectifier network of two inputs is affine, and the slopes."""
    layers = [layer for layer in model if isinstance(layer, nn.Linear)]
    low, high = window
    square = np.array([[low, low], [high, low], [high, high], [low, high]], float)
    found = [(square, np.eye(2), np.zeros(2))]  # with the affine map that leads to the layer
    for layer in layers[:-1]:
        next_found = []
        for polygon, a, c in found:
            a, c = a @ layer.weight.data, c @ layer.weight.data + layer.bias.data
            parts = [polygon]
            for unit in range(a.shape[1]):
                tolerance = 1e-12 * (1e-3 + np.abs(a[:, unit]).max()) * (high - low)
                parts = [half for part in parts
                         for half in cut(part, part @ a[:, unit] + c[unit], tolerance)]
            for part in parts:
                active = part.mean(axis=0) @ a + c > 0
                next_found.append((part, a * active, c * active))
        found = next_found
    last = layers[-1].weight.data
    return [polygon for polygon, _, _ in found], np.array([(a @ last)[:, 0] for _, a, _ in found])


def random_network(sizes, seed):
    """He's weights, and biases that spread the kinks."""
    rng = np.random.default_rng(seed)
    model = nn.MLP(sizes, rng=rng, dtype=np.float64)
    for layer in model:
        if isinstance(layer, nn.Linear):
            layer.bias.assign(rng.normal(size=layer.bias.shape) / 2)
    return model


def zaslavsky(n):
    return 1 + n + comb(n, 2)


for seed in range(20):
    shallow = random_network([2, 8, 1], seed)
    polygons, slopes = regions(shallow, (-1e4, 1e4))
    assert len(polygons) == zaslavsky(8) == 37

# %% [markdown]
# Tents along both axes fold the square into a quarter, layer by layer: $4^L$ regions with four
# units a layer, and $20L - 3$ parameters, for which a shallow network has $5L - 1$ units.

# %%
BACK = np.array([[2.0, 0], [-4, 0], [0, 2], [0, -4]])
SPLIT = np.array([[1.0, 1, 0, 0], [0, 0, 1, 1]])
APART = np.array([[1.0, -1, 0, 0], [0, 0, 1, -1]])


def folded(layers):
    """An MLP of 2-4-...-4-1 that folds the unit square so many times and adds up what it gets."""
    model = nn.MLP([2, *[4] * layers, 1], rng=0, dtype=np.float64)
    linear = [layer for layer in model if isinstance(layer, nn.Linear)]
    for i, layer in enumerate(linear[:-1]):
        layer.weight.assign(BACK @ SPLIT if i else SPLIT)
        layer.bias.assign(np.array([0, -0.5, 0, -0.5]))
    linear[-1].weight.assign(BACK @ np.array([[1.0], [0.3]]))
    return model


counts = {}
for layers in (1, 2, 3, 4, 5):
    model, units = folded(layers), 5 * layers - 1
    polygons, slopes = regions(model, (0, 1))
    counts[layers] = len(polygons), zaslavsky(units)
    assert parameters(model) == 20 * layers - 3
    assert parameters(nn.MLP([2, units, 1], rng=0)) == 20 * layers - 3
    assert len(polygons) == 4**layers
    centres = np.array([polygon.mean(axis=0) for polygon in polygons])
    gradient = ag.grad(lambda x, model=model: model(x).sum())(centres).numpy(force=True)
    np.testing.assert_allclose(gradient, slopes, atol=1e-9)
print("regions, and the most that a shallow network of as many parameters has:", counts)
assert counts[1][0] < counts[1][1] and counts[5][0] > 3 * counts[5][1]

chosen = {
    "Shallow, 19 units": random_network([2, 19, 1], 0),
    "Deep, 8 + 4 + 4 units": random_network([2, 8, 4, 4, 1], 1),
    "Four folds of four units": folded(4),
}
fig, axes = plt.subplots(1, 3, figsize=(11, 3.7))
for ax, (name, model) in zip(axes, chosen.items(), strict=True):
    window = (0, 1) if "folds" in name else (-2, 2)
    polygons, slopes = regions(model, window)
    shades = (np.arctan2(*slopes.T) / (2 * np.pi)) % 1
    ax.add_collection(PolyCollection(polygons, array=shades, cmap="twilight", edgecolor="black",
                                     linewidth=0.4))
    ax.set(title=f"{name}: {len(polygons)} regions", xlabel="$x_1$", ylabel="$x_2$", xlim=window,
           ylim=window, aspect="equal")
fig.suptitle("Regions in which a network is linear, coloured by the direction of its gradient")
plt.show()
assert all(abs(parameters(model) - 77) <= 8 for model in chosen.values())

# %% [markdown]
# ## What is there by chance
#
# That there can be so many pieces does not mean that there are. Networks with random weights have
# about as many kinks on a line as they have units there, at whatever depth (Hanin and Rolnick,
# 2019): with equal parameters the shallow one, which has more units, has more of them. Depth makes
# pieces available, it does not hand them out.

# %%
line = np.array([-3.0, -3.0]), np.array([3.0, 3.0])
SHAPES = {"one layer of 48": [2, 48, 1], "two of 24": [2, 24, 24, 1],
          "four of 12": [2, 12, 12, 12, 12, 1], "one of 151": [2, 151, 1]}
kinks = {name: np.array([pieces_on(random_network(sizes, seed), *line) - 1 for seed in range(20)])
         for name, sizes in SHAPES.items()}
for name, found in kinks.items():
    print(f"{name:<16} {parameters(nn.MLP(SHAPES[name])):>4} parameters, "
          f"{found.mean():6.1f} kinks on the line, {found.max()} at most")
per_unit = {name: found.mean() / sum(SHAPES[name][1:-1]) for name, found in kinks.items()}
assert all(0.6 < rate < 1.1 for rate in per_unit.values())
assert kinks["one of 151"].mean() > 2 * kinks["four of 12"].mean()

# %% [markdown]
# ## The folding picture
#
# A layer that folds maps several places onto one, and whatever is drawn behind it appears at each
# of them, mirrored, as a cut in folded paper does. Here one diamond, drawn by four units, is seen
# through 0, 1, 2 and 3 folds of the square: once, 4, 16 and 64 times.


# %%
def seen_through(layers):
    """The diamond |u - 0.4| + |v - 0.55| < 0.25 behind so many folds, as one MLP."""
    model = nn.MLP([2, *[4] * (layers + 1), 1], rng=0, dtype=np.float64)
    linear = [layer for layer in model if isinstance(layer, nn.Linear)]
    for i, layer in enumerate(linear[:-1]):
        draws = i == layers
        layer.weight.assign((BACK if i else np.eye(2)) @ (APART if draws else SPLIT))
        layer.bias.assign(np.array([-0.4, 0.4, -0.55, 0.55] if draws else [0, -0.5, 0, -0.5]))
    linear[-1].weight.assign(-np.ones((4, 1)))
    linear[-1].bias.assign(np.array([0.25]))
    return model


side = (np.arange(256) + 0.5) / 256
plane = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
fig, axes = plt.subplots(1, 4, figsize=(12, 3.2), sharey=True)
for layers, ax in enumerate(axes):
    seen = nn.predict(seen_through(layers), plane).reshape(256, 256)
    _, number = ndimage.label(seen > 0)
    assert number == 4**layers
    if layers:  # mirrored at the folds
        np.testing.assert_allclose(seen, seen[::-1], atol=1e-12)
        np.testing.assert_allclose(seen, seen[:, ::-1], atol=1e-12)
    ax.contourf(side, side, seen, levels=np.linspace(-1, 1, 11), cmap="RdBu")
    ax.contour(side, side, seen, levels=[0], colors="black", linewidths=0.8)
    ax.set(title=f"{layers} fold{'s' * (layers != 1)}: {number} of it", xlabel="$x_1$",
           aspect="equal")
axes[0].set_ylabel("$x_2$")
plt.show()

# %% [markdown]
# ## A circle on its way through random layers
#
# $h^l = W \tanh(h^{l-1}) + b$ with weights of variance $\sigma_w^2/N$ and biases of variance
# $\sigma_b^2$, and $h^1$ on a circle. In the limit of wide layers (Poole et al., 2016) the squared
# length of a tangent is multiplied in each layer by $\chi_1 = \sigma_w^2\,
# \mathbb{E}\,\phi'(\sqrt{q}\,z)^2$, and the curvature (of the picture at scale $1/\sqrt N$) goes
# as $\kappa_l^2 = 3\chi_2/\chi_1^2 + \kappa_{l-1}^2/\chi_1$, $\chi_2$ having $\phi''$. Below
# $\chi_1 = 1$, in the ordered regime, the circle shrinks to a point; above, in the chaotic one, its
# length grows exponentially with depth while the curvature settles: it does not just swell, it
# folds. Tangents and their derivatives are `ag.jvp` of the network, and `jvp` of that.

# %%
nodes, node_weights = np.polynomial.hermite_e.hermegauss(60)
node_weights = node_weights / node_weights.sum()
DEPTH, SIGMA_B = 9, 0.3


def mean_field(sigma_w):
    """q, χ₁ and χ₂ where the layers' variance has settled."""
    q = 1.0
    slope = ag.elementwise_grad(np.tanh)
    for _ in range(300):
        q = sigma_w**2 * node_weights @ np.tanh(np.sqrt(q) * nodes) ** 2 + SIGMA_B**2
    z = np.sqrt(q) * nodes
    return q, *(sigma_w**2 * node_weights @ f(z) ** 2
                for f in (slope, ag.elementwise_grad(slope)))


def random_layers(sigma_w, n, seed):
    """A function from angles to the circle's images in all layers, (layers, points, n)."""
    rng = np.random.default_rng(seed)
    q, _, _ = mean_field(sigma_w)
    frame = np.linalg.qr(rng.normal(size=(n, 2)))[0] * np.sqrt(n * q)
    layers = [nn.Linear(n, n, init=nn.init.normal(sigma_w / np.sqrt(n)), rng=rng, dtype=np.float64)
              for _ in range(DEPTH - 1)]
    for layer in layers:
        layer.bias.assign(rng.normal(size=n) * SIGMA_B)

    def network(angle):
        h = [np.stack([np.cos(angle), np.sin(angle)], axis=1) @ frame.T]
        for layer in layers:
            h.append(layer(np.tanh(h[-1])))
        return np.stack(h)

    return network


def around(points):
    return np.linspace(0, 2 * np.pi, points, endpoint=False)


def length_and_curvature(sigma_w, n, seed, points=32):
    """Per layer: the curve's length in units of √N, and the mean of κ², times N."""
    network, angle, ones = random_layers(sigma_w, n, seed), around(points), np.ones(points)
    velocity = lambda angle: ag.jvp(network, (angle,), (ones,))[1]  # noqa: E731
    v, a = (x.numpy(force=True) for x in ag.jvp(velocity, (angle,), (ones,)))
    vv, va, aa = (v * v).sum(-1), (v * a).sum(-1), (a * a).sum(-1)
    return (2 * np.pi * np.sqrt(vv / n).mean(-1), n * ((vv * aa - va**2) / vv**3).mean(-1))


REGIMES = {"ordered": 0.8, "chaotic": 3.0}
WIDTH = 200
measured, theory = {}, {}
for regime, sigma_w in REGIMES.items():
    runs = [length_and_curvature(sigma_w, WIDTH, seed) for seed in range(4)]
    measured[regime] = np.array(runs)  # (seeds, 2, layers)
    q, chi_1, chi_2 = mean_field(sigma_w)
    lengths, curvatures = [2 * np.pi * np.sqrt(q)], [1 / q]
    for _ in range(DEPTH - 1):
        lengths.append(lengths[-1] * np.sqrt(chi_1))
        curvatures.append(3 * chi_2 / chi_1**2 + curvatures[-1] / chi_1)
    theory[regime] = np.array(lengths), np.array(curvatures)
    print(f"{regime}: sigma_w = {sigma_w}, q = {q:.2f}, chi_1 = {chi_1:.2f}, chi_2 = {chi_2:.2f}")

fig, axes = plt.subplots(1, 2, figsize=(9, 3.2))
depth = np.arange(1, DEPTH + 1)
for i, regime in enumerate(REGIMES):
    for k, ax in enumerate(axes):
        ax.semilogy(depth, theory[regime][k], ":", color="black")
        ax.semilogy(depth, measured[regime][:, k].T, ".-", color=f"C{i}", alpha=0.6,
                    label=[regime, *[None] * 3])
axes[0].set(title="Length of the circle's image", xlabel="layer", ylabel="length / √N")
axes[1].set(title="Its curvature", xlabel="layer", ylabel="N κ²")
axes[0].legend()
fig.suptitle("Measured in four random networks each, and in theory (dotted)")
plt.show()

for regime in REGIMES:
    for k, tolerance in ((0, 0.25), (1, 0.5)):  # the limit of wide layers, in layers of 200
        ratio = np.exp(np.log(measured[regime][:, k]).mean(axis=0)) / theory[regime][k]
        print(f"{regime}, {('length', 'curvature')[k]}: measured / theory", ratio.round(2))
        assert (np.abs(np.log(ratio)) < tolerance).all()
assert mean_field(0.8)[1] < 1 < mean_field(3.0)[1]
lengths = {regime: m[:, 0] for regime, m in measured.items()}
assert (lengths["ordered"][:, -1] < 0.15 * lengths["ordered"][:, 0]).all()
assert (lengths["chaotic"][:, -1] > 5 * lengths["chaotic"][:, 0]).all()
assert (np.diff(np.log(lengths["chaotic"]).mean(axis=0)) > 0.1).all()  # at every layer
curvature = {regime: m[:, 1].mean(axis=0) for regime, m in measured.items()}
assert curvature["ordered"][-1] > 20 * curvature["ordered"][0]  # what is small is bent sharply
assert curvature["chaotic"][-1] < 3 * curvature["chaotic"][2]

# %% [markdown]
# Seen along its first three principal components, as in the lectures' figure: the ordered circle
# stays a circle while it shrinks, the chaotic one winds through more and more dimensions. The
# factor by which it grows in a layer is the same whatever the width: it is depth that makes it
# long.

# %%
fig = plt.figure(figsize=(8.6, 5.4))
shares = {}
for row, (regime, sigma_w) in enumerate(REGIMES.items()):
    h = random_layers(sigma_w, WIDTH, 0)(around(128)).numpy(force=True)
    for column, layer in enumerate((1, 4, DEPTH)):
        centred = h[layer - 1] - h[layer - 1].mean(axis=0)
        u, scale, _ = np.linalg.svd(centred, full_matrices=False)
        shares[regime, layer] = (scale[:2] ** 2).sum() / (scale**2).sum()
        closed = np.concatenate([u, u[:1]])[:, :3] * scale[:3]
        ax = fig.add_subplot(2, 3, 3 * row + column + 1, projection="3d")
        ax.plot(*closed.T, color="0.6", linewidth=1)
        ax.scatter(*closed.T, c=np.arange(129), cmap="hsv", s=8)
        reach = (-np.abs(closed).max(), np.abs(closed).max())
        ax.set(title=f"{regime}, layer {layer}, size {reach[1] / np.sqrt(WIDTH):.2f}", xlabel="1",
               ylabel="2", zlabel="3", xlim=reach, ylim=reach, zlim=reach, xticklabels=[],
               yticklabels=[], zticklabels=[])
fig.suptitle("A circle in random layers, on its first three principal components")
plt.show()
print({f"{regime}, layer {layer}": round(float(share), 3)
       for (regime, layer), share in shares.items()})
assert shares["ordered", DEPTH] > 0.9 and shares["chaotic", DEPTH] < 0.6
for n in (100, 300):
    grown = np.mean([np.diff(np.log(length_and_curvature(3.0, n, seed)[0])) for seed in range(3)])
    assert abs(grown - np.log(mean_field(3.0)[1]) / 2) < 0.08

# %% [markdown]
# ## A deep function, by shallow networks
#
# The teeth of $L$ tents pass through $\frac12$ on each of their $2^L$ pieces. A function with fewer
# pieces passes through it less often, so that somewhere it is off by $\frac12$ or more: a shallow
# network with $n$ units has $n + 1$ pieces at most and needs $2^L - 1$, where the deep one has
# $2L$. Here shallow networks get evenly placed kinks and the best output weights there are.


# %%
def best_shallow(kinks, target, xs):
    """Rectifiers with these kinks and the least squares output weights, as an MLP."""
    model = nn.MLP([1, len(kinks), 1], rng=0, dtype=np.float64)
    model[0].weight.assign(np.ones((1, len(kinks))))
    model[0].bias.assign(-kinks)
    features = np.concatenate([np.maximum(xs - kinks, 0), np.ones_like(xs)], axis=1)
    solution, *_ = np.linalg.lstsq(features, target, rcond=None)
    model[2].weight.assign(solution[:-1])
    model[2].bias.assign(solution[-1])
    return model


xs = np.linspace(0, 1, 513)[:, None]
WIDTHS = {L: [n for n in (1, 2, 3, 4, 6, 7, 8, 12, 15, 16, 24, 31, 32, 48, 63, 64) if n <= 2**L]
          for L in (2, 3, 4, 5, 6)}
errors = {}
for L, widths in WIDTHS.items():
    teeth = nn.predict(tents(L), xs)
    for n in widths:
        found = nn.predict(best_shallow(np.arange(n) / n, teeth, xs), xs)
        errors[L, n] = np.abs(found - teeth).max()
        assert n + 1 >= 2**L or errors[L, n] > 0.5 - 1e-9
    assert errors[L, 2**L] < 1e-8

ends = {L: np.arange(2**L + 1)[:, None] / 2**L for L in (3, 5)}
for L, corners in ends.items():  # any weights at all, also when trained, and also just one too few
    teeth = nn.predict(tents(L), corners)
    np.testing.assert_allclose(teeth[:, 0], np.arange(2**L + 1) % 2, atol=1e-12)
    for seed in range(30):
        shallow = random_network([1, 2**L - 2, 1], seed)
        if seed < 3:
            nn.fit(shallow, xs, nn.predict(tents(L), xs), epochs=40, batch_size=64, seed=seed,
                   progress=False)
        assert np.abs(nn.predict(shallow, corners) - teeth).max() >= 0.5

# %% [markdown]
# A smooth function, too. $x^2$ on $[0, 1]$ is $x$ minus the teeth of 1, 2, 3, ... tents, divided by
# 4, 16, 64, ... (Yarotsky, 2017), and a network of three units a layer adds them up as it makes
# them: with $m$ layers the error is $4^{-m-1}$, so that each further digit costs the same. A
# function of $p$ pieces errs by $1/(8p^2)$ at least, so that a shallow network needs
# $1/\sqrt{8\epsilon}$ units or so, which is how many a construction takes.


# %%
def deep_square(layers):
    """x² by an MLP of 1-3-3-...-1: two units for the next tent, one for what is added up."""
    model = nn.MLP([1, *[3] * layers, 1], rng=0, dtype=np.float64)
    linear = [layer for layer in model if isinstance(layer, nn.Linear)]
    for i, layer in enumerate(linear):
        tooth = np.array([2.0, -4.0, 0]) if i else np.ones(1)  # from what the units give
        total = np.array([0, 0, 1.0]) - tooth / 4**i if i else np.ones(1)
        if layer is linear[-1]:
            layer.weight.assign(total[:, None])
        else:
            layer.weight.assign(np.stack([tooth, tooth, total], axis=1))
            layer.bias.assign(np.array([0, -0.5, 0]))
    return model


def shallow_square(n):
    """The best that n pieces can do: chords, lowered by half of what they are off."""
    kinks = np.arange(n) / n
    model = nn.MLP([1, n, 1], rng=0, dtype=np.float64)
    model[0].weight.assign(np.ones((1, n)))
    model[0].bias.assign(-kinks)
    model[2].weight.assign(np.diff(kinks + kinks + 1 / n, prepend=0.0)[:, None])
    model[2].bias.assign(np.array([-1 / (8 * n * n)]))
    return model


def off(model):
    fine = np.linspace(0, 1, 2**13 + 1)[:, None]
    return np.abs(nn.predict(model, fine) - fine**2).max()


table = []
print("      ε   deep units   shallow units")
for power in range(1, 7):
    eps = 10.0**-power
    m = next(m for m in range(1, 20) if off(deep_square(m)) <= eps)
    n = int(np.ceil(1 / np.sqrt(8 * eps) - 1e-9))
    table.append((eps, 3 * m, n))
    print(f"{eps:7.0e}   {3 * m:10}   {n:13}")
    np.testing.assert_allclose(off(deep_square(m)), 4.0 ** (-m - 1), rtol=1e-6)
    assert off(shallow_square(n)) <= eps * (1 + 1e-9)
    if n > 1:
        assert off(shallow_square(n - 1)) > eps

fig, axes = plt.subplots(1, 3, figsize=(12, 3.3))
teeth = nn.predict(tents(4), xs)
axes[0].plot(xs, teeth, color="black", label="4 layers of 2")
axes[0].plot(xs, nn.predict(best_shallow(np.arange(12) / 12, teeth, xs), xs), label="12 units")
axes[0].set(title="Teeth, and too few pieces", xlabel="x", ylabel="output", ylim=(-0.6, 1.9))
axes[0].legend(loc="upper right", ncols=2, fontsize="small")
for L, widths in WIDTHS.items():
    axes[1].semilogx(widths, [errors[L, n] for n in widths], ".-", base=2, label=f"L = {L}")
axes[1].set(title="Shallow networks for teeth of L layers", xlabel="units", ylabel="largest error",
            ylim=(-0.05, 1.6))
axes[1].legend(fontsize="small")
eps, deep, shallow = np.transpose(table)
axes[2].semilogx(eps, deep, "o-", label="deep")
axes[2].semilogx(eps, shallow, "o-", label="shallow")
axes[2].set(title="Units needed for $x^2$", xlabel="largest error allowed", ylabel="units",
            yscale="log")
axes[2].legend()
plt.show()
assert all(more - less <= 6 for less, more in pairwise(deep))  # so many for each further digit
assert all(more > 2.5 * less for less, more in pairwise(shallow[1:]))  # √10 times as many
assert deep[-1] < shallow[-1] / 10
