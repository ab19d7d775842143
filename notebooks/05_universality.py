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
# # Universality
#
# One hidden layer can draw any function, block by block: a steep sigmoid is a step, two steps make
# a block, blocks make the function, to any error asked. And how far training stays behind what can
# be constructed.

# %%
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np

import autograd_core as ag
import nn

plt.rcParams.update({"figure.dpi": 80, "figure.constrained_layout.use": True})
x = np.linspace(0, 1, 2001)

# %% [markdown]
# ## What a bias and a weight do
#
# $\sigma(wx + b + \Delta b) = \sigma(w(x + \Delta b / w) + b)$: a change of the bias shifts the
# function by $-\Delta b / w$. The width between the heights 0.1 and 0.9 is
# $2(\ln 0.9 - \ln 0.1) / w = 4.394 / w$, and the edge is where $wx + b = 0$.


# %%
def unit(x, w, b):
    return ag.sigmoid(w * x + b)


shifts = np.linspace(-2, 2, 9)
for w in (1.0, 4.0, 16.0):
    for shift in shifts:
        np.testing.assert_allclose(unit(x, w, -3 + shift), unit(x + shift / w, w, -3), rtol=1e-12)

inverse = lambda p, w, b: (np.log(p / (1 - p)) - b) / w  # noqa: E731
for w in (1.0, 16.0, 1000.0):
    width = inverse(0.9, w, -9) - inverse(0.1, w, -9)
    np.testing.assert_allclose(width, 2 * (np.log(0.9) - np.log(0.1)) / w, rtol=1e-9)
    np.testing.assert_allclose(width * w, 4.394, atol=5e-4)
    np.testing.assert_allclose(unit(inverse(0.9, w, -9), w, -9), 0.9, rtol=1e-9)

w, b = 16.0, -9.0
edge = -b / w
assert edge == 0.5625 and unit(edge, w, b) == 0.5

fig, axes = plt.subplots(1, 2, figsize=(8, 3))
for weight in (4.0, 16.0, 1000.0):
    axes[0].plot(x, unit(x, weight, -weight * edge), label=f"w = {weight:g}")
axes[0].set(title="A weight makes it steep", xlabel="x", ylabel=r"$\sigma(wx+b)$")
for bias in (-5.0, -9.0, -13.0):
    axes[1].plot(x, unit(x, 16.0, bias), label=f"b = {bias:g}, edge {-bias / 16:.2f}")
axes[1].set(title="A bias shifts it", xlabel="x", ylabel=r"$\sigma(16x+b)$")
for ax in axes:
    ax.legend(loc="upper left", fontsize="small")
axes[1].set_ylim(-0.05, 1.6)
plt.show()

# %% [markdown]
# ## Steps, blocks, holes
#
# With $w = 1000$ the width is 0.0044: a step at $s = -b/w$. Two of them with the output weights
# $h$ and $-h$ are a block of height $h$; with $-h$ and $h$, a hole.

# %%
STEEP = 1000.0


def step(x, s, w=STEEP):
    return ag.sigmoid(w * (x - s))


def block(x, left, right, height, w=STEEP):
    return height * step(x, left, w) - height * step(x, right, w)


s = 0.4
assert (np.abs(step(x, s) - (x > s))[np.abs(x - s) > 0.01] < 1e-4).all()
bump, hole = block(x, 0.4, 0.6, 0.8), block(x, 0.4, 0.6, -0.8)
inside = (x > 0.41) & (x < 0.59)
outside = (x < 0.39) | (x > 0.61)
np.testing.assert_allclose(bump[inside], 0.8, atol=1e-4)
np.testing.assert_allclose(bump[outside], 0, atol=1e-4)
np.testing.assert_allclose(hole, -bump)

fig, axes = plt.subplots(1, 3, figsize=(9, 2.6), sharey=True)
for ax, values, title in zip(axes, (step(x, s), bump, hole), ("A step", "A block", "A hole"),
                             strict=True):
    ax.plot(x, values)
    ax.set(title=title, xlabel="x")
