"""Writes docs/hard-points.md: gradients where formulas break, ours and those of PyTorch and JAX.

    python -m docs.hard_points

One table: the tests check our column against what is written here, and what is written against the
page. The peers' columns are measured where they are installed, and say with which version.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import autograd_core as ag
import nn

PAGE = Path(__file__).parent / "hard-points.md"
inf, nan = math.inf, math.nan


class Point(NamedTuple):
    """A function at a point; ``value``: the derivative by its first argument, as we have it.

    ``f(xp, x)`` in NumPy's names, for us and for JAX; ``torch(torch, x)``. Of second order, it is
    the gradient of the sum of the gradient.
    """

    expression: str
    at: Any
    value: Any
    f: Callable[..., Any]
    torch: Callable[..., Any]
    order: int = 1
    jax: Callable[..., Any] | None = None
    note: str = ""


def _ours(name: str) -> Any:
    return getattr(ag, name)


_W = np.array([1.0, 10.0, 100.0, 1000.0])
_PROD = (lambda xp, x: xp.prod(x), lambda t, x: t.prod(x))

POINTS: tuple[Point, ...] = (
    Point("norm(x)", [0.0, 0.0], [0.0, 0.0],
          lambda xp, x: xp.linalg.norm(x), lambda t, x: t.linalg.norm(x),
          note="the subgradient of least norm"),
    Point("std(x)", [2.0, 2.0, 2.0], [0.0, 0.0, 0.0],
          lambda xp, x: xp.std(x), lambda t, x: t.std(x, correction=0), note="as for the norm"),
    Point("hypot(x, 0)", 0.0, 0.0,
          lambda xp, x: xp.hypot(x, 0.0), lambda t, x: t.hypot(x, t.zeros_like(x)),
          note="as for the norm"),
    Point("arctan2(x, 0)", 0.0, 0.0,
          lambda xp, x: xp.arctan2(x, 0.0), lambda t, x: t.arctan2(x, t.zeros_like(x)),
          note="by convention"),
    Point("sinc(x), second derivative", 0.0, -math.pi**2 / 3,
          lambda xp, x: xp.sinc(x), lambda t, x: t.sinc(x), 2, note="the limit"),
    Point("x ** 0.0", 0.0, 0.0, lambda xp, x: x**0.0, lambda t, x: x**0.0, note="constant 1"),
    Point("x ** 2, second derivative", 0.0, 2.0, lambda xp, x: x**2, lambda t, x: x**2, 2),
    Point("0 ** x", 2.0, 0.0, lambda xp, x: 0.0**x, lambda t, x: 0.0**x, note="constant 0"),
    Point("0 ** x", 0.0, 0.0, lambda xp, x: 0.0**x, lambda t, x: 0.0**x,
          note="that of what is right of it"),
    Point("prod(x)", [0.0, 2.0, 3.0], [6.0, 0.0, 0.0], *_PROD),
    Point("prod(x)", [0.0, 0.0, 3.0], [0.0, 0.0, 0.0], *_PROD),
    Point("prod(x), second derivative", [0.0, 2.0, 3.0], [5.0, 3.0, 2.0], *_PROD, 2),
    Point("prod(x), second derivative", [0.0, 0.0, 3.0], [3.0, 3.0, 0.0], *_PROD, 2),
    Point("det(x)", [[1.0, 2.0], [2.0, 4.0]], [[4.0, -2.0], [-2.0, 1.0]],
          lambda xp, x: xp.linalg.det(x), lambda t, x: t.linalg.det(x), note="the cofactors"),
    Point("slogdet(x)[1]", [[1.0, 2.0], [2.0, 4.0 + 2.0**-20]],
          [[1 + 4 * 2.0**20, -2.0 * 2.0**20], [-2.0 * 2.0**20, 2.0**20]],
          lambda xp, x: xp.linalg.slogdet(x)[1], lambda t, x: t.linalg.slogdet(x)[1],
          note="near singularity"),
    Point("logaddexp(x, 0)", inf, 1.0,
          lambda xp, x: xp.logaddexp(x, 0.0), lambda t, x: t.logaddexp(x, t.zeros_like(x)),
          note="the larger takes all"),
    Point("logaddexp(inf, x)", 0.0, 0.0, lambda xp, x: xp.logaddexp(inf, x),
          lambda t, x: t.logaddexp(t.full_like(x, inf), x)),
    Point("max(x, 0) + min(x, 0)", 0.0, 1.0,
          lambda xp, x: xp.maximum(x, 0.0) + xp.minimum(x, 0.0),
          lambda t, x: t.maximum(x, t.zeros_like(x)) + t.minimum(x, t.zeros_like(x)),
          note="it is x"),
    Point("abs(x)", 0.0, 0.0, lambda xp, x: xp.abs(x), lambda t, x: t.abs(x)),
    Point("relu(x)", 0.0, 0.0, lambda xp, x: _ours("relu")(x), lambda t, x: t.relu(x),
          jax=lambda jax, x: jax.nn.relu(x)),
    Point("leaky_relu(x, 0.01)", 0.0, 0.01,
          lambda xp, x: nn.activations.leaky_relu(x, 0.01),
          lambda t, x: t.nn.functional.leaky_relu(x, 0.01),
          jax=lambda jax, x: jax.nn.leaky_relu(x, 0.01), note="the slope"),
    Point("clip(x, 0, 1)", 1.0, 0.5, lambda xp, x: xp.clip(x, 0.0, 1.0),
          lambda t, x: t.clip(x, 0.0, 1.0), note="a tie, shared"),
    Point("logsumexp(x)", [-inf, 0.0], [0.0, 1.0], lambda xp, x: _ours("logsumexp")(x),
          lambda t, x: t.logsumexp(x, 0), jax=lambda jax, x: jax.nn.logsumexp(x)),
    Point("logsumexp(x)", [-inf, -inf], [0.0, 0.0], lambda xp, x: _ours("logsumexp")(x),
          lambda t, x: t.logsumexp(x, 0), jax=lambda jax, x: jax.nn.logsumexp(x)),
    Point("xlogy(0, x)", 0.0, 0.0, lambda xp, x: ag.special.xlogy(0.0, x),
          lambda t, x: t.special.xlogy(t.zeros_like(x), x),
          jax=lambda jax, x: jax.scipy.special.xlogy(0.0, x), note="constant 0"),
    Point("xlogy(x, 0)", 0.0, -inf, lambda xp, x: ag.special.xlogy(x, 0.0),
          lambda t, x: t.special.xlogy(x, t.zeros_like(x)),
          jax=lambda jax, x: jax.scipy.special.xlogy(x, 0.0), note="log 0"),
    Point("softmax(x)[0]", [1e4, 1e4, 0.0], [0.25, -0.25, 0.0],
          lambda xp, x: _ours("softmax")(x)[0], lambda t, x: t.softmax(x, 0)[0],
          jax=lambda jax, x: jax.nn.softmax(x)[0]),
    Point("sigmoid(x)", [-1000.0, 1000.0], [0.0, 0.0], lambda xp, x: _ours("sigmoid")(x),
          lambda t, x: t.sigmoid(x), jax=lambda jax, x: jax.nn.sigmoid(x)),
    Point("softplus(x)", [-1000.0, 1000.0], [0.0, 1.0], lambda xp, x: _ours("softplus")(x),
          lambda t, x: t.nn.functional.softplus(x), jax=lambda jax, x: jax.nn.softplus(x)),
    Point("log1p(x)", 1e-20, 1.0, lambda xp, x: xp.log1p(x), lambda t, x: t.log1p(x)),
    Point("expm1(x)", 1e-20, 1.0, lambda xp, x: xp.expm1(x), lambda t, x: t.expm1(x)),
    Point("median(x)", [4.0, 1.0, 2.0, 8.0], [0.5, 0.0, 0.5, 0.0],
          lambda xp, x: xp.median(x), lambda t, x: t.median(x),
          note="the mean of the middle two; PyTorch's median is the lower one"),
    Point("sum(w * sort(x)), w = 1, 10, 100, 1000", [2.0, 1.0, 2.0, 1.0],
          [100.0, 1.0, 1000.0, 10.0], lambda xp, x: (_W * xp.sort(x)).sum(),
          lambda t, x: (t.from_numpy(_W) * t.sort(x, stable=True).values).sum(),
          note="equal elements keep their order"),
    Point("max(x)", [2.0, 2.0, 1.0], [0.5, 0.5, 0.0], lambda xp, x: xp.max(x),
          lambda t, x: t.amax(x), note="ties share"),
    Point("maximum(x, 2)", 2.0, 0.5, lambda xp, x: xp.maximum(x, 2.0),
          lambda t, x: t.maximum(x, t.full_like(x, 2.0)), note="ties share"),
    Point("sqrt(x) ** 2", 0.0, nan, lambda xp, x: xp.sqrt(x) ** 2, lambda t, x: t.sqrt(x) ** 2,
          note="0 times infinity stays undefined"),
    Point("where(x > 0, sqrt(x), 0)", 0.0, nan,
          lambda xp, x: xp.where(x > 0, xp.sqrt(x), 0.0),
          lambda t, x: t.where(x > 0, t.sqrt(x), 0.0), note="the trap: see below"),
    Point("piecewise(x, [x > 0], [sqrt, 0])", 0.0, 0.0,
          lambda xp, x: np.piecewise(x, [x > 0], [np.sqrt, 0.0]),
          lambda t, x: None, jax=lambda jax, x: None,
          note="the answer to it, which neither peer has"),
)


def ours(point: Point) -> Any:
    """Our derivative at a point."""
    def total(x: Any) -> Any:
        return np.sum(point.f(np, x))

    f = total
    for _ in range(point.order - 1):
        f = _summed(ag.grad(f))
    with np.errstate(all="ignore"):
        return ag.grad(f)(np.array(point.at)[()])


def _summed(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x: np.sum(f(x))


def torchs(torch: Any, point: Point) -> Any:
    """PyTorch's, or None where it has no such function."""
    x = torch.tensor(point.at, dtype=torch.float64, requires_grad=True)
    y = point.torch(torch, x)
    if y is None:
        return None
    for order in range(point.order):
        (y,) = torch.autograd.grad(y.sum(), x, create_graph=order < point.order - 1)
    return y.numpy()


