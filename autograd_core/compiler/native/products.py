"""Matrix products of small matrices, as LLVM functions.

The result is made in tiles of a few rows by a few vectors that stay in registers while the loop
runs over the inner axis; the scheme of K. Goto and R. van de Geijn, *Anatomy of High-Performance
Matrix Multiplication* (2008), without its packing: matrices this small stay in the cache.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from llvmlite import ir

from .functions import I64, Lanes
from .loops import BYTES, LLVM_TYPE, counted, load, store


class Tile(NamedTuple):
    """``rows`` rows by ``vectors`` vectors of a product, of whose last only ``rest`` lanes count
    (None: all)."""

    kind: str
    rows: int
    vectors: int
    rest: int | None


class Product(NamedTuple):
    """c[m, n] = sum over k of a[m, k] b[k, n]; c and b have rows of neighbouring elements.

    ``steps``: of a along m and k, of b along k, of c along m; in elements.
    """

    kind: str
    shape: tuple[int, int, int]
    steps: tuple[int, int, int, int]


def tile_function(module: ir.Module, name: str, tile: Tile, vector_bytes: int) -> None:
    """A function of (a, step of a along m, along k, b, its step, c, its step, inner length)."""
    pointer = ir.PointerType()
    f = ir.Function(module, ir.FunctionType(
        ir.VoidType(), [pointer, I64, I64, pointer, I64, pointer, I64, I64]), name)
    a, a_row, a_step, b_, b_step, c, c_row, inner = f.args
    scalar, width = LLVM_TYPE[tile.kind], vector_bytes // BYTES[tile.kind]
    b = ir.IRBuilder(f.append_basic_block("entry"))
    v = Lanes(b, tile.kind == "f64", width)

    def moved(p: Any, by: Any) -> Any:
        return b.gep(p, [by], source_etype=scalar)

    def rest(j: int) -> int | None:
        return tile.rest if j == tile.vectors - 1 else None

    rows = [a]
    for _ in range(tile.rows - 1):
        rows.append(moved(rows[-1], a_row))

    def added(k: Any, left: Any, right: Any, *sums: Any) -> list[Any]:
        columns = [load(b, moved(right, ir.Constant(I64, j * width)), tile.kind, 1, width, rest(j))
                   for j in range(tile.vectors)]
        totals = iter(sums)
        new = []
        for row in rows:
            factor = v.splat(b.load(moved(row, left), typ=scalar, align=BYTES[tile.kind]))
            new += [v.fma(factor, column, next(totals)) for column in columns]
        return [b.add(left, a_step), moved(right, b_step), *new]

    zeros = [v.const(0.0)] * (tile.rows * tile.vectors)
    _, _, *sums = counted(b, inner, added, carried=[ir.Constant(I64, 0), b_, *zeros])
    place = c
    for i in range(tile.rows):
        if i:
            place = moved(place, c_row)
        for j, total in enumerate(sums[i * tile.vectors : (i + 1) * tile.vectors]):
            store(b, total, moved(place, ir.Constant(I64, j * width)), tile.kind, 1, width, rest(j))
    b.ret_void()


def tiles(product: Product, vector_bytes: int, registers: int
          ) -> list[tuple[int, list[tuple[int, int, Tile]]]]:
    """The tiles of a product: for each column that they begin at, bands of (first row, how many
    tiles below each other, the tile)."""
    m, n, _ = product.shape
    width = vector_bytes // BYTES[product.kind]
    sums = registers - registers // 4  # the rest holds factors
    vectors = -(-n // width)
    highest = 6 if registers < 32 else 12
    if m < highest // 2:
        across = min(vectors, max(1, sums // m))
    else:
        across = min(2, vectors)
    bands = _bands(m, highest)
    found = []
    column = 0
    while column < n:
        here = min(across, -(-(n - column) // width))
        end = min(n, column + here * width)
        rest = (end - column) % width or None
        found.append((column, [(row, count, Tile(product.kind, height, here, rest))
                               for row, count, height in bands]))
        column = end
    return found


def _bands(m: int, highest: int) -> list[tuple[int, int, int]]:
    """``m`` rows as bands (first row, count, height) of tiles of one height.

    One band if its tiles are at least two thirds as high as they may be: each height is another
    function to compile. Otherwise two, whose heights differ by one.
    """
    fewest = -(-m // highest)
    count = next((c for c in range(fewest, fewest + fewest // 2 + 1) if m % c == 0), fewest)
    height, higher = divmod(m, count)
    bands = [(0, higher, height + 1), (higher * (height + 1), count - higher, height)]
    return [band for band in bands if band[1]]
