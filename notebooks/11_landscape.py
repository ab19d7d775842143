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
# # The landscape
#
# A loss is a height over the space of all weights. Where its many minima come from and why most of
# them are the same, what a saddle is and how to find one on purpose, how five methods leave it, and
# what the ground looks like around a network that has been trained.

# %%
import io
import math
from itertools import permutations, product

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Image
from PIL import Image as Picture
from scipy.optimize import linear_sum_assignment

import autograd_core as ag
import nn

plt.rcParams.update({"figure.dpi": 80, "figure.constrained_layout.use": True})

# %% [markdown]
# ## One function, many networks
#
# A network with a hidden layer of tanh units, all its weights in one vector $\theta$. Exchange two
# hidden units, with all that goes in and comes out, and nothing changes; reverse the signs of all
# that goes into a unit and comes out of it, and nothing changes either, as tanh is odd. With $h$
# units that makes $h!\, 2^h$ networks which are different points of the space and the same
# function.


# %%
def split(theta, h):
    """Weights into the hidden layer, its biases, the weights out of it, the output's bias."""
    return theta[:2 * h].reshape(2, h), theta[2 * h:3 * h], theta[3 * h:4 * h], theta[4 * h]


def network(theta, x, h):
    W, b, v, c = split(theta, h)
    return np.tanh(x @ W + b) @ v + c


def rebuilt(theta, order, signs):
    """The same network with its hidden units in another order, some of them with signs reversed."""
    W, b, v, c = split(theta, len(order))
    return np.r_[(signs * W[:, order]).ravel(), signs * b[order], signs * v[order], c]


teacher = np.r_[1.5, -1.0, 0.5, 0.5, 1.2, -1.6, 0.3, -0.6, 0.2, 1.0, -1.3, 0.8, 0.2]
rng = np.random.default_rng(0)
x = rng.uniform(-2, 2, (200, 2))
y = network(teacher, x, 3)


def loss(theta, h=3):
    return ((network(theta, x, h) - y) ** 2).mean()


away = teacher + 0.1 * rng.normal(size=13)
same = [rebuilt(away, list(order), np.array(signs))
        for order in permutations(range(3)) for signs in product([1, -1], repeat=3)]
heights = np.array([loss(theta) for theta in same])
print(f"{len(same)} networks, losses from {heights.min():.15f} to {heights.max():.15f}")
assert len(same) == math.factorial(3) * 2**3 == len({tuple(theta) for theta in same})
for theta in same:
    np.testing.assert_allclose(network(theta, x, 3), network(away, x, 3), rtol=1e-11, atol=1e-12)
norms = [np.linalg.norm(ag.grad(loss)(theta)) for theta in same]
np.testing.assert_allclose(norms, norms[0], rtol=1e-9)  # the ground is as steep, too
digits_of = (math.lgamma(129) + 128 * math.log(2)) / math.log(10)
print(f"with 128 hidden units: more than 10^{int(digits_of)} of them")
assert digits_of > 250

# %% [markdown]
# ## Most minima are one
#
# The targets were made by a network with three hidden units, the teacher. Students of the same size
# start from twenty random places. Nearly all end at loss 0, in twenty places far apart; put into
# the teacher's order and signs, they are the teacher, to many digits. For tanh networks these are
# the only symmetries that there are (Sussmann, "Uniqueness of the weights for minimal feedforward
# nets", 1992).


# %%
def learn(h, seed, iterations=300):
    """The weights and the loss that L-BFGS ends with."""
    model = nn.MLP([2, h, 1], activation="tanh", rng=seed, dtype=np.float64)
    optimizer = nn.optim.LBFGS(model.parameters(), iterations=iterations, tolerance=1e-7)

    @ag.compile
    def closure():
        optimizer.zero_grad()
        value = nn.losses.mse(model(x), y[:, None])
        value.backward()
        return value

    optimizer.step(closure)
    theta = np.concatenate([p.numpy(force=True).ravel() for p in model.parameters()])
    return theta, float(loss(theta, h))


