"""Dead code: what no result needs goes."""

from __future__ import annotations

from ..program import Instruction, Program, Var


def dead(program: Program) -> Program:
    """Without the instructions that no result depends on, and without unused constants.

    An impure instruction stays, whether or not its value is used, with all it depends on. Inputs
    stay, since they are the signature.
    """
    needed = {x for x in program.results() if isinstance(x, Var)}
    kept: list[Instruction] = []
    for instruction in reversed(program.instructions):
        if instruction.op.pure and not any(x in needed for x in instruction.outs):
            continue
        kept.append(instruction)
        needed.update(x for x in instruction.args if isinstance(x, Var))
    constants = {x: value for x, value in program.constants.items() if x in needed}
    if len(kept) == len(program.instructions) and len(constants) == len(program.constants):
        return program
    return program.replace(instructions=tuple(reversed(kept)), constants=constants)
