"""The compiler: a function recorded once, and replayed as a plan.

``capture`` records a function as a ``program``, ``passes`` simplify that, an executor makes a plan
of it, and ``compiled`` calls the plan in the function's place.
"""
