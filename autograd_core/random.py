"""Random draws as nodes of the graph: ``ag.random``.

    rng = np.random.default_rng(0)
    z = ag.random.normal(rng, mean, scale)      # differentiable by mean and scale
    h = h * ag.random.dropout_mask(rng, 0.5, h.shape)

Every function takes an explicit ``numpy.random.Generator`` first and returns a Tensor. What can be
differentiated is *reparameterised*: a parameter-free draw, transformed by the parameters
(Kingma & Welling, "Auto-Encoding Variational Bayes", 2014, section 2.4). The draw is a node, so
``Graph.fprop`` draws afresh and ``bprop`` uses what was drawn; a compiled function draws afresh at
each call, in the same order as the eager one, and so gets the same values from the same state of
the generator. What else draws from the generator in between shifts what comes after, as ever.

Parameters are numbers, arrays or Tensors and broadcast against each other and to ``size``, the
shape of the result. ``dtype`` is by default that of the parameters that are arrays of floating
point, else float64. In single precision the draws themselves are of single precision.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from .errors import ShapeError, caller, describe
from .node import Node
from .op import OPS, Op
from .ops import reductions
from .ops.random import Stream, standard_gamma, standard_normal, standard_uniform
from .ops.shaping import astype
from .tensor import Tensor, leaf, record

__all__ = [
    "bernoulli", "categorical", "dropout_mask", "gamma", "gumbel", "gumbel_softmax", "normal",
    "uniform",
]

Size = Any
_F32, _F64 = _OWN = np.dtype(np.float32), np.dtype(np.float64)
_NO_ATTRS: dict[str, Any] = {}


# Repeating what was drawn. ----------------------------------------------------------------------

#: The blocks of the current thread or task that note which generators are drawn from.
_noting: ContextVar[tuple[Draws, ...]] = ContextVar("autograd_core.draws", default=())
# How many such blocks are open in any thread or task.
_blocks = 0


class Draws:
    """Which generators a computation drew from, and their states before: so it can be repeated.

    What recomputes a value instead of storing it runs it first in ``with draws.noted():`` and then
    in ``with draws.repeated():``, where the same generators give the same once more and go on,
    afterwards, as if that had not been.
    """

    __slots__ = ("states",)

    def __init__(self) -> None:
        self.states: dict[Any, Any] = {}

    def note(self, source: Any) -> None:
        """Before a draw from the bit generator ``source``."""
        if source not in self.states:
            self.states[source] = source.state

    @contextmanager
    def noted(self) -> Iterator[None]:
        global _blocks
        self.states.clear()
        token = _noting.set((*_noting.get(), self))
        _blocks += 1
        try:
            yield
        finally:
            _blocks -= 1
            _noting.reset(token)

    def rewind(self) -> None:
        """Give the generators their states from before back."""
        for source, state in self.states.items():
            source.state = state

    @contextmanager
    def repeated(self) -> Iterator[None]:
        later = {source: source.state for source in self.states}
        self.rewind()
        try:
            yield
        finally:
            for source, state in later.items():
                source.state = state


def note(source: Any) -> None:
    """Tell the open blocks of a draw from the bit generator ``source``."""
    if _blocks:
        for draws in _noting.get():
            draws.note(source)


# Parameters. ------------------------------------------------------------------------------------


def _draw(
    op: Op, rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any],
    *parameters: Any,
) -> Tensor:
    """A node of draws; generators know two precisions, the others are cast from double."""
    if _blocks:
        note(rng.bit_generator)
    own = dtype if dtype in _OWN else _F64
    node = record(op, parameters, {"stream": Stream(rng), "shape": shape, "dtype": own})
    return node if own is dtype else _cast(node, dtype)


def _cast(x: Any, dtype: np.dtype[Any]) -> Any:
    return x if x.dtype == dtype else astype(x, dtype)


def _check(name: str, rng: Any) -> None:
    if not isinstance(rng, np.random.Generator):
        seed = isinstance(rng, (int, np.integer)) and not isinstance(rng, bool)
        raise TypeError(
            f"random.{name}: the first argument is a numpy.random.Generator, got {describe(rng)} "
            f"(at {caller()}); write `rng = np.random.default_rng({rng if seed else 'seed'})` "
            "once, and pass `rng`"
        )


def _is_number(x: Any) -> bool:
    """Whether ``x`` is a number of Python, or stands for one: weakly typed."""
    if isinstance(x, Node):
        x = x._value  # a float of Python in the recording of a compiled function
    return isinstance(x, (int, float)) and not isinstance(x, np.generic)


def _parameter(name: str, x: Any) -> Any:
    """A parameter as an operand: a number of Python, an array or a Tensor."""
    if isinstance(x, Node) or _is_number(x):
        return x
    x = x if hasattr(x, "shape") else np.asarray(x)
    if x.dtype.kind not in "biuf":
        raise TypeError(f"random.{name}: a parameter of dtype {x.dtype} (at {caller()}); "
                        "parameters are real numbers")
    return x


def _kind(name: str, dtype: Any, *parameters: Any) -> np.dtype[Any]:
    """The dtype of the draws."""
    kind: np.dtype[Any]
    if dtype is not None:
        kind = np.dtype(dtype)
    else:
        given = [x.dtype for x in parameters if not _is_number(x) and x.dtype.kind in "fc"]
        kind = np.result_type(*given) if given else _F64
    if kind.kind != "f":
        advice = ("; draw the real and the imaginary part" if kind.kind == "c"
                  else "; round the result, or use ag.random.bernoulli or categorical")
        raise TypeError(f"random.{name}: draws are of floating point, got dtype {kind} "
                        f"(at {caller()}){advice}")
    return kind


def _shape(name: str, size: Size, *parameters: Any) -> tuple[int, ...]:
    """The shape of the result: ``size``, or what the parameters broadcast to."""
    shapes = [tuple(x.shape) for x in parameters if hasattr(x, "shape")]
    if size is None and len(shapes) < 2:
        return shapes[0] if shapes else ()
    wanted = None if size is None else _integers(name, size)
    try:
        shape = np.broadcast_shapes(*shapes) if wanted is None else (
            np.broadcast_shapes(wanted, *shapes))
    except ValueError:
        shape = None
    if shape is None or (wanted is not None and shape != wanted):
        what = "against each other" if wanted is None else f"to size {wanted}"
        raise ShapeError(
            f"random.{name}: parameters of shapes {', '.join(map(str, shapes))} do not broadcast "
            f"{what} (at {caller()})"
        )
    return shape


def _integers(name: str, size: Size) -> tuple[int, ...]:
    shape: tuple[int, ...]
    try:
        shape = (operator.index(size),)
    except TypeError:
        try:
            shape = tuple([operator.index(n) for n in size])
        except TypeError:
            raise TypeError(
                f"random.{name}: size is an integer or a tuple of them, got {size!r} "
                f"(at {caller()})"
            ) from None
    if any(n < 0 for n in shape):
        raise ValueError(f"random.{name}: a negative size in {shape} (at {caller()})")
    return shape


def _in(x: Any, dtype: np.dtype[Any]) -> Any:
    """A parameter in the dtype of the draws."""
    return x if _is_number(x) else _cast(x, dtype)


def _require(name: str, what: str, holds: Any) -> None:
    if not (holds if type(holds) is bool else np.all(holds)):
        raise ValueError(f"random.{name}: {what} (at {caller()})")


# Draws. -----------------------------------------------------------------------------------------


def normal(
    rng: np.random.Generator, loc: Any = 0.0, scale: Any = 1.0, size: Size = None, dtype: Any = None
) -> Tensor:
    """loc + scale · z, where z ~ N(0, 1): the normal distribution, differentiable in both.

    The gradient in ``loc`` is 1, in ``scale`` it is z. Raises ``TypeError`` unless ``rng`` is a
    ``numpy.random.Generator``, ``ValueError`` for a negative ``scale`` (that is no Tensor, which
    is not looked at), :class:`ShapeError` for parameters that do not broadcast to ``size``.

    >>> rng = np.random.default_rng(0)
    >>> mean = ag.tensor([1.0, 2.0], requires_grad=True)
    >>> ag.random.normal(rng, mean, 0.5).sum().backward()
    >>> mean.grad
    array([1., 1.])
    """
    _check("normal", rng)
    loc, scale = _parameter("normal", loc), _parameter("normal", scale)
    if not isinstance(scale, Node):
        _require("normal", "scale is negative", scale >= 0)
    kind = _kind("normal", dtype, loc, scale)
    z: Any = _draw(standard_normal, rng, _shape("normal", size, loc, scale), kind)
    if type(scale) is not float or scale != 1.0:
        z = z * _in(scale, kind)
    if type(loc) is not float or loc != 0.0:
        z = z + _in(loc, kind)
    return z  # type: ignore[no-any-return]


def uniform(
    rng: np.random.Generator, low: Any = 0.0, high: Any = 1.0, size: Size = None, dtype: Any = None
) -> Tensor:
    """low + (high - low) · u, where u ~ U[0, 1): differentiable in both bounds.

    The gradient in ``low`` is 1 - u, in ``high`` it is u. Raises as :func:`normal` does.

    >>> ag.random.uniform(np.random.default_rng(0), -1.0, 1.0, size=(2, 3)).shape
    (2, 3)
    """
    _check("uniform", rng)
    low, high = _parameter("uniform", low), _parameter("uniform", high)
    kind = _kind("uniform", dtype, low, high)
    u: Any = _draw(standard_uniform, rng, _shape("uniform", size, low, high), kind)
    width = high if type(low) is float and low == 0.0 else _in(high, kind) - _in(low, kind)
    if type(width) is not float or width != 1.0:
        u = u * _in(width, kind)
    if type(low) is not float or low != 0.0:
        u = u + _in(low, kind)
    return u  # type: ignore[no-any-return]


def gamma(
    rng: np.random.Generator, shape: Any, scale: Any = 1.0, size: Size = None, dtype: Any = None
) -> Tensor:
    """scale · z, where z has the gamma distribution of this ``shape``: differentiable in both.

    The density is zᵃ⁻¹ e⁻ᶻ / Γ(a). The gradient in the shape a is that of the quantile
    z = P⁻¹(a, p) at the p that was drawn, -(∂P/∂a) / (∂P/∂z), where P is ``ag.special.gammainc``;
    it needs SciPy, and exists to any order. Raises ``ValueError`` for a ``shape`` that is not
    positive or a negative ``scale`` (that is no Tensor; a negative shape also where it is one), and
    as :func:`normal` does. Source: Figurnov, Mohamed & Mnih, "Implicit Reparameterization
    Gradients", 2018, equation 5.

    >>> a = ag.tensor([0.5, 2.0], requires_grad=True)
    >>> z = ag.random.gamma(np.random.default_rng(0), a, size=(1000, 2))
    >>> z.mean(axis=0).sum().backward()                     # the mean is a
    >>> np.round(a.grad, 1)
    array([1., 1.])
    """
    _check("gamma", rng)
    shape, scale = _parameter("gamma", shape), _parameter("gamma", scale)
    if not isinstance(shape, Node):
        _require("gamma", "shape is not positive", shape > 0)
    if not isinstance(scale, Node):
        _require("gamma", "scale is negative", scale >= 0)
    kind = _kind("gamma", dtype, shape, scale)
    own = kind if kind in _OWN else _F64
    # As an input of a node a number is a Tensor: there is no other that could be one.
    alpha = _in(shape, own) if isinstance(shape, Node) else leaf(np.array(shape, own)[()], False)
    z: Any = _draw(standard_gamma, rng, _shape("gamma", size, shape, scale), kind, alpha)
    if type(scale) is not float or scale != 1.0:
        z = z * _in(scale, kind)
    return z  # type: ignore[no-any-return]


def gumbel(rng: np.random.Generator, size: Size = None, dtype: Any = None) -> Tensor:
    """-ln(-ln u), where u ~ U(0, 1): the standard Gumbel distribution; always finite.

    >>> ag.random.gumbel(np.random.default_rng(0), size=3).shape
    (3,)
    """
    _check("gumbel", rng)
    return _gumbel(rng, _shape("gumbel", size), _kind("gumbel", dtype))


def _gumbel(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Tensor:
    # In half precision u would be 1 too often.
    own = dtype if dtype in _OWN else _F64
    u: Any = _draw(standard_uniform, rng, shape, own)
    # Once in 2²⁴ draws of single precision u is 0.
    u = record(OPS["maximum"], (u, float(np.finfo(own).tiny)), _NO_ATTRS)
    return _cast(-(-u.log()).log(), dtype)  # type: ignore[no-any-return]


def categorical(
    rng: np.random.Generator, logits: Any, axis: int = -1, size: Size = None
) -> Tensor:
    """argmax(logits + g) along ``axis``, where g are Gumbel: index i with probability softmaxᵢ.

    The result are integers, of the shape of ``logits`` without ``axis``, or of a ``size`` that this
    broadcasts to. A logit of -inf is never drawn. No gradient flows through: see
    :func:`gumbel_softmax`. Source: Gumbel, "Statistical Theory of Extreme Values", 1954; Maddison,
    Tarlow & Minka, "A* Sampling", 2014.

    >>> logits = np.log([0.5, 0.25, 0.25])
    >>> ag.random.categorical(np.random.default_rng(0), logits, size=4).data
    array([0, 2, 0, 0])
    """
    _check("categorical", rng)
    logits, axis = _logits("categorical", logits, axis)
    if axis != logits.ndim - 1:
        logits = np.moveaxis(logits, axis, -1)
    # One choice per vector of logits: their last axis aside, they are a parameter like others.
    shape = _shape("categorical", size, logits[..., 0])
    noise: Any = _gumbel(rng, (*shape, logits.shape[-1]), _kind("categorical", None, logits))
    return (noise + logits).argmax(axis=-1)  # type: ignore[no-any-return]


def gumbel_softmax(
    rng: np.random.Generator, logits: Any, temperature: Any = 1.0, axis: int = -1
) -> Tensor:
    """softmax((logits + g) / temperature) along ``axis``, where g are Gumbel.

    A relaxation of a one-hot sample of the categorical distribution, differentiable in ``logits``
    and ``temperature``; the lower the temperature, the closer to one-hot. Raises ``ValueError``
    for a temperature that is not positive. Source: Jang, Gu & Poole, "Categorical
    Reparameterization with Gumbel-Softmax", 2017, equation 2.

    >>> y = ag.random.gumbel_softmax(np.random.default_rng(0), np.zeros((2, 3)), 0.5)
    >>> y.sum(axis=-1).data
    array([1., 1.])
    """
    _check("gumbel_softmax", rng)
    logits, axis = _logits("gumbel_softmax", logits, axis)
    temperature = _parameter("gumbel_softmax", temperature)
    if not isinstance(temperature, Node):
        _require("gumbel_softmax", "the temperature is not positive", temperature > 0)
    kind = _kind("gumbel_softmax", None, logits)
    noise: Any = _gumbel(rng, tuple(logits.shape), kind)
    perturbed = noise + logits
    if type(temperature) is not float or temperature != 1.0:
        perturbed = perturbed / _in(temperature, kind)
    return reductions.softmax(perturbed, axis)  # type: ignore[no-any-return]


def _logits(name: str, logits: Any, axis: int) -> tuple[Any, int]:
    logits = _parameter(name, logits)
    if np.ndim(logits) == 0:
        raise ShapeError(f"random.{name}: logits need an axis, got {describe(logits)} "
                         f"(at {caller()})")
    if not -logits.ndim <= axis < logits.ndim:
        raise np.exceptions.AxisError(
            f"random.{name}: axis {axis} of logits of shape {tuple(logits.shape)} (at {caller()})"
        )
    if logits.shape[axis] == 0:
        raise ShapeError(f"random.{name}: nothing to choose from along axis {axis} of logits of "
                         f"shape {tuple(logits.shape)} (at {caller()})")
    return logits, axis % logits.ndim


def bernoulli(
    rng: np.random.Generator, p: Any, size: Size = None, dtype: Any = None
) -> Tensor:
    """1 with probability ``p``, else 0; of any ``dtype``, booleans and integers too.

    No gradient flows to ``p``. Raises ``ValueError`` for a ``p`` (that is no Tensor) outside of
    [0, 1], and as :func:`normal` does.

    >>> ag.random.bernoulli(np.random.default_rng(0), 0.5, size=4).data
    array([0., 1., 1., 1.])
    """
    _check("bernoulli", rng)
    p = _parameter("bernoulli", p)
    if not isinstance(p, Node):
        _require("bernoulli", "p is not between 0 and 1", (p >= 0) & (p <= 1))
    kind = _kind("bernoulli", None, p)
    u: Any = _draw(standard_uniform, rng, _shape("bernoulli", size, p), kind)
    return _cast(u < p, kind if dtype is None else np.dtype(dtype))  # type: ignore[no-any-return]


def dropout_mask(
    rng: np.random.Generator, rate: float, size: Size, dtype: Any = np.float32
) -> Tensor:
    """0 with probability ``rate``, else 1 / (1 - rate): what dropout multiplies with; its mean is
    1.

    ``rate`` is a number in [0, 1], for which ``ValueError`` is raised otherwise; at 1 all is 0.
    Source: Srivastava et al., "Dropout", 2014, section 10, the scaling at training time.

    >>> ag.random.dropout_mask(np.random.default_rng(0), 0.5, 4).data
    array([2., 2., 2., 0.], dtype=float32)
    """
    _check("dropout_mask", rng)
    if isinstance(rate, Node) or np.ndim(rate) != 0:
        raise TypeError(
            f"random.dropout_mask: the rate is a number, got {describe(rate)} (at {caller()}); in "
            "a compiled function name it in static_argnames"
        )
    rate = float(rate)
    _require("dropout_mask", f"the rate {rate} is not between 0 and 1", 0 <= rate <= 1)
    kind = _kind("dropout_mask", dtype)
    # 24 random bits are enough to decide by, whatever the precision of the result.
    u: Any = _draw(standard_uniform, rng, _shape("dropout_mask", size), _F32)
    mask = _cast(u >= rate, kind)
    return mask * (1 / (1 - rate)) if rate < 1 else mask  # type: ignore[no-any-return]
