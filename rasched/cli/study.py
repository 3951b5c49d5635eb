"""``rasched study``: a question, answered by many seeds, as a table and a picture."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path


def answer(
    name: str,
    overrides: Sequence[str],
    update: bool,
    small: bool = False,
    tasks: Sequence[str] = (),
    methods: Sequence[str] = (),
    seeds: int | None = None,
) -> None:
    """Train the study's runs, print one row per variant, and leave ``results.csv`` and ``curves.png``."""
    from rasched.runner.process_setup import import_torch

    import_torch()
    from rasched.errors import UsageError
    from rasched.runner.robustness import is_robustness_study
    from rasched.runner.study import find_study

    study_folder = find_study(name)
    if is_robustness_study(study_folder / "study.yaml"):
        if overrides:
            raise UsageError(f"study {name} takes no overrides: its study.yaml names those of each task and method")
        return _answer_robustness(study_folder, update, small, tasks, methods, seeds)
    if small or tasks or methods or seeds is not None:
        raise UsageError(f"study {name} has no tasks, so it takes none of --small, --task, --method and --seeds")
    from rich.console import Console
    from rich.table import Table

    from rasched.analysis.curves import draw_curves
    from rasched.compose.composer import Composer
    from rasched.runner.progress import ProgressBar, ProgressLines
    from rasched.runner.study import Study, run_study, to_table

    study = Study.load(name)
    folder = _results_folder(study_folder, update)
    progress = ProgressBar() if sys.stderr.isatty() else ProgressLines()
    results = run_study(study, Composer.open(), progress, overrides)
    curves = to_table(results)
    curves.write_csv(folder / "results.csv", float_precision=6)
    draw_curves(curves, study.ylabel, folder / "curves.png")
    table = Table(title=study.question, caption=f"last tenth of the steps; {folder}/results.csv, curves.png")
    for column in ("setting", "runs", study.ylabel, "95% CI"):
        table.add_column(column, justify="left" if column == "setting" else "right")
    for result in results:
        table.add_row(
            result.variant, f"{result.num_runs:,}", f"{result.score:.4f}", f"{result.low:.4f} to {result.high:.4f}"
        )
    Console().print(table)


def _answer_robustness(
    study_folder: Path, update: bool, small: bool, tasks: Sequence[str], methods: Sequence[str], seeds: int | None
) -> None:
    """Train a study over base learning rates, and print what each method keeps of the tuned score."""
    from rich.console import Console
    from rich.markdown import Markdown

    from rasched.analysis.kept import kept_table
    from rasched.analysis.robustness_curves import draw_robustness
    from rasched.compose.composer import Composer
    from rasched.runner.progress import ProgressBar, ProgressLines
    from rasched.runner.robustness import RobustnessStudy, run_robustness

    study = RobustnessStudy.load(study_folder / "study.yaml")
    study = (study.reduced() if small else study).restricted(tasks, methods, seeds)
    folder = _results_folder(study_folder, update)
    progress = ProgressBar() if sys.stderr.isatty() else ProgressLines()
    scores = run_robustness(study, Composer.open(), progress)
    scores.write_csv(folder / "results.csv")
    draw_robustness(scores, folder / "curves.png")
    console = Console()
    console.print(f"{study.question}\n")
    console.print(Markdown(kept_table(scores)))
    console.print(f"\nkept, with 95% intervals; {folder}/results.csv, curves.png")


def _results_folder(study_folder: Path, update: bool) -> Path:
    """Return the folder for the results, and make it."""
    folder = study_folder if update else Path("outputs") / "studies" / study_folder.absolute().name
    folder.mkdir(parents=True, exist_ok=True)
    return folder
