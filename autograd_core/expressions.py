"""Formulas as people type them: parsed to a function of Tensors, and never evaluated as Python.

    formula = parse("exp(x) * sin(y) + x**2")
    formula.variables                       # ("x", "y")
    formula(x=ag.tensor(0.5), y=1.0)        # records a node for each operation

A formula is read by Python's own grammar (``ast``), of which numbers, names, arithmetic,
comparisons, indices and calls of known functions are let through; there is no attribute, no
assignment, no text, and no other name. What is not let through is an error that points at the
column.
"""

from __future__ import annotations

import ast
import math
import operator
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .ops.reductions import log_softmax, logsumexp, softmax
from .ops.special import relu, sigmoid, softplus

__all__ = ["CONSTANTS", "FUNCTIONS", "ExpressionError", "Formula", "parse"]

#: Names with a value of their own.
CONSTANTS: Mapping[str, float] = {"pi": math.pi, "e": math.e, "inf": math.inf, "nan": math.nan}

#: NumPy functions that a formula may call, by their own names.
_FROM_NUMPY = (
    "abs", "absolute", "add", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2",
    "arctanh", "cbrt", "ceil", "clip", "cos", "cosh", "cumprod", "cumsum", "degrees", "diff",
    "divide", "dot", "exp", "exp2", "expm1", "fabs", "floor", "fmax", "fmin", "hypot", "inner",
    "log", "log10", "log1p", "log2", "logaddexp", "matmul", "max", "maximum", "mean", "median",
    "min", "minimum", "multiply", "negative", "outer", "power", "prod", "radians", "reciprocal",
    "sign", "sin", "sinc", "sinh", "sort", "sqrt", "square", "std", "subtract", "sum", "tan",
    "tanh", "trace", "transpose", "var", "where",
)

#: Functions that a formula may call, by name.
FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    **{name: getattr(np, name) for name in _FROM_NUMPY},
    "acos": np.arccos, "asin": np.arcsin, "atan": np.arctan, "atan2": np.arctan2, "ln": np.log,
    "log_softmax": log_softmax, "logsumexp": logsumexp, "relu": relu, "sigmoid": sigmoid,
    "softmax": softmax, "softplus": softplus,
}

_BINARY: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul,
    ast.Div: operator.truediv, ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod,
    ast.Pow: operator.pow, ast.MatMult: operator.matmul,
}
_UNARY: Mapping[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.UAdd: operator.pos, ast.USub: operator.neg,
}
_COMPARISONS: Mapping[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge,
    ast.Eq: operator.eq, ast.NotEq: operator.ne,
}
#: Names of arguments that are no arrays: `sum(x, axis=0)`.
_KEYWORDS = frozenset(("axis", "keepdims", "ddof", "n"))

_LONGEST = 10_000
# Python's own parser and the compiler of a tree recurse; a formula as deep as this is a mistake.
_DEEPEST = 200
_LARGEST_POWER = 10_000


class ExpressionError(ValueError):
    """A formula that cannot be read, or computed; its message points at the column."""

    def __init__(self, reason: str, source: str, column: int | None = None, width: int = 1) -> None:
        self.reason, self.source, self.column = reason, source, column
        message = reason
        if column is not None:
            line = source.replace("\t", " ")
            marks = "^" * max(1, min(width, len(line) - column))
            message = f"{reason}, at column {column + 1}\n  {line}\n  {' ' * column}{marks}"
        super().__init__(message)


@dataclass(frozen=True)
class Formula:
    """A parsed formula: call it with a value for each variable."""

    source: str
    variables: tuple[str, ...]
    """Names that are no constants and no functions, in the order in which they first stand."""
    _tree: ast.expr

    def __call__(self, **values: Any) -> Any:
        """The value of the formula; given Tensors, a Tensor.

        Raises :class:`ExpressionError` for a variable without a value or a value without a
        variable, and where an operation fails, with its column.
        """
        for name in self.variables:
            if name not in values:
                raise ExpressionError(
                    f"no value for {name}: give it as {name}=0.5", self.source, *self._first(name))
        for name in values:
            if name not in self.variables:
                raise ExpressionError(
                    f"{name} does not occur in the formula; its variables are "
                    f"{', '.join(self.variables) or 'none'}", self.source)
        return _Evaluation(self.source, values).of(self._tree)

    def _first(self, name: str) -> tuple[int, int]:
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Name) and node.id == name:
                return _column(node), len(name)
        return 0, 1


