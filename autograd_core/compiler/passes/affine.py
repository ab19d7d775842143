"""Affine maps: a product and the bias added to it are one product.

    x @ W + b = [x 1] @ [W; b]          [∂W; ∂b] = [x 1]ᵀ @ ∂y

Where the weight and the bias lie one after the other in a packed input, the matrix [W; b] is a
view. The addition and the sum over the batch then cost nothing: small networks spend more time on
these than on the products.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...node import Array
from ...op import OPS, Op
from ..program import Instruction, Program, Type, Var, substitute, uses
from .updates import pack, unpack

_MATMUL, _ADD, _SUM, _TRANSPOSE = OPS["matmul"], OPS["add"], OPS["sum"], OPS["transpose"]


def _with_ones_forward(x: Array) -> Array:
    return np.concatenate([x, np.ones_like(x[:, :1])], axis=1)


with_ones = Op("with_ones", _with_ones_forward, None, "x with a column of ones")


def affine(program: Program) -> Program:
    maker = {x: i for i in program.instructions for x in i.outs}
    count = uses(program)
    packs = [i for i in program.instructions if i.op is pack]
    forward = {}  # (x, W, b) by the sum x @ W + b
    for i in program.instructions:
        match = _affine_map(i, maker, count)
        if match is not None:
            forward[i.out] = match
    backward: dict[Any, list[tuple[Instruction, int]]] = {}  # where ∂W and ∂b follow each other
    for i in packs:
        for k in range(len(i.args) - 1):
            x = _gradients(maker.get(i.args[k]), maker.get(i.args[k + 1]), maker)
            if x is not None:
                backward.setdefault(x, []).append((i, k))
    changes: dict[Instruction, list[Instruction]] = {}
    joined: dict[Instruction, dict[int, Var]] = {}
    extended: dict[Var, Var] = {}
    for y, (x, w, b) in forward.items():
        places = backward.get(x, [])
        place = next((p for p in places if _sizes(p) == (w.type.shape, b.type.shape)), None)
        if place is None:
            continue
        rows, columns = w.type.shape
        dtype = y.type.dtype
        new: list[Instruction] = []
        if x not in extended:
            extended[x] = Var(Type(dtype, (x.type.shape[0], rows + 1)))
            new.append(Instruction((extended[x],), with_ones, (x,)))
        whole = Var(Type(dtype, (rows + 1, columns)))
        source = maker[w].args[0]
        new.append(Instruction((whole,), unpack, (source,), {
            "begin": maker[w].attrs["begin"], "shape": whole.type.shape}))
        new.append(Instruction((y,), _MATMUL, (extended[x], whole)))
        changes[maker[y]] = new
        packing, k = place
        slope = maker[packing.args[k + 1]].args[0]
        turned = Var(Type(dtype, extended[x].type.shape[::-1]))
        product = Var(whole.type)
        changes[maker[packing.args[k]]] = [
            Instruction((turned,), _TRANSPOSE, (extended[x],), {"axes": (1, 0)}),
            Instruction((product,), _MATMUL, (turned, slope)),
        ]
        joined.setdefault(packing, {})[k] = product
    if not changes:
        return program
    removed: set[Var] = set()
    views: dict[Var, Var] = {}
    for packing, parts in joined.items():
        args: list[Any] = []
        after: list[Instruction] = []
        begin = 0
        for k, x in enumerate(packing.args):
            if k in parts or k - 1 in parts:
                removed.add(x)
                if count[x] > 1:  # somebody else reads it too: for them it is a view
                    views[x] = Var(x.type)
                    after.append(Instruction((views[x],), unpack, packing.outs, {
                        "begin": begin, "shape": x.type.shape}))
            if k in parts:
                args.append(parts[k])
            elif k - 1 not in parts:
                args.append(x)
            begin += x.type.size
        changes[packing] = [packing.with_args(args), *after]
    instructions: list[Instruction] = []
    for i in program.instructions:
        if i in changes:
            instructions += changes[i]
        elif not any(x in removed for x in i.outs):
            instructions.append(i)
    result = program.replace(instructions=tuple(instructions))
    return _in_order(substitute(result, views)) if views else result


def _affine_map(
    i: Instruction, maker: dict[Var, Instruction], count: dict[Var, int]
) -> tuple[Var, Var, Var] | None:
    """(x, W, b) of an addition x @ W + b whose W and b are parts of one input, b after W."""
    if i.op is not _ADD:
        return None
    for product, b in (i.args, i.args[::-1]):
        made, bias = maker.get(product), maker.get(b)
        if made is None or made.op is not _MATMUL or count[product] > 1 or bias is None:
            continue
        x, w = made.args
        weight = maker.get(w)
        if (
            len(x.type.shape) == 2
            and x.type.dtype == i.out.type.dtype
            and weight is not None
            and weight.op is bias.op is unpack
            and weight.args == bias.args
            and len(w.type.shape) == 2
            and b.type.shape == w.type.shape[1:]
            and bias.attrs["begin"] == weight.attrs["begin"] + w.type.size
        ):
            return x, w, b
    return None


def _gradients(
    product: Instruction | None, total: Instruction | None, maker: dict[Var, Instruction]
) -> Var | None:
    """x, if these compute xᵀ @ g and the sum of g over its first axis."""
    if product is None or total is None or product.op is not _MATMUL or total.op is not _SUM:
        return None
    turned = maker.get(product.args[0])
    if (
        turned is None
        or turned.op is not _TRANSPOSE
        or product.args[1] is not total.args[0]
        or len(product.args[1].type.shape) != 2
        or total.attrs["axis"] not in (0, (0,), -2, (-2,))
        or total.attrs["keepdims"]
    ):
        return None
    (x,) = turned.args
    return x if len(x.type.shape) == 2 else None


def _sizes(place: tuple[Instruction, int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    packing, k = place
    return packing.args[k].type.shape, packing.args[k + 1].type.shape


def _in_order(program: Program) -> Program:
    """The instructions with each after what makes its operands, otherwise as they stand."""
    maker = {x: i for i in program.instructions for x in i.outs}
    order: list[Instruction] = []
    done: set[Instruction] = set()
    for first in program.instructions:
        stack = [(first, False)]
        while stack:
            i, ready = stack.pop()
            if i in done:
                continue
            if ready:
                done.add(i)
                order.append(i)
                continue
            stack.append((i, True))
            stack += [(maker[x], False) for x in reversed(i.args)
                      if isinstance(x, Var) and x in maker]
    return program.replace(instructions=tuple(order))
