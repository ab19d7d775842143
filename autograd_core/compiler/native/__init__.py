"""The native executor: kernels of machine code within the NumPy executor's plan.

Whatever a program does that kernels can do is grouped into as few of them as its order allows;
what they cannot do, NumPy does between them. Needs llvmlite (``pip install
'autograd-core[native]'``), which brings LLVM inside a wheel: no compiler.
"""

from .. import passes
from .executor import memory, prepare
from .kernels import kernels
from .machine import processor

__all__ = ["PASSES", "kernels", "memory", "prepare", "processor"]

processor()  # says at once if it cannot run here

#: The passes of the NumPy executor, with kernels in place of its fusing into blocks.
PASSES = tuple(("kernels", kernels) if entry[0] == "fuse" else entry for entry in passes.PASSES)
