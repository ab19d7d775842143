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
# # The computation graph
#
# One expression, differentiated three ways that must agree: by symbols, by a program written out by
# hand, and by the engine; why the graph stays small where the formula explodes; and the chain rule
# over many paths, summed one path at a time and all at once.

# %%
import matplotlib.pyplot as plt
import numpy as np
import sympy

import autograd_core as ag

plt.rcParams.update({"figure.dpi": 80, "figure.constrained_layout.use": True})

# %% [markdown]
# ## An expression
#
# $f = \exp(e^x + (e^x)^2) + \sin(e^x + (e^x)^2)$, in plain NumPy:


# %%
def f(x):
    a = np.exp(x)
    c = a + a**2
    return np.exp(c) + np.sin(c)


x0 = 0.5
print(f(x0), ag.grad(f)(x0), ag.grad(ag.grad(f))(x0))

# %% [markdown]
# ## By symbols
#
# $f' = \exp(e^x + e^{2x})(e^x + 2e^{2x}) + \cos(e^x + e^{2x})(e^x + 2e^{2x})$.

# %%
s = sympy.Symbol("x")
a = sympy.exp(s)
formula = sympy.exp(a + a**2) + sympy.sin(a + a**2)
written = (sympy.exp(a + a**2) + sympy.cos(a + a**2)) * (a + 2 * a**2)
assert sympy.simplify(sympy.diff(formula, s) - written) == 0
derivative = ag.grad(f)
for order in (1, 2, 3):
    exact = float(sympy.diff(formula, s, order).subs(s, sympy.Rational(1, 2)).evalf(30))
    np.testing.assert_allclose(derivative(x0), exact, rtol=1e-13)
    derivative = ag.grad(derivative)

# %% [markdown]
# ## By a program, and its derivatives written down mechanically
#
# One intermediate variable a line, then the same lines backwards: each derivative is a sum over the
# lines that use the variable.


# %%
def by_hand(x):
    a = np.exp(x)
    b = a**2
    c = a + b
    d = np.exp(c)
    e = np.sin(c)
    f = d + e
    df = {"d": 1.0, "e": 1.0}
    df["c"] = df["d"] * np.exp(c) + df["e"] * np.cos(c)
    df["b"] = df["c"]
    df["a"] = df["c"] + df["b"] * 2 * a
    df["x"] = df["a"] * np.exp(x)
    return f, df


value, expected = by_hand(x0)

# %% [markdown]
# ## By the engine
#
# The graph is that program. `fprop` computes its lines in order, `bprop` its derivatives in
# reverse; here are both, on the drawing.

# %%
x = ag.tensor(x0, requires_grad=True, label="x")
names = {}
names["a"] = np.exp(x)
names["b"] = names["a"] ** 2
names["c"] = names["a"] + names["b"]
names["d"] = np.exp(names["c"])
names["e"] = np.sin(names["c"])
names["f"] = names["d"] + names["e"]
for name, node in names.items():
    node.label = name
graph = ag.Graph(names["f"])
graph.bprop()
print(graph)
graph

# %%
assert names["f"].item() == value
for name, slope in expected.items():
    node = x if name == "x" else names[name]
    np.testing.assert_allclose(node.grad, slope, rtol=1e-14)

# %% [markdown]
# Step by step. Forwards, every value follows from values before it; backwards, a derivative is
# complete when all lines that use the variable have been visited.

# %%
order = graph.nodes
place = {node: i for i, node in enumerate(order)}
users = {node: [other for other in order if any(t is node for t in other.inputs)] for node in order}
print("forwards: ", " ".join(node.label for node in order))
print("backwards:", " ".join(node.label for node in reversed(order)))
for node in order:
    assert all(place[t] < place[node] for t in node.inputs if isinstance(t, ag.Tensor))
    assert all(place[user] > place[node] for user in users[node])

# Other inputs, the same graph.
for new in (-1.0, 0.0, 0.7):
    np.testing.assert_allclose(graph.fprop({x: new}), by_hand(new)[0], rtol=1e-14)
    graph.bprop()
    np.testing.assert_allclose(x.grad, by_hand(new)[1]["x"], rtol=1e-13)

