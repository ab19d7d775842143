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
# # From an expression to a picture in five minutes
#
# What the library is for, each use in a few lines that run as they stand: write an expression in
# plain NumPy, look at its graph, have it differentiated, hand its gradient to an optimiser, train a
# small network and look into it, and compile what has to be fast.

# %%
import math
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Image
from scipy.optimize import minimize

import autograd_core as ag
import nn

plt.rcParams.update({"figure.dpi": 80, "figure.constrained_layout.use": True})

# %% [markdown]
# ## Minute one: an expression and its graph
#
# An expression is a function in plain NumPy. Called with a number it gives a number; called with a
# Tensor, the library's variable, it gives a Tensor that remembers how it came about. That memory is
# a graph: `fprop` computes its values from front to back, `bprop` its derivatives from back to
# front, and printing it shows the program that it is.


# %%
def f(x):
    c = np.exp(x) + np.exp(x) ** 2
    return np.exp(c) + np.sin(c)


x = ag.tensor(0.5, requires_grad=True, label="x")
y = f(x)
y.label = "f"
graph = ag.Graph(y)
graph.bprop()
print(graph)
print(f"f(0.5) = {y.item():.6f}, f'(0.5) = {x.grad:.6f}")
assert y.item() == f(0.5)

# %% [markdown]
# ## Minute two: its picture
#
# At the end of a cell a graph draws itself. A box holds a value, and below it the derivative of the
# result by it. An arrow holds the derivative of one step (∂), and what it sends back (←): that
# times the derivative at its head. What the arrows that leave a box send back adds up to its
# derivative; that is the chain rule.

# %%
graph

# %% [markdown]
# Into files it is drawn by `ag.render`: by the suffix an image, a text for screen readers, a
# diagram for Markdown files, or a page on which both passes can be stepped through in a browser,
# offline.

# %%
with tempfile.TemporaryDirectory() as folder:
    files = [ag.render(graph, Path(folder) / f"f.{suffix}", title="f and its derivatives at 0.5")
             for suffix in ("svg", "png", "pdf", "html", "txt", "mmd", "dot")]
    contents = {path.suffix: path.read_bytes() for path in files}
shown = Image(contents[".png"])
print({suffix: len(content) for suffix, content in contents.items()})
shown

# %%
assert min(map(len, contents.values())) > 200
assert contents[".png"].startswith(b"\x89PNG") and contents[".pdf"].startswith(b"%PDF")
assert contents[".html"].lower().startswith(b"<!doctype html")
assert b"digraph" in contents[".dot"] and b"flowchart" in contents[".mmd"]

# %% [markdown]
# What the picture says can be computed on: nodes are data. Here the sum over the arrows is done
# once more, by reading the graph; and with another input the same graph is computed again.

# %%
exps = [node for node in graph.nodes if node.op and node.op.name == "exp" and node.inputs[0] is x]
assert len(exps) == 2  # the expression says exp(x) twice
through_each = [node.grad * node.item() for node in exps]  # the slope of exp is exp
np.testing.assert_allclose(sum(through_each), x.grad, rtol=1e-15)
print(f"df/dx = {through_each[0]:.3f} + {through_each[1]:.3f}")

assert graph.fprop({x: -1.0}) == f(-1.0)
graph.bprop()
np.testing.assert_allclose(x.grad, ag.grad(f)(-1.0), rtol=1e-15)

# %% [markdown]
# ## Minute three: derivatives of functions
#
# Who needs no graph needs no Tensor either: `ag.grad` makes of a function its derivative, and of
# that the next one. `ag.check_grads` compares with finite differences, and raises where they
# differ.

# %%
points = np.linspace(-3, 0.2, 200)
curves = {"f": f(points)}
derivative = f
for name in ("f′", "f″", "f‴"):
    derivative = ag.elementwise_grad(derivative)
    curves[name] = derivative(points)
fig, ax = plt.subplots(figsize=(5.6, 3))
for name, values in curves.items():
    ax.semilogy(points, values, label=name)
ax.set(title="A function and its derivatives", xlabel="x", ylabel="value")
ax.legend()
plt.show()

a = math.exp(0.2)
c, dc = a + a * a, a + 2 * a * a
np.testing.assert_allclose(curves["f′"][-1], (math.exp(c) + math.cos(c)) * dc, rtol=1e-13)
for name, higher in (("f", "f′"), ("f′", "f″"), ("f″", "f‴")):
    rise = np.gradient(curves[name], points, edge_order=2)
    np.testing.assert_allclose(rise, curves[higher], rtol=0.01)
assert ag.check_grads(f, points[::20], order=2)

# %% [markdown]
# Of several variables it gives the gradient, which other libraries take as they take any function.
# SciPy's minimiser finds the end of Rosenbrock's curved valley, and asks for the function far less
# often than it does without a gradient.


# %%
def valley(v):
    return (1 - v[0]) ** 2 + 100 * (v[1] - v[0] ** 2) ** 2


start = np.array([-1.2, 1.0])
path = [start]
found = minimize(ag.value_and_grad(valley), start, jac=True, method="BFGS", callback=path.append)
without = minimize(valley, start, method="BFGS")

