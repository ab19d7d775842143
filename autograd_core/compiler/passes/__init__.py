"""The passes: from program to program, each in a file of its own, none changing what is computed.

``PASSES`` are run in this order:

- ``dead`` drops what no result needs, ``expand`` puts elementary ops in place of composites;
- ``simplify`` applies ``algebra``, ``fold``, ``common`` and ``dead`` until nothing changes;
- ``batch`` makes arrays of scalars that are computed alike;
- ``tiles`` lays gradients of an array's parts side by side instead of adding them up;
- ``products`` joins small matrix products that share a factor, such as those of a loop over time;
- ``updates`` packs what is updated alike;
- ``fuse`` groups element-wise work on large arrays;
- ``release`` drops the barriers that have kept in its place what a checkpoint computes again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from ..program import Program, verify
from .algebra import algebra
from .batch import batch
from .common import common
from .dead import dead
from .expand import expand
from .fold import fold
from .fuse import fuse
from .products import products
from .release import release
from .tiles import tiles
from .updates import updates

__all__ = [
    "PASSES", "algebra", "batch", "common", "dead", "expand", "fold", "fuse", "optimise",
    "products", "release", "simplify", "tiles", "updates",
]

Pass: TypeAlias = Callable[[Program], Program]

#: Rounds of simplification at most; each rule sees the results of the others in the next round,
#: and few programs need three.
_ROUNDS = 5


def simplify(program: Program) -> Program:
    """Rules, constant folding and common subexpressions, until nothing changes."""
    for _ in range(_ROUNDS):
        before = program
        for step in (algebra, fold, common):
            program = step(program)
        if program is before:
            break
    return dead(program)


PASSES: tuple[tuple[str, Pass], ...] = (
    ("dead", dead),
    ("expand", expand),
    ("simplify", simplify),
    ("batch", batch),
    ("tiles", tiles),
    ("products", products),
    ("updates", updates),
    ("fuse", fuse),
    ("release", release),
)


def optimise(
    program: Program, check: bool = False, passes: Sequence[tuple[str, Pass]] = PASSES
) -> Program:
    """``program`` after all passes; ``check`` verifies it after each of them."""
    for _, step in passes:
        program = step(program)
        if check:
            verify(program)
    return program