# %% [markdown]
# ## The formula explodes, the graph does not
#
# Nest $g(x) = \sin(x)\, e^{-x}$ in itself. Written out, the derivative repeats every inner formula;
# the graph computes each once.


# %%
def nested(x, depth, sin, exp):
    for _ in range(depth):
        x = sin(x) * exp(-x)
    return x


depths = range(1, 9)
symbolic, graphs = [], []
for depth in depths:
    expression = sympy.diff(nested(s, depth, sympy.sin, sympy.exp), s)
    symbolic.append(sum(1 for _ in sympy.preorder_traversal(expression)))
    leaf = ag.tensor(0.3, requires_grad=True)
    y = nested(leaf, depth, np.sin, np.exp)
    y.backward(create_graph=True)
    graphs.append(len(ag.Graph([y, leaf.grad])))
    np.testing.assert_allclose(
        leaf.grad.item(), float(expression.subs(s, 0.3).evalf(20)), rtol=1e-10)

fig, ax = plt.subplots(figsize=(5.2, 3))
ax.semilogy(depths, symbolic, "o-", label="terms of the formula")
ax.semilogy(depths, graphs, "s-", label="nodes, forwards and backwards")
ax.set(title="Size of a derivative", xlabel="depth of nesting", ylabel="size")
ax.legend()
plt.show()

steps = np.diff(graphs)
assert steps.min() == steps.max()  # so many nodes more for each level
assert symbolic[-1] / symbolic[-2] > 1.8  # nearly twice as many terms for each level

# %% [markdown]
# ## Many paths
#
# $\partial z / \partial x = \sum_i \partial z / \partial y_i \cdot \partial y_i / \partial x$ holds
# at every node, so the derivative is a sum over all paths of products of the slopes along each. A
# ladder of $n$ rungs, where $y_{k+1} = \sin(y_k) + y_k / 2$, has $2^n$ of them. Summing path by
# path takes twice as long with each rung; `bprop` visits each node once.


# %%
def ladder(n):
    x = ag.tensor(0.9, requires_grad=True, label="x")
    y = x
    for _ in range(n):
        y = np.sin(y) + y * 0.5
    return x, y


def local_slopes(node):
    """(input, ∂node/∂input) for each use of an input, from the functions' own derivatives."""
    slopes = {
        "sin": lambda u: [np.cos(u)],
        "multiply": lambda u, v: [v, u],
        "add": lambda u, v: [1.0, 1.0],
    }
    values = [t.item() if isinstance(t, ag.Tensor) else t for t in node.inputs]
    return [(t, slope) for t, slope in zip(node.inputs, slopes[node.op.name](*values), strict=True)
            if isinstance(t, ag.Tensor)]


def sum_over_paths(node, x):
    """The sum of products of slopes over all paths from x to node, and how many there are."""
    if node is x:
        return 1.0, 1
    total, paths = 0.0, 0
    for t, slope in local_slopes(node):
        rest, number = sum_over_paths(t, x)
        total += slope * rest
        paths += number
    return total, paths


counts, sizes = [], []
for n in range(1, 11):
    x, y = ladder(n)
    total, paths = sum_over_paths(y, x)
    y.backward()
    np.testing.assert_allclose(x.grad, total, rtol=1e-12)
    assert paths == 2**n
    counts.append(paths)
    sizes.append(len(ag.Graph(y)))

fig, ax = plt.subplots(figsize=(5.2, 3))
ax.semilogy(range(1, 11), counts, "o-", label="paths")
ax.semilogy(range(1, 11), sizes, "s-", label="nodes, each visited once")
ax.set(title="Paths from x to y", xlabel="rungs of the ladder", ylabel="how many")
ax.legend()
plt.show()
assert np.ptp(np.diff(sizes)) == 0

# %%
x, y = ladder(2)
graph = ag.Graph(y)
graph.bprop()
graph

# %% [markdown]
# With a thousand rungs there are more paths ($10^{301}$) than a double can count, and the
# derivative takes milliseconds.

# %%
x, y = ladder(1000)
y.backward()
u, product = 0.9, 1.0
for _ in range(1000):
    product *= np.cos(u) + 0.5
    u = np.sin(u) + u * 0.5
np.testing.assert_allclose(x.grad, product, rtol=1e-10)
