"""The page of what is covered: up to date, complete, true; and the vocabularies of peers."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

import autograd_core as ag
from autograd_core import special
from autograd_core.op import FUNCTIONS, UFUNCS, Op
from docs import make_coverage as page
from tests.ops.test_numpy_functions import ROWS, Bound, recorded

ENTRIES = {module: page.entries(module) for module in page.MODULES}


def test_the_page_is_up_to_date():
    written = page.PAGE.read_text(encoding="utf-8")
    if page.versions() not in written:
        pytest.skip(f"the page is about other versions than {page.versions()}")
    assert written == page.page(), "run `make coverage-page`"


@pytest.mark.parametrize("module", page.MODULES, ids=lambda m: m.__name__)
def test_every_public_name_is_classified(module):
    """Also those of another NumPy than the page is about."""
    unknown = [name for name in page.names(module) if page.classify(module, name) is None]
    assert unknown == []
    assert {e.status for e in ENTRIES[module].values()} <= set(page.STATUSES)


@pytest.mark.parametrize("module", [np, np.linalg, np.fft], ids=lambda m: m.__name__)
def test_nothing_of_numpy_is_left(module):
    """Each name is differentiable or rightly has no gradient, with the reason on the page."""
    assert [name for name, entry in ENTRIES[module].items() if entry.status == page.NOT_YET] == []
    for name, entry in ENTRIES[module].items():
        assert entry.status != page.IMPOSSIBLE or len(entry.note.split()) > 4, name


def test_the_lists_of_the_page_name_what_is_there():
    """Nothing in them is dead, except what some release of NumPy lacks."""
    public = {name for module in page.MODULES for name in page.names(module)}
    listed = {*page.ASKING, *page._ELSEWHERE, *page._CONVERTING, *page._WHOLE.split()}
    assert listed - public <= {"row_stack", "in1d"}


def _outputs(row):
    bound = Bound(row)
    return [y for y in recorded(row, bound(bound.tensors())) if y.dtype.kind == "f"]


def _rows_of(function):
    return [row for row in ROWS if row.function is function and Bound(row).smooth]


CALLED = [
    (name, entry, getattr(module, name))
    for module in (np, np.linalg) for name, entry in ENTRIES[module].items()
    if entry.note not in ("a type", "a value", "a module")
    and getattr(module, name) in {row.function for row in ROWS}
]


@pytest.mark.parametrize(("name", "entry", "function"), CALLED, ids=[c[0] for c in CALLED])
def test_what_the_page_says_is_so(name, entry, function):
    """Differentiable: some call of the table has a gradient. Constant: none, or one that is 0."""
    rows = _rows_of(function)
    if entry.status == page.DIFFERENTIABLE:
        # Of some, the table calls only a wrapped form.
        assert not rows or any(y.requires_grad for row in rows for y in _outputs(row))
        return
    assert entry.status == page.CONSTANT
    implementation = UFUNCS.get(function) or FUNCTIONS[function]
    for row in rows:
        for y in _outputs(row):
            assert not y.requires_grad or isinstance(implementation, Op) or name in (
                "round", "around", "fix"  # their ops are steps, too
            )


def test_a_wrong_claim_is_found(monkeypatch):
    monkeypatch.setattr(page, "ASKING", page.ASKING - {"argsort"})
    entry = page.entries(np)["argsort"]
    assert entry.status == page.DIFFERENTIABLE
    with pytest.raises(AssertionError):
        test_what_the_page_says_is_so("argsort", entry, np.argsort)
    assert page.PAGE.read_text(encoding="utf-8") != page.page()


# Vocabularies. ----------------------------------------------------------------------------------

#: What HIPS autograd 1.9 has a gradient for, of numpy, numpy.linalg and numpy.fft.
HIPS = """
    abs absolute add amax amin angle append arccos arccosh arcsin arcsinh arctan arctan2 arctanh
    array array_split astype atleast_1d atleast_2d atleast_3d average broadcast_to clip concatenate
    conj conjugate cos cosh cross cumsum deg2rad degrees diag diagonal diff divide dot dsplit
    einsum exp exp2 expand_dims expm1 fabs flip fliplr flipud full gradient hsplit hypot imag inner
    kron linspace log log10 log1p log2 logaddexp logaddexp2 make_diagonal matmul max maximum mean
    median min minimum mod moveaxis multiply nan_to_num negative outer pad partition power prod
    rad2deg radians ravel real real_if_close reciprocal remainder repeat reshape roll rollaxis rot90
    select sign sin sinc sinh sort split sqrt square squeeze stack std subtract sum swapaxes tan
    tanh tensordot tile trace transpose tril triu true_divide var vsplit vstack where
    linalg.cholesky linalg.det linalg.eig linalg.eigh linalg.inv linalg.norm linalg.pinv
    linalg.slogdet linalg.solve linalg.svd
    fft.fft fft.fft2 fft.fftn fft.fftshift fft.ifft fft.ifft2 fft.ifftn fft.ifftshift fft.irfft
    fft.irfft2 fft.irfftn fft.rfft fft.rfft2 fft.rfftn