def parse(source: str) -> Formula:
    """Read a formula such as ``"exp(x) + x**2"``.

    Arithmetic ``+ - * / // % ** @`` (and ``^`` is refused with a hint), comparisons, indices
    ``x[0]``, lists ``[x, 2*x]``, numbers, :data:`CONSTANTS` and calls of :data:`FUNCTIONS`.

    Raises :class:`ExpressionError` with the column of what is not one of these.

    >>> from autograd_core.expressions import parse
    >>> formula = parse("3*x**2 + sin(0)")
    >>> formula.variables, formula(x=2.0)
    (('x',), 12.0)
    """
    if len(source) > _LONGEST:
        raise ExpressionError(
            f"a formula of {len(source):,} characters is too long: at most {_LONGEST:,}", "")
    if "\n" in source or "\r" in source:
        raise ExpressionError("a formula is one line", "")
    stripped = source.lstrip()
    if not stripped:
        raise ExpressionError("the formula is empty", source)
    _check_depth(source)
    # Leading spaces would be an indentation.
    shift = len(source) - len(stripped)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is wrong with text, which is refused anyway
            tree = ast.parse(stripped, mode="eval").body
    except SyntaxError as error:
        column = min(max((error.offset or 1) - 1, 0), len(stripped)) + shift
        raise ExpressionError(f"cannot be read: {error.msg}", source, column) from None
    except (ValueError, MemoryError, RecursionError) as error:
        raise ExpressionError(f"cannot be read: {error or 'too deeply nested'}", source) from None
    # Python counts bytes of UTF-8.
    column_of = [i for i, c in enumerate(stripped) for _ in c.encode()] + [len(stripped)]
    for node in ast.walk(tree):
        if isinstance(node, (ast.expr, ast.keyword)):
            node.col_offset = column_of[node.col_offset] + shift
            node.end_col_offset = column_of[node.end_col_offset or 0] + shift
    variables = _Checker(source).check(tree)
    return Formula(source, variables, tree)


def _check_depth(source: str) -> None:
    depth = signs = 0
    for i, c in enumerate(source):
        depth += (c in "([{") - (c in ")]}")
        signs = signs + 1 if c in "+-~ " else 0
        if depth > _DEEPEST or signs > _DEEPEST:
            raise ExpressionError("too deeply nested", source, i)


def _column(node: ast.AST) -> int:
    return int(getattr(node, "col_offset", 0))


def _children(node: ast.expr) -> list[ast.expr]:
    """The operands of a node that is let through."""
    if isinstance(node, ast.BinOp):
        return [node.left, node.right]
    if isinstance(node, ast.UnaryOp):
        return [node.operand]
    if isinstance(node, ast.Compare):
        return [node.left, *node.comparators]
    if isinstance(node, ast.Call):
        return list(node.args)
    if isinstance(node, ast.Subscript):
        return [node.value]
    if isinstance(node, (ast.List, ast.Tuple)):
        return list(node.elts)
    return []


