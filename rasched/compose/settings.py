"""From a composed configuration to checked settings: here Hydra ends and plain dataclasses begin."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Interval

from rasched.agents import AGENTS
from rasched.compose.plugins import build_custom_class
from rasched.compose.schema import Schema
from rasched.envs import ENVS
from rasched.errors import UsageError
from rasched.registry import Registry
from rasched.rules import RULES
from rasched.train.optimizers import OptimizerSettings
from rasched.train.settings import EvaluationSettings, RunSettings, SchedulerSettings, SignalSettings
from rasched.validation import SettingError, check_settings, did_you_mean, from_mapping

MAX_STEPS = 10**15  # beyond any run, and below the limit of NumPy's integers
_EXAMPLES = {
    "rule": "kelly",
    "env": "gaussian",
    "agent": "reinforce",
    "optimizer": "sgd",
    "steps": "2000",
    "seed": "0",
    "control": "auto",
}


@dataclass(frozen=True, kw_only=True)
class LoggerSettings:
    """What a run writes."""

    files: Literal["all", "scores"] = "all"  # scores: a row in its sweep's index, and no file
    log_every: Annotated[int, Interval(ge=1, le=MAX_STEPS)] | Literal["auto"] | None = "auto"  # steps between points
    checkpoint_every: Annotated[int, Ge(0)] = 0  # environment steps between checkpoints; 0: by time only
    checkpoint_seconds: Annotated[float, Gt(0)] | None = 60.0  # of wall time between checkpoints; None: by steps only
    plot: bool = True
    video: bool = False  # an episode of the trained policy
    keep_policy: Literal["best", "all", "none"] = "best"  # of a sweep; a single run is its own best

    def __post_init__(self) -> None:
        check_settings(self, "logger.")
        if self.files == "scores" and self.video:
            raise ValueError("logger.video must be false with logger.files=scores, which writes no file per run")


def run_settings(config: Mapping[str, Any]) -> RunSettings:
    """Return a run's settings; whatever is wrong with them is a UsageError, in the words of the command line."""
    known = [f.name for f in fields(Schema)]
    for name in config:
        if name not in known:
            raise UsageError(f"{name} is unknown; known: {', '.join(known)}{did_you_mean(name, known)}")
    _require_all(config, known)
    if isinstance(config["steps"], int) and config["steps"] > MAX_STEPS:
        raise UsageError(f"steps must be at most {MAX_STEPS:,}, got {config['steps']}")
    if config["control"] not in (True, False, "auto"):
        raise UsageError(f"control must be true, false or auto, got {config['control']!r}")
    with as_usage_error():
        return RunSettings(
            rule=_build(RULES, "rule", config),
            signal=from_mapping(SignalSettings, config["signal"], "signal"),
            scheduler=from_mapping(SchedulerSettings, config["scheduler"], "scheduler"),
            env=_build(ENVS, "env", config),
            agent=_build(AGENTS, "agent", config),
            optimizer=_optimizer(config["optimizer"]),
            steps=config["steps"],
            seed=config["seed"],
            eval=from_mapping(EvaluationSettings, config["eval"], "eval"),
        )


def _require_all(config: Mapping[str, Any], known: Sequence[str]) -> None:
    for name in known:
        if config.get(name) is None:
            raise UsageError(f"{name} is missing: give it a value, as in {name}={_EXAMPLES.get(name, 'default')}")


def logger_settings(config: Mapping[str, Any]) -> LoggerSettings:
    """Return what the run is to write."""
    with as_usage_error():
        return from_mapping(LoggerSettings, config["logger"], "logger")


def _build(registry: Registry[Any], where: str, config: Mapping[str, Any]) -> Any:
    node = dict(config[where])
    if "_target_" in node:
        return build_custom_class(where, node)
    return registry.build(node)


def _optimizer(node: Mapping[str, Any]) -> OptimizerSettings:
    options = {key: value for key, value in node.items() if key not in ("name", "lr")}
    given = {key: node[key] for key in ("name", "lr") if key in node}
    return from_mapping(OptimizerSettings, {**given, "options": options}, "optimizer")


@contextmanager
def as_usage_error() -> Iterator[None]:
    """Turn a ValueError about a setting into a UsageError, under the names that a user types."""
    try:
        yield
    except UsageError:
        raise
    except SettingError as error:
        name = f"{error.config_group}.{error.setting}" if error.config_group else error.subject
        raise UsageError(error.sentence(name, _as_yaml)) from error
    except ValueError as error:
        raise UsageError(str(error)) from error


def _as_yaml(value: Any) -> str:
    return {None: "null", True: "true", False: "false"}[value] if value is None or type(value) is bool else repr(value)
