"""The native executor: kernels of machine code within the NumPy executor's plan.

Whatever a program does that kernels can do is grouped into as few of them as its order allows;
what they cannot do, NumPy does between them. Needs llvmlite (``pip install
'autograd-core[native]'``), which brings LLVM inside a wheel: no compiler.
"""

from .kernels import kernels

__all__ = ["kernels"]
