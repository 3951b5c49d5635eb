"""Save and restore the state of a Gymnasium environment through its attributes.

Gymnasium has no way to save an environment. A pickle could, but loading one runs code, which a checkpoint must not.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import FunctionType, ModuleType
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.envs.registration import EnvSpec

_PLAIN_TYPES = (bool, int, float, str, bytes, type(None))
_CONSTANT_TYPES = (gymnasium.Space, EnvSpec, FunctionType, ModuleType, type)  # the same in a new environment
_BIT_GENERATORS: dict[str, type[np.random.BitGenerator]] = {
    cls.__name__: cls
    for cls in (np.random.PCG64, np.random.PCG64DXSM, np.random.MT19937, np.random.Philox, np.random.SFC64)
}


def save_env(env: Any) -> list[dict[str, Any]]:
    """Return the state of each layer, wrappers first, as tensors and plain values.

    Raises ValueError if a layer holds what cannot be read as numbers, such as the world of a physics engine.
    """
    env_id = env.spec.id if env.spec is not None else type(env.unwrapped).__name__
    return [
        {key: _encode(value, f"{env_id} ({type(layer).__name__}.{key})") for key, value in _changing_attributes(layer)}
        for layer in _layers(env)
    ]


def restore_env(env: Any, state: list[Mapping[str, Any]]) -> None:
    """Write the result of :func:`save_env` into an environment made with the same settings."""
    for layer, saved in zip(_layers(env), state, strict=True):
        for key, value in saved.items():
            setattr(layer, key, _decode(value))


def save_generator(generator: np.random.Generator) -> Any:
    """Return the state of a random generator as tensors and plain values."""
    return _encode(generator, "a random generator")


def restore_generator(state: Any) -> np.random.Generator:
    """Return a generator that continues from the result of :func:`save_generator`; ValueError if it is another's."""
    generator = _decode(state)
    if not isinstance(generator, np.random.Generator):
        raise ValueError("the saved state of a random generator is none")
    return generator


def _layers(env: Any) -> list[Any]:
    layers = [env]
    while isinstance(layers[-1], gymnasium.Wrapper):
        layers.append(layers[-1].env)
    return layers


def _changing_attributes(layer: Any) -> list[tuple[str, Any]]:
    return [(k, v) for k, v in vars(layer).items() if k != "env" and not isinstance(v, _CONSTANT_TYPES)]


def _encode(value: Any, where: str) -> Any:
    """Return a value with the name of its type: types decide how arithmetic rounds, so they are restored too."""
    if type(value) in _PLAIN_TYPES:
        return value
    if isinstance(value, np.random.Generator):
        bits = value.bit_generator
        if type(bits).__name__ not in _BIT_GENERATORS:
            raise _cannot_save(bits, where)
        return {"generator": type(bits).__name__, "state": _encode(bits.state, where)}
    if isinstance(value, (np.ndarray, np.generic)):
        kind = "array" if isinstance(value, np.ndarray) else "scalar"
        if value.dtype.kind in "biuf":
            return {kind: torch.from_numpy(np.array(value))}
        if value.dtype.kind in "SU":
            return {kind: np.asarray(value).tolist(), "dtype": value.dtype.str}
    if type(value) in (list, tuple):
        return {type(value).__name__: [_encode(v, where) for v in value]}
    if type(value) is dict:
        return {"dict": [(_encode(k, where), _encode(v, where)) for k, v in value.items()]}
    raise _cannot_save(value, where)


def _cannot_save(value: Any, where: str) -> ValueError:
    return ValueError(
        f"the state of environment {where} is a {type(value).__name__}, which cannot be saved:"
        " its runs can be repeated, but not resumed"
    )


def _decode(saved: Any) -> Any:
    if not isinstance(saved, dict):
        return saved
    if "generator" in saved:
        if saved["generator"] not in _BIT_GENERATORS:  # a checkpoint must not choose what is called
            raise ValueError(f"{saved['generator']!r} is no generator of NumPy; known: {', '.join(_BIT_GENERATORS)}")
        bits: Any = _BIT_GENERATORS[saved["generator"]]()
        bits.state = _decode(saved["state"])
        return np.random.Generator(bits)
    if "array" in saved or "scalar" in saved:
        kind = "array" if "array" in saved else "scalar"
        value = saved[kind]
        array = np.array(value, saved["dtype"]) if "dtype" in saved else value.numpy().copy()
        return array if kind == "array" else array[()]
    if "dict" in saved:
        return {_decode(k): _decode(v) for k, v in saved["dict"]}
    ((kind, items),) = saved.items()
    values = [_decode(v) for v in items]
    return tuple(values) if kind == "tuple" else values
