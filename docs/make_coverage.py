"""Writes docs/coverage.md: what becomes of each public name of NumPy and of scipy.special.

    python -m docs.make_coverage

The answers are those of the tables that dispatch works by. What the tables cannot tell (which
composites have no gradient, and why NumPy never asks about some functions) stands here, and the
tests hold it against what the functions do.
"""

from __future__ import annotations

import types
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy
import scipy.special

import autograd_core as ag
from autograd_core import special
from autograd_core.op import (
    FUNCTIONS,
    METADATA,
    REFUSED,
    UFUNCS,
    EachInput,
    MissingRule,
    Op,
    zero,
)

PAGE = Path(__file__).parent / "coverage.md"
MODULES = (np, np.linalg, np.fft, scipy.special)
DIFFERENTIABLE, CONSTANT = "differentiable", "constant"
IMPOSSIBLE, NOT_YET = "impossible", "not yet"
STATUSES = (DIFFERENTIABLE, CONSTANT, IMPOSSIBLE, NOT_YET)
#: The type of NumPy's functions that ask their arguments what to do.
DISPATCHER = type(np.sum)

#: Composites that ask: what they return has no gradient. Ops say so themselves.
_ASKING = """
    all any argmax argmin argpartition argsort argwhere around count_nonzero digitize
    fix flatnonzero in1d isclose iscomplex isin isneginf isposinf isreal ix_ lexsort
    matrix_rank nanargmax nanargmin nonzero packbits ravel_multi_index round searchsorted
    unpackbits unravel_index
"""
ASKING = frozenset(_ASKING.split())
#: The functions among NumPy's that no Tensor can ask anything of, and what they are.
ELSEWHERE = {
    "makes an array of sizes and numbers, or of a file": """
        arange bartlett blackman diag_indices empty eye fftfreq frombuffer fromfile fromiter
        fromregex fromstring from_dlpack genfromtxt hamming hanning identity indices kaiser load
        loadtxt mask_indices mgrid ogrid ones rfftfreq tri tril_indices triu_indices zeros
    """,
    "asks about types and shapes": """
        broadcast_shapes datetime_data isdtype isfortran isscalar issubdtype iterable mintypecode
        promote_types typename
    """,
    "makes an index": "index_exp s_",
    "is about text, files or the state of NumPy": """
        base_repr binary_repr errstate format_float_positional format_float_scientific get_include
        get_printoptions getbufsize geterr geterrcall info nested_iters printoptions
        set_printoptions setbufsize seterr seterrcall show_config show_runtime test
    """,
    "calls the function with arrays of indices": "fromfunction",
}
#: Deprecated names for functions that NumPy dispatches, in the releases that still have them.
OLD_NAMES = {"trapz": "trapezoid"}
#: Those that turn their argument into an ndarray without asking. On a Tensor that requires a
#: gradient they raise.
CONVERTING = {
    "a Tensor is as good, so leave it out": """
        asanyarray asarray_chkfinite ascontiguousarray asfortranarray asmatrix bmat require
    """,
    "join with `np.concatenate` or `np.stack`": "c_ r_ row_stack",
    "calls a function with single elements: write it for arrays": "frompyfunc vectorize",
}
#: Of scipy.special: functions of whole numbers, and classes of polynomials.
_OF_WHOLE_NUMBERS = ("_zeros", "roots_", "_roots", "_coef", "cv_seq")
_WHOLE = """
    bernoulli euler stirling2 legendre chebyt chebyu chebyc chebys jacobi laguerre genlaguerre
    hermite hermitenorm gegenbauer sh_legendre sh_chebyt sh_chebyu sh_jacobi ellip_normal
    factorial2 factorialk
"""
#: Names of scipy.special without a rule, and why.
_WITHOUT = {
    "no derivative in closed form": """
        chndtridf ncfdtridfd ncfdtridfn nctdtridf mathieu_a mathieu_b pro_cv obl_cv ellip_harm
        ellip_harm_2
    """,
    "SciPy's value is right to about five digits, too few to differentiate": "ncfdtrinc nctdtrinc",
    "SciPy's value does not agree with the derivative that it gives beside it": """
        pro_rad2 pro_rad2_cv obl_rad2 obl_rad2_cv
    """,
    "SciPy's value is wrong off the real line; on it, pbdv_seq serves": "pbdn_seq",
}


class Entry(NamedTuple):
    """What becomes of a name, and a note: a formula, an advice, a reason."""

    status: str
    note: str


def names(module: types.ModuleType) -> list[str]:
    """The public names, in the order of the alphabet."""
    return sorted({name for name in module.__all__ if not name.startswith("_")}, key=_order)


def _order(name: str) -> tuple[str, str]:
    return name.lower(), name


def _reasons(table: dict[str, str]) -> dict[str, str]:
    return {name: reason for reason, listed in table.items() for name in listed.split()}


_ELSEWHERE, _CONVERTING = _reasons(ELSEWHERE), _reasons(CONVERTING)
_NO_CLOSED_FORM = _reasons(_WITHOUT)


