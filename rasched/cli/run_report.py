"""Report a single run: its picture, its numbers beside those of the control, warnings, and what to type next."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from rasched.analysis.rate_warning import explain_constant_rate
from rasched.analysis.run_folder import CONTROL_DIR, Run, printable
from rasched.cli.output import print_json, relative_path
from rasched.records.run_json import read_record
from rasched.runner.control import without_rule
from rasched.runner.run import PICTURE
from rasched.train.run_result import RunStatus

if TYPE_CHECKING:
    from pathlib import Path

    from rasched.runner.run_spec import RunSpec
    from rasched.train.run_result import RunResult

_NUM_SEEDS = 20  # of the comparison that the report proposes
Scores = Mapping[str, float]


def print_run(spec: RunSpec, result: RunResult, as_json: bool) -> None:
    """Print the report of a run as a panel, or as JSON."""
    if not as_json:
        print_panel(Run(spec.folder, {**vars(result), "overrides": spec.overrides}), spec.config)
        return
    names = ("status", "error", "exit_code", "steps", "scores")
    entries = {name: getattr(result, name) for name in names}
    warning = explain_constant_rate(spec.folder, spec.config, result.scores) if result.is_done else None
    warnings = [warning] if warning else []
    control = read_control(spec.folder)
    print_json({"folder": str(spec.folder.absolute()), **entries, "control": control, "warnings": warnings})


def print_panel(run: Run, config: Mapping[str, Any]) -> None:
    """Print a run's picture, its numbers beside those of its control, a warning, and what to type next."""
    rule = _name(config["rule"])
    lines = [*_files(run.folder), *_numbers(rule, run.scores, read_control(run.folder))]
    if run.status == RunStatus.DONE:
        warning = explain_constant_rate(run.folder, config, run.scores)
        lines += [("warning", warning)] if warning else []
        lines += _next_commands(rule, run)
    title = f"{rule} on {_env_name(config)}, {run.steps or 0:,} steps: {run.status}"
    grid = Table.grid(padding=(0, 2))
    for name, text in lines:
        grid.add_row(Text(name, style="bold"), Text(text, overflow="fold"))
    Console().print(Panel(grid, title=title, title_align="left", expand=False))


def read_control(folder: Path) -> dict[str, Any] | None:
    """Return folder, status and scores of a run's control; None if it has none."""
    record = read_record(folder / CONTROL_DIR)
    if not record:
        return None
    entries = {name: record.get(name) for name in ("status", "scores")}
    return {"folder": str((folder / CONTROL_DIR).absolute()), **entries}


def _env_name(config: Mapping[str, Any]) -> str:
    return printable(config["env"].get("id") or _name(config["env"]))


def _name(node: Mapping[str, Any]) -> str:
    return printable(node.get("name") or str(node.get("_target_")).rpartition(".")[2])


def _files(folder: Path) -> list[tuple[str, str]]:
    picture = [("picture", relative_path(folder / PICTURE))] if (folder / PICTURE).exists() else []
    return [*picture, ("output", relative_path(folder))]


def _numbers(rule: str, scores: Scores, control: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """Return the lines of the scores, each with the control's number if there is one."""
    is_done = control is not None and control["status"] == RunStatus.DONE
    other: Scores = control["scores"] if control is not None and is_done else {}
    other = {name: value for name, value in other.items() if isinstance(value, (int, float))}
    lines = []
    if "reward_last_tenth" in scores and "return_last" not in scores:
        lines.append(("mean reward", f"{_pair(rule, scores, other, 'reward_last_tenth')}{_best_arm(scores, other)}"))
    for name, label in (("return_last", "final return"), ("eval_return_last", "eval return")):
        if name in scores:
            lines.append((label, _pair(rule, scores, other, name)))
    if "regret_total" in scores:
        lines.append(("total regret", f"{_pair(rule, scores, other, 'regret_total')}; 0 with the best arm only"))
    if lines:
        note = "last tenth of the steps" if "return_last" not in scores else "last episodes"
        lines[0] = (lines[0][0], f"{lines[0][1]} ({note})")
    if lines and other:
        lines.append(("", "one seed does not show which is better"))
    if "lr_first" in scores:
        first, last, low, high = (_n(scores[f"lr_{name}"]) for name in ("first", "last", "min", "max"))
        lines.append(("learning rate", f"{first} first, {last} last, between {low} and {high}"))
    return lines


def _pair(rule: str, scores: Scores, control: Scores, name: str) -> str:
    if name not in control:
        return _n(scores[name])
    return f"{rule} {_n(scores[name])}, constant rate {_n(control[name])}"


def _best_arm(scores: Scores, control: Scores) -> str:
    """Return what the best arm pays on average, as far as the rewards and the regrets of the runs show."""
    sums = [s["reward_last_tenth"] + s["regret_last_tenth"] for s in (scores, control) if "regret_last_tenth" in s]
    return f", best arm about {sum(sums) / len(sums):.3g}" if sums else ""


def _next_commands(rule: str, run: Run) -> list[tuple[str, str]]:
    """Return the commands that are worth typing next: the comparison over seeds first."""
    is_control = rule == "none"
    choices = "scaling,trend,variance,kelly,none" if is_control else f"{rule},none"
    rule_settings = [] if is_control else [o for o in run.overrides if o.lstrip("+").startswith("rule.")]
    compared = [o for o in without_rule(run.overrides) if not o.startswith("seed=")]
    words = ["rasched", "sweep", f"rule={choices}", f"seeds={_NUM_SEEDS}", *compared]
    if rule_settings:  # settings of one rule: none has no such setting
        words[2] = f"rule={rule}"
        words += rule_settings
    return [("compare", shlex.join(words)), ("TensorBoard", f"rasched board {relative_path(run.folder)}")]


def print_sweep_warnings(rows: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """Print one warning if the rate never changed in runs of a sweep whose rule should change it."""
    from rasched.analysis.load import load_run

    constant = [row for row in rows if row["status"] == RunStatus.DONE and _is_constant(row["scores"])]
    constant = [row for row in constant if "rule=none" not in (o.lstrip("+") for o in row["overrides"])]
    if constant and not (folder / constant[0]["folder"]).is_dir():
        Console().print(
            f"warning: in {len(constant)} of {len(rows)} runs the learning rate never changed; to see why, train one "
            f"without logger=scores: {' '.join(constant[0]['overrides'])}",
            highlight=False,
            markup=False,
        )
    elif constant:
        run = load_run(folder / constant[0]["folder"])
        sentence = explain_constant_rate(run.folder, run.config, constant[0]["scores"])
        if sentence:  # None if the rule is `none` without an override that says so
            text = f"warning: in {len(constant)} of {len(rows)} runs {sentence}"
            Console().print(text, highlight=False, markup=False)


def _is_constant(scores: Scores) -> bool:
    return "lr_min" in scores and scores["lr_min"] == scores["lr_max"]


def _n(value: float) -> str:
    return f"{value:.4g}"
