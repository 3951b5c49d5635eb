"""The saved state of a scheduler, as plain values that are checked when they are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

VERSION = 1
STATE_KEY = "_rasched_state"  # the key that holds this state inside another scheduler's state


@dataclass(frozen=True, kw_only=True)
class SchedulerState:
    """Everything in a scheduler that changes, and the settings it had; lists have one entry per group."""

    rule: str
    settings: dict[str, Any]
    rule_state: dict[str, Any]
    signal_state: dict[str, Any]
    lrs: list[float]  # the scheduler's own
    current_lrs: list[float]  # the groups', which another scheduler determines until ours are written
    momenta: list[float] | None  # None: never written
    written: bool
    last_epoch: int
    step_count: int
    num_observed: int
    num_skipped: int
    last_signal: float | None

    def as_dict(self) -> dict[str, Any]:
        """Return plain numbers, strings, lists and dicts, independent of the scheduler, with a version."""
        return {"version": VERSION, **asdict(self)}

    @classmethod
    def parse(cls, state: Mapping[str, Any], rule: str, num_groups: int) -> SchedulerState:
        """Return the checked state, from its own dict or from inside another scheduler's.

        A state that does not fit, or is damaged, is a ValueError.
        """
        state = state.get(STATE_KEY, state)
        version = state.get("version")
        if not isinstance(version, int):
            raise ValueError("this is not the state of a RewardAdaptiveScheduler: it has no version")
        if version > VERSION:
            raise ValueError(f"the state has version {version}, this rasched reads up to {VERSION}: upgrade rasched")
        try:
            saved = cls._converted(state)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"the state is damaged ({type(error).__name__}: {error}): nothing was loaded") from error
        if saved.rule != rule:
            raise ValueError(
                f"the state is of rule {saved.rule!r}, this scheduler has {rule!r}:"
                f" construct it with rule={saved.rule!r}"
            )
        for values in (saved.lrs, saved.current_lrs, saved.lrs if saved.momenta is None else saved.momenta):
            if len(values) != num_groups:
                raise ValueError(f"the state has {len(values)} parameter groups, the optimizer {num_groups}")
        return saved

    @classmethod
    def _converted(cls, state: Mapping[str, Any]) -> SchedulerState:
        momenta, last_signal = state["momenta"], state["last_signal"]
        return cls(
            rule=state["rule"],
            settings=dict(state["settings"]),
            rule_state=dict(state["rule_state"]),
            signal_state=dict(state["signal_state"]),
            lrs=[float(lr) for lr in state["lrs"]],
            current_lrs=[float(lr) for lr in state["current_lrs"]],
            momenta=None if momenta is None else [float(momentum) for momentum in momenta],
            written=bool(state["written"]),
            last_epoch=int(state["last_epoch"]),
            step_count=int(state["step_count"]),
            num_observed=int(state["num_observed"]),
            num_skipped=int(state["num_skipped"]),
            last_signal=None if last_signal is None else float(last_signal),
        )

    def changed_settings(self, settings: Mapping[str, Any]) -> list[str]:
        """Return the settings that differ from the saved ones, with both values."""
        saved = self.settings
        return [
            f"{name} ({saved.get(name)} saved, {value} now)"
            for name, value in settings.items()
            if saved.get(name) != value
        ]