def jaxs(jax: Any, point: Point) -> Any:
    """JAX's, or None where it has no such function."""
    def total(x: Any) -> Any:
        y = point.f(jax.numpy, x) if point.jax is None else point.jax(jax, x)
        return None if y is None else jax.numpy.sum(y)

    x = jax.numpy.asarray(point.at, dtype="float64")
    if point.jax is not None and point.jax(jax, x) is None:
        return None
    f = total
    for _ in range(point.order - 1):
        g = jax.grad(f)
        f = lambda x, g=g: jax.numpy.sum(g(x))  # noqa: E731
    return np.asarray(jax.grad(f)(x))


def shown(value: Any) -> str:
    """A derivative as the page has it."""
    if value is None:
        return "-"
    text = np.array2string(np.asarray(value) + 0.0, precision=6, separator=", ")
    return " ".join(text.replace(".,", ",").replace(".]", "]").split()).rstrip(".")


def row(point: Point, *peers: str) -> str:
    cells = [f"`{point.expression}`", f"`{point.at}`", shown(point.value), *peers, point.note]
    return "| " + " | ".join(cells) + " |"


def heading(torch: str, jax: str) -> str:
    return f"| expression | at | autograd-core {ag.__version__} | PyTorch {torch} | JAX {jax} | |"