def aligned(theta):
    """The student among its 48 equals that is next to the teacher."""
    ours, theirs = (np.vstack([W, b, v]) for W, b, v, _ in (split(theta, 3), split(teacher, 3)))
    distance = ((ours[:, :, None] - theirs[:, None]) ** 2).sum(axis=0)
    opposite = ((ours[:, :, None] + theirs[:, None]) ** 2).sum(axis=0)
    order = linear_sum_assignment(np.minimum(distance, opposite).T)[1]
    reverse = (opposite < distance)[order, np.arange(3)]
    return rebuilt(theta, order, np.where(reverse, -1, 1))


students = [learn(3, seed) for seed in range(20)]
graduates = [theta for theta, height in students if height < 1e-12]
fig, axes = plt.subplots(1, 2, figsize=(8.4, 3.2), sharex=True, sharey=True)
for theta in graduates:
    axes[0].plot(teacher, theta, ".", color="C0", markersize=4)
    axes[1].plot(teacher, aligned(theta), ".", color="C0", markersize=4)
for ax, title in zip(axes, ("As they were found", "In the teacher's order and signs"),
                     strict=True):
    ax.axline((0, 0), slope=1, color="grey", linewidth=0.8)
    ax.set(title=title, xlabel="weight of the teacher")
axes[0].set_ylabel("weight of a student")
plt.show()

print(f"{len(graduates)} of 20 at loss 0; the others at "
      + ", ".join(f"{height:.4f}" for _, height in students if height >= 1e-12))
apart = [np.abs(a - b).max() for i, a in enumerate(graduates) for b in graduates[:i]]
assert len(graduates) >= 12 and np.median(apart) > 0.5
for theta in graduates:
    np.testing.assert_allclose(aligned(theta), teacher, atol=1e-4)

# %% [markdown]
# Between two such minima lies a hill: half-way between a network and its double with units
# exchanged, the units are mixtures that do neither's work. Align them first, and the way is level.

# %%
far = max(graduates[1:], key=lambda theta: np.abs(theta - graduates[0]).max())
ways = {"as found": (graduates[0], far), "aligned": (aligned(graduates[0]), aligned(far))}
part = np.linspace(-0.25, 1.25, 121)
along = {name: np.array([loss((1 - t) * a + t * b) for t in part])
         for name, (a, b) in ways.items()}
fig, ax = plt.subplots(figsize=(5.6, 3))
for name, values in along.items():
    ax.plot(part, values, label=name)
ax.set(title="From one minimum straight to another", xlabel="part of the way", ylabel="loss")
ax.legend()
plt.show()
between = (part > 0) & (part < 1)
assert along["as found"][between].max() > 0.1 and along["aligned"][between].max() < 1e-8

# %% [markdown]
# Not all are equal: a few students are stuck in minima that are worse. More units than are needed
# open ways around; fewer, and even the best cannot do it.

# %%
ends = {
    2: np.sort([learn(2, seed, 100)[1] for seed in range(10)]),
    3: np.sort([height for _, height in students]),
    5: np.sort([learn(5, seed)[1] for seed in range(10)]),
}
fig, ax = plt.subplots(figsize=(5.6, 3))
for h, values in ends.items():
    ax.semilogy(np.arange(1, len(values) + 1) / len(values), np.maximum(values, 1e-16), "o-",
                label=f"{h} hidden units")
ax.set(title="Where students end", xlabel="share of the starts", ylabel="loss at the end")
ax.legend()
plt.show()
shares = {h: (values < 1e-6).mean() for h, values in ends.items()}
print("at loss 0:", {h: f"{share:.0%}" for h, share in shares.items()})
assert shares[2] == 0 and ends[2].min() > 1e-3
assert shares[3] > 0.5 and shares[5] >= 0.8

