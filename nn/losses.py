"""Losses: how far a batch of predictions is from its targets, as one number to minimise.

Each is the negative log-likelihood of an output unit, or a bound on the number of mistakes, in the
form that does not overflow.

===============================  =================================================================
output unit                      loss
===============================  =================================================================
linear, Gaussian                 ``mse``; ``mae`` for a Laplace distribution; ``huber`` between
linear, for a quantile           ``pinball``; ``mae`` for the median
linear and log-variance          ``gaussian_nll``
log-rate, Poisson                ``poisson_nll``
sigmoid, Bernoulli               ``bce_with_logits`` on what enters the sigmoid, or ``bce``
softmax, categorical             ``cross_entropy`` on what enters the softmax, or ``nll``
``nn.MixtureDensity``            ``mdn_nll``
score with a sign                ``hinge``, ``perceptron``
===============================  =================================================================

Shapes must match exactly: a prediction of shape (64, 1) against a target of shape (64,) would
broadcast to (64, 64) and train on nonsense. Targets are cast to the dtype of the prediction.
Labels, probabilities and weights that are out of range raise before anything is changed, in
compiled functions at every call.

Options that they share. ``reduction``: "mean", "sum" or "none". ``sample_weight``: numbers that
are not negative, of shape (batch,) or that of the losses; the mean is then Σ w l / Σ w, so that a
sample of weight 2 counts as two. ``class_weight`` likewise, per class. An empty batch has no mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import autograd_core as ag

from .lookup import by_name
from .mixture import parameters_of

__all__ = [
    "bce", "bce_with_logits", "check_labels", "cross_entropy", "gaussian_nll", "get", "hinge",
    "huber", "kl_div", "mae", "mdn_nll", "mse", "nll", "perceptron", "pinball", "poisson_nll",
]

#: ln 2π
_LN_2PI = math.log(2 * math.pi)
#: What stands for ln 0: e⁻¹⁰⁰ is less than any probability that means something.
_LN_0 = -100.0


# Shapes, and what the losses share. -------------------------------------------------------------


def _same_shape(name: str, prediction: Any, target: Any, what: str = "target") -> Any:
    """The target as an array in the prediction's dtype: it is data, which is not to decide it.

    Raises unless its shape is the prediction's.
    """
    if not hasattr(target, "shape"):
        target = np.asarray(target)
    if target.shape != prediction.shape:
        hint = ""
        if prediction.shape == (*target.shape, 1):
            hint = f"; write `{what}[:, None]`, or `prediction[:, 0]`"
        elif target.shape == (*prediction.shape, 1):
            hint = f"; write `{what}[:, 0]`, or `prediction[:, None]`"
        raise ag.ShapeError(
            f"{name}: the prediction has shape {tuple(prediction.shape)} but the {what} "
            f"{tuple(target.shape)}; they must be equal{hint}"
        )
    dtype = prediction.dtype
    if target.dtype != dtype and dtype.kind == "f" and target.dtype.kind in "iubf":
        target = target.astype(dtype)  # int64 or float64 with float32 would make float64
    return target


def _check(f: Callable[..., None], values: Any, *args: Any) -> None:
    """``f(values, *args)``, which raises; where it is compiled, at every call."""
    if isinstance(values, ag.Tensor):
        ag.callback(f, values, *args)
    else:
        f(values, *args)


def _reduced(
    name: str, losses: Any, reduction: str, sample_weight: Any = None, scale: Any = None
) -> Any:
    """One number of the losses. ``scale``: by what each has been multiplied already."""
    if reduction == "mean" and sample_weight is None and scale is None and losses.size:
        return losses.mean()
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"{name}: reduction is 'mean', 'sum' or 'none', got {reduction!r}")
    shape = tuple(losses.shape)
    if reduction == "mean" and 0 in shape:
        raise ag.ShapeError(f"{name}: an empty batch, of shape {shape}, has no mean")
    if sample_weight is not None:
        weight = sample_weight if hasattr(sample_weight, "shape") else np.asarray(sample_weight)
        if tuple(weight.shape) not in (shape[:1], shape):
            raise ag.ShapeError(
                f"{name}: sample_weight has shape {tuple(weight.shape)}; it must be "
                f"{' or '.join(map(str, dict.fromkeys((shape[:1], shape))))}, as the losses have "
                f"shape {shape}"
            )
        if weight.dtype != losses.dtype:
            weight = weight.astype(losses.dtype)
        _check(_check_weights, weight, name, "sample_weight", reduction == "mean")
        if weight.ndim < len(shape):
            weight = weight.reshape(shape[:1] + (1,) * (len(shape) - 1))
        losses = losses * weight
        scale = weight if scale is None else scale * weight
    if reduction == "none":
        return losses
    if reduction == "sum":
        return losses.sum()
    if scale is None:
        return losses.mean()
    total = scale.sum()
    return losses.sum() / (total if scale.shape == shape else total * (losses.size // scale.size))


def _class_weights(name: str, class_weight: Any, classes: int, dtype: Any) -> Any:
    """A weight for each class, in this dtype."""
    weights = class_weight if hasattr(class_weight, "shape") else np.asarray(class_weight)
    if tuple(weights.shape) != (classes,):
        raise ag.ShapeError(
            f"{name}: class_weight has shape {tuple(weights.shape)}; there are {classes} classes, "
            f"and it holds a number for each, in a list"
        )
    if weights.dtype != dtype:
        weights = weights.astype(dtype)
    _check(_check_weights, weights, name, "class_weight", True)
    return weights


def _check_weights(weights: Any, name: str, what: str, some: bool) -> None:
    """Raise for a weight that is negative or no number, or if ``some`` must count and none does."""
    fine = (weights >= 0) & (weights < math.inf)
    if not fine.all():
        raise ValueError(f"{name}: {what} must be finite and not negative, got {weights[~fine][0]}")
    if some and not weights.any():
        raise ValueError(f"{name}: {what} is 0 everywhere: there is nothing to average")


#: Up to so many elements Python itself looks at them: NumPy takes longer to begin.
_FEW = 64
#: The probabilities of what is known, as nearly all targets are.
_CERTAIN = frozenset((0.0, 1.0))


def _largest(values: Any) -> Any:
    """The largest of one or more integers."""
    return max(values.ravel().tolist()) if values.size <= _FEW else np.maximum.reduce(values, None)


#: Unsigned integers of the same bytes, and what 1 looks like there: floating point numbers from
#: 0 to 1 are in the same order as their bits, those below 0 and NaN look larger.
_BITS: dict[np.dtype[Any], tuple[np.dtype[Any], int]] = {
    np.dtype(np.float32): (np.dtype(np.uint32), 0x3F800000),
    np.dtype(np.float64): (np.dtype(np.uint64), 0x3FF0000000000000),
}


def _check_probabilities(values: Any, name: str, what: str) -> None:
    """Raise unless all are in [0, 1]."""
    if type(values) is np.ndarray and values.size <= _FEW and (
        _CERTAIN.issuperset(values.ravel().tolist())
    ):
        return
    known = _BITS.get(values.dtype)
    if known and isinstance(values, (np.ndarray, np.generic)) and values.size:
        unsigned, one = known
        if _largest(values.view(unsigned)) <= one:  # one pass instead of four
            return
    fine = (values >= 0) & (values <= 1)
    if not fine.all():
        raise ValueError(
            f"{name}: a {what} is a probability, from 0 to 1, but one is {values[~fine][0]}"
        )


def _check_signs(values: Any, name: str) -> None:
    """Raise unless all are -1 or 1."""
    fine = np.absolute(values) == 1
    if not fine.all():
        raise ValueError(
            f"{name}: targets are -1 or 1, but one is {values[~fine][0]}; of labels 0 and 1 make "
            "`2 * labels - 1`"
        )


def _check_positive(values: Any, name: str, what: str, zero: bool) -> None:
    """Raise unless all are above 0, or 0 if ``zero``."""
    fine = values >= 0 if zero else values > 0
    if not fine.all():
        raise ValueError(
            f"{name}: {what} must {'not be negative' if zero else 'be positive'}, got "
            f"{values[~fine][0]}"
        )


# Distances. -------------------------------------------------------------------------------------


def mse(
    prediction: Any, target: Any, *, reduction: str = "mean", sample_weight: Any = None
) -> Any:
    """Mean squared error, Σ (prediction - target)² / n over all elements.

    The negative log-likelihood of a Gaussian of fixed variance, up to constants; minimised by the
    conditional mean. Both arguments have the same shape.

    Source: Goodfellow, Bengio, Courville, "Deep learning" (2016), sections 5.5.1 and 6.2.2.1.

    >>> nn.losses.mse(ag.tensor([1.0, 2.0]), [1.0, 4.0]).item()
    2.0
    """
    target = _same_shape("mse", prediction, target)
    return _reduced("mse", np.square(prediction - target), reduction, sample_weight)


def mae(
    prediction: Any, target: Any, *, reduction: str = "mean", sample_weight: Any = None
) -> Any:
    """Mean absolute error, Σ |prediction - target| / n over all elements.

    The negative log-likelihood of a Laplace distribution of fixed width, up to constants;
    minimised by the conditional median. The slope is 0 where the prediction is right.

    Source: Goodfellow, Bengio, Courville, "Deep learning" (2016), equation 6.16.
    """
    target = _same_shape("mae", prediction, target)
    return _reduced("mae", np.absolute(prediction - target), reduction, sample_weight)


def huber(
    prediction: Any, target: Any, *, delta: float = 1.0, reduction: str = "mean",
    sample_weight: Any = None,
) -> Any:
    """d²/2 where |d| <= δ, else δ (|d| - δ/2), with d = prediction - target.

    Quadratic for small errors, linear for large ones, which therefore pull less. Source: Huber,
    "Robust estimation of a location parameter" (1964).

    >>> nn.losses.huber(ag.tensor([0.5, 3.0]), [0.0, 0.0], reduction="none").numpy()
    array([0.125, 2.5  ])
    """
    if not delta > 0:
        raise ValueError(f"huber: delta must be positive, got {delta}")
    d = prediction - _same_shape("huber", prediction, target)
    size = np.absolute(d)
    losses = np.where(size <= delta, 0.5 * np.square(d), delta * (size - 0.5 * delta))
    return _reduced("huber", losses, reduction, sample_weight)


def pinball(
    prediction: Any, target: Any, *, quantile: float = 0.5, reduction: str = "mean",
    sample_weight: Any = None,
) -> Any:
    """q d where d >= 0, else (q - 1) d, with d = target - prediction and q the ``quantile``.

    Minimised by the conditional q-quantile, which a share q of the targets lies below: a prediction
    that is too small costs q, one that is too large 1 - q. Half of :func:`mae` for the median,
    q = 1/2. The slope is 0 where the prediction is right.

    Raises ``ValueError`` for a quantile that is not between 0 and 1. Source: Koenker, Bassett,
    "Regression quantiles" (1978), equation 1.3.

    >>> nn.losses.pinball(ag.tensor([1.0]), [3.0], quantile=0.75).item()
    1.5
    """
    if not 0 < quantile < 1:
        raise ValueError(f"pinball: quantile must be between 0 and 1, got {quantile}")
    d = _same_shape("pinball", prediction, target) - prediction
    losses = np.where(d > 0, quantile * d, np.where(d < 0, (quantile - 1) * d, 0))
    return _reduced("pinball", losses, reduction, sample_weight)


# Likelihoods of numbers. ------------------------------------------------------------------------


def gaussian_nll(
    mean: Any, target: Any, variance: Any = None, *, log_variance: Any = None, full: bool = False,
    reduction: str = "mean", sample_weight: Any = None,
) -> Any:
    """½ (ln v + (target - mean)² / v) for a Gaussian whose variance v is predicted too.

    Either ``variance`` or its logarithm is given, of the shape of ``mean`` and ``target``; a
    network had better predict the logarithm, which may be any number. ``full`` adds ½ ln 2π.

    It is of three arguments, so that ``nn.fit`` takes it in a function: of a network with two
    outputs, ``lambda z, t: gaussian_nll(z[:, :1], t, log_variance=z[:, 1:])``.

    Raises ``ValueError`` for a variance that is not positive. Source: Nix, Weigend, "Estimating
    the mean and variance of the target probability distribution" (1994).

    >>> nn.losses.gaussian_nll(ag.tensor([1.0]), [2.0], log_variance=np.zeros(1)).item()
    0.5
    """
    target = _same_shape("gaussian_nll", mean, target)
    if (variance is None) == (log_variance is None):
        raise TypeError("gaussian_nll: pass either variance or log_variance")
    square = np.square(target - mean)
    if variance is not None:
        variance = _same_shape("gaussian_nll", mean, variance, "variance")
        _check(_check_positive, variance, "gaussian_nll", "variance", False)
        losses = 0.5 * (np.log(variance) + square / variance)
    else:
        log_variance = _same_shape("gaussian_nll", mean, log_variance, "log_variance")
        losses = 0.5 * (log_variance + square * np.exp(-log_variance))
    if full:
        losses = losses + 0.5 * _LN_2PI
    return _reduced("gaussian_nll", losses, reduction, sample_weight)


def poisson_nll(
    prediction: Any, target: Any, *, log_input: bool = True, reduction: str = "mean",
    sample_weight: Any = None,
) -> Any:
    """eᶻ - t z for a count t whose rate is eᶻ, z being predicted; without ln t!, a constant.

    With ``log_input=False`` the prediction is the rate r itself, and the loss r - t ln r.

    Raises ``ValueError`` for a target that is negative, or a rate that is not positive. Source:
    McCullagh, Nelder, "Generalized linear models" (1989), chapter 6.
    """
    target = _same_shape("poisson_nll", prediction, target)
    _check(_check_positive, target, "poisson_nll", "a target", True)
    if log_input:
        losses = np.exp(prediction) - target * prediction
    else:
        _check(_check_positive, prediction, "poisson_nll", "a rate", False)
        losses = prediction - target * np.log(prediction)
    return _reduced("poisson_nll", losses, reduction, sample_weight)


def mdn_nll(
    prediction: Any, target: Any, *, reduction: str = "mean", sample_weight: Any = None
) -> Any:
    """-ln Σₖ πₖ Πⱼ N(tⱼ; μₖⱼ, σₖⱼ²): the likelihood under a mixture of Gaussians.

    ``prediction`` of shape (batch, K (1 + 2 D)) is what :class:`nn.MixtureDensity` returns,
    ``target`` has shape (batch, D). Logarithms are added up with the largest taken out, so that a
    target far from all components has a loss and a slope.

    Source: Bishop, "Mixture density networks" (1994), equation 29.
    """
    if not hasattr(target, "shape"):
        target = np.asarray(target)
    shape, size = tuple(target.shape), tuple(prediction.shape)
    if len(shape) != 2 or len(size) != 2 or shape[0] != size[0]:
        raise ag.ShapeError(
            f"mdn_nll: a prediction of shape {size} and a target of shape {shape}; they must be "
            "(batch, K (1 + 2 D)) and (batch, D)"
            + ("; write `target[:, None]`" if len(shape) == 1 else "")
        )
    log_weights, means, log_scales = parameters_of(prediction, shape[1], "mdn_nll")
    if target.dtype != prediction.dtype:
        target = target.astype(prediction.dtype)
    z = (target[:, None, :] - means) * np.exp(-log_scales)
    log_densities = -(0.5 * np.square(z) + log_scales).sum(-1) - (0.5 * shape[1] * _LN_2PI)
    losses = -ag.logsumexp(log_weights + log_densities, axis=1)
    return _reduced("mdn_nll", losses, reduction, sample_weight)


# Likelihoods of classes. ------------------------------------------------------------------------


def bce_with_logits(
    logits: Any, target: Any, *, class_weight: Any = None, label_smoothing: float = 0.0,
    reduction: str = "mean", sample_weight: Any = None,
) -> Any:
    """Binary cross-entropy of σ(z), averaged over all elements.

    -y ln σ(z) - (1 - y) ln(1 - σ(z)) = ln(1 + eᶻ) - y z. Both arguments have the same shape;
    targets are 0 or 1, or probabilities between. ``class_weight``: two numbers, for y = 0 and
    y = 1; they multiply the two terms. ``label_smoothing`` ε makes y (1 - ε) + ε/2 of y.

    Raises ``ValueError`` for a target outside of [0, 1]. Source: Goodfellow, Bengio, Courville,
    "Deep learning" (2016), equations 6.24 to 6.26.
    """
    name = "bce_with_logits"
    target = _same_shape(name, logits, target)
    _check(_check_probabilities, target, name, "target")
    if label_smoothing:
        target = _smoothed(name, target, label_smoothing)
    if class_weight is None:
        return _reduced(name, ag.softplus(logits) - logits * target, reduction, sample_weight)
    weights = _class_weights(name, class_weight, 2, logits.dtype)
    negative, positive = weights[0] * (1 - target), weights[1] * target
    losses = negative * ag.softplus(logits) + positive * ag.softplus(-logits)
    return _reduced(name, losses, reduction, sample_weight, negative + positive)


def bce(
    probability: Any, target: Any, *, class_weight: Any = None, label_smoothing: float = 0.0,
    reduction: str = "mean", sample_weight: Any = None,
) -> Any:
    """Binary cross-entropy -y ln p - (1 - y) ln(1 - p), averaged over all elements.

    Options as in :func:`bce_with_logits`, which is to be preferred: a sigmoid that has been
    rounded to 0 or 1 has lost what there was to learn from. There ln 0 counts as -100, with slope
    0, so that losses stay finite.

    Raises ``ValueError`` for a probability or target outside of [0, 1]. Source: Baum, Wilczek,
    "Supervised learning of probability distributions by neural networks" (1988).
    """
    name = "bce"
    target = _same_shape(name, probability, target)
    _check(_check_probabilities, probability, name, "prediction")
    _check(_check_probabilities, target, name, "target")
    target = _smoothed(name, target, label_smoothing)
    inside = probability > 0
    positive = np.where(inside, np.log(np.where(inside, probability, 1)), _LN_0)
    inside = probability < 1
    negative = np.where(inside, np.log1p(-np.where(inside, probability, 0)), _LN_0)
    if class_weight is None:
        losses = -(target * positive + (1 - target) * negative)
        return _reduced(name, losses, reduction, sample_weight)
    weights = _class_weights(name, class_weight, 2, probability.dtype)
    of_zero, of_one = weights[0] * (1 - target), weights[1] * target
    losses = -(of_one * positive + of_zero * negative)
    return _reduced(name, losses, reduction, sample_weight, of_zero + of_one)


def _smoothed(name: str, target: Any, smoothing: float) -> Any:
    _check_smoothing(name, smoothing)
    return target * (1 - smoothing) + 0.5 * smoothing if smoothing else target


def _check_smoothing(name: str, smoothing: float) -> None:
    if not 0 <= smoothing <= 1:
        raise ValueError(f"{name}: label_smoothing must be in [0, 1], got {smoothing}")


def cross_entropy(
    logits: Any, labels: Any, *, class_weight: Any = None, label_smoothing: float = 0.0,
    reduction: str = "mean", sample_weight: Any = None,
) -> Any:
    """Cross-entropy of softmax(logits) with integer labels, averaged over the batch.

    -ln softmax(z)_y = ln Σ eᶻ - z_y. ``logits`` of shape (batch, classes), ``labels`` of shape
    (batch,) with integers in [0, classes); with more axes in front, (batch, time, classes) and
    (batch, time), say. ``class_weight``: a number for each class. ``label_smoothing`` ε: the
    target is y with probability 1 - ε and any class alike with ε.

    Raises :class:`ag.ShapeError` for other shapes, ``TypeError`` for labels that are no integers
    and ``ValueError`` for a label out of range. Source: Bridle, "Probabilistic interpretation of
    feedforward classification network outputs" (1990); of the smoothing: Szegedy et al.,
    "Rethinking the inception architecture" (2016), section 7.
    """
    labels = _labels("cross_entropy", "logits", logits, labels)
    # Not logsumexp(logits) - chosen: in float32, ln(e¹⁰⁰⁰ + e¹⁰⁰⁰) - 1000 has four digits of ln 2.
    return _categorical("cross_entropy", ag.log_softmax(logits, axis=-1), labels, class_weight,
                        label_smoothing, reduction, sample_weight)


def nll(
    log_probabilities: Any, labels: Any, *, class_weight: Any = None, label_smoothing: float = 0.0,
    reduction: str = "mean", sample_weight: Any = None,
) -> Any:
    """-ln p_y, averaged over the batch: :func:`cross_entropy` of what a log-softmax returns.

    ``log_probabilities`` of shape (batch, classes), ``labels`` of shape (batch,); options and
    errors as there. Source: Goodfellow, Bengio, Courville, "Deep learning" (2016), section
    6.2.2.3.
    """
    labels = _labels("nll", "log-probabilities", log_probabilities, labels)
    return _categorical("nll", log_probabilities, labels, class_weight, label_smoothing, reduction,
                        sample_weight)


def _labels(name: str, what: str, scores: Any, labels: Any) -> Any:
    """The labels as an array, after all checks."""
    if not hasattr(labels, "dtype"):
        labels = np.asarray(labels)
    shape = tuple(scores.shape)
    if len(shape) < 2 or tuple(labels.shape) != shape[:-1]:
        raise ag.ShapeError(
            f"{name}: {what} of shape {shape} and labels of shape "
            f"{tuple(labels.shape)}; they must be (batch, classes) and (batch,)"
            + ("; for one-hot targets pass `targets.argmax(1)`" if labels.shape == shape else
               "; write `labels[:, 0]`" if labels.shape == (*shape[:-1], 1) else "")
        )
    if 0 in labels.shape:
        raise ag.ShapeError(f"{name}: an empty batch, of shape {shape}, has no mean")
    _check(check_labels, labels, shape[-1], name)
    return labels


def _categorical(
    name: str, log_p: Any, labels: Any, class_weight: Any, smoothing: float, reduction: str,
    sample_weight: Any,
) -> Any:
    _check_smoothing(name, smoothing)
    shape, classes = tuple(labels.shape), log_p.shape[-1]
    if len(shape) > 1:
        log_p, labels = log_p.reshape((-1, classes)), labels.reshape(-1)
    chosen = log_p[np.arange(labels.shape[0]), labels]
    if class_weight is None and not smoothing and sample_weight is None and reduction == "mean":
        return -chosen.mean()
    scale: Any = None
    losses = -chosen
    if class_weight is not None:
        weights = _class_weights(name, class_weight, classes, log_p.dtype)
        scale = weights[labels]
        losses = losses * scale
        log_p = log_p * weights
    if smoothing:
        losses = (1 - smoothing) * losses - smoothing / classes * log_p.sum(-1)
    if len(shape) > 1:
        losses = losses.reshape(shape)
        scale = None if scale is None else scale.reshape(shape)
    return _reduced(name, losses, reduction, sample_weight, scale)


#: Integers as unsigned ones of the same bytes, whichever their order.
_UNSIGNED = {
    np.dtype(f"{order}i{size}"): np.dtype(f"{order}u{size}")
    for order in "<>" for size in (1, 2, 4, 8)
}


def check_labels(labels: Any, classes: int, name: str = "cross_entropy") -> None:
    """Raise unless every label is an integer in [0, classes)."""
    dtype = labels.dtype
    if dtype.kind not in "iu":
        raise TypeError(f"{name}: labels must be integers, got {dtype}")
    # One pass instead of two: seen as unsigned, a negative integer has its highest bit set.
    seen = labels.view(_UNSIGNED.get(dtype, dtype))
    limit = classes if dtype.kind == "u" else min(classes, 1 << (8 * dtype.itemsize - 1))
    if _largest(seen) >= limit:
        wrong = labels[(labels < 0) | (labels >= classes)][0]
        raise ValueError(
            f"{name}: label {wrong} is out of range for {classes} classes (0 to "
            f"{classes - 1})"
        )


def kl_div(
    log_q: Any, p: Any, *, reduction: str = "mean", sample_weight: Any = None
) -> Any:
    """Kullback-Leibler divergence Σⱼ pⱼ (ln pⱼ - ln qⱼ) along the last axis, from 0 to ∞.

    ``log_q``, what a log-softmax returns, and ``p``, probabilities, have the same shape
    (..., classes); the losses have shape (...), and the mean is over them (in PyTorch:
    "batchmean"). 0 ln 0 is 0.

    Raises ``ValueError`` for a probability outside of [0, 1]. Source: Kullback, Leibler, "On
    information and sufficiency" (1951).
    """
    p = _same_shape("kl_div", log_q, p, "p")
    if not p.ndim:
        raise ag.ShapeError("kl_div: the last axis holds the classes, and there is none")
    _check(_check_probabilities, p, "kl_div", "p")
    log_p = np.log(np.where(p > 0, p, 1))
    return _reduced("kl_div", (p * (log_p - log_q)).sum(-1), reduction, sample_weight)


# Mistakes. --------------------------------------------------------------------------------------


def hinge(
    score: Any, target: Any, *, reduction: str = "mean", sample_weight: Any = None
) -> Any:
    """max(0, 1 - t z) for a target t of -1 or 1: the loss of support vector machines.

    0 where the score z has the right sign and is at least 1 in size; at 1 the slope is 0. Both
    arguments have the same shape.

    Raises ``ValueError`` for other targets. Source: Cortes, Vapnik, "Support-vector networks"
    (1995).
    """
    target = _same_shape("hinge", score, target)
    _check(_check_signs, target, "hinge")
    return _reduced("hinge", ag.relu(1 - target * score), reduction, sample_weight)


def perceptron(
    score: Any, target: Any, *, reduction: str = "mean", sample_weight: Any = None
) -> Any:
    """max(0, -t z) for a target t of -1 or 1: the perceptron criterion.

    Its gradient step on one sample at a time, rate 1, is the perceptron rule w ← w + t x for what
    is on the wrong side. At z = 0, undecided, the slope is that of a mistake: a perceptron that
    starts with zeros would otherwise never start.

    Raises ``ValueError`` for other targets. Source: Rosenblatt, "Principles of neurodynamics"
    (1962); Bishop, "Pattern recognition and machine learning" (2006), equation 4.54.
    """
    target = _same_shape("perceptron", score, target)
    _check(_check_signs, target, "perceptron")
    margin = target * score
    return _reduced("perceptron", np.where(margin > 0, 0, -margin), reduction, sample_weight)


_BY_NAME = {f.__name__: f for f in (
    bce, bce_with_logits, cross_entropy, hinge, huber, kl_div, mae, mdn_nll, mse, nll, perceptron,
    pinball, poisson_nll,
)}


def get(loss: Any) -> Any:
    """The loss of this name, or the function itself.

    Raises ``ValueError`` with the known names for an unknown one.
    """
    return by_name("loss", loss, _BY_NAME)
