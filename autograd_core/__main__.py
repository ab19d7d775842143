"""Evaluate, differentiate and draw a formula from the command line.

    python -m autograd_core "exp(x) * sin(y)" x=0.5 y=1 --grad --render f.svg
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from .errors import GradientError, MissingRuleError
from .expressions import CONSTANTS, FUNCTIONS, ExpressionError, Formula, parse
from .graph import Graph
from .render import render, to_text
from .tensor import Tensor, tensor

_EXAMPLES = """\
examples:
  python -m autograd_core "x**2 + 3*x" x=2 --grad
  python -m autograd_core "exp(exp(x) + exp(x)**2) + sin(exp(x) + exp(x)**2)" x=0.5 \\
      --grad --render f.svg
  python -m autograd_core "sin(x)*y" x=0.5 y=2 --grad 2
  python -m autograd_core "sum(x**2)" x=1,2,3 --grad --graph
  python -m autograd_core "sin(x)" x=1,2,3 --grad --cotangent 1,0,0

A value is a number, a constant, or several numbers separated by commas: an array; rows of a
matrix are separated by semicolons (x="1,2;3,4").

constants: {constants}
functions: {functions}

exit code: 0 if all went well, 1 if the formula cannot be computed or the picture not be
written, 2 if the formula or the command line cannot be read.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    options = _parser().parse_args(_signed(arguments))
    try:
        formula = parse(options.formula.strip())
        values = dict(_assignment(text) for text in options.values)
        _check_names(formula, values)
        cotangent = None if options.cotangent is None else _value(
            options.cotangent, f"--cotangent {options.cotangent}")
    except ExpressionError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    try:
        with np.errstate(all="ignore"):  # an infinity is printed, not warned of
            _run(formula, values, cotangent, options)
    except (ExpressionError, GradientError, MissingRuleError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    import textwrap

    names = textwrap.fill(", ".join(sorted(FUNCTIONS)), 78, subsequent_indent="  ")
    parser = argparse.ArgumentParser(
        prog="python -m autograd_core",
        description="Evaluate a formula, differentiate it, and draw its graph.",
        epilog=_EXAMPLES.format(constants=", ".join(CONSTANTS), functions=names),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("formula", help='in Python\'s notation: "exp(x) + x**2"')
    parser.add_argument("values", nargs="*", metavar="NAME=VALUE",
                        help="the value of each variable: x=0.5, or x=1,2,3 for an array")
    parser.add_argument("--grad", nargs="?", type=int, const=1, default=0, metavar="ORDER",
                        help="also the derivatives, up to this order (1 if left out); "
                             "of arrays, those of the sum of the results")
    parser.add_argument("--cotangent", metavar="VALUE",
                        help="of arrays, the derivatives of the sum of the results, each times "
                             "its number here: 1,0,2")
    parser.add_argument("--wrt", metavar="NAMES",
                        help="only the derivatives by these variables: x or x,y")
    parser.add_argument("--graph", action="store_true", help="print the graph as text")
    parser.add_argument("--render", metavar="FILE",
                        help="draw the graph: the suffix says the format (svg, png, pdf, dot, "
                             "mmd, txt, or html for a page that steps through it)")
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float64")
    return parser


def _signed(arguments: Sequence[str] | None) -> list[str]:
    """A formula may begin with a minus, which argparse would take for an option."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    return [f" {text}" if text.startswith("-") and text != "-h" and text[1:2] != "-" else text
            for text in given]


def _assignment(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    name = name.strip()
    if not equals or not name.isidentifier():
        raise ExpressionError(f"values are given as NAME=VALUE, not {text!r}", text)
    return name, _value(value, text)


def _value(value: str, text: str) -> Any:
    """A number, or nested lists of them; `text` is what it is a part of."""
    rows = [[_number(part, text) for part in row.split(",") if part.strip()]
            for row in value.split(";")]
    if not all(rows) or len({len(row) for row in rows}) > 1:
        raise ExpressionError(f"rows of different lengths, or empty: {text}", text)
    if len(rows) > 1:
        return rows
    return rows[0] if "," in value else rows[0][0]


def _number(text: str, whole: str) -> float:
    try:
        return float(parse(text)())
    except (ExpressionError, TypeError, OverflowError):
        raise ExpressionError(
            f"{text.strip()!r} in {whole!r} is no number", whole, whole.index(text)) from None


def _check_names(formula: Formula, values: dict[str, Any]) -> None:
    for name in values:
        if name in CONSTANTS or name in FUNCTIONS:
            raise ExpressionError(f"{name} has a meaning of its own; use another name", name)
    missing = [name for name in formula.variables if name not in values]
    if missing:
        raise ExpressionError(
            f"no value for {', '.join(missing)}: add {' '.join(f'{n}=0.5' for n in missing)}",
            formula.source, formula.source.index(missing[0]), len(missing[0]))


def _run(
    formula: Formula, values: dict[str, Any], cotangent: Any, options: argparse.Namespace
) -> None:
    leaves = {name: tensor(value, requires_grad=True, dtype=options.dtype, label=name)
              for name, value in values.items()}
    chosen = _chosen(options, leaves)
    y = formula(**leaves)
    if not isinstance(y, Tensor):
        y = tensor(y, dtype=options.dtype)
    seed = None if y.shape == () else np.ones(y.shape, y.dtype)
    if cotangent is not None:
        seed = np.asarray(cotangent, y.dtype)
        if seed.shape != y.shape:
            raise ValueError(f"--cotangent has shape {seed.shape}, the result {y.shape}")
    print(f"{formula.source} = {_shown(y)}")
    if options.grad:
        _print_derivatives(y, chosen, options.grad, seed)
    if options.graph or options.render:
        graph = Graph(y)
        if options.grad and y.requires_grad:
            graph.bprop(seed)
        if options.graph:
            print(to_text(graph), end="")
        if options.render:
            start = seed if options.grad and y.requires_grad else None
            print(f"wrote {render(graph, options.render, title=formula.source, grad=start)}")


def _chosen(options: argparse.Namespace, leaves: dict[str, Tensor]) -> dict[str, Tensor]:
    if options.grad < 0:
        raise ValueError(f"--grad {options.grad}: the order of a derivative is 1 or more")
    if options.wrt is None:
        return leaves
    names = [name.strip() for name in options.wrt.split(",") if name.strip()]
    for name in names:
        if name not in leaves:
            raise ValueError(f"--wrt {name}: the variables are {', '.join(leaves) or 'none'}")
    return {name: leaves[name] for name in names}


def _print_derivatives(y: Tensor, leaves: dict[str, Tensor], order: int, seed: Any) -> None:
    """All partial derivatives up to an order, each mixed one once."""
    names = list(leaves)
    known: list[tuple[tuple[str, ...], Tensor]] = [((), y)]
    for level in range(order):
        following: list[tuple[tuple[str, ...], Tensor]] = []
        for by, value in known:
            rest = names[names.index(by[-1]):] if by else names
            found = _gradients(value, [leaves[name] for name in rest], level + 1 < order,
                               None if by else seed)
            following += [((*by, name), g) for name, g in zip(rest, found, strict=True)]
        for by, g in following:
            print(f"{_symbol(by)} = {_shown(g)}")
        known = following


def _gradients(y: Tensor, leaves: list[Tensor], again: bool, seed: Any) -> list[Tensor]:
    """Of the sum of y, each element times that of `seed` if there is one, by each of the leaves."""
    if seed is None and y.shape != ():
        seed = np.ones(y.shape, y.dtype)
    if y.requires_grad:
        for leaf in leaves:
            leaf.zero_grad()
        y.backward(seed, create_graph=again)
    found = []
    for leaf in leaves:
        g = leaf.grad if y.requires_grad else None
        if g is None:
            g = np.zeros(leaf.shape, leaf.dtype)[()]
        found.append(g if isinstance(g, Tensor) else tensor(g))
        leaf.zero_grad()
    return found


def _symbol(by: Sequence[str]) -> str:
    """`d/dx`, `d3/dx2 dy`."""
    counts: dict[str, int] = {}
    for name in by:
        counts[name] = counts.get(name, 0) + 1
    below = " ".join(f"d{name}{n if n > 1 else ''}" for name, n in counts.items())
    return f"d{len(by) if len(by) > 1 else ''}/{below}"


def _shown(x: Tensor) -> str:
    value = x.numpy(force=True)
    return repr(value.item()) if value.shape == () else np.array2string(value, separator=", ")


if __name__ == "__main__":
    sys.exit(main())