# %% [markdown]
# ## A valley that is level
#
# A rectifier does not care for the scale: $\alpha$ times what goes in, $1/\alpha$ times what comes
# out. So its minima are not points but whole curves, along which the loss does not change: the
# gradient has no part in their direction $(w_j, b_j, -v_j)$, anywhere, and under small steps
# $|w_j|^2 + b_j^2 - v_j^2$ stays what it was at the start (Du, Hu and Lee, "Algorithmic
# regularization in learning deep homogeneous models", 2018).


# %%
def rectified(parts):
    W, b, v = parts
    return ((ag.relu(x @ W + b) @ v - y) ** 2).mean()


def kept(parts):
    W, b, v = parts
    return (W**2).sum(axis=0) + b**2 - v**2


parts = (rng.normal(size=(2, 6)), rng.normal(size=6), rng.normal(size=6))
for alpha in (0.1, 3.0):
    scaled = (alpha * parts[0], alpha * parts[1], parts[2] / alpha)
    np.testing.assert_allclose(rectified(scaled), rectified(parts), rtol=1e-12)
descend = ag.compile(ag.value_and_grad(rectified))
start, before = kept(parts), rectified(parts)
for _ in range(4000):
    height, (dW, db, dv) = descend(parts)
    across = (dW * parts[0]).sum(axis=0) + db * parts[1] - dv * parts[2]
    np.testing.assert_allclose(across, 0, atol=1e-10)
    parts = tuple(p - 2e-3 * dp for p, dp in zip(parts, (dW, db, dv), strict=True))
print(f"loss {before:.3f} to {height:.3f}, kept to {np.abs(kept(parts) - start).max():.4f}")
assert height < before / 10 and np.abs(kept(parts) - start).max() < 0.05

# %% [markdown]
# ## A saddle
#
# $f(x, y) = \frac12 x^2 + \frac14 y^4 - \frac12 y^2$ has three points where the ground is level.
# What they are the Hessian says, here the engine's: two minima, with eigenvalues that are all
# positive, and between them a saddle, a minimum along one direction and a maximum along the other.


# %%
def saddle(v):
    return v[0] ** 2 / 2 + v[1] ** 4 / 4 - v[1] ** 2 / 2


level = {(0.0, 0.0): (-1, 1), (0.0, 1.0): (1, 2), (0.0, -1.0): (1, 2)}
axis = np.linspace(-1.6, 1.6, 161)
grid = np.stack(np.meshgrid(axis, axis))
fig, axes = plt.subplots(1, 2, figsize=(9, 3.4))
axes[0].contourf(axis, axis, saddle(grid), levels=12, cmap="viridis")
for point, expected in level.items():
    np.testing.assert_array_equal(ag.grad(saddle)(np.array(point)), 0)
    found = np.linalg.eigvalsh(ag.hessian(saddle)(np.array(point)))
    np.testing.assert_allclose(found, expected, atol=1e-14)
    axes[0].plot(*point, "o" if found.min() > 0 else "X", color="white", markeredgecolor="black",
                 markersize=10)
axes[0].set(title="Two minima (o) and a saddle (x)", xlabel="x", ylabel="y")
for direction, label in (((1, 0), "along x"), ((0, 1), "along y")):
    axes[1].plot(axis, saddle(np.outer(direction, axis)), label=label)
axes[1].set(title="Two cuts through the saddle", xlabel="distance from it", ylabel="f")
axes[1].legend()
plt.show()

# %% [markdown]
# Networks have them for certain. Take a network of two units at its minimum, where its gradient is
# 0, and split a unit in two with the same inputs, $v$ shared between them as $\lambda v$ and $(1 -
# \lambda)v$. It computes the same, its gradient is 0 again; but now there are ways down, which the
# smaller network did not have (Fukumizu and Amari, "Local minima and plateaus in hierarchical
# structures", 2000). One eigenvalue is 0: along $\lambda$ nothing changes.

