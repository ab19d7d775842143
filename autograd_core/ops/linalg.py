"""Linear algebra: solving, determinants, factorisations, spectra, norms.

Matrices are the last two axes of an array, and everything is batched over the axes before them.
The rules are those of Giles, "Collected matrix derivative results for forward and reverse mode
algorithmic differentiation" (2008), where nothing else is named. Those of functions that are
holomorphic (inv, solve, det) hold for complex matrices as they stand, with transposes, since
cotangents pair with tangents without a conjugate. Those of the others have been conjugated: for an
adjoint A* in the literature a transpose stands here, and for a transpose, an adjoint.

A factorisation has several results and a node has one. So the factors are computed together,
into one array (``eigh_``, ``svd_``, ``qr_``, ``slogdet_``), which is no more than a cache: each
factor is an op of the matrix *and* that array, reads its part of the one and is differentiated by
the other. A gradient by one factor then never meets the singularities of another: eigenvalues are
differentiated where eigenvectors cannot be.

Functions of a symmetric or Hermitian matrix (``cholesky``, ``eigh``, ``eigvalsh``) read one
triangle, as NumPy's do, and take the other for its mirror image. Their gradient is the symmetric
(Hermitian) one, G with df = Re Σ Gᵢⱼ dAᵢⱼ for such dA: difference quotients must move both
triangles.

Eigenvectors and pairs of singular vectors of complex matrices are determined up to a phase, which
LAPACK chooses. For ``eig`` its choice is known and the derivative is that of what NumPy returns;
for ``eigh`` and ``svd`` it is taken at a fixed phase, as in JAX and PyTorch: it is right for every
function that does not depend on the phases.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..node import Array, Node, require, value_of
from ..op import REAL, Case, MissingRule, Op, case, conj, define, implements, lift, zero
from .complex_parts import real_if_real
from .products import _t
from .reductions import _EMPTY, _along_axes, _product_of_others, _sum_forward, squared_modulus
from .shaping import astype, expand_reduced, moveaxis, normalise, reshape, transpose

LinAlgError = np.linalg.LinAlgError


def _case(prepare: Callable[..., Any], *shapes: Any, **attrs: Any) -> Case:
    return Case(shapes, attrs, prepare)


def _h(x: Array) -> Array:
    """The adjoint: the transpose of a real matrix."""
    return conj(_t(x))


def _no_gradient(function: str, a: Array, which: str = "that is singular") -> Exception:
    return LinAlgError(f"{function}: no gradient by a matrix of shape {tuple(a.shape)} {which}")


def _inverse(function: str, a: Array) -> Array:
    """a⁻¹ on the way back from a function that is defined for singular matrices, too."""
    try:
        return np.linalg.inv(a)
    except LinAlgError as cause:
        raise _no_gradient(function, a) from cause


def _eye(x: Array, rows: int, columns: int | None = None) -> Array:
    """The identity, of the dtype and kind of ``x``."""
    return np.eye(rows, columns, dtype=x.dtype, like=x)


def _diagonally(x: Array, w: Array) -> Array:
    """x diag(w): each column times a number."""
    return x * w[..., None, :]


# Where the tests sample: matrices for which a function is well conditioned. ----------------------


def _nonsingular(a: Array, *others: Array) -> tuple[Array, ...]:
    """Diagonally dominant up to size 3, also if it is not square."""
    return (0.3 * a + 2 * _eye(a, *a.shape[-2:]), *others)


def _definite(a: Array) -> tuple[Array, ...]:
    return (a @ _h(a) + _eye(a, a.shape[-1]),)


def _apart(a: Array) -> Array:
    """Far from repeated singular values or, if symmetric, eigenvalues."""
    rows, columns = a.shape[-2:]
    steps = astype(1 + 3 * np.arange(columns, like=a), a.dtype)
    return 0.1 * a + _diagonally(_eye(a, rows, columns), steps)


def _at_phase(v: Array) -> Array:
    """Columns times the phases that make their sums positive."""
    return v * conj(np.sign(np.sum(v, axis=-2, keepdims=True)))


def _rows_at_phase(vt: Array) -> Array:
    return _t(_at_phase(_t(vt)))


_SQUARE = ((3, 3), (1, 1), (2, 2, 2), (1, 2, 2), (0, 0), (0, 2, 2))
_OBLONG = (*_SQUARE, (3, 2), (2, 3), (2, 3, 1), (1, 3), (0, 2), (3, 0))

# Solving. ---------------------------------------------------------------------------------------

inv_ = define(
    "inv", np.linalg.inv, (lambda g, y, a: -(_t(y) @ g @ _t(y)),), "a⁻¹",
    cases=tuple(_case(_nonsingular, shape) for shape in _SQUARE), takes_complex=True,
)


def _solve_matrix(g: Array, y: Array, a: Array, b: Array) -> Array:
    return -(np.linalg.solve(_t(a), g) @ _t(y))


def _solve_right(g: Array, y: Array, a: Array, b: Array) -> Array:
    return np.linalg.solve(_t(a), g)


solve_ = define(
    "solve", np.linalg.solve, (_solve_matrix, _solve_right), "a⁻¹ b", domain=(REAL, REAL),
    cases=tuple(
        _case(_nonsingular, *shapes)
        for shapes in (((3, 3), (3, 2)), ((1, 1), (1, 1)), ((2, 2), (2, 2)), ((2, 2, 2), (2, 1)),
                       ((2, 2), (3, 2, 2)), ((2, 1, 2, 2), (3, 2, 1)), ((0, 0), (0, 2)),
                       ((2, 2), (2, 0)))
    ),
    takes_complex=True,
)


@implements(np.linalg.inv)
def inv(a: Array) -> Array:
    """a⁻¹; dY = -Y dA Y."""
    return inv_(lift(a))


@implements(np.linalg.solve)
def solve(a: Array, b: Array) -> Array:
    """x with a x = b. As in NumPy 2, b is one vector if it has one axis, else matrices."""
    a, b = lift(a), lift(b)
    return solve_(a, b[:, None])[..., 0] if b.ndim == 1 else solve_(a, b)


@implements(np.linalg.tensorinv)
def tensorinv(a: Array, ind: int = 2) -> Array:
    a = lift(a)
    if ind <= 0:
        raise ValueError(f"tensorinv: ind must be positive, got {ind}")
    rows, columns = tuple(a.shape[:ind]), tuple(a.shape[ind:])
    return reshape(inv(reshape(a, (math.prod(rows), -1))), columns + rows)


@implements(np.linalg.tensorsolve)
def tensorsolve(a: Array, b: Array, axes: Sequence[int] | None = None) -> Array:
    """x with Σ a[..., i, j, ...] x[i, j, ...] = b, the sum over the last axes of a."""
    a, b = lift(a), lift(b)
    if axes is not None:
        order = list(range(a.ndim))
        for axis in axes:
            order.remove(axis)
            order.append(axis)
        a = transpose(a, order)
    shape = tuple(a.shape[b.ndim - a.ndim :])
    n = math.prod(shape)
    if a.size != n * n:
        raise LinAlgError(
            f"tensorsolve: shapes {tuple(a.shape)} and {tuple(b.shape)} do not make a square "
            f"system: a has {a.size} elements for {n} unknowns"
        )
    return reshape(solve(reshape(a, (n, n)), reshape(b, (n,))), shape)


# Least squares. ---------------------------------------------------------------------------------


def _pinv_rule(g: Array, y: Array, a: Array, rcond: Any) -> Array:
    """dP = -P dA P + P P* dA* (I - A P) + (I - P A) dA* P* P (Golub and Pereyra, 1973)."""
    pt, gt = _t(y), _h(g)
    a, p = conj(a), conj(y)
    left = gt @ (p @ pt)
    right = (pt @ p) @ gt
    return left - a @ (p @ left) + right - (right @ p) @ a - pt @ g @ pt


pinv_ = define(
    "pinv", lambda a, rcond: np.linalg.pinv(a, rcond), (_pinv_rule,), "a⁺",
    cases=tuple(_case(_nonsingular, shape, rcond=None) for shape in _OBLONG if 0 not in shape),
    takes_complex=True,
)


hermitian_ = define(
    "hermitian", lambda a: _mirror_lower(a), (lambda g, y, a: 0.5 * (g + _h(g)),),
    "the Hermitian matrix with the lower triangle of a", takes_complex=True,
    cases=tuple(_case(lambda a: (0.5 * (a + _h(a)),), shape) for shape in _SQUARE),
)


def _static(x: Any) -> Any:
    """A number, or an array of them, as nested tuples: static arguments are hashable."""
    def nested(x: Any) -> Any:
        return tuple(map(nested, x)) if isinstance(x, list) else x

    return nested(np.asarray(x, float).tolist())


def _truncated(a: Array, rcond: Array, hermitian: bool) -> Array:
    """a⁺ without the singular values up to ``rcond`` times the largest, by its factors."""
    if hermitian:
        w, v = eigh(a)
        u, vt = v, _h(v)
    else:
        u, w, vt = svd(a, full_matrices=False)
    s = np.abs(w)
    kept = s > rcond * np.max(s, axis=-1, keepdims=True)
    inverse = np.where(kept, 1 / np.where(kept, w, 1), 0)
    return _diagonally(_h(vt), inverse) @ _h(u)


@implements(np.linalg.pinv)
def pinv(
    a: Array, rcond: Any = None, hermitian: bool = False, *, rtol: Any = np._NoValue
) -> Array:
    """The pseudo-inverse a⁺. The derivative is that among matrices of the rank of a.

    Where ``rcond`` leaves out singular values that are not 0, it is that of what is left; NaN where
    singular values repeat. ``hermitian=True`` reads one triangle: the gradient is Hermitian.
    """
    a = lift(a)
    if a.ndim < 2:
        raise LinAlgError(f"pinv: needs matrices, got shape {tuple(a.shape)}")
    if hermitian:
        if a.shape[-1] != a.shape[-2]:
            raise LinAlgError(f"pinv: {tuple(a.shape)} is no shape of Hermitian matrices")
        a = hermitian_(a)
    if rtol is not np._NoValue:
        if rcond is not None:
            raise ValueError("pinv: rcond and rtol cannot both be given")
        # None asks for another default than leaving it out does.
        rcond = max(a.shape[-2:]) * float(np.finfo(a.dtype).eps) if rtol is None else rtol
    if rcond is None or 0 in a.shape[-2:]:
        return pinv_(a, rcond=None)
    s, each = svdvals(a), _static(rcond)
    rcond = np.asarray(each, s.dtype, like=value_of(s))[..., None]
    cut = np.any((s <= rcond * s[..., :1]) & (s > _negligible(s)))
    cuts = bool(value_of(cut))
    require(cut == cuts, LinAlgError(
        "pinv: whether rcond leaves out singular values that are not 0 has changed"))
    return _truncated(a, rcond, hermitian) if cuts else pinv_(a, rcond=each)


def _lstsq_forward(a: Array, b: Array, rcond: float | None) -> Array:
    x, _, rank, _ = np.linalg.lstsq(a, b, rcond=rcond)
    if int(rank) < min(a.shape):
        raise LinAlgError(
            f"a matrix of shape {a.shape} and rank {int(rank)}: where the rank is deficient the "
            "solution jumps; use `np.linalg.lstsq(a, b, rcond)` to differentiate at this rank"
        )
    return x


def _lstsq_matrix(g: Array, y: Array, a: Array, b: Array, rcond: float | None) -> Array:
    """dx = P (db - dA x) + P P* dA* (b - A x) + (I - P A) dA* P* x, with P = A⁺."""
    p = np.linalg.pinv(a)
    pt = _t(p)
    pg = pt @ g
    residual = conj(b - a @ y)
    p = conj(p)
    return residual @ _h(p @ pg) + (pt @ conj(y)) @ _h(g - p @ (conj(a) @ g)) - pg @ _t(y)


lstsq_ = define(
    "lstsq", _lstsq_forward,
    (_lstsq_matrix, lambda g, y, a, b, rcond: _t(np.linalg.pinv(a)) @ g),
    "x of least norm that minimises |a x - b|", domain=(REAL, REAL),
    cases=tuple(_case(_nonsingular, *shapes, rcond=None)
                for shapes in (((3, 2), (3, 2)), ((2, 3), (2, 1)), ((2, 2), (2, 2)),
                               ((1, 1), (1, 1)), ((3, 1), (3, 1)))),
    takes_complex=True,
)


@implements(np.linalg.lstsq)
def lstsq(a: Array, b: Array, rcond: float | None = None) -> tuple[Array, Array, np.intc, Array]:
    """x, the squared residuals, the rank and the singular values of a.

    Without ``rcond``, a has full rank. With it, singular values up to ``rcond`` times the largest
    count as 0, and the derivative is that of :func:`pinv`.
    """
    a, b = lift(a), lift(b)
    if a.ndim != 2 or b.ndim not in (1, 2):
        raise LinAlgError(f"lstsq: needs a matrix and a vector or matrix, got shapes "
                          f"{tuple(a.shape)} and {tuple(b.shape)}")
    right = b[:, None] if b.ndim == 1 else b
    rows, columns = a.shape
    rank, s = min(rows, columns), svdvals(a)
    if rcond is not None and rank:
        # A negative rcond stands for the precision.
        rcond = float(np.finfo(s.dtype).eps) if rcond < 0 else float(rcond)
        kept = np.sum(s > rcond * s[0])
        rank = int(value_of(kept))
        require(kept == rank, LinAlgError("lstsq: how many singular values count has changed"))
    if rank < min(rows, columns):
        x = pinv(a, rcond) @ right
    else:
        x = lstsq_(a, right, rcond=rcond)
    squares = np.sum(squared_modulus(right - a @ x), axis=0)
    residuals = squares if rows > columns == rank else squares[:0]
    return x[:, 0] if b.ndim == 1 else x, residuals, np.intc(rank), s


# Determinants. ----------------------------------------------------------------------------------
# With a = U diag(s) V* the determinant is det(U) det(V*) Π s, and so its derivatives are sums over
# products of some of the s. None divides by one, so they are right for singular matrices too.


def _factors(a: Array) -> tuple[Array, Array, Array, Array]:
    """The conjugates of U and V*, s, and det(U) det(V*), of modulus 1, as a matrix of size 1."""
    u, s, vt = np.linalg.svd(a, full_matrices=False)
    return conj(u), s, conj(vt), np.sign(np.linalg.det(u @ vt))[..., None, None]


def _cofactors_forward(a: Array) -> Array:
    if a.size == 0:
        return np.zeros_like(a)
    u, s, vt, sign = _factors(a)
    return sign * (_diagonally(u, _product_of_others(s)) @ vt)


def _cofactors_along_forward(h: Array, a: Array) -> Array:
    """In the bases of Ū and V̄, where a is diagonal, with p the products of all s but two:

    cᵢᵢ = Σⱼ pᵢⱼ hⱼⱼ , cᵢⱼ = -pᵢⱼ hⱼᵢ .
    """
    if a.size == 0:
        return np.zeros_like(a)
    u, s, vt, sign = _factors(a)
    eye = _eye(a, a.shape[-1])
    p = _product_of_others(np.where(eye == 1, 1, s[..., None, :])) * (eye == 0)
    h = _t(u) @ h @ _t(vt)
    diagonal = (p * (h * eye).sum(-1)[..., None, :]).sum(-1)
    return sign * (u @ (diagonal[..., None] * eye - p * _t(h)) @ vt)


def _cofactors_along_self_adjoint(g: Array, y: Array, h: Array, a: Array) -> Array:
    return cofactors_along_(g, a)


def _cofactors_along_rule(g: Array, y: Array, h: Array, a: Array) -> Array:
    """Through the form (⟨h, C⟩ - C hᵀ) Y of the same, with C the cofactors and Y = a⁻ᵀ."""
    c, y = cofactors_(a), _t(_inverse("the third derivative of det", a))
    to_c = _dot(g, y) * h - g @ _t(y) @ h
    to_y = _dot(h, c) * g - h @ _t(c) @ g
    return cofactors_along_(to_c, a) - y @ _t(to_y) @ y


def _dot(a: Array, b: Array) -> Array:
    return np.sum(a * b, axis=(-2, -1), keepdims=True)


cofactors_along_ = define(
    "cofactors_along", _cofactors_along_forward,
    (_cofactors_along_self_adjoint, _cofactors_along_rule),
    "the derivative of the cofactors of a along h", domain=(REAL, REAL),
    cases=tuple(_case(lambda h, a: (h, *_nonsingular(a)), shape, shape)
                for shape in _SQUARE if 0 not in shape),
    takes_complex=True,
)
cofactors_ = define(
    "cofactors", _cofactors_forward, (lambda g, y, a: cofactors_along_(g, a),),
    "the cofactors of a", cases=tuple(_case(_nonsingular, shape) for shape in _SQUARE[:4]),
    takes_complex=True,
)
det_ = define(
    "det", np.linalg.det, (lambda g, y, a: g[..., None, None] * cofactors_(a),), "det a",
    cases=tuple(_case(_nonsingular, shape) for shape in _SQUARE), takes_complex=True,
)


def _sign_of_det_rule(g: Array, y: Array, a: Array, both: Array) -> Array | None:
    """None for a real matrix. The sign of a complex one turns: dy = i y Im tr(a⁻¹ dA)."""
    if a.dtype.kind != "c":
        return None
    return 1j * np.imag(g * y)[..., None, None] * _t(_inverse("slogdet", a))


def _real_part(x: Array) -> Array:
    return np.real(x) if x.dtype.kind == "c" else x


slogdet_ = define(
    "slogdet", lambda a: np.stack(tuple(np.linalg.slogdet(a))), None,
    "sign and ln |det a|, together",
)
_SLOGDET_CASES = tuple(_case(lambda a: _with(slogdet_, _nonsingular(a)[0]), shape)
                       for shape in _SQUARE)
slogdet_sign_ = define(
    "slogdet_sign", lambda a, both: both[0], (_sign_of_det_rule, zero), "det a / |det a|",
    cases=_SLOGDET_CASES, takes_complex=True,
)
logabsdet_ = define(
    "logabsdet", lambda a, both: _real_part(both[1]),
    (lambda g, y, a, both: g[..., None, None] * _t(_inverse("slogdet", a)), zero), "ln |det a|",
    cases=_SLOGDET_CASES, takes_complex=True,
)


def _with(op: Callable[..., Array], a: Array, **attrs: Any) -> tuple[Array, Array]:
    """A matrix and its factors."""
    return a, op(a, **attrs)


@implements(np.linalg.det)
def det(a: Array) -> Array:
    """The determinant. The gradient is the matrix of cofactors, also where it is 0.

    First and second derivatives are right for every matrix. From the third on they are computed
    with a⁻¹, and a singular matrix raises ``LinAlgError``.
    """
    return det_(lift(a))


_SLOGDET: Any = type(np.linalg.slogdet(np.eye(1)))


@implements(np.linalg.slogdet)
def slogdet(a: Array) -> Any:
    """sign, ln |det a|; a real sign has gradient 0, and d ln |det a| = Re tr(a⁻¹ dA).

    Going back through a singular matrix raises ``LinAlgError``.
    """
    a, both = _with(slogdet_, lift(a))
    return _SLOGDET(slogdet_sign_(a, both), logabsdet_(a, both))


# Triangular factors. ----------------------------------------------------------------------------


def _cholesky_rule(g: Array, y: Array, a: Array) -> Array:
    """L⁻ᵀ Φ(Lᵀ g) L̄⁻¹, symmetrised; Φ takes the lower triangle and half of the diagonal.

    Murray, "Differentiation of the Cholesky decomposition" (2016).
    """
    lt = _t(y)
    p = lt @ g
    p = np.tril(p) - 0.5 * (p * _eye(y, y.shape[-1]))
    s = np.linalg.solve(lt, _h(np.linalg.solve(lt, p)))
    return 0.5 * (s + _h(s))


cholesky_ = define(
    "cholesky", np.linalg.cholesky, (_cholesky_rule,), "lower L with L L* = a",
    cases=tuple(_case(_definite, shape) for shape in _SQUARE), takes_complex=True,
)


@implements(np.linalg.cholesky)
def cholesky(a: Array, /, *, upper: bool = False) -> Array:
    """The lower L with L L* = a, or the upper L*, of a positive definite matrix.

    Reads one triangle, and has a symmetric (Hermitian) gradient.
    """
    a = lift(a)
    if a.ndim < 2 or a.shape[-1] != a.shape[-2]:
        raise LinAlgError(f"cholesky: needs square matrices, got shape {tuple(a.shape)}")
    return _t(cholesky_(_t(a))) if upper else cholesky_(a)


def _qr_forward(a: Array) -> Array:
    q, r = np.linalg.qr(a)
    return np.concatenate([_t(q), r], -1)


def _mirror_lower(m: Array) -> Array:
    """The symmetric, or Hermitian, matrix with the lower triangle of m."""
    low = np.tril(m, -1)
    if m.dtype.kind == "c":
        return low + _h(low) + np.real(m) * _eye(m, m.shape[-1])
    return np.tril(m) + _t(low)


def _over_r(x: Array, r: Array) -> Array:
    """x r⁻ᵀ."""
    try:
        return _t(np.linalg.solve(r, _t(x)))
    except LinAlgError as cause:
        raise _no_gradient("qr", r, "whose leading columns are dependent") from cause


# Walter and Lehmann, "Algorithmic differentiation of linear algebra functions with application in
# optimum experimental design" (2013): (Q̄ + Q sym(R R̄ᵀ - Q̄ᵀ Q)) R⁻ᵀ, a term for each factor. Of
# complex matrices too: the diagonal of LAPACK's R is real.


def _q_rule(g: Array, y: Array, a: Array, both: Array) -> Array:
    r = qr_r_(a, both)
    y = conj(y)
    return _over_r(g - y @ _mirror_lower(_h(g) @ y), r)


def _r_rule(g: Array, y: Array, a: Array, both: Array) -> Array:
    return _over_r(conj(qr_q_(a, both)) @ _mirror_lower(conj(y) @ _h(g)), y)


qr_ = define("qr", _qr_forward, None, "Qᵀ and R, side by side")
_TALL = tuple(shape for shape in _OBLONG if shape[-2] >= shape[-1])
_QR_CASES = tuple(_case(lambda a: _with(qr_, _nonsingular(a)[0]), shape) for shape in _TALL)
qr_q_ = define(
    "qr_q", lambda a, both: _t(both[..., : a.shape[-2]]), (_q_rule, zero),
    "Q of a = Q R, with orthonormal columns", cases=_QR_CASES, takes_complex=True,
)
qr_r_ = define(
    "qr_r", lambda a, both: both[..., a.shape[-2] :], (_r_rule, zero),
    "R of a = Q R, upper triangular", cases=_QR_CASES, takes_complex=True,
)

_QR: Any = type(np.linalg.qr(np.eye(1)))


def _not_determined(function: str, instead: str) -> Callable[..., Array | None]:
    """The rule of vectors that a matrix leaves free to turn: an error where it is asked for.

    On the way to further derivatives what is asked for shows only later: there it is NaN.
    """

    missing = MissingRule(
        function, "the vectors that complete the basis",
        f"any rotation of them would do as well: use {instead}, or functions of the others")

    def rule(g: Array, y: Array, a: Array) -> Array | None:
        if isinstance(g, Node):
            return np.sum(undefined_(g)) + 0 * a
        if np.any(g != 0):
            missing()
        return None

    return rule


# In no table: they have no rule that tests could try.
qr_rest_ = Op(
    "qr_rest", lambda a: np.linalg.qr(a, "complete")[0][..., a.shape[-1] :],
    (_not_determined("qr", "mode='reduced'"),), "columns that complete Q",
)
svd_rest_ = Op(
    "svd_rest", lambda a: np.linalg.svd(a)[0][..., a.shape[-1] :] if a.shape[-2] > a.shape[-1]
    else np.linalg.svd(a)[2][..., a.shape[-2] :, :],
    (_not_determined("svd", "full_matrices=False"),), "vectors that complete U, or V*",
)


@implements(np.linalg.qr)
def qr(a: Array, mode: str = "reduced") -> Any:
    """Q with orthonormal columns and the upper triangular R with Q R = a; ``mode="r"``: R alone.

    For matrices whose leading columns are independent: a singular R raises ``LinAlgError`` on the
    way back. The columns that ``mode="complete"`` adds to Q are not determined by the matrix: a
    gradient through them raises :class:`MissingRuleError`.
    """
    a = lift(a)
    if a.ndim < 2:
        raise LinAlgError(f"qr: needs matrices, got shape {tuple(a.shape)}")
    rows, columns = a.shape[-2:]
    if mode not in ("reduced", "complete", "r", "raw"):
        raise ValueError(f"qr: {mode!r} is not a mode; 'reduced', 'complete' and 'r' are")
    if mode == "raw":
        raise NotImplementedError("qr: mode='raw' hands out what LAPACK computes with, which is "
                                  "not supported on Tensors; use mode='reduced'")
    square = a[..., :rows]  # a wide matrix has the Q of its leading columns
    both = qr_(square)
    r = qr_r_(square, both)
    if mode == "r" and columns <= rows:
        return r
    q = qr_q_(square, both)
    if columns > rows:
        r = np.concatenate([r, _h(q) @ a[..., rows:]], -1)
    if mode == "complete" and rows > columns:
        more = qr_rest_(a)
        q = np.concatenate([q, more], -1)
        r = np.concatenate([r, np.zeros_like(value_of(r), shape=(
            *a.shape[:-2], rows - columns, columns))], -2)
    return r if mode == "r" else _QR(q, r)


# Spectra. ---------------------------------------------------------------------------------------


def _negligible(w: Array) -> Array:
    """What rounding makes of a zero next to the largest of ``w``; with an axis of size 1."""
    largest = np.max(np.abs(w), axis=-1, keepdims=True)
    return largest * (4 * w.shape[-1] * float(np.finfo(w.dtype).eps))


def _gaps(w: Array, squares: bool = False) -> Array:
    """wⱼ - wᵢ, or the difference of the squares; 1 on the diagonal.

    NaN where w repeats, to rounding: there the vectors are not functions of the matrix, and a
    division by the rounding error would make a large and arbitrary gradient.
    """
    right, left = w[..., None, :], w[..., :, None]
    gap = right - left
    if w.shape[-1] == 0:
        return gap
    diagonal = np.eye(w.shape[-1], dtype=bool, like=w)
    repeated = (np.abs(gap) <= _negligible(w)[..., None]) & ~diagonal
    gap = np.where(repeated, np.nan, gap)
    if squares:
        gap = gap * (right + left)
    return np.where(diagonal, 1, gap)


def _nonzero(w: Array) -> Array:
    """w, with NaN in place of zeros, to rounding."""
    return np.where(np.abs(w) <= _negligible(w), np.nan, w) if w.shape[-1] else w


def _skew(x: Array) -> Array:
    return x - _h(x)


def _eigh_forward(a: Array, uplo: Any) -> Array:
    w, v = np.linalg.eigh(a, uplo)
    return np.concatenate([w[..., None, :], v], -2)


def _eigenvalues_rule(g: Array, y: Array, a: Array, both: Array) -> Array:
    v = eigenvectors_(a, both)
    return _diagonally(conj(v), g) @ _t(v)


def _eigenvectors_rule(g: Array, y: Array, a: Array, both: Array) -> Array:
    """dV = V (F ∘ (V* dA V)), with Fᵢⱼ = 1 / (wⱼ - wᵢ) and 0 on the diagonal."""
    w = eigenvalues_(a, both)
    overlap = _skew(_t(y) @ g)
    if y.dtype.kind == "c":  # what is imaginary on the diagonal is a change of phase
        overlap = overlap * (1 - _eye(y, y.shape[-1]))
    return 0.5 * (conj(y) @ (overlap / _gaps(w)) @ _t(y))


def _prepare_eigh(a: Array) -> tuple[Array, Array]:
    a = _apart(a)
    return _with(eigh_, 0.5 * (a + _h(a)), uplo="L")


eigh_ = define("eigh", _eigh_forward, None, "eigenvalues above their eigenvectors")
eigenvalues_ = define(
    "eigenvalues", lambda a, both: _real_part(both[..., 0, :]), (_eigenvalues_rule, zero),
    "w of a = V diag(w) V*", cases=tuple(_case(_prepare_eigh, shape) for shape in _SQUARE),
    takes_complex=True,
)
eigenvectors_ = define(
    "eigenvectors", lambda a, both: both[..., 1:, :], (_eigenvectors_rule, zero),
    "V of a = V diag(w) V*", takes_complex=True,
    cases=tuple(Case((shape,), {}, _prepare_eigh, _at_phase) for shape in _SQUARE),
)

_EIGH: Any = type(np.linalg.eigh(np.eye(1)))


@implements(np.linalg.eigh)
def eigh(a: Array, UPLO: str = "L") -> Any:
    """The eigenvalues, ascending, and eigenvectors of a symmetric matrix; a symmetric gradient.

    Or of a Hermitian one, with a Hermitian gradient: that of functions that do not depend on the
    phases of the eigenvectors.

    Where eigenvalues repeat, the gradient by the eigenvectors is NaN; that by the eigenvalues is
    the one of the eigenvectors found.
    """
    a, both = _with(eigh_, lift(a), uplo=UPLO)
    return _EIGH(eigenvalues_(a, both), eigenvectors_(a, both))


@implements(np.linalg.eigvalsh)
def eigvalsh(a: Array, UPLO: str = "L") -> Array:
    """The eigenvalues of :func:`eigh`: dw = diag(V* dA V)."""
    return eigenvalues_(*_with(eigh_, lift(a), uplo=UPLO))


def _svd_forward(a: Array) -> Array:
    u, s, vt = np.linalg.svd(a, full_matrices=False)
    return np.concatenate([_t(u), s[..., None], vt], -1)


# Townsend, "Differentiating the singular value decomposition" (2016), a term for each factor.


def _singular_values_rule(g: Array, y: Array, a: Array, both: Array) -> Array:
    """U diag(g) V*, conjugated; a singular value that is 0 has a kink there, and gradient 0."""
    u, vt = conj(svd_left_(a, both)), conj(svd_right_(a, both))
    return _diagonally(u, g * np.sign(y)) @ vt


def _svd_left_rule(g: Array, y: Array, a: Array, both: Array) -> Array:
    s, vt = singular_values_(a, both), conj(svd_right_(a, both))
    u = conj(y)
    overlap = _t(y) @ g
    turn = _skew(overlap) / _gaps(s, squares=True)
    if y.dtype.kind == "c":
        # On the diagonal stands a change of phase: with those of V at rest, all of it is U's.
        eye = _eye(y, y.shape[-1])
        phase = 1j * np.imag(overlap) / (_nonzero(s) ** 2)[..., None, :]
        turn = np.where(eye == 1, phase, turn)
    result = _diagonally(u @ turn, s)
    if y.shape[-2] > y.shape[-1]:  # the part outside the range of a
        result = result + (g - u @ overlap) / _nonzero(s)[..., None, :]
    return result @ vt


def _svd_right_rule(g: Array, y: Array, a: Array, both: Array) -> Array:
    s, u = singular_values_(a, both), conj(svd_left_(a, both))
    vt = conj(y)
    overlap = vt @ _h(g)
    turn = _skew(overlap) / _gaps(s, squares=True)
    if y.dtype.kind == "c":
        turn = turn * (1 - _eye(y, y.shape[-2]))
    result = s[..., None] * turn @ vt
    if y.shape[-1] > y.shape[-2]:
        result = result + (g - _h(overlap) @ vt) / _nonzero(s)[..., None]
    return u @ result


svd_ = define("svd", _svd_forward, None, "Uᵀ, s and V*, side by side")
_SVD_CASES = tuple(_case(lambda a: _with(svd_, _apart(a)), shape) for shape in _OBLONG)
singular_values_ = define(
    "singular_values", lambda a, usv: _real_part(usv[..., a.shape[-2]]),
    (_singular_values_rule, zero), "s of a = U diag(s) V*", cases=_SVD_CASES, takes_complex=True,
)
svd_left_ = define(
    "svd_left", lambda a, usv: _t(usv[..., : a.shape[-2]]), (_svd_left_rule, zero),
    "U of a = U diag(s) V*", takes_complex=True,
    cases=tuple(replace(case, settle=_at_phase) for case in _SVD_CASES),
)
svd_right_ = define(
    "svd_right", lambda a, usv: usv[..., a.shape[-2] + 1 :], (_svd_right_rule, zero),
    "V* of a = U diag(s) V*", takes_complex=True,
    cases=tuple(replace(case, settle=_rows_at_phase) for case in _SVD_CASES),
)

_SVD: Any = type(np.linalg.svd(np.eye(1)))


@implements(np.linalg.svd)
def svd(
    a: Array, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False
) -> Any:
    """U, s and V* with U diag(s) V* = a, or s alone.

    Where singular values repeat, the gradient by the singular vectors is NaN. Of a complex matrix
    it is that of functions that do not depend on the common phases of the pairs of vectors. The
    vectors that ``full_matrices=True`` adds for an oblong matrix are not determined by it: a
    gradient through them raises :class:`MissingRuleError`. ``hermitian=True`` goes by :func:`eigh`.
    """
    a = lift(a)
    if hermitian:
        return _svd_of_hermitian(a, compute_uv)
    if not compute_uv:
        return svdvals(a)
    a, usv = _with(svd_, a)
    u, s, vt = svd_left_(a, usv), singular_values_(a, usv), svd_right_(a, usv)
    rows, columns = a.shape[-2:]
    if full_matrices and rows != columns:
        more = svd_rest_(a)
        if rows > columns:
            u = np.concatenate([u, more], -1)
        else:
            vt = np.concatenate([vt, more], -2)
    return _SVD(u, s, vt)


def _svd_of_hermitian(a: Array, compute_uv: bool) -> Any:
    """From a = V diag(w) V*: the singular values are the |w|."""
    if not compute_uv:
        return np.flip(np.sort(np.abs(eigvalsh(a))), -1)
    w, v = eigh(a)
    order = np.flip(np.argsort(np.abs(w)), -1)
    w = np.take_along_axis(w, order, -1)
    u = np.take_along_axis(v, order[..., None, :], -1)
    return _SVD(u, np.abs(w), _h(_diagonally(u, np.sign(w))))


@implements(np.linalg.svdvals)
def svdvals(x: Array, /) -> Array:
    """The singular values, descending; one that is exactly 0 has gradient 0."""
    return singular_values_(*_with(svd_, lift(x)))


# Spectra of general matrices. -------------------------------------------------------------------


def _undefined_rule(g: Array, y: Array, x: Array) -> Array:
    return undefined_(g)


#: A derivative that does not exist, times x: 0 where nothing asks for it, NaN otherwise.
undefined_ = define(
    "undefined", lambda x: np.where(x == 0, x, np.nan), (_undefined_rule,), "0 at 0, else NaN",
    cases=(case((0,)), case((1, 0))),
)


def _eig_forward(a: Array) -> Array:
    w, v = np.linalg.eig(a)
    both = np.concatenate([w[..., None, :], v], -2)
    return both if both.dtype.kind == "c" else both.astype(np.result_type(both.dtype, 1j))


def _conditions(v: Array) -> tuple[Array, Array]:
    """V⁻¹, and a bound of the condition number of each eigenvalue: |row of V⁻¹| |column of V|."""
    inverse = _inverse("eig", v)
    return inverse, np.sum(np.absolute(inverse), axis=-1)


def _repeats(a: Array, w: Array, condition: Array) -> Array:
    """Which pairs of eigenvalues are one, to rounding, times the condition of the worse."""
    n = w.shape[-1]
    size = np.sqrt(np.sum(squared_modulus(a), axis=(-2, -1)))[..., None]
    within = condition * (size * (4 * n * float(np.finfo(w.dtype).eps)))
    near = np.absolute(w[..., None, :] - w[..., :, None]) <= np.maximum(
        within[..., None, :], within[..., :, None])
    return near & ~np.eye(n, dtype=bool, like=w)


def _general_values_rule(g: Array, y: Array, a: Array, both: Array) -> Array:
    """dw = diag(V⁻¹ dA V)."""
    v = general_vectors_(a, both)
    inverse, condition = _conditions(v)
    g = np.where(_repeats(a, y, condition).any(-1), undefined_(g), g)
    return _diagonally(_t(inverse), g) @ _t(v)


def _general_vectors_rule(g: Array, y: Array, a: Array, both: Array) -> Array:
    """dV = T + V diag(α), with T = V (F ∘ (V⁻¹ dA V)) and Fᵢⱼ = 1 / (wⱼ - wᵢ), 0 on the diagonal.

    Re α keeps the columns of unit length, Im α their largest components real.
    """
    w = general_values_(a, both)
    inverse, condition = _conditions(y)
    repeated = _repeats(a, w, condition)
    g = np.where(repeated.any(-1)[..., None, :], undefined_(g), g)
    along = np.sum(g * y, axis=-2, keepdims=True)
    real = np.imag(y) == 0
    rows = np.arange(y.shape[-1], like=value_of(w))[:, None]
    size = np.where(real, np.absolute(y), -1)
    largest = rows == np.argmax(size, axis=-2, keepdims=True) if y.size else real
    length = np.sum(np.where(largest, np.real(y), 0), axis=-2, keepdims=True)
    turning = np.where(largest, -1j * (np.imag(along) / length), 0)
    g = g - np.real(along) * conj(y) + turning
    gap = w[..., None, :] - w[..., :, None]
    diagonal = np.eye(w.shape[-1], dtype=bool, like=w)
    overlap = np.where(diagonal, 0, _t(y) @ g)
    overlap = np.where(repeated, undefined_(overlap), overlap)
    return _t(inverse) @ (overlap / np.where(diagonal | repeated, 1, gap)) @ _t(y)


def _prepare_eig(a: Array) -> tuple[Array, Array]:
    return _with(eig_, _apart(a))


eig_ = define("eig", _eig_forward, None, "eigenvalues above their eigenvectors, complex")
_EIG_CASES = tuple(_case(_prepare_eig, shape) for shape in _SQUARE)
general_values_ = define(
    "general_eigenvalues", lambda a, both: both[..., 0, :], (_general_values_rule, zero),
    "w of a = V diag(w) V⁻¹", cases=_EIG_CASES, takes_complex=True,
)
general_vectors_ = define(
    "general_eigenvectors", lambda a, both: both[..., 1:, :], (_general_vectors_rule, zero),
    "V of a = V diag(w) V⁻¹", cases=_EIG_CASES, takes_complex=True,
)

_EIG: Any = type(np.linalg.eig(np.eye(1)))


@implements(np.linalg.eig)
def eig(a: Array) -> Any:
    """The eigenvalues and, in columns, the eigenvectors of a general matrix.

    Both are real if all eigenvalues of a real matrix are, as NumPy has it. A column has unit length
    and a real component that is its largest: so LAPACK normalises, and the gradient is that of the
    vectors so normalised. Where eigenvalues repeat, to rounding times their condition number, what
    depends on them has the gradient NaN.
    """
    a = _floating(a)
    both = eig_(a)
    w, v = general_values_(a, both), general_vectors_(a, both)
    if a.dtype.kind != "c" and not np.any(np.imag(value_of(w))):
        w, v = real_if_real(w), real_if_real(v)
    return _EIG(w, v)


@implements(np.linalg.eigvals)
def eigvals(a: Array) -> Array:
    """The eigenvalues of :func:`eig`; real if all those of a real matrix are."""
    a = _floating(a)
    w = general_values_(a, eig_(a))
    return w if a.dtype.kind == "c" else real_if_real(w)


# Norms. -----------------------------------------------------------------------------------------


def _floating(x: Any) -> Array:
    x = lift(x)
    return x if x.dtype.kind in "fc" else astype(x, np.float64)


def _euclidean_rule(g: Array, y: Array, x: Array, axis: Any, keepdims: bool) -> Array:
    """g x* / y, and 0 at y = 0: the subgradient of least norm."""
    flat = y == 0
    share = expand_reduced(np.where(flat, 0, g / np.where(flat, 1, y)), x, axis, keepdims)
    return share * conj(x)


# A composite of square, sum and √ would need three selections to be flat at 0.
euclidean_ = define(
    "norm", lambda x, axis, keepdims: np.sqrt(
        _sum_forward(x * x if x.dtype.kind != "c" else squared_modulus(x), axis, keepdims)),
    (_euclidean_rule,), "√Σ |x|²", cases=_along_axes(*_EMPTY), takes_complex=True,
)


def _largest(x: Array, axis: int | tuple[int, ...], keepdims: bool = False) -> Array:
    """Of numbers that are not negative: 0 for none at all."""
    reduced = np.max if x.size else np.sum
    return reduced(x, axis=axis, keepdims=keepdims)


def _norm_of_vectors(x: Array, ord: Any, axes: tuple[int, ...], keepdims: bool) -> Array:
    if isinstance(ord, str):
        raise ValueError(f"norm: {ord!r} is not an order for vectors")
    if ord is None or ord == 2:
        return euclidean_(x, axis=axes, keepdims=bool(keepdims))
    if ord == math.inf:
        return _largest(np.abs(x), axes, keepdims)
    if ord == -math.inf:
        return np.min(np.abs(x), axis=axes, keepdims=keepdims)
    if ord == 0:
        return np.sum(astype(x != 0, np.real(x).dtype), axis=axes, keepdims=keepdims)
    if ord == 1:
        return np.sum(np.abs(x), axis=axes, keepdims=keepdims)
    ord = float(ord)
    s = np.sum(np.abs(x) ** ord, axis=axes, keepdims=keepdims)
    flat = s == 0
    return np.where(flat, 0, np.where(flat, 1, s) ** (1 / ord))


def _norm_of_matrices(x: Array, ord: Any, row: int, column: int, keepdims: bool) -> Array:
    if row == column:
        raise ValueError("norm: the two axes must differ")
    if ord is None or ord in ("fro", "f"):
        return _norm_of_vectors(x, 2, (row, column), keepdims)
    last = moveaxis(x, (row, column), (-2, -1))
    if ord == "nuc":
        y = np.sum(svdvals(last), axis=-1)
    elif ord in (2, -2):
        s = svdvals(last)
        y = _largest(s, -1) if ord > 0 else np.min(s, axis=-1)
    elif ord in (1, -1, math.inf, -math.inf):
        sums = np.sum(np.abs(last), axis=-2 if abs(ord) == 1 else -1)
        y = _largest(sums, -1) if ord > 0 else np.min(sums, axis=-1)
    else:
        raise ValueError(f"norm: {ord!r} is not an order for matrices")
    if keepdims:
        y = reshape(y, tuple(1 if i in (row, column) else n for i, n in enumerate(x.shape)))
    return y


@implements(np.linalg.norm)
def norm(x: Array, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Array:
    """Every norm NumPy has.

    Where a norm is not differentiable its gradient is the subgradient of least norm: 0 at the
    zero vector or matrix, ``abs'(0) = 0``, and tied maxima share equally. (Orders below 1 make no
    norm: at an element that is 0 their slope is infinite or undefined.)
    """
    x = _floating(x)
    if axis is None:
        axes = list(range(x.ndim))
        if ord is None or (ord == 2 and x.ndim == 1):
            return _norm_of_vectors(x, 2, tuple(axes), keepdims)
    elif isinstance(axis, tuple):
        axes = normalise(axis, x.ndim, "axis")
    else:
        axes = normalise(int(axis), x.ndim, "axis")
    if len(axes) == 1:
        return _norm_of_vectors(x, ord, tuple(axes), keepdims)
    if len(axes) == 2:
        return _norm_of_matrices(x, ord, axes[0], axes[1], keepdims)
    raise ValueError(
        f"norm: order {ord!r} is for vectors and matrices, got {len(axes)} axes of an array of "
        f"shape {tuple(x.shape)}; name one or two in axis="
    )


@implements(np.linalg.vector_norm)
def vector_norm(
    x: Array, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2
) -> Array:
    """The norm of the elements along all the axes given, taken as one vector; see norm."""
    x = _floating(x)
    axes = range(x.ndim) if axis is None else normalise(axis, x.ndim, "axis")
    return _norm_of_vectors(x, ord, tuple(axes), keepdims)


@implements(np.linalg.matrix_norm)
def matrix_norm(x: Array, /, *, keepdims: bool = False, ord: Any = "fro") -> Array:
    """The norm of the matrices in the last two axes; see norm."""
    return norm(x, ord, (-2, -1), keepdims)


@implements(np.linalg.cond)
def cond(x: Array, p: Any = None) -> Array:
    """|x| |x⁻¹|; in the 2-norm the ratio of the extreme singular values.

    Of a singular matrix it is inf, with gradient NaN.
    """
    x = _floating(x)
    if x.ndim < 2 or 0 in x.shape[-2:]:
        raise LinAlgError(f"cond: needs matrices that are not empty, got shape {tuple(x.shape)}")
    if p is None or p in (2, -2):
        s = svdvals(x)
        over, under = (s[..., -1], s[..., 0]) if p == -2 else (s[..., 0], s[..., -1])
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(under == 0, math.inf, over / under)
    if x.shape[-1] != x.shape[-2]:
        raise LinAlgError(f"cond: order {p!r} needs square matrices, got shape {tuple(x.shape)}")
    with np.errstate(invalid="ignore"):  # a matrix with NaN is not singular
        singular = slogdet(x).sign == 0
    regular = np.where(singular[..., None, None], _eye(x, x.shape[-1]), x)
    infinite = math.inf + np.sum(undefined_(0 * np.real(x)), axis=(-2, -1))
    return np.where(
        singular, infinite, norm(x, p, (-2, -1)) * norm(inv(regular), p, (-2, -1)))


matrix_rank_ = define(
    "matrix_rank",
    lambda a, tol, hermitian, rtol: np.linalg.matrix_rank(a, tol, hermitian, rtol=rtol)
    if a.ndim > 1 else (a != 0).any().astype(int),
    None, "how many singular values are not negligible",
)


@implements(np.linalg.matrix_rank)
def matrix_rank(
    A: Array, tol: Any = None, hermitian: bool = False, *, rtol: Any = None
) -> Array:
    """A question: its answer has no gradient."""
    if tol is not None and rtol is not None:
        raise ValueError("matrix_rank: tol and rtol cannot both be given")
    tol, rtol = (None if x is None else _static(x) for x in (tol, rtol))
    return matrix_rank_(lift(A), tol=tol, hermitian=hermitian, rtol=rtol)


# The rest of the module. ------------------------------------------------------------------------


@implements(np.linalg.cross)
def cross(x1: Array, x2: Array, /, *, axis: int = -1) -> Array:
    """The product of vectors in three dimensions."""
    x1, x2 = lift(x1), lift(x2)
    if x1.shape[axis] != 3 or x2.shape[axis] != 3:
        raise ValueError(
            f"linalg.cross: needs vectors of three dimensions along axis {axis}, got shapes "
            f"{tuple(x1.shape)} and {tuple(x2.shape)}"
        )
    a, b = moveaxis(x1, axis, -1), moveaxis(x2, axis, -1)
    after, before = np.array([1, 2, 0]), np.array([2, 0, 1])
    product = a[..., after] * b[..., before] - a[..., before] * b[..., after]
    return moveaxis(product, -1, axis)


@implements(np.linalg.trace)
def trace(x: Array, /, *, offset: int = 0, dtype: Any = None) -> Array:
    return np.trace(x, offset, -2, -1, dtype)


@implements(np.linalg.diagonal)
def diagonal(x: Array, /, *, offset: int = 0) -> Array:
    return np.diagonal(x, offset, -2, -1)
