"""Train the same seed at a constant learning rate beside a single run, so that its numbers can be judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rasched.analysis.run_folder import CONTROL_DIR
from rasched.compose.jobs import JobComposer
from rasched.records.metrics import is_done
from rasched.runner.batching import estimate_seconds
from rasched.runner.run_spec import Batch, RunSpec

_MAX_SECONDS = 5.0  # of estimated training, up to which a control is trained unless control=false


def wants_control(spec: RunSpec) -> bool:
    """Return whether a run gets a control: as ``control`` says, by default if training is short.

    A rule that never writes a rate is its own control.
    """
    choice = spec.config["control"]
    if choice == "auto":
        choice = estimate_seconds(Batch((spec,))) < _MAX_SECONDS
    return bool(choice) and spec.settings.rule.writes_lr


def make_control(jobs: JobComposer, spec: RunSpec) -> RunSpec | None:
    """Return the control of a run, or None if it is done; its folder lies inside the run's."""
    job = jobs.compose([*without_rule(spec.overrides), "rule=none", "control=false"], 0)
    control = RunSpec(job, spec.folder / CONTROL_DIR)
    if is_done(control.folder, control.config_hash):
        return None
    return replace(control, is_retry=control.folder.exists())


def without_rule(overrides: Sequence[str]) -> list[str]:
    """Return the overrides without those of the rule and of ``control``."""
    names = [(override, override.lstrip("+~").partition("=")[0].partition("@")[0]) for override in overrides]
    return [override for override, name in names if name.partition(".")[0] not in ("rule", "control")]