# %%
theta, bottom = min((learn(2, seed) for seed in range(3)), key=lambda found: found[1])
W, b, v, c = split(theta, 2)
assert np.linalg.eigvalsh(ag.hessian(loss)(theta, 2)).min() > 0  # a minimum of its own
spectra = {}
for unit, share in product((0, 1), (-0.5, 0.25, 0.5)):
    out = np.r_[v, (1 - share) * v[unit]]
    out[unit] *= share
    doubled = np.r_[np.c_[W, W[:, unit]].ravel(), b, b[unit], out, c]
    np.testing.assert_allclose(loss(doubled), bottom, rtol=1e-9)
    assert np.abs(ag.grad(loss)(doubled)).max() < 1e-6
    spectra[unit, share] = spectrum, directions = np.linalg.eigh(ag.hessian(loss)(doubled))
    assert spectrum[0] < -1e-4 and spectrum[-1] > 0.1 and np.abs(spectrum).min() < 1e-6
    below = doubled + 0.1 * directions[:, 0], doubled - 0.1 * directions[:, 0]
    assert min(loss(near) for near in below) < bottom  # a way down
print("eigenvalues:", np.round(spectra[0, 0.5][0], 3))

# %% [markdown]
# A gradient does not find the way down by itself. Two units that start as equals get equal
# gradients, and stay equals for ever, at the loss of one unit: a level ground between high sides. A
# start at random is needed for that alone.

# %%
twins = np.r_[0.5, 0.5, -0.3, -0.3, 0.1, 0.1, 0.4, 0.4, 0.0]
step = ag.compile(ag.grad(lambda theta: loss(theta, 2)))
nudged = twins + np.r_[1e-6, np.zeros(8)]
found = {"equals": twins, "a millionth apart": nudged}
trace = {name: [] for name in found}
for _ in range(1500):
    for name in found:
        found[name] = found[name] - 0.1 * step(found[name])
        trace[name].append(loss(found[name], 2))
fig, ax = plt.subplots(figsize=(5.6, 3))
for (name, values), style in zip(trace.items(), ("-", "--"), strict=True):
    ax.semilogy(values, style, label=name)
ax.set(title="Two hidden units, nearly equal", xlabel="step", ylabel="loss")
ax.legend()
plt.show()
W, b, v, c = split(found["equals"], 2)
assert np.array_equal(W[:, 0], W[:, 1]) and b[0] == b[1] and v[0] == v[1]
assert trace["a millionth apart"][-1] < 0.7 * trace["equals"][-1]
assert np.isclose(trace["a millionth apart"][100], trace["equals"][100], rtol=1e-3)

# %% [markdown]
# In many dimensions saddles are the rule. Of random symmetric matrices, taken as Hessians, hardly
# any has positive eigenvalues only, and the fewer the larger it is.

# %%
count, sizes = 20_000, np.arange(1, 8)
positive = []
for n in sizes:
    A = np.random.default_rng(n).normal(size=(count, n, n))
    positive.append((np.linalg.eigvalsh(A + A.transpose(0, 2, 1))[:, 0] > 0).mean())
print("only positive eigenvalues:", dict(zip(sizes.tolist(), positive, strict=True)))
assert 0.48 < positive[0] < 0.52 and positive == sorted(positive, reverse=True)
assert positive[1] < 0.2 and positive[4] < 1e-3

# %% [markdown]
# ## Five ways down
#
# All start on the ridge, a thousandth beside the saddle's axis, with the same learning rate. Under
# plain descent the distance to the axis is multiplied by $1 + \eta$ in each step, no more. Momentum
# adds the steps up. AdaGrad, RMSProp and Adam divide by the size of the gradients that they have
# seen in each direction, and where those are small, go as fast as elsewhere.

# %%
OPTIMIZERS = {
    "SGD": lambda p: nn.optim.SGD(p, lr=0.05),
    "momentum": lambda p: nn.optim.SGD(p, lr=0.05, momentum=0.9),
    "AdaGrad": lambda p: nn.optim.AdaGrad(p, lr=0.05),
    "RMSProp": lambda p: nn.optim.RMSProp(p, lr=0.05, rho=0.9),
    "Adam": lambda p: nn.optim.Adam(p, lr=0.05),
}


