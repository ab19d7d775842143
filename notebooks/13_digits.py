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
# # Handwritten digits, end to end
#
# A whole project in small: look at the data, find out what is easy, check the machinery before the
# long training, train with everything on, measure with data that had no part in it, and look at
# what was learned and at every mistake. Last, two networks that made history, with their pictures.

# %%
import tempfile
from itertools import product
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import KFold, StratifiedKFold

import autograd_core as ag
import nn

plt.rcParams.update({"figure.dpi": 80, "figure.constrained_layout.use": True})

# %% [markdown]
# ## The data
#
# 1,797 digits, written by 13 people, scanned and reduced to 8 × 8 pixels with 17 shades, which we
# scale to lie between 0 and 1. The ten classes are about equally frequent. Above, the first digit
# of each class; below, the mean of all.

# %%
digits = load_digits()
X, labels = (digits.data / 16).astype(np.float32), digits.target
means = np.stack([X[labels == k].mean(axis=0) for k in range(10)])

fig, axes = plt.subplots(2, 10, figsize=(9, 2.3))
for k in range(10):
    for ax, image in zip(axes[:, k], (X[labels == k][0], means[k]), strict=True):
        ax.imshow(image.reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
        ax.set(xticks=[], yticks=[])
    axes[0, k].set_title(str(k))
axes[0, 0].set_ylabel("first one")
axes[1, 0].set_ylabel("mean")
plt.show()

counts = np.bincount(labels)
print("digits per class:", counts)
assert X.shape == (1797, 64) and X.min() == 0 and X.max() == 1
assert counts.min() > 0.9 * counts.max()

# %% [markdown]
# ## What is easy
#
# A number says nothing without one to compare it with. Each of the baselines reads every digit
# after learning from the four fifths of the data that it is not in (cross-validation in five
# parts): the most frequent class; the class whose mean is nearest; and the linear classifier, $a =
# \mathrm{softmax}(xW + b)$.

# %%
FOLDS = list(StratifiedKFold(5, shuffle=True, random_state=0).split(X, labels))


def read_by_others(learn, folds=FOLDS):
    """The reading of each digit by a model that has not seen it; learn(X, labels, seed) -> model"""
    scores = np.empty((len(X), 10), np.float32)
    for seed, (kept, out) in enumerate(folds):
        scores[out] = nn.predict(learn(X[kept], labels[kept], seed), X[out])
    return scores


def most_frequent(X, labels, seed):
    return lambda x: np.tile(np.bincount(labels, minlength=10), (len(x), 1))


def nearest_mean(X, labels, seed):
    centres = np.stack([X[labels == k].mean(axis=0) for k in range(10)])
    return lambda x: -((np.asarray(x)[:, None] - centres) ** 2).sum(axis=2)


def linear(X, labels, seed):
    model = nn.Linear(64, 10, rng=seed)
    nn.fit(model, X, labels, loss="cross_entropy", epochs=60, seed=seed, progress=False,
           optimizer=nn.optim.Adam(model.parameters(), lr=0.02), validation_split=0.2,
           callbacks=[nn.EarlyStopping(patience=10)])
    return model


readings = {learn.__name__: read_by_others(learn)
            for learn in (most_frequent, nearest_mean, linear)}
errors = {name: int((scores.argmax(axis=1) != labels).sum()) for name, scores in readings.items()}
for name, wrong in errors.items():
    print(f"{name:>14}: {wrong:4} misread, {1 - wrong / len(X):.1%} right")
assert errors["most_frequent"] > 0.88 * len(X)
assert errors["most_frequent"] > 5 * errors["nearest_mean"] > 10 * errors["linear"]

# %% [markdown]
# ## Before the long training, three short ones
#
# What is wrong with the machinery is best found before. A network that knows nothing gives each
# class about a tenth, so that its loss is about $\ln 10$; gradients should arrive everywhere; and a
# network that cannot learn twenty digits by heart cannot learn at all. Told false answers, it
# learns those by heart too: only other digits tell knowledge from memory.


# %%
def network(seed):
    return nn.Sequential(
        nn.Linear(64, 128, rng=seed), nn.ReLU(), nn.Dropout(0.3, rng=seed),
        nn.Linear(128, 10, rng=seed + 1))


fresh = network(0)
first_loss = float(nn.losses.cross_entropy(nn.predict(fresh, X), labels))
report = nn.diagnose(fresh, X, labels, loss="cross_entropy")
print(f"first loss {first_loss:.2f}, ln 10 = {np.log(10):.2f}\n\n{report}")

few, answers = X[:20], np.random.default_rng(0).permutation(labels[:20])
by_heart = {}
for name, told in {"right": labels[:20], "false": answers}.items():
    model = network(0)
    nn.fit(model, few, told, loss="cross_entropy", epochs=300, seed=0, progress=False,
           optimizer=nn.optim.Adam(model.parameters(), lr=0.01))
    by_heart[name] = (nn.metrics.accuracy(nn.predict(model, few), told),
                      nn.metrics.accuracy(nn.predict(model, X[20:]), labels[20:]))
    print(f"twenty {name} answers: {by_heart[name][0]:.0%} by heart, "
          f"{by_heart[name][1]:.0%} of the others")

assert abs(first_loss - np.log(10)) < 0.5
assert report.healthy
assert by_heart["right"][0] == by_heart["false"][0] == 1
assert by_heart["right"][1] > 0.4 > 0.3 > by_heart["false"][1]

# %% [markdown]
# ## Everything on
#
# One hidden layer of 128 rectifiers, a third of them left out at random in each step, trained with
# Adam on mini-batches of 32. A fifth is held out to validate: when its loss has not improved for 15
# epochs the training stops and goes back to the best weights, and the rate is divided by three when
# it pauses. The training is diagnosed as it goes, and written to a file from which it can go on.

# %%
kept, held_out = FOLDS[0]
model = network(0)
start = model.state_dict()
stopping = nn.EarlyStopping(patience=15)
watching = nn.DiagnosisLog(X[kept][:200], labels[kept][:200], loss="cross_entropy", every=10)
rate = nn.schedules.ReduceOnPlateau(3e-3, factor=1 / 3, patience=6)
history = nn.fit(
    model, X[kept], labels[kept], loss="cross_entropy", epochs=200, batch_size=32, seed=0,
    optimizer=nn.optim.Adam(model.parameters(), lr=rate), metrics="accuracy", progress=False,
    validation_data=(X[held_out], labels[held_out]),
    callbacks=[stopping, watching, nn.LearningRateLog()])
print(history.stopped, f"(the best was epoch {stopping.best_epoch})")

fig, axes = plt.subplots(1, 3, figsize=(10, 3))
for name, style in (("loss", "-"), ("val_loss", "--")):
    axes[0].semilogy(history[name], style, label="held out" if style == "--" else "training")
    axes[1].plot(history[name.replace("loss", "accuracy")], style)
for ax in axes[:2]:
    ax.axvline(stopping.best_epoch - 1, color="grey", linewidth=0.8)
axes[0].set(title="Loss", xlabel="epoch", ylabel="cross-entropy")
axes[0].legend()
axes[1].set(title="Share read right", xlabel="epoch", ylabel="accuracy", ylim=(0.9, 1.005))
axes[2].semilogy(history["lr"])
axes[2].set(title="Rate of the next step", xlabel="epoch", ylabel="learning rate")
plt.show()

assert len(history) == stopping.best_epoch + 15 < 200
assert stopping.best == min(history["val_loss"]) < history["val_loss"][0] / 3
left = float(nn.losses.cross_entropy(nn.predict(model, X[held_out]), labels[held_out]))
np.testing.assert_allclose(left, stopping.best, rtol=1e-5)  # it went back to the best weights
assert history["lr"][-1] < history["lr"][0]
assert all("exploding" not in each.problems and "dead" not in each.problems
           for each in watching.diagnoses)

# %% [markdown]
# The step was recorded once and replayed; step by step as Python says it, the same comes out, to
# rounding. A training that is stopped after six epochs and resumed from its file ends with the same
# bits as one that was not. And the weights that come back from a file read every digit as before.


# %%
def short(epochs, **options):
    model = network(0)
    nn.fit(model, X[kept], labels[kept], loss="cross_entropy", epochs=epochs, seed=0,
           optimizer=nn.optim.Adam(model.parameters(), lr=3e-3), progress=False, **options)
    return np.concatenate([p.numpy(force=True).ravel() for p in model.parameters()])


np.testing.assert_allclose(short(2), short(2, compile=False), rtol=1e-3, atol=1e-4)
with tempfile.TemporaryDirectory() as folder:
    file = Path(folder) / "run.safetensors"
    short(6, callbacks=[nn.Checkpoint(file)])
    resumed = short(12, callbacks=[nn.Checkpoint(file)], resume=True)
    restored = nn.load(network(99), nn.save(model, Path(folder) / "weights.safetensors"))
assert np.array_equal(resumed, short(12))
assert np.array_equal(nn.predict(restored, X), nn.predict(model, X))

# %% [markdown]
# What a step is can be read. In a loop of one's own it is a function with a decorator; recorded, it
# is a list of some fifty instructions: both layers, the loss, their derivatives, and Adam.

# %%
own = network(0)
optimizer = nn.optim.Adam(own.parameters(), lr=3e-3)


@ag.compile
def step(x, y):
    optimizer.zero_grad()
    loss = nn.losses.cross_entropy(own(x), y)
    loss.backward()
    optimizer.step()
    return loss


losses = [step(X[:32], labels[:32]).item() for _ in range(100)]
((recorded, run),) = step.programs
print(f"{len(recorded)} instructions recorded, {len(run)} run; loss {losses[0]:.2f} to "
      f"{losses[-1]:.3f}")
assert len(run) < len(recorded) and losses[-1] < losses[0] / 5

# %% [markdown]
# ## How good is it?
#
# The digits that decided when to stop are no longer impartial. So once more in five parts: each
# digit is read by a network to which it was never shown, neither for training nor for stopping.


# %%
def perceptron(X, labels, seed):
    model = network(seed)
    nn.fit(model, X, labels, loss="cross_entropy", epochs=200, seed=seed, progress=False,
           optimizer=nn.optim.Adam(model.parameters(), lr=3e-3), validation_split=0.2,
           callbacks=[nn.EarlyStopping(patience=10)])
    return model


scores = read_by_others(perceptron)
guesses = scores.argmax(axis=1)
wrong = np.flatnonzero(guesses != labels)
share = 1 - len(wrong) / len(X)
spread = np.sqrt(share * (1 - share) / len(X))
print(f"{len(wrong)} misread: {share:.1%} right, ± {spread:.1%}")
fig, ax = plt.subplots(figsize=(5, 4.6))
nn.plots.confusion_matrix(labels, scores, ax=ax)
plt.show()

only_linear = ((readings["linear"].argmax(axis=1) == labels) & (guesses != labels)).sum()
only_network = ((readings["linear"].argmax(axis=1) != labels) & (guesses == labels)).sum()
print(f"right by the network alone: {only_network}, by the linear one alone: {only_linear}")
assert len(wrong) < 0.75 * errors["linear"] and share > 0.965
assert only_network > 1.5 * only_linear  # they were given the same digits

# %% [markdown]
# There is still a leak. Neighbours in the file were written by the same hand, and a shuffled split
# puts some digits of every writer on both sides. Held out in one piece, so that most writers are
# new, all are read worse: the number to expect from strangers.

# %%
by_writer = {learn.__name__: int((read_by_others(learn, list(KFold(5).split(X))).argmax(axis=1)
                                  != labels).sum()) for learn in (linear, perceptron)}
for name, shuffled in {"linear": errors["linear"], "perceptron": len(wrong)}.items():
    print(f"{name:>10}: {shuffled:3} misread, of new writers {by_writer[name]}")
assert by_writer["perceptron"] > 1.4 * len(wrong)
assert by_writer["linear"] > 1.2 * errors["linear"]
assert by_writer["perceptron"] < by_writer["linear"]

# %% [markdown]
# ## What it has learned
#
# The linear classifier has one image per class: where ink speaks for the class (red), and where
# against it (blue). A zero has a hole, and ink there is the best sign of something else. The
# network's hidden units are spots and strokes of which the classes are put together.
#
# To be legible the weights must have been pulled towards 0 while they were learned. Without that
# decay, on the right, what nobody needs stays as it was thrown: images of noise, with what was
# learned hidden in it.


# %%
def decayed(model, lr, decay):
    nn.fit(model, X[kept], labels[kept], loss="cross_entropy", epochs=60, seed=0, progress=False,
           optimizer=nn.optim.Adam(model.parameters(), lr=lr, weight_decay=decay))
    return model


templates = decayed(nn.Linear(64, 10, rng=0), 0.01, 0.01)
legible = decayed(nn.MLP([64, 32, 10], activation="relu", rng=0), 0.003, 0.003)
with_decay, without = (each[0].weight.numpy(force=True) for each in (legible, model))
fig, axes = plt.subplots(1, 3, figsize=(11, 4.2))
for ax, values, title in zip(
        axes, (templates, with_decay, without[:, :32]),
        ("The ten classes, linear", "32 hidden units, with decay", "32 of 128, without"),
        strict=True):
    columns = 3 if values is templates else 5
    nn.plots.weights(values, shape=(8, 8), columns=columns, ax=ax)
    ax.set(title=title, xlabel=f"{columns} units a row, from 0 on")
plt.show()

# %% [markdown]
# Some pixels at the border are never inked. $\partial J/\partial W = x\,\delta^T$ is 0 in their
# rows, in every step: there the weights are what they were at the start, to the last bit. With
# decay they have gone, and so have the weights of units that were not needed.

# %%
blank = (X[kept] == 0).all(axis=0)
change = without - start["layers.0.weight"]
assert blank.sum() >= 3 and not change[blank].any() and without[blank].any()
assert (np.abs(change[~blank]).max(axis=1) > 0).all()
assert np.abs(with_decay[blank]).max() < 1e-3 * np.abs(with_decay).max()
idle = np.abs(with_decay).max(axis=0) < 1e-2 * np.abs(with_decay).max()
print(f"{blank.sum()} pixels never inked; with decay {idle.sum()} of 32 units went to sleep")
assert 0 < idle.sum() < 16
hole = templates.weight.numpy(force=True)[:, 0].reshape(8, 8)[3:5, 3:5]
assert hole.mean() < -0.2
assert nn.metrics.accuracy(nn.predict(legible, X[held_out]), labels[held_out]) > 0.9

# %% [markdown]
# ## The mistakes
#
# All that were misread most surely, with what the network says they are. Some could be misread by
# anybody. It doubts more where it is wrong than where it is right, and its second guess is often
# the answer.

# %%
probabilities = ag.softmax(scores, axis=1)
sure = probabilities.max(axis=1)
worst = wrong[np.argsort(-sure[wrong])][:18]
fig, axes = plt.subplots(2, 9, figsize=(9.5, 3))
for ax, i in zip(axes.flat, worst, strict=True):
    ax.imshow(X[i].reshape(8, 8), cmap="gray_r")
    ax.set_title(f"{labels[i]} read as {guesses[i]}\n{sure[i]:.0%} sure", fontsize=8)
    ax.set(xticks=[], yticks=[])
fig.supxlabel("the surest mistakes, each read by a network that had not seen it", fontsize=9)
plt.show()

right = np.flatnonzero(guesses == labels)
second = np.argsort(scores[wrong], axis=1)[:, -2] == labels[wrong]
print(f"mean certainty: right {sure[right].mean():.1%}, wrong {sure[wrong].mean():.1%}; "
      f"second guess right in {second.mean():.0%} of the mistakes")
assert sure[wrong].mean() < sure[right].mean() - 0.1
assert second.mean() > 0.5

# %% [markdown]
# What would have had to be different? The gradient of the wrong score minus the right one, by the
# pixels, says which ink misled it. The shortest step that closes the gap, along that gradient, is
# taken a few times, as the gradient changes on the way: the digit is then read right, and hardly
# looks different. Networks can be led astray in the same way.

# %%
gap = ag.value_and_grad(lambda x, read, true: ((z := model(x[None])[0])[read] - z[true]))
misread = [i for i in held_out if nn.predict(model, X[i:i + 1]).argmax() != labels[i]]
model.eval()
fig, axes = plt.subplots(3, len(misread), figsize=(1.35 * len(misread) + 1, 4), squeeze=False)
for column, i in zip(axes.T, misread, strict=True):
    read, steps = int(nn.predict(model, X[i:i + 1]).argmax()), 0
    x = X[i].astype(np.float64)
    with ag.no_grad():  # the weights are constants here
        _, first = gap(x, read, labels[i])
        while (now := nn.predict(model, x[None]).argmax()) != labels[i] and steps < 30:
            height, slope = gap(x, int(now), labels[i])
            x = x - 1.05 * max(height, 1e-2) * slope / (slope @ slope)
            steps += 1
    for ax, image, scheme in zip(column, (X[i], first, x), ("gray_r", "RdBu_r", "gray_r"),
                                 strict=True):
        limits = (-np.abs(first).max(), np.abs(first).max()) if image is first else (0, 1)
        ax.imshow(image.reshape(8, 8), cmap=scheme, vmin=limits[0], vmax=limits[1])
        ax.set(xticks=[], yticks=[])
    column[0].set_title(f"{labels[i]} read as {read}", fontsize=9)
    nearest = np.linalg.norm(X[kept][labels[kept] == labels[i]] - X[i], axis=1).min()
    assert nn.predict(model, x[None]).argmax() == labels[i] and steps < 30
    assert np.linalg.norm(x - X[i]) < nearest  # nearer than any digit that it knows
for ax, name in zip(axes[:, 0], ("digit", "what misled it", "changed"), strict=True):
    ax.set_ylabel(name)
plt.show()

# %% [markdown]
# ## A network of 1989
#
# The first back-propagation network that read digits in earnest, from postal codes, shared its
# weights: a hidden unit looks at 5 × 5 pixels only, and all units of a map look for the same thing,
# in different places. So 64,660 connections came down to 9,760 numbers to learn (LeCun et al.,
# "Backpropagation applied to handwritten zip code recognition", 1989).

# %%
first_maps = 12 * 25 + 12 * 64  # 12 maps of 8 × 8 units: a window each, a bias per unit
second_maps = 12 * 8 * 25 + 12 * 16  # 12 maps of 4 × 4 units, each looks at 8 maps
assert first_maps + second_maps + (192 * 30 + 30) + (30 * 10 + 10) == 9760
assert 768 * 26 + 192 * 201 + 5790 + 310 == 64660  # the same without sharing

# %% [markdown]
# On our digits, which are half as wide, the same in half the size. It has a third of the numbers of
# the network above.

# %%
zip_reader = nn.Sequential(
    nn.Conv2d(1, 12, 5, stride=2, padding=2, rng=0), nn.Tanh(),
    nn.Conv2d(12, 12, 3, stride=2, padding=1, rng=1), nn.Tanh(),
    nn.Flatten(), nn.Linear(48, 30, rng=2), nn.Tanh(), nn.Linear(30, 10, rng=3))
images = X.reshape(-1, 1, 8, 8)
nn.fit(zip_reader, images[kept], labels[kept], loss="cross_entropy", epochs=30, seed=0,
       optimizer=nn.optim.Adam(zip_reader.parameters(), lr=3e-3), progress=False)
size = [sum(p.size for p in each.parameters()) for each in (zip_reader, model)]
accuracy = nn.metrics.accuracy(nn.predict(zip_reader, images[held_out]), labels[held_out])
print(f"{size[0]:,} parameters against {size[1]:,}: {accuracy:.1%} of the held-out digits")
ag.to_dot(zip_reader, example=images[:1], collapse=2, values=False, grads=False,
          title="Shared weights")

# %%
assert size[0] == 12 * 25 + 12 + 12 * 12 * 9 + 12 + (48 * 30 + 30) + 310 < 0.4 * size[1]
assert accuracy > 0.93
# Shared weights: an image moved by two pixels moves the first maps by one, away from the border.
wide = np.zeros((1, 1, 8, 16), np.float32)
wide[..., 4:12] = images[0]
maps = [zip_reader[0](np.roll(wide, shift, axis=3)).numpy(force=True) for shift in (0, 2)]
np.testing.assert_allclose(maps[0][..., 1:-2], maps[1][..., 2:-1], atol=1e-5)

# %% [markdown]
# ## The first network drawn
#
# The paper that made back-propagation known begins with a small one (Rumelhart, Hinton and
# Williams, "Learning representations by back-propagating errors", 1986): six inputs, two hidden
# units, and the question whether the inputs are symmetric about their middle. The solution that it
# finds is elegant, and was drawn in the paper. Each hidden unit weighs the two sides with opposite
# signs, so that a symmetric input adds up to nothing, and with sizes of 1 : 2 : 4, so that no other
# does. Both have a negative bias and inhibit the output: it is on when both are silent.

# %%
patterns = np.array(list(product([0.0, 1.0], repeat=6)))
symmetric = (patterns == patterns[:, ::-1]).all(axis=1)
small = lambda shape, rng, dtype: rng.uniform(-0.3, 0.3, shape).astype(dtype)  # noqa: E731


def mirror(seed):
    model = nn.MLP([6, 2, 1], activation="sigmoid", init=small, rng=seed, dtype=np.float64)
    nn.fit(model, patterns, symmetric[:, None].astype(float), loss="bce_with_logits", epochs=3000,
           optimizer=nn.optim.SGD(model.parameters(), lr=0.3, momentum=0.9), batch_size=None,
           seed=0, progress=False)
    return model


found = [mirror(seed) for seed in range(6)]
solved = [each for each in found
          if np.array_equal(nn.predict(each, patterns)[:, 0] > 0, symmetric)]
print(f"solved from {len(solved)} of 6 starts")
nn.draw(solved[0])

# %%
opposite, doubling = [], []
for each in solved:
    W = each[0].weight.numpy(force=True)
    opposite.append(np.abs(W + W[::-1]).max() / np.abs(W).max())
    sizes = np.sort(np.abs(W[:3]), axis=0)
    doubling.append(np.abs(sizes / sizes[0] / [[1], [2], [4]] - 1).max())
fig, ax = plt.subplots(figsize=(5.6, 3))
W = solved[0][0].weight.numpy(force=True)
for unit in range(2):
    ax.bar(np.arange(6) + 0.4 * unit - 0.2, W[:, unit] / np.abs(W[:, unit]).min(), 0.4,
           label=f"hidden unit {unit + 1}")
ax.set(title="Weights in units of the smallest", xlabel="input", ylabel="weight",
       xticks=range(6), xticklabels=range(1, 7), yticks=(-4, -2, -1, 1, 2, 4))
ax.legend()
plt.show()

assert len(solved) >= 4
assert max(opposite) < 0.05
assert sum(np.array(doubling) < 0.1) >= 3
hidden = nn.Sequential(solved[0][0], solved[0][1])
silent = (nn.predict(hidden, patterns) < 0.5).all(axis=1)
assert np.array_equal(silent, symmetric)