axis = np.linspace(-1.6, 1.6, 200), np.linspace(-0.6, 1.8, 200)
grid = np.stack(np.meshgrid(*axis))
fig, ax = plt.subplots(figsize=(5.2, 3.4))
ax.contour(*axis, valley(grid), levels=np.geomspace(0.1, 1000, 12), cmap="viridis", linewidths=0.8)
ax.plot(*np.transpose(path), "o-", color="black", markersize=3, linewidth=1)
ax.plot(1, 1, "*", color="#e8a317", markeredgecolor="black", markersize=15)
ax.set(title="Down the valley, by its gradient", xlabel="$v_1$", ylabel="$v_2$")
plt.show()

print(f"function calls: {found.nfev} with the gradient, {without.nfev} without")
np.testing.assert_allclose(found.x, [1, 1], atol=1e-5)
assert without.nfev > 2 * found.nfev
hessian = ag.hessian(valley)(found.x)
np.testing.assert_allclose(hessian, [[802, -400], [-400, 200]], rtol=1e-3)
assert np.linalg.eigvalsh(hessian).min() > 0  # a minimum

# %% [markdown]
# ## Minute four: a network
#
# A network is such an expression, its weights the variables. Two half moons cannot be told apart by
# a line; eight hidden units bend one around them.

# %%
rng = np.random.default_rng(0)
labels = np.arange(300) % 2
angle = rng.uniform(0, np.pi, 300)
X = np.stack([np.cos(angle), np.sin(angle)], axis=1)
X[labels == 1] = [1.0, 0.4] - X[labels == 1]
X += 0.12 * rng.standard_normal(X.shape)

model = nn.MLP([2, 8, 1], activation="tanh", rng=0)
history = nn.fit(
    model, X, labels[:, None], loss="bce_with_logits", epochs=150, seed=0, progress=False,
    optimizer=nn.optim.Adam(model.parameters(), lr=0.02), metrics="accuracy")
fig, axes = plt.subplots(1, 2, figsize=(9, 3.2))
nn.plots.decision_surface(model, X, labels, resolution=64, ax=axes[0])
axes[0].set_title("Two half moons")
nn.plots.learning_curves(history, ax=axes[1])
plt.show()
print(repr(history))

line = nn.MLP([2, 1], rng=0)
nn.fit(line, X, labels[:, None], loss="bce_with_logits", epochs=150, seed=0, progress=False,
       optimizer=nn.optim.Adam(line.parameters(), lr=0.02))
assert history["accuracy"][-1] > 0.98
assert nn.metrics.accuracy(nn.predict(line, X), labels) < 0.93

# %% [markdown]
# Unit by unit, as lectures draw it: solid orange weights are positive, dashed blue ones negative,
# and the thicker the larger.

# %%
nn.draw(model)

# %% [markdown]
# And `nn.diagnose` says in words whether gradients arrive everywhere.

# %%
report = nn.diagnose(model, X, labels[:, None], loss="bce_with_logits")
print(report)
assert len(report.layers) == 2 and "vanishing" not in report.problems

# %% [markdown]
# ## Minute five: fast, and safe
#
# `ag.compile` records a function at its first call and replays it from then on as a straight list
# of NumPy calls, here with $e^x$ computed once instead of twice. `nn.fit` has done so all along.

# %%
fast = ag.compile(ag.grad(f))
assert fast(0.5) == ag.grad(f)(0.5) and fast(-1.0) == ag.grad(f)(-1.0)
((recorded, run),) = fast.programs
print(fast.explain())
count = lambda program: [step.op.name for step in program.instructions].count("exp")  # noqa: E731
assert (count(recorded), count(run)) == (3, 2) and len(run) < len(recorded)

# %% [markdown]
# What NumPy cannot pass on to a Tensor would lose its gradient; it is refused, and the message says
# what to write instead. So are shapes that do not fit, with the place where it happened.

# %%
t = ag.tensor(2.0, requires_grad=True)
messages = []
for mistake in (lambda: np.array([t, t * t]), lambda: math.exp(t),
                lambda: np.ones((2, 3)) @ (t * np.ones((2, 3)))):
    try:
        mistake()
    except (ag.ConversionError, ag.ShapeError) as refused:
        messages.append(str(refused))
        print("-", refused, end="\n\n")
assert len(messages) == 3
assert "ag.array" in messages[0] and "(2, 3) @ (2, 3)" in messages[2]
assert ag.grad(lambda t: ag.array([t, t * t]).sum())(2.0) == 5.0

# %% [markdown]
# And without writing any Python, from a shell:

# %%
command = 'python -m autograd_core "exp(exp(x) + exp(x)**2)" x=0.5 --grad'
arguments = [sys.executable, *shlex.split(command)[1:]]
answer = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout
print(f"$ {command}\n{answer}")
by_hand = math.exp(math.exp(0.5) + math.e) * (math.exp(0.5) + 2 * math.e)
assert np.isclose(float(answer.split()[-1]), by_hand, rtol=1e-9)

# %% [markdown]
# From here: [one neuron](01_one_neuron.ipynb), what it computes and how it learns;
# [the computation graph](02_computation_graph.ipynb), with many paths;
# [back-propagation](03_backpropagation.ipynb) by hand and by machine; and the
# [index of all lectures](README.md).