axes[0].set_ylabel("output")
plt.show()

# %% [markdown]
# ## To any error
#
# Cut the interval into $n$ blocks, each as high as the function in its middle: $2n$ hidden units in
# an `nn.MLP` whose weights are given, not learned. The largest error falls with $1/n$, and for
# every $\epsilon$ there is an $n$. Edges are steeper the narrower the blocks are, so that each sums
# with its neighbour to one.


# %%
def target(x):
    return 0.2 + 0.4 * x**2 + 0.3 * x * np.sin(15 * x) + 0.05 * np.cos(50 * x)


def constructed(n):
    """A network of 1-2n-1 that is n blocks."""
    steepness = 200.0 * n
    edges = np.linspace(0, 1, n + 1)
    edges[0], edges[-1] = -0.1, 1.1  # nothing falls off at the ends
    heights = target((np.arange(n) + 0.5) / n)
    model = nn.MLP([1, 2 * n, 1], activation="sigmoid", rng=0, dtype=np.float64)
    hidden, output = model[0], model[2]
    starts = np.concatenate([edges[:-1], edges[1:]])
    hidden.weight.assign(np.full((1, 2 * n), steepness))
    hidden.bias.assign(-steepness * starts)
    output.weight.assign(np.concatenate([heights, -heights])[:, None])
    return model


def largest_error(model, x):
    return np.abs(nn.predict(model, x[:, None])[:, 0] - target(x)).max()


blocks = [5, 10, 20, 40, 80, 160, 320]
errors = [largest_error(constructed(n), x) for n in blocks]
rows = []
for eps in (0.3, 0.1, 0.03, 0.01):
    n = next(n for n in range(1, 1500) if largest_error(constructed(n), x) < eps)
    rows.append((eps, 2 * n))
print("   ε   hidden units")
for eps, units in rows:
    print(f"{eps:5}  {units}")

fig, axes = plt.subplots(1, 2, figsize=(8.4, 3))
axes[0].plot(x, target(x), color="black", label="f")
axes[0].plot(x, nn.predict(constructed(20), x[:, None]), label="20 blocks")
axes[0].set(title="A function of blocks", xlabel="x", ylabel="value")
axes[0].legend()
axes[1].loglog(np.array(blocks) * 2, errors, "o-", label="largest error")
axes[1].loglog(np.array(blocks) * 2, 10 / np.array(blocks), ":", color="grey", label="1/n")
axes[1].set(title="Error against units", xlabel="hidden units", ylabel="error")
axes[1].legend()
plt.show()

assert all(a > b for a, b in pairwise(errors))
assert all(more > units for (_, units), (_, more) in pairwise(rows))
order = np.polyfit(np.log(blocks[2:]), np.log(errors[2:]), 1)[0]
assert -1.25 < order < -0.75

# %% [markdown]
# ## Towers
#
# In two dimensions four steps, two along each axis, add up to a tower of height $2h$ on a base of
# height $h$; a second bend, steep at $3h/2$, keeps the tower only. Many towers draw a surface.


# %%
def tower(x, y, cx, cy, half, w=400.0):
    """1 within `half` of (cx, cy), else 0: four hidden units, and one that cuts the base off."""
    steps = (ag.sigmoid(w * (x - cx + half)) + ag.sigmoid(-w * (x - cx - half))
             + ag.sigmoid(w * (y - cy + half)) + ag.sigmoid(-w * (y - cy - half)))
    return ag.sigmoid(w * (steps - 3.5))


def surface(x, y):
    return np.exp(-8 * ((x - 0.5) ** 2 + (y - 0.5) ** 2)) + 0.3 * np.sin(6 * x) * y


axis = np.linspace(0.005, 0.995, 100)
gx, gy = np.meshgrid(axis, axis)
single = tower(gx, gy, 0.5, 0.5, 0.2)
middle = np.maximum(np.abs(gx - 0.5), np.abs(gy - 0.5))
np.testing.assert_allclose(single[middle < 0.18], 1, atol=1e-3)
np.testing.assert_allclose(single[middle > 0.22], 0, atol=1e-3)


