"""``rasched study``: a question, answered by many seeds, as a table and a picture."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path


def answer(name: str, overrides: Sequence[str], update: bool, small: bool = False, tasks: Sequence[str] = ()) -> None:
    """Train the study's runs, print a row a setting, and leave ``results.csv`` and ``curves.png``."""
    from rasched.runner.process_setup import import_torch

    import_torch()
    from rasched.errors import UsageError
    from rasched.runner.robustness import is_robustness_study
    from rasched.runner.study import studies_dir as folder_of_studies

    if is_robustness_study(folder_of_studies() / name / "study.yaml"):
        if overrides:
            raise UsageError(f"study {name} takes no overrides: its study.yaml names those of each task and method")
        return _answer_robustness(name, update, small, tasks)
    if small or tasks:
        raise UsageError(f"study {name} has no tasks, so it takes neither --small nor --task")
    from rich.console import Console
    from rich.table import Table

    from rasched.analysis.curves import draw_curves
    from rasched.compose.composer import Composer
    from rasched.runner.progress import ProgressBar, ProgressReporter
    from rasched.runner.study import Study, run_study, studies_dir, to_table

    study = Study.load(name)
    folder = studies_dir() / name if update else Path("outputs") / "studies" / name
    folder.mkdir(parents=True, exist_ok=True)
    progress = ProgressBar() if sys.stderr.isatty() else ProgressReporter()
    findings = run_study(study, Composer.open(), progress, overrides)
    results = to_table(findings)
    results.write_csv(folder / "results.csv", float_precision=6)
    draw_curves(results, study.ylabel, folder / "curves.png")
    shown = Table(title=study.question, caption=f"last tenth of the steps; {folder}/results.csv, curves.png")
    for column in ("setting", "runs", study.ylabel, "95 % interval"):
        shown.add_column(column, justify="left" if column == "setting" else "right")
    for one in findings:
        shown.add_row(one.variant, f"{one.num_runs:,}", f"{one.score:.4f}", f"{one.low:.4f} to {one.high:.4f}")
    Console().print(shown)


def _answer_robustness(name: str, update: bool, small: bool, tasks: Sequence[str]) -> None:
    """Train a study over base learning rates, and print what each method keeps of the tuned score."""
    from rich.console import Console
    from rich.markdown import Markdown

    from rasched.analysis.kept import kept_table
    from rasched.analysis.robustness_curves import draw_robustness
    from rasched.compose.composer import Composer
    from rasched.runner.progress import ProgressBar, ProgressReporter
    from rasched.runner.robustness import RobustnessStudy, run_robustness
    from rasched.runner.study import studies_dir

    study = RobustnessStudy.load(studies_dir() / name / "study.yaml")
    study = (study.reduced() if small else study).restricted(tasks)
    folder = studies_dir() / name if update else Path("outputs") / "studies" / name
    folder.mkdir(parents=True, exist_ok=True)
    progress = ProgressBar() if sys.stderr.isatty() else ProgressReporter()
    scores = run_robustness(study, Composer.open(), progress)
    scores.write_csv(folder / "results.csv")
    draw_robustness(scores, folder / "curves.png")
    console = Console()
    console.print(f"{study.question}\n")
    console.print(Markdown(kept_table(scores)))
    console.print(f"\nkept, with 95% intervals; {folder}/results.csv, curves.png")