def descent(optimizer_of, start, steps=400, noise=0.0):
    """The places, before the first and after each step."""
    place = nn.Parameter(np.array(start))
    optimizer = optimizer_of([place])
    rng = np.random.default_rng(0)

    @ag.compile
    def step():
        optimizer.zero_grad()
        push = noise * ag.random.normal(rng, size=2)
        (saddle(place) + (push * place).sum()).backward()
        optimizer.step()
        return place.detach()

    return np.array([start, *(step().numpy() for _ in range(steps))])


START = (-1.4, 0.001)
paths = {name: descent(optimizer_of, START) for name, optimizer_of in OPTIMIZERS.items()}
fig, ax = plt.subplots(figsize=(5.6, 3.2))
for name, path in paths.items():
    ax.semilogy(np.abs(path[:, 1]), label=name)
ax.set(title="Leaving the ridge", xlabel="step", ylabel="distance to the axis, |y|",
       xlim=(0, 250))
ax.legend()
plt.show()

escape = {name: int(np.argmax(np.abs(path[:, 1]) > 0.5)) for name, path in paths.items()}
print("steps until |y| > 1/2:", escape)
np.testing.assert_allclose(paths["SGD"][:60, 1], 0.001 * 1.05 ** np.arange(60), rtol=1e-3)
np.testing.assert_allclose(paths["SGD"][:60, 0], -1.4 * 0.95 ** np.arange(60), rtol=1e-9)
assert 0 < escape["RMSProp"] < escape["momentum"] < escape["SGD"]
assert max(escape["Adam"], escape["AdaGrad"]) < escape["SGD"] / 2
for name, path in paths.items():  # AdaGrad, its rate spent, is still on its way along x
    np.testing.assert_allclose(np.abs(path[-1]), [0, 1], atol=0.2 if name == "AdaGrad" else 0.05)

# %% [markdown]
# Step by step (an animated PNG, which shows its first frame where animations are off):

# %%
fig, ax = plt.subplots(figsize=(5.4, 3.6), dpi=72)
ax.contour(axis, axis, saddle(grid), levels=12, colors="silver", linewidths=0.8)
ax.set(title="Five ways down from a saddle", xlabel="x", ylabel="y", xlim=(-1.6, 1.0),
       ylim=(-0.6, 1.3))
trails = {name: ax.plot([], [], "-", linewidth=1.6)[0] for name in paths}
heads = {name: ax.plot([], [], "o", color=trails[name].get_color(), label=name)[0]
         for name in paths}
ax.legend(loc="upper right", fontsize="small")
counter = ax.text(-1.5, 1.15, "")
moving = [*trails.values(), *heads.values(), counter]
for artist in moving:
    artist.set_animated(True)
fig.canvas.draw()
ground = fig.canvas.copy_from_bbox(fig.bbox)
frames = []
for step in [*range(0, 40, 2), *range(40, 180, 12)]:
    fig.canvas.restore_region(ground)
    for name, path in paths.items():
        trails[name].set_data(*path[:step + 1].T)
        heads[name].set_data(*path[step:step + 1].T)
    counter.set_text(f"step {step}")
    for artist in moving:
        ax.draw_artist(artist)
    frames.append(Picture.fromarray(np.array(fig.canvas.buffer_rgba())).convert("RGB"))
plt.close(fig)
colours = frames[-1].quantize(48, method=Picture.Quantize.MAXCOVERAGE)
frames = [frame.quantize(palette=colours, dither=Picture.Dither.NONE) for frame in frames]
buffer = io.BytesIO()
frames[0].save(buffer, "PNG", save_all=True, append_images=frames[1:], loop=0,
               duration=[100] * (len(frames) - 1) + [3000])
film = Image(buffer.getvalue())
assert Picture.open(buffer).n_frames == len(frames) and len(buffer.getvalue()) < 250_000
film