def classify(module: types.ModuleType, name: str) -> Entry | None:
    """What becomes of a name; None for one that this page has not heard of."""
    value = getattr(module, name)
    if isinstance(value, types.ModuleType):
        return Entry(CONSTANT, "a module")
    if name in _CONVERTING:
        return Entry(IMPOSSIBLE, f"NumPy converts its arguments; {_CONVERTING[name]}")
    if isinstance(value, type):
        return Entry(CONSTANT, "a type")
    if not callable(value) and name not in _ELSEWHERE:
        return Entry(CONSTANT, "a value")
    if isinstance(value, np.ufunc):
        return _of_tables(value, name, UFUNCS)
    if isinstance(value, DISPATCHER):
        return _of_tables(value, name, FUNCTIONS)
    if module is scipy.special:
        return _of_scipy(name)
    if name in ag.__all__:
        return Entry(DIFFERENTIABLE, f"as `ag.{name}`: NumPy does not ask a Tensor")
    if name in _ELSEWHERE:
        return Entry(CONSTANT, _ELSEWHERE[name])
    if name in OLD_NAMES:
        return classify(module, OLD_NAMES[name])
    return None


def _of_tables(function: Any, name: str, table: dict[Any, Any]) -> Entry:
    if function in METADATA:
        return Entry(CONSTANT, "asks about shapes and types, or about whole arrays")
    implementation = table.get(function)
    if implementation is None:
        reason = REFUSED.get(function, "no rule")
        if name in ag.__all__:
            return Entry(DIFFERENTIABLE, f"as `ag.{name}`, which returns a new array")
        if name in _NO_CLOSED_FORM:
            return Entry(NOT_YET, _NO_CLOSED_FORM[name])
        return Entry(NOT_YET if reason == "no rule" else IMPOSSIBLE, reason)
    if isinstance(implementation, Op):
        return _of_op(implementation)
    note = (implementation.__doc__ or "").strip().splitlines()
    return Entry(CONSTANT if name in ASKING else DIFFERENTIABLE, note[0] if note else "")


def _of_op(op: Op) -> Entry:
    if op.vjps is None:
        return Entry(CONSTANT, op.formula)
    if isinstance(op.vjps, EachInput):
        return Entry(DIFFERENTIABLE, op.formula)
    if all(rule is zero for rule in op.vjps):
        return Entry(CONSTANT, f"{op.formula}; its gradient is 0")
    without = [ORDINALS[i] for i, rule in enumerate(op.vjps) if isinstance(rule, MissingRule)]
    if len(without) == len(op.vjps):
        return Entry(NOT_YET, f"{op.formula}; no rule")
    note = f"; not by its {' and '.join(without)} argument" if without else ""
    return Entry(DIFFERENTIABLE, op.formula + note)


ORDINALS = ("first", "second", "third", "fourth", "fifth")


def _of_scipy(name: str) -> Entry:
    if name in special.__all__:
        return Entry(DIFFERENTIABLE, f"as `ag.special.{name}`: SciPy's own converts its arguments")
    if name in _ELSEWHERE:
        return Entry(CONSTANT, _ELSEWHERE[name])
    if name in _WHOLE.split() or any(part in name for part in _OF_WHOLE_NUMBERS):
        return Entry(CONSTANT, "of whole numbers")
    return Entry(NOT_YET, _NO_CLOSED_FORM.get(name, "no rule; SciPy's own converts its arguments"))


def entries(module: types.ModuleType) -> dict[str, Entry]:
    """Every public name of a module, classified."""
    return {name: classify(module, name) or Entry(NOT_YET, "unknown to this version")
            for name in names(module)}


def versions() -> str:
    return f"NumPy {np.__version__} and SciPy {scipy.__version__}"


def page() -> str:
    """The whole page."""
    lines = [
        "# Coverage",
        "",
        f"What becomes of each public name of {versions()} when it is called on Tensors. Made by",
        "`make coverage-page` from the tables that dispatch works by; do not edit.",
        "",
        "- **differentiable**: records nodes; gradients flow, to any order.",
        "- **constant**: computes, and is asked anew at a replay, but has no gradient: a question,",
        "  a step, or a name that takes no array at all.",
        "- **impossible**: raises, and says what to write instead: NumPy asks no Tensor, or what",
        "  it does cannot be recorded.",
        "- **not yet**: raises; nobody has written a rule.",
        "",
    ]
    tables = {module: entries(module) for module in MODULES}
    lines += [f"|  | {' | '.join(STATUSES)} |", "| --- |" + " ---: |" * len(STATUSES)]
    for module, table in tables.items():
        count = Counter(entry.status for entry in table.values())
        counts = " | ".join(str(count[status]) for status in STATUSES)
        lines.append(f"| `{module.__name__}` | {counts} |")
    for module, table in tables.items():
        lines += ["", f"## {module.__name__}", ""]
        listed = {name: entry for name, entry in table.items()
                  if entry.note not in ("a type", "a value", "a module")}
        lines += ["| name | | |", "| --- | --- | --- |"]
        for name, (status, note) in listed.items():
            shown = note.replace("|", "\\|").replace("\n", " ")
            lines.append(f"| `{name}` | {status} | {shown} |")
        for what in ("type", "value", "module"):
            rest = [f"`{name}`" for name, entry in table.items() if entry.note == f"a {what}"]
            if rest:
                lines += ["", f"Constant, each a {what}: {', '.join(rest)}."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
