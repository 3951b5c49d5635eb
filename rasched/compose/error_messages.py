"""Hydra's errors in one sentence each: which setting, what is allowed, what came, the way out."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException, ValidationError

from rasched.compose.schema import GROUPS, conf_dir, group_choices
from rasched.errors import UsageError
from rasched.validation import did_you_mean

_KINDS = {"env": "environment"}
_TYPES = {"Integer": "a whole number", "Float": "a number", "Boolean": "true or false"}
Known = Callable[[], DictConfig]


def to_usage_error(error: Exception, known: Known, overrides: Sequence[str] = ()) -> UsageError:
    """Return the sentence for an error of Hydra or OmegaConf, caused by these overrides.

    ``known`` composes the configuration without the values that the user set: the keys that exist, for the spelling.
    """
    if isinstance(error, OverrideParseException):
        return UsageError(
            f"{error.override!r} is not readable as an override; {_suggest_override(str(error.override))}"
        )
    if isinstance(error, MissingConfigException) and error.options is not None and error.missing_cfg_file:
        return _unknown_choice(error.missing_cfg_file, sorted(error.options))
    text = str(error)
    if found := re.match(r"Could not override '([^']+)'", text):
        return _unknown_key(found[1], known, error, overrides)
    if found := re.match(r"Ambiguous value for argument '([^=']+)=", text) or re.match(
        r"Sweep parameters '([^=']+)=", text
    ):
        as_one = "" if found[1] in ("seed", "steps") else f", or quote them as one ('{found[1]}=[a,b]')"
        return UsageError(f"{found[1]} has several values: add -m to run them all, or write rasched sweep{as_one}")
    if isinstance(cause := _root(error), ValidationError):
        return _wrong_type(cause)
    return UsageError(_one_line(error))


def _unknown_choice(path: str, options: list[str]) -> UsageError:
    if path.startswith("env/"):  # a Gymnasium id may hold slashes
        group, _, choice = path.partition("/")
    else:
        group, _, choice = path.rpartition("/")
    kind = _KINDS.get(group, group)
    hint = did_you_mean(choice, options)
    if group == "env" and (re.search(r"-v\d+$", choice) or "/" in choice):
        hint = f"; a Gymnasium id is written env=gym env.id={choice}"
    return UsageError(f"{kind} {choice!r} is unknown; known {kind}s: {', '.join(options)}{hint}")


def _suggest_override(text: str) -> str:
    """Return what the text may have been meant to be."""
    word, colon, value = text.partition(":")
    if word in (*GROUPS, "steps", "seed") and (colon or not value):
        return f"write {word}={value.strip() or ('NAME' if word in GROUPS else 'NUMBER')}"
    if override := choose(text):
        return f"write {override}"
    return "write key=value, quoting what the shell eats"


def choose(name: str) -> str | None:
    """Return the override that chooses the file of this name in its group; None if no group has one."""
    groups = [group for group, choices in group_choices().items() if name in choices and name != "default"]
    return f"{groups[0]}={name}" if groups else None


def complete_override(override: str) -> str:
    """Return ``lr=0.1`` as ``optimizer.lr=0.1``, and every other override as it is."""
    key, _, value = override.partition("=")
    groups = [group for group in GROUPS if any(key in _settings(path) for path in (conf_dir() / group).glob("*.yaml"))]
    return f"{groups[0]}.{key}={value}" if len(groups) == 1 else override


def _settings(path: Path) -> list[str]:
    """Return the names of the settings in a file of a group."""
    content = OmegaConf.load(path)
    assert isinstance(content, DictConfig)
    return [str(name) for name in content.get(path.parent.name, content)]  # an agent's file sets other groups too


def _unknown_key(key: str, known: Known, error: Exception, overrides: Sequence[str]) -> UsageError:
    parent, _, leaf = key.rpartition(".")
    try:
        config = known()
    except (HydraException, OmegaConfBaseException):  # a choice of a group is what Hydra does not know
        return UsageError(_one_line(error))
    node = OmegaConf.select(config, parent) if parent else config
    if not isinstance(node, DictConfig):
        top = sorted(str(k) for k in config if k != "hydra")
        return UsageError(
            f"{key} is unknown: there is no {parent!r}; known: {', '.join(top)}{did_you_mean(parent, top)}"
        )
    if leaf in node:  # what is new to it is an entry of its value
        return UsageError(f"{key} takes new entries one by one: +{key}.NAME=VALUE")
    names = [str(k) for k in node if k not in ("name", "hydra")]
    hint = did_you_mean(leaf, names) or _find_setting(parent, leaf, config) or _find_choice(key, overrides)
    chosen = f" of {parent}={node['name']}" if parent and "name" in node else f" of {parent}" if parent else ""
    return UsageError(f"{key} is unknown; settings{chosen}: {', '.join(names) or 'none'}{hint}")


def _find_setting(parent: str, leaf: str, config: DictConfig) -> str:
    """Return where a setting of that name exists: in a group, or with another choice of its group."""
    if not parent:
        groups = [group for group in GROUPS if isinstance(config[group], DictConfig) and leaf in config[group]]
        return f" (did you mean {' or '.join(f'{group}.{leaf}' for group in groups)}?)" if groups else ""
    files = [(name, conf_dir() / parent / f"{name}.yaml") for name in group_choices().get(parent, ())]
    names = [name for name, path in files if leaf in _settings(path)]
    return f"; {parent}={names[0]} has it: add {parent}={names[0]}" if len(names) == 1 else ""


def _find_choice(key: str, overrides: Sequence[str]) -> str:
    """Return the override that was meant, if the value of an unknown key is a file of some group."""
    values = [value for name, _, value in (override.partition("=") for override in overrides) if name == key]
    override = choose(values[-1]) if values else None
    return f" (did you mean {override}?)" if override else ""


def _wrong_type(error: ValidationError) -> UsageError:
    if "is not Optional" in str(error.msg):
        return UsageError(f"{error.full_key} must have a value, got null")
    value = re.match(r"Value (.*) of type '.*' could not be converted to (\w+)", error.msg or "")
    if value is None or not error.full_key:
        return UsageError(_one_line(error))
    return UsageError(f"{error.full_key} must be {_TYPES.get(value[2], value[2])}, got {value[1]}")


def _root(error: BaseException) -> BaseException:
    while isinstance(error.__cause__, (HydraException, OmegaConfBaseException)):
        error = error.__cause__
    return error


def _one_line(error: Exception) -> str:
    root = _root(error)
    lines = [
        line.strip() for line in [*str(error).splitlines(), *(str(root).splitlines() if root is not error else [])]
    ]
    return "; ".join(line for line in lines if line and not line.startswith(("See https", "object_type=")))
