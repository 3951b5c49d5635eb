"""torch's optimizers without its compiler: importing ``torch._dynamo`` takes as long as importing torch, 1.3 s.

An optimizer imports it to tell it what not to trace, at its construction and in each step. We trace nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

from torch.optim import Optimizer

_MARK = "__dynamo_disable"


@cache
def skip_dynamo_import() -> None:
    """Mark the methods of all optimizers as what ``torch._dynamo.disable`` would make of them: themselves.

    The mark is the one that torch sets at the first call. Where a version of torch knows no such mark, nothing changes.
    """
    for method in vars(Optimizer).values():
        plain: Any = getattr(method, "__wrapped__", None)
        if plain is not None and not hasattr(plain, _MARK):
            setattr(plain, _MARK, plain)


def unwrapped_step(optimizer: Optimizer) -> Callable[[], Any]:
    """Return the optimizer's step without profiling, hooks and graph breaks, to be called without gradients."""
    step: Any = inspect.unwrap(type(optimizer).step)
    return lambda: step(optimizer)