"""
#: Names of its own, and what one writes here.
_HIPS_OWN = {"make_diagonal", "sign", "array"}  # np.diag; a step; ag.array
#: What MyGrad 2.5 has and NumPy has, too. (add_sequence is sum, multi_matmul is linalg.multi_dot;
#: its secants and the like are quotients.)
MYGRAD = """
    abs absolute add amax amin arccos arccosh arcsin arcsinh arctan arctan2 arctanh broadcast_to
    cbrt clip concatenate cos cosh cumprod cumsum divide einsum exp exp2 expand_dims expm1 log log10
    log1p log2 logaddexp logaddexp2 matmul max maximum mean min minimum moveaxis multiply negative
    positive power prod ravel reciprocal repeat reshape roll sin sinc sinh sqrt square squeeze stack
    std subtract sum swapaxes tan tanh transpose var where linalg.norm linalg.multi_dot
"""
#: What jax.numpy differentiates besides.
JAX = """
    acos acosh append apply_along_axis apply_over_axes asin asinh atan atan2 atanh block choose
    column_stack compress convolve copysign corrcoef correlate cov cumulative_prod cumulative_sum
    diagflat divmod dstack ediff1d extract fill_diagonal float_power fmax fmin fmod frexp geomspace
    heaviside histogram hstack i0 insert interp kaiser ldexp logspace matrix_transpose matvec
    meshgrid modf nancumprod nancumsum nanmax nanmean nanmedian nanmin nanpercentile nanprod
    nanquantile nanstd nansum nanvar percentile permute_dims piecewise poly polyadd polyder polydiv
    polyfit polyint polymul polysub polyval pow ptp put_along_axis quantile resize take
    take_along_axis trapezoid trim_zeros unique unstack unwrap vander vdot vecdot vecmat bincount
    histogram2d histogramdd histogram_bin_edges delete intersect1d setdiff1d setxor1d union1d
    unique_all unique_counts unique_inverse unique_values
    linalg.cond linalg.cross linalg.diagonal linalg.eigvals linalg.eigvalsh linalg.lstsq
    linalg.matmul linalg.matrix_norm linalg.matrix_power linalg.multi_dot linalg.outer linalg.qr
    linalg.svdvals linalg.tensordot linalg.tensorinv linalg.tensorsolve linalg.trace
    linalg.vecdot linalg.vector_norm fft.hfft fft.ihfft
"""


def _entry(name):
    module, _, last = name.rpartition(".")
    return ENTRIES[{"": np, "linalg": np.linalg, "fft": np.fft}[module]].get(last)


@pytest.mark.parametrize("name", sorted({*HIPS.split(), *MYGRAD.split(), *JAX.split()}
                                        - _HIPS_OWN))
def test_what_peers_differentiate(name):
    entry = _entry(name)
    if entry is None:
        assert not hasattr(np, name)  # this NumPy has no such function
        return
    assert entry.status == page.DIFFERENTIABLE, entry


def test_hips_autograd_has_no_gradient_that_is_missing_here():
    autograd = pytest.importorskip("autograd", reason="HIPS autograd is not installed")
    importlib.import_module("autograd.numpy")  # fills its tables
    theirs = {getattr(f, "__name__", "") for f in autograd.core.primitive_vjps}
    assert len(theirs) > 120
    missing = []
    for name in theirs:
        for prefix in ("", "linalg.", "fft."):
            entry = _entry(prefix + name)
            if entry is not None and entry.status in (page.NOT_YET, page.IMPOSSIBLE):
                missing.append(prefix + name)
    assert missing == []


SPECIAL = """
    erf erfc erfinv erfcinv expit logit log_expit log_ndtr ndtr ndtri gamma gammaln gammasgn
    gammainc gammaincc digamma psi polygamma beta betaln rgamma i0 i0e i1 i1e iv ive j0 j1 jn jv y0
    y1 yn logsumexp softmax log_softmax xlogy xlog1py entr rel_entr kl_div multigammaln zeta sinc
"""


@pytest.mark.parametrize("name", SPECIAL.split())
def test_the_promised_special_functions(name):
    assert name in special.__all__
    assert callable(getattr(ag.special, name))