# %% [markdown]
# Exactly on the axis no gradient leads away from it, and every one of the five ends in the saddle.
# Noise is enough to leave: another thing that mini-batches do for free.

# %%
for name, optimizer_of in OPTIMIZERS.items():
    stuck, free = (descent(optimizer_of, (-1.4, 0.0), noise=noise)[-1] for noise in (0.0, 0.1))
    assert stuck[1] == 0 and abs(free[1]) > 0.6, name
print("without noise", stuck, "with noise", free)

# %% [markdown]
# ## Around a trained network
#
# Two moons, 20 hidden units, and the loss on two planes through the weights at the end: one through
# two random directions, scaled unit by unit to the weights (Li et al., "Visualizing the loss
# landscape of neural nets", 2018), and the one that holds most of the way that the training took.

# %%
labels = np.arange(200) % 2
angle = rng.uniform(0, np.pi, 200)
moons = np.stack([np.cos(angle), np.sin(angle)], axis=1)
moons[labels == 1] = [1.0, 0.4] - moons[labels == 1]
moons += 0.15 * rng.standard_normal(moons.shape)
targets = labels[:, None].astype(float)

model = nn.MLP([2, 20, 1], activation="tanh", rng=0, dtype=np.float64)
path = nn.plots.WeightPath()
nn.fit(model, moons, targets, loss="bce_with_logits", epochs=60, seed=0, progress=False,
       optimizer=nn.optim.Adam(model.parameters(), lr=0.02, weight_decay=1e-3), callbacks=[path])
fig, axes = plt.subplots(1, 2, figsize=(9, 3.3), dpi=64)
for ax, way in zip(axes, (None, path), strict=True):
    nn.plots.loss_surface(model, moons, targets, "bce_with_logits", path=way, steps=21, ax=ax)
axes[0].set_title("Two random directions")
axes[1].set_title("The plane of the training")
plt.show()


# %% [markdown]
# Along the straight line from the start to the end, which the training did not take, the loss falls
# all the way: no hill had to be crossed (Goodfellow, Vinyals and Saxe, "Qualitatively
# characterizing neural network optimization problems", 2015). And the Hessian at the end has a few
# large eigenvalues and many near 0: a few directions matter, in most of them the ground is level.


# %%
def height(theta):
    W, b, v, c = theta[:40].reshape(2, 20), theta[40:60], theta[60:80], theta[80]
    scores = np.tanh(moons @ W + b) @ v + c
    return nn.losses.bce_with_logits(scores, labels.astype(float))


first, last = path.points[0], path.points[-1]
np.testing.assert_allclose(
    height(last), nn.losses.bce_with_logits(nn.predict(model, moons), targets), rtol=1e-9)
straight = np.array([height(first + t * (last - first)) for t in np.linspace(0, 1, 41)])
spectrum = np.linalg.eigvalsh(ag.hessian(height)(last))
before = np.linalg.eigvalsh(ag.hessian(height)(first))
fig, axes = plt.subplots(1, 2, figsize=(8.4, 3))
axes[0].semilogy(np.linspace(0, 1, 41), straight)
axes[0].set(title="Straight from start to end", xlabel="part of the way", ylabel="loss")
axes[1].semilogy(np.sort(np.abs(before))[::-1], ".", label="at the start")
axes[1].semilogy(np.sort(np.abs(spectrum))[::-1], ".", label="at the end")
axes[1].set(title="The Hessian", xlabel="eigenvalue", ylabel="its size")
axes[1].legend()
plt.show()

print(f"eigenvalues at the end from {spectrum[0]:.4f} to {spectrum[-1]:.4f}; "
      f"{(spectrum < -1e-3).sum()} of 81 below -0.001, at the start {(before < -1e-3).sum()}")
assert (np.diff(straight) < 1e-3).all() and straight[-1] < straight[0] / 3
assert np.sort(np.abs(spectrum))[-8:].sum() > 0.5 * np.abs(spectrum).sum()
assert spectrum[-1] > 20 * -spectrum[0] and before[0] < 0 < before[-1]