class _Checker:
    """Goes through a tree, refuses what is not let through, and notes the variables."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.variables: dict[str, int] = {}

    def check(self, tree: ast.expr) -> tuple[str, ...]:
        stack = [tree]
        while stack:
            node = stack.pop()
            self._check(node)
            stack.extend(_children(node))
        return tuple(sorted(self.variables, key=self.variables.__getitem__))

    def _fail(self, reason: str, node: ast.AST, width: int = 1) -> None:
        raise ExpressionError(reason, self.source, _column(node), width)

    def _check(self, node: ast.expr) -> None:
        if isinstance(node, ast.Constant):
            if type(node.value) not in (int, float, complex):
                self._fail(f"{type(node.value).__name__} {node.value!r} is no number", node)
            if isinstance(node.value, int) and abs(node.value) > 1e308:
                self._fail("a number too large", node)
        elif isinstance(node, ast.Name):
            self._check_name(node)
        elif isinstance(node, ast.BinOp):
            if type(node.op) not in _BINARY:
                hint = ": a power is written x**2" if isinstance(node.op, ast.BitXor) else ""
                self._fail(f"the operator {_symbol(node.op)} is not known here{hint}",
                           _after(node.left, self.source))
        elif isinstance(node, ast.UnaryOp):
            if type(node.op) not in _UNARY:
                self._fail(f"the operator {_symbol(node.op)} is not known here", node)
        elif isinstance(node, ast.Compare):
            if len(node.ops) > 1 or type(node.ops[0]) not in _COMPARISONS:
                self._fail("one comparison at a time, with <, <=, >, >=, == or !=", node)
        elif isinstance(node, ast.Call):
            self._check_call(node)
        elif isinstance(node, ast.Subscript):
            _index(node.slice, self.source)
        elif not isinstance(node, (ast.List, ast.Tuple)) or not node.elts:
            at = _after(node.value, self.source) if isinstance(node, ast.Attribute) else node
            self._fail(
                "only numbers, names, + - * / // % ** @, comparisons, indices, lists and calls "
                f"of functions are allowed here, not {_kind(node)}", at)

    def _check_name(self, node: ast.Name) -> None:
        if node.id in FUNCTIONS:
            self._fail(f"{node.id} is a function: write {node.id}(...)", node, len(node.id))
        if node.id.startswith("_") or not node.id.isidentifier():
            self._fail(f"{node.id} is no name for a variable", node, len(node.id))
        if node.id not in CONSTANTS:
            place = _column(node)
            self.variables[node.id] = min(place, self.variables.get(node.id, place))

    def _check_call(self, node: ast.Call) -> None:
        if not isinstance(node.func, ast.Name):
            self._fail("only functions by their plain names can be called, such as sin(x)", node)
            return
        name = node.func.id
        if name not in FUNCTIONS:
            import difflib

            near = difflib.get_close_matches(name, FUNCTIONS, 1)
            hint = f"; did you mean {near[0]}?" if near else "; see --help for those that are"
            self._fail(f"the function {name} is not known{hint}", node, len(name))
        if not node.args:
            self._fail(f"{name} needs an argument", node, len(name))
        for argument in node.args:
            if isinstance(argument, ast.Starred):
                self._fail("* before an argument is not allowed", argument)
        for keyword in node.keywords:
            if keyword.arg not in _KEYWORDS:
                self._fail(
                    f"the argument {keyword.arg or '**'}= is not allowed; these are: "
                    f"{', '.join(sorted(_KEYWORDS))}", keyword)
            _static(keyword.value, self.source)


def _after(node: ast.expr, source: str) -> ast.AST:
    """A place for errors: the first sign after an operand."""
    found = ast.Pass()
    found.col_offset = node.end_col_offset or 0
    while source[found.col_offset:found.col_offset + 1] in (" ", "\t", ")"):
        found.col_offset += 1
    return found


def _symbol(op: ast.AST) -> str:
    symbols = {ast.BitXor: "^", ast.BitAnd: "&", ast.BitOr: "|", ast.LShift: "<<",
               ast.RShift: ">>", ast.Invert: "~", ast.Not: "not"}
    return symbols.get(type(op), type(op).__name__)


def _kind(node: ast.AST) -> str:
    names = {ast.Attribute: "a dot after a name", ast.Lambda: "lambda", ast.IfExp: "if ... else",
             ast.BoolOp: "and / or", ast.Dict: "a dictionary", ast.JoinedStr: "text",
             ast.NamedExpr: ":=", ast.Starred: "*", ast.Set: "braces",
             ast.List: "an empty list", ast.Tuple: "an empty tuple", ast.Slice: "a slice"}
    return names.get(type(node), type(node).__name__)


def _static(node: ast.expr, source: str) -> Any:
    """What is known without variables: an integer, True, False, None, or a tuple of integers."""
    if isinstance(node, ast.Constant) and (
        node.value is None or isinstance(node.value, (bool, int))
    ):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = _static(node.operand, source)
        if type(value) is int:
            return -value
    if isinstance(node, ast.Tuple):
        return tuple(_static(element, source) for element in node.elts)
    raise ExpressionError(
        "an integer, True, False, None or a tuple of integers is needed", source,
        _column(node))


def _index(node: ast.expr, source: str) -> Any:
    if isinstance(node, ast.Slice):
        return slice(*(None if part is None else _static(part, source)
                       for part in (node.lower, node.upper, node.step)))
    if isinstance(node, ast.Tuple):
        return tuple(_index(element, source) for element in node.elts)
    if isinstance(node, ast.Constant) and node.value is Ellipsis:
        return ...
    return _static(node, source)


class _Evaluation:
    """One evaluation of a tree, operands first; iterative, since sums may have many terms."""

    def __init__(self, source: str, values: Mapping[str, Any]) -> None:
        self.source, self.values = source, values

    def of(self, tree: ast.expr) -> Any:
        done: dict[int, Any] = {}
        stack = [(tree, False)]
        while stack:
            node, ready = stack.pop()
            operands = _children(node)
            if not ready and operands:
                stack.append((node, True))
                stack.extend((operand, False) for operand in reversed(operands))
                continue
            try:
                done[id(node)] = self._apply(node, [done.pop(id(x)) for x in operands])
            except ExpressionError:
                raise
            except OverflowError as error:
                raise ExpressionError("the result is too large", self.source,
                                      _column(node), self._width(node)) from error
            except (TypeError, ValueError, ArithmeticError, IndexError, NotImplementedError,
                    np.linalg.LinAlgError) as error:
                # The column says it better than the place in this file.
                reason = re.sub(r" \(at [^()]*\)", "", str(error))
                raise ExpressionError(
                    reason, self.source, _column(node), self._width(node)) from error
        return done[id(tree)]

    def _width(self, node: ast.expr) -> int:
        return max(1, (node.end_col_offset or 0) - _column(node))

    def _apply(self, node: ast.expr, operands: list[Any]) -> Any:
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Name):
            return self.values[node.id] if node.id in self.values else CONSTANTS[node.id]
        if isinstance(node, ast.UnaryOp):
            return _UNARY[type(node.op)](*operands)
        if isinstance(node, ast.BinOp):
            return self._binary(node, *operands)
        if isinstance(node, ast.Compare):
            return _COMPARISONS[type(node.ops[0])](*operands)
        if isinstance(node, ast.Subscript):
            return operands[0][_index(node.slice, self.source)]
        if isinstance(node, (ast.List, ast.Tuple)):
            from .tensor import array

            return array(operands)
        assert isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        options: dict[str, Any] = {
            str(k.arg): _static(k.value, self.source) for k in node.keywords}
        f = FUNCTIONS[node.func.id]
        if all(type(x) in (int, float) for x in operands):
            # Stays a Python number, which does not widen a float32.
            result = f(*map(np.float64, operands), **options)
            return result.item() if np.ndim(result) == 0 else result
        return f(*operands, **options)

    def _binary(self, node: ast.BinOp, a: Any, b: Any) -> Any:
        # Python's integers have no end: 9**9**9**9 would take all memory.
        if isinstance(node.op, ast.Pow) and type(a) is int and type(b) is int and (
            b > _LARGEST_POWER or abs(a) > _LARGEST_POWER or b < 0
        ):
            return float(a) ** float(b)
        result = _BINARY[type(node.op)](a, b)
        if type(result) is int and abs(result) > 2**63:
            return float(result)
        return result
