"""The state of a Gymnasium environment, read from its attributes and written back: enough for exact resume, or refused.

Gymnasium has no way to save an environment. Pickles would be, but loading one runs code, which a checkpoint must not.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import FunctionType, ModuleType
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.envs.registration import EnvSpec

_PLAIN = (bool, int, float, str, bytes, type(None))
_FIXED = (gymnasium.Space, EnvSpec, FunctionType, ModuleType, type)  # settings: the same in a new environment


def read(env: Any) -> list[dict[str, Any]]:
    """Return the state of each layer, wrappers first, as tensors and plain values.

    Raises ValueError where a layer holds what cannot be read as numbers, such as a physics engine's world.
    """
    name = env.spec.id if env.spec is not None else type(env.unwrapped).__name__
    return [
        {key: _encoded(value, f"{name} ({type(layer).__name__}.{key})") for key, value in _moving(layer)}
        for layer in _layers(env)
    ]


def write(env: Any, state: list[Mapping[str, Any]]) -> None:
    """Put back what :func:`read` gave, into an environment made by the same settings."""
    for layer, saved in zip(_layers(env), state, strict=True):
        for key, value in saved.items():
            setattr(layer, key, _decoded(value))


def read_generator(generator: np.random.Generator) -> Any:
    """Return a random generator's place as tensors and plain values."""
    return _encoded(generator, "a random generator")


def write_generator(state: Any) -> np.random.Generator:
    """Return a generator that goes on from :func:`read_generator`'s place."""
    generator = _decoded(state)
    assert isinstance(generator, np.random.Generator)
    return generator


def _layers(env: Any) -> list[Any]:
    layers = [env]
    while isinstance(layers[-1], gymnasium.Wrapper):
        layers.append(layers[-1].env)
    return layers


def _moving(layer: Any) -> list[tuple[str, Any]]:
    return [(k, v) for k, v in vars(layer).items() if k != "env" and not isinstance(v, _FIXED)]


def _encoded(value: Any, where: str) -> Any:
    """Return a value with a word for its kind: types decide how arithmetic rounds, so they must come back too."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, np.random.Generator):
        bits = value.bit_generator
        return {"generator": type(bits).__name__, "state": _encoded(bits.state, where)}
    if isinstance(value, (np.ndarray, np.generic)):
        kind = "array" if isinstance(value, np.ndarray) else "scalar"
        if value.dtype.kind in "biuf":
            return {kind: torch.from_numpy(np.array(value))}
        if value.dtype.kind in "SU":
            return {kind: np.asarray(value).tolist(), "dtype": value.dtype.str}
    if type(value) in (list, tuple):
        return {type(value).__name__: [_encoded(v, where) for v in value]}
    if type(value) is dict:
        return {"dict": [(_encoded(k, where), _encoded(v, where)) for k, v in value.items()]}
    raise ValueError(
        f"the state of environment {where} is a {type(value).__name__}, which cannot be saved:"
        " a run of it can be repeated, not resumed"
    )


def _decoded(saved: Any) -> Any:
    if not isinstance(saved, dict):
        return saved
    if "generator" in saved:
        bits = getattr(np.random, saved["generator"])()
        bits.state = _decoded(saved["state"])
        return np.random.Generator(bits)
    if "array" in saved or "scalar" in saved:
        kind = "array" if "array" in saved else "scalar"
        value = saved[kind]
        array = np.array(value, saved["dtype"]) if "dtype" in saved else value.numpy().copy()
        return array if kind == "array" else array[()]
    if "dict" in saved:
        return {_decoded(k): _decoded(v) for k, v in saved["dict"]}
    ((kind, items),) = saved.items()
    values = [_decoded(v) for v in items]
    return tuple(values) if kind == "tuple" else values