TRAP = """
## The trap of `where`

`np.where(x > 0, np.sqrt(x), 0)` computes both branches everywhere. At `x = 0` the gradient of
the branch that is not taken is `0 * inf`, and rules keep IEEE arithmetic: the result is `nan`, here
as in PyTorch and JAX. Turning it into 0 would make `sqrt(x) ** 2` wrong without a word.
`np.piecewise` with functions evaluates, and differentiates, each on its own elements only:

```python
import numpy as np
import autograd_core as ag

x = np.array([0.0, 4.0])
with np.errstate(divide="ignore", invalid="ignore"):
    assert np.isnan(ag.grad(lambda x: np.sum(np.where(x > 0, np.sqrt(x), 0)))(x)[0])
gradient = ag.grad(lambda x: np.sum(np.piecewise(x, [x > 0], [np.sqrt, 0.0])))(x)
assert gradient.tolist() == [0.0, 0.25]
```

`with ag.debug_nans():` stops at the operation that made the first of them.
"""


def page(torch: Any, jax: Any) -> str:
    """The whole page, the peers' columns measured."""
    lines = [
        "# The hard points",
        "",
        "Gradients where formulas break. Where mathematics determines the value, that is it; where",
        "it does not, the convention stands beside. Derivatives are by `x`; those called second",
        "are the gradient of the sum of the gradient. Made by `make hard-points`; do not edit.",
        "",
        heading(torch.__version__, jax.__version__),
        "| --- | --- | --- | --- | --- | --- |",
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lines += [row(p, shown(torchs(torch, p)), shown(jaxs(jax, p))) for p in POINTS]
    return "\n".join(lines) + "\n" + TRAP


def measured() -> str:
    """The page, with the peers that are installed here."""
    import jax
    import torch

    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_enable_x64", True)
    return page(torch, jax)


if __name__ == "__main__":
    PAGE.write_text(measured(), encoding="utf-8")
