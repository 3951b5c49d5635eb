"""torch's optimizers by name, constructed and stepped without importing ``torch._dynamo``.

An optimizer imports torch's compiler to mark what must not be traced, at its construction and in each step. That import
takes 1.3 s, as long as importing torch. Nothing is traced here, so the marks are set by hand.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any

import torch
from annotated_types import Interval
from torch.optim import Optimizer

from rasched.validation import check_settings, did_you_mean

_DYNAMO_MARK = "__dynamo_disable"
# Options of torch's optimizers that choose among implementations, or exclude one.
_IMPLEMENTATION_OPTIONS = {"fused", "foreach", "capturable", "differentiable"}
# SparseAdam needs sparse gradients, and LBFGS a closure that repeats the loss: neither fits one loss per step.
_UNSUPPORTED = ("sparseadam", "lbfgs")
# Published optimizers that set the size of their steps themselves: package and class, both of the extra `peers`.
PEER_OPTIMIZERS = {
    "prodigy": ("prodigyopt", "Prodigy"),
    "adamwschedulefree": ("schedulefree", "AdamWScheduleFree"),
    "sgdschedulefree": ("schedulefree", "SGDScheduleFree"),
}


@dataclass(frozen=True, kw_only=True)
class OptimizerSettings:
    """A class of ``torch.optim`` or of ``PEER_OPTIMIZERS`` by name, its base learning rate, and its other options."""

    name: str
    lr: Annotated[float, Interval(gt=0)]
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_settings(self, "optimizer.")
        known = {*optimizer_classes(), *PEER_OPTIMIZERS}
        if self.name.lower() not in known:
            raise ValueError(
                f"optimizer {self.name!r} is unknown; known optimizers: {', '.join(sorted(known))}"
                f"{did_you_mean(self.name, known)}"
            )
        try:
            self.make([torch.zeros(1, 1, requires_grad=True)])
        except (TypeError, ValueError, RuntimeError) as error:
            raise ValueError(f"optimizer {self.name}: {_without_class_name(error)}") from error

    def make(self, parameters: list[torch.Tensor], lr: float | None = None) -> Optimizer:
        """Return the optimizer of these parameters; ``lr`` overrides the base learning rate."""
        skip_dynamo_import()
        cls: Any = optimizer_class(self.name)
        options = {name: tuple(v) if isinstance(v, list) else v for name, v in self.options.items()}
        if self.name.lower() in ("adam", "adamw") and not options.keys() & _IMPLEMENTATION_OPTIONS:
            # One pass over memory instead of a dozen: 50 us instead of 105 for 67,000 weights, 0.4 ms instead of 4 for
            # 890,000. Adagrad and SGD have the form as well, and little to gain by it.
            options["fused"] = True
        optimizer: Optimizer = cls(parameters, lr=self.lr if lr is None else lr, **options)
        return optimizer


@cache
def optimizer_classes() -> dict[str, type[Optimizer]]:
    """Return torch's optimizers by their names in lower case."""
    classes = {
        name.lower(): value
        for name, value in vars(torch.optim).items()
        if isinstance(value, type) and issubclass(value, Optimizer) and value is not Optimizer
    }
    return {name: cls for name, cls in classes.items() if name not in _UNSUPPORTED}


def optimizer_class(name: str) -> type[Optimizer]:
    """Return a class by its name in any case; a ValueError says what to install if its package is missing."""
    if name.lower() not in PEER_OPTIMIZERS:
        return optimizer_classes()[name.lower()]
    package, class_name = PEER_OPTIMIZERS[name.lower()]
    try:
        cls: type[Optimizer] = getattr(importlib.import_module(package), class_name)
    except ImportError as error:
        raise ValueError(f"it needs the package {package}: pip install 'rasched[peers]'") from error
    return cls


@cache
def skip_dynamo_import() -> None:
    """Mark the methods of all optimizers as what ``torch._dynamo.disable`` would make of them: themselves.

    The mark is the one that torch sets at the first call. If a version of torch has no such mark, nothing changes.
    """
    for method in vars(Optimizer).values():
        plain: Any = getattr(method, "__wrapped__", None)
        if plain is not None and not hasattr(plain, _DYNAMO_MARK):
            setattr(plain, _DYNAMO_MARK, plain)


def unwrapped_step(optimizer: Optimizer) -> Callable[[], Any]:
    """Return the optimizer's step without profiling, hooks and graph breaks, to be called under ``no_grad``."""
    step: Any = inspect.unwrap(type(optimizer).step)
    return lambda: step(optimizer)


def _without_class_name(error: Exception) -> str:
    return str(error).removeprefix("Invalid ").split(".__init__() ")[-1]
