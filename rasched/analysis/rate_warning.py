"""Explain why a rule left the learning rate of a run constant, and name the setting to change."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rasched.records.metrics import read_metrics

_FEW = 5  # observations: with fewer, too little was observed; with more, the signal itself did not change


def explain_constant_rate(folder: Path, config: Mapping[str, Any], scores: Mapping[str, float]) -> str | None:
    """Return half a sentence with the way out; None if the rate changed, or if the rule is ``none``."""
    low, high = scores.get("lr_min"), scores.get("lr_max")
    if low is None or low != high or config["rule"].get("name") == "none":
        return None
    if (base_lr := _base_lr_left(config, low)) is not None:
        return (
            f"the learning rate went from {base_lr:.3g} to its bound {low:.3g} before the first row and stayed there: "
            + _other_signal(config)
        )
    num_observed = _num_observed(folder)
    if num_observed == 0:
        return f"the rule observed no reward, so the learning rate stayed at {low:.3g}: {_more_rewards(config)}"
    if num_observed < _FEW:
        times = "once" if num_observed == 1 else f"{num_observed} times"
        return f"the rule observed a reward only {times}, and the learning rate stayed at {low:.3g}: {_longer(config)}"
    return (
        f"the rule observed {num_observed:,} rewards, but the learning rate stayed at {low:.3g}, because the signal "
        f"did not change: {_other_signal(config)}"
    )


def _base_lr_left(config: Mapping[str, Any], lr: float) -> float | None:
    """Return the base rate if the constant rate is not that, but one of its bounds."""
    base_lr, scheduler = config["optimizer"].get("lr"), config.get("scheduler") or {}
    if not isinstance(base_lr, (int, float)):
        return None
    bounds = [scheduler.get("min_lr") or base_lr / 100, scheduler.get("max_lr") or base_lr * 100]
    return float(base_lr) if any(math.isclose(lr, bound) for bound in bounds) else None


def _other_signal(config: Mapping[str, Any]) -> str:
    """Return the signal to choose; the rewards per step of an environment with episodes are often all equal."""
    if "id" in config["env"] and config["signal"].get("source") != "episode_return":
        return "choose signal=episodes, which observes the returns of episodes"
    return "choose another signal.source, or signal=raw or signal=standardized"


def _num_observed(folder: Path) -> int:
    try:
        metrics = read_metrics(folder)
    except (OSError, ValueError):
        return 0
    if "train/signal" not in metrics.columns:
        return 0
    signal = metrics["train/signal"]
    return int(signal.is_not_nan().fill_null(False).sum())


def _more_rewards(config: Mapping[str, Any]) -> str:
    if config["signal"].get("source") == "episode_return":
        return f"no episode ended before an update: {_longer(config)}"
    return _longer(config)


def _longer(config: Mapping[str, Any]) -> str:
    """Return how to get more updates: more steps, or shorter rollouts if the agent has them."""
    agent = config["agent"]
    steps = f"raise steps (now {config['steps']:,})"
    if "learning_starts" in agent:
        return f"{steps}, or lower agent.learning_starts (now {agent['learning_starts']:,})"
    if "n_steps" in agent:
        return f"{steps}, or lower agent.n_steps (now {agent['n_steps']:,}), for more updates"
    return steps