def of_towers(n):
    half = 0.5 / n
    centres = (np.arange(n) + 0.5) / n
    return sum(surface(cx, cy) * tower(gx, gy, cx, cy, half, 200.0 * n)
               for cx in centres for cy in centres)


towers = {n: of_towers(n) for n in (4, 8, 16)}
mean_error = [np.abs(z - surface(gx, gy)).mean() for z in towers.values()]
fig, axes = plt.subplots(1, 4, figsize=(10, 2.7), sharey=True)
for ax, z, title in zip(axes, (single, towers[4], towers[16], surface(gx, gy)),
                        ("One tower", "16 towers", "256 towers", "The surface"), strict=True):
    ax.imshow(z, origin="lower", extent=(0, 1, 0, 1))
    ax.set(title=title, xlabel="$x_1$")
axes[0].set_ylabel("$x_2$")
plt.show()
assert mean_error[0] > 1.7 * mean_error[1] > 1.7**2 * mean_error[2]

# %% [markdown]
# ## With other bends
#
# A step of tanh goes from -1 to 1, so half of it does; two rectifiers make a ramp
# $\max(0, v) - \max(0, v - 1)$ from 0 to 1, and a steep ramp is a step too.

# %%
half_tanh = lambda x, s: (1 + np.tanh(STEEP * (x - s) / 2)) / 2  # noqa: E731
ramp = lambda x, s: ag.relu(STEEP * (x - s)) - ag.relu(STEEP * (x - s) - 1)  # noqa: E731
np.testing.assert_allclose(half_tanh(x, s), step(x, s), atol=1e-12)
far = np.abs(x - s) > 0.01
np.testing.assert_allclose(ramp(x, s)[far], step(x, s)[far], atol=1e-4)

# %% [markdown]
# Piecewise linear is better than piecewise constant: rectifiers interpolate, with one unit a knot,
# and the error falls with $1/n^2$.

# %%
knots_errors = []
for n in (20, 40, 80, 160):
    knots = np.linspace(0, 1, n + 1)
    slopes = np.diff(target(knots)) * n
    model = nn.MLP([1, n, 1], activation="relu", rng=0, dtype=np.float64)
    model[0].weight.assign(np.ones((1, n)))
    model[0].bias.assign(-knots[:-1])
    model[2].weight.assign(np.diff(slopes, prepend=0.0)[:, None])
    model[2].bias.assign(target(knots[:1]))
    knots_errors.append(largest_error(model, x))
order = np.polyfit(np.log([20, 40, 80, 160]), np.log(knots_errors), 1)[0]
print("largest error with 160 units: blocks", largest_error(constructed(80), x),
      "rectifiers", knots_errors[-1])
assert -2.4 < order < -1.6 and knots_errors[-1] < largest_error(constructed(80), x) / 10

# %% [markdown]
# ## What training finds
#
# The theorem says that weights exist, not that gradient descent finds them. The same network of 160
# rectifiers, trained from a random start, stays far behind the one that was constructed.

# %%
samples = np.random.default_rng(0).uniform(0, 1, (500, 1))
trained = nn.MLP([1, 160, 1], activation="relu", rng=0)
nn.fit(trained, samples, target(samples), epochs=300, seed=0, progress=False,
       optimizer=nn.optim.Adam(trained.parameters(), lr=0.01))
learned = largest_error(trained, x)
print(f"largest error: constructed {knots_errors[-1]:.4f}, trained {learned:.4f}")
fig, ax = plt.subplots(figsize=(5.6, 3))
ax.plot(x, target(x), color="black", label="f")
ax.plot(x, nn.predict(trained, x[:, None]), label="160 rectifiers, trained")
ax.set(title="Training stays behind construction", xlabel="x", ylabel="value")
ax.legend()
plt.show()
assert 10 * knots_errors[-1] < learned < 0.3
