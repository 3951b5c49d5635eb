"""The commands: each is a sentence, a call, and no logic.

Nothing heavy is imported here: ``rasched --help`` must not wait for torch. Help is printed plainly for the same reason;
rich pages double its time.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from rasched.runner.interrupts import INTERRUPTS


class ErrorHandlingGroup(TyperGroup):
    """Ends every failure in one sentence on stderr and an exit code; ``--debug`` adds the traceback."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command; a UsageError names the way out if there is none of that name."""
        if args[0] not in self.commands and not args[0].startswith("-"):
            from rasched.cli.errors import unknown_command

            raise unknown_command(args[0], list(self.commands))
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command; only exits leave."""
        try:
            with INTERRUPTS.handled():
                return super().invoke(ctx)
        except (typer.Exit, typer.Abort):
            raise
        except BaseException as error:
            from rasched.cli.errors import exit_code_for

            code = INTERRUPTS.exit_code or exit_code_for(error, debug=ctx.params.get("debug", False))
            if code is None:
                raise
            raise typer.Exit(code) from error


app = typer.Typer(
    cls=ErrorHandlingGroup,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Should the reward drive my learning rate, by which rule, and how far can I trust the answer?",
    epilog="Exit codes: 0 done, 1 internal error, 2 invalid arguments or configuration, 3 a run failed, "
    "130 Ctrl-C, 143 SIGTERM.",
)
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[OVERRIDES]...",
        help="rule=kelly rule.gain=0.3 env=gaussian optimizer=adamw optimizer.lr=0.01 steps=5000 seed=1, "
        "and all of Hydra's grammar and flags",
        autocompletion=lambda ctx, args, incomplete: _complete(ctx, incomplete),
    ),
]
Folders = Annotated[list[str], typer.Argument(metavar="DIR...", help="Runs, sweeps, or folders of them.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout, and nothing else there.")]


def _print_version(is_requested: bool) -> None:
    if is_requested:
        from importlib.metadata import PackageNotFoundError, version

        try:
            print(f"rasched {version('rasched')}")
        except PackageNotFoundError:
            print("rasched, from a checkout that is not installed")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_print_version)
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback where a command fails.")] = False,
) -> None:
    """Options of all commands."""


@app.command(
    context_settings={"ignore_unknown_options": True},
    epilog="Hydra's flags: -m (all combinations of 'a,b' and 'range(0,3)'), --cfg job, --info, --config-dir DIR, "
    "--hydra-help; hydra/launcher=basic runs a sweep's jobs one by one.",
)
def run(overrides: Overrides = None, json: AsJson = False) -> None:
    """Train, and leave a folder of records under outputs/."""
    from rasched.cli.run import run_command

    raise typer.Exit(run_command(overrides or [], as_json=json))


Workers = Annotated[
    int | None,
    typer.Option(
        "-j",
        "--workers",
        min=1,
        help="Number of worker processes; by default chosen from the work. 1: no worker, this process trains.",
    ),
]


@app.command(
    context_settings={"ignore_unknown_options": True},
    epilog="The same as `rasched run -m OVERRIDES`: all combinations of 'a,b', 'range(0,3)', 'choice(...)', 'glob(*)'.",
)
def sweep(
    overrides: Overrides = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the jobs and how they batch; run nothing.")] = False,
    workers: Workers = None,
    runs_per_job: Annotated[
        int | None,
        typer.Option(
            "--runs-per-job",
            min=1,
            help="Runs per job of another launcher (hydra/launcher=submitit_slurm, ray, joblib).",
        ),
    ] = None,
    json: AsJson = False,
) -> None:
    """Train many runs, each with a folder of its own, as few batches."""
    from rasched.cli.run import SweepOptions, sweep_command

    raise typer.Exit(sweep_command(overrides or [], SweepOptions(dry_run, workers, runs_per_job), as_json=json))


@app.command()
def resume(
    folder: Annotated[str, typer.Argument(help="The folder of a sweep or of a run.")],
    workers: Workers = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="Allow the code and the configuration folders that its files name.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Resume what was stopped: the unfinished runs of a sweep, or a run from its last checkpoint."""
    from rasched.cli.run import resume_command

    raise typer.Exit(resume_command(folder, workers, trust, as_json=json))


@app.command("list")
def list_(
    group: Annotated[
        str | None,
        typer.Argument(metavar="[GROUP]", help="One group, such as rules, envs or agents; without it all groups."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Print the choices of every group, with settings, defaults and limits."""
    from rasched.cli.list import print_list

    print_list(group, as_json=json)


@app.command(context_settings={"ignore_unknown_options": True})
def board(
    folder: Annotated[str, typer.Argument(help="A run, a sweep, or a folder of them.")] = "outputs",
    options: Annotated[list[str] | None, typer.Argument(help="TensorBoard's own options, as --port 7007")] = None,
) -> None:
    """Open TensorBoard on a folder of runs."""
    from rasched.cli.tensorboard import open_tensorboard

    open_tensorboard(folder, options or [])


@app.command(
    epilog="curves: reward and learning rate over steps, a column per base rate; robustness: score over base rate; "
    "profile: part of the runs above each score; runs: a picture per run."
)
def plot(
    folders: Annotated[list[str] | None, typer.Argument(metavar="[DIR]...", help="Runs or sweeps.")] = None,
    kind: Annotated[
        str | None, typer.Option(help="curves (of a sweep, the default), robustness, profile, or runs.")
    ] = None,
    metric: Annotated[str | None, typer.Option(help="The score of robustness and profile, as for compare.")] = None,
    output: Annotated[
        str | None, typer.Option("-o", "--output", help="The file, .png, .svg or .pdf; by default KIND.png in DIR.")
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Draw in the terminal instead, and write no file.")] = False,
) -> None:
    """Plot a sweep in one picture, or a run."""
    from rasched.cli.plot import plot as plot_folders

    raise typer.Exit(plot_folders(folders or ["outputs"], kind, metric, output, show))


@app.command()
def ls(
    folder: Annotated[
        str, typer.Argument(metavar="[DIR]", help="A folder of runs and sweeps, or a sweep.")
    ] = "outputs",
    sort: Annotated[str, typer.Option(help="name, age, score or status.")] = "name",
    failed: Annotated[bool, typer.Option("--failed", help="Only what failed or was interrupted.")] = False,
    json: AsJson = False,
) -> None:
    """List runs and sweeps: status, variant, score and age."""
    from rasched.cli.ls import ls as print_list

    raise typer.Exit(print_list(folder, sort, failed, as_json=json))


@app.command()
def show(folder: Annotated[str, typer.Argument(metavar="DIR", help="A run or a sweep.")], json: AsJson = False) -> None:
    """Show one run, or the table of one sweep, again."""
    from rasched.cli.show import show as print_results

    raise typer.Exit(print_results(folder, as_json=json))


@app.command()
def diff(
    first: Annotated[str, typer.Argument(metavar="A", help="A run, or a sweep.")],
    second: Annotated[str, typer.Argument(metavar="B", help="Another one.")],
    json: AsJson = False,
) -> None:
    """Show in which settings, versions, commit and scores two runs, or two sweeps, differ."""
    from rasched.cli.diff import diff as print_difference

    raise typer.Exit(print_difference(first, second, as_json=json))


@app.command()
def report(
    folders: Folders,
    metric: Annotated[str | None, typer.Option(help="The score, as for compare.")] = None,
    baseline: Annotated[str | None, typer.Option(help="The variants to compare with, as rule=none.")] = None,
    output: Annotated[
        str | None, typer.Option("-o", "--output", help="The file; by default report.html in the first DIR.")
    ] = None,
) -> None:
    """Write what was run, the answer, the table and the pictures into one HTML file."""
    from rasched.cli.report import report as write_report

    raise typer.Exit(write_report(folders, metric, baseline, output))


@app.command()
def rerun(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="The folder of a run, or a copy of it.")],
    output: Annotated[
        str | None, typer.Option("-o", "--output", help="The new folder; by default outputs/<date>/<time>.")
    ] = None,
    trust: Annotated[bool, typer.Option("--trust", help="Allow the code that the run's files name.")] = False,
    json: AsJson = False,
) -> None:
    """Train a run again from its record, and say whether the numbers agree to the byte."""
    from rasched.cli.rerun import rerun as train_again

    raise typer.Exit(train_again(folder, output, trust, as_json=json))


@app.command("eval")
def evaluate(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="A run, or a sweep, whose best run is taken.")],
    episodes: Annotated[int, typer.Option(min=1, max=100_000, help="Fresh episodes; of a bandit, pulls.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Another seed gives other episodes.")] = 0,
    video: Annotated[
        bool, typer.Option("--video", help="Also record one episode as eval.gif in the run's folder.")
    ] = False,
    trust: Annotated[bool, typer.Option("--trust", help="Allow the code that the policy's file names.")] = False,
    json: AsJson = False,
) -> None:
    """Play a trained policy on fresh seeds: mean return and interval."""
    from rasched.cli.evaluate import evaluate as print_evaluation

    raise typer.Exit(print_evaluation(folder, episodes, seed, video, trust, as_json=json))


@app.command(
    epilog="Without --baseline it is rule=none if there is such a variant, else the best. A variant is compared with "
    "the baseline at the same other settings, over the seeds that both have."
)
def compare(
    folders: Folders,
    metric: Annotated[
        str | None,
        typer.Option(
            help="A score of run.json (regret_total), a column (train/reward: its last tenth), or a statistic of one: "
            "train/reward:area, :mean, :first, :last, :min, :max, :steps_to=0.9."
        ),
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(help="What tells variants apart, as rule or rule,optimizer.lr; by default all that differs."),
    ] = None,
    baseline: Annotated[str | None, typer.Option(help="The variants to compare with, as rule=none.")] = None,
    kept: Annotated[
        bool, typer.Option("--kept", help="Show what each rule keeps of the tuned score over the base rates.")
    ] = False,
    chance: Annotated[
        float | None,
        typer.Option(
            help="With --kept: the metric without learning; by default its first twentieth at the lowest rate."
        ),
    ] = None,
    json: AsJson = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print the table as CSV on stdout.")] = False,
) -> None:
    """Compare the variants of one or several sweeps over their seeds: table and answer."""
    from rasched.cli.compare import compare as print_comparison
    from rasched.cli.compare import compare_kept
    from rasched.errors import UsageError

    if kept:
        if by:
            raise UsageError("--kept and --by exclude one another: leave --by out")
        raise typer.Exit(compare_kept(folders, metric, baseline, chance, as_json=json, as_csv=csv))
    if chance is not None:
        raise UsageError("--chance belongs to --kept: add --kept, or leave it out")
    raise typer.Exit(print_comparison(folders, metric, by or [], baseline, as_json=json, as_csv=csv))


@app.command(context_settings={"ignore_unknown_options": True})
def study(
    name: Annotated[str, typer.Argument(help="A folder of experiments/.")],
    overrides: Annotated[list[str] | None, typer.Argument(metavar="[OVERRIDES]...")] = None,
    update: Annotated[bool, typer.Option("--update", help="Write into the study's own folder.")] = False,
    small: Annotated[bool, typer.Option("--small", help="Train fewer tasks and seeds: minutes.")] = False,
    task: Annotated[list[str] | None, typer.Option("--task", help="Train only this task; may be repeated.")] = None,
    method: Annotated[
        list[str] | None, typer.Option("--method", help="Train only this method beside the constant rate; repeatable.")
    ] = None,
    seeds: Annotated[int | None, typer.Option(help="The number of seeds of each task.")] = None,
) -> None:
    """Answer a study's question with many seeds: a table, results.csv and a picture."""
    from rasched.cli.study import answer

    answer(name, overrides or [], update, small, task or [], method or [], seeds)


@app.command("help")
def help_(
    ctx: typer.Context, command: Annotated[str | None, typer.Argument(metavar="[COMMAND]", help="A command.")] = None
) -> None:
    """Show the help of a command, or the list of commands."""
    from rasched.cli.help import print_help

    print_help(ctx, command)


@app.command()
def bench(name: Annotated[str, typer.Argument(help="observe")] = "observe", json: AsJson = False) -> None:
    """Measure the cost of one observation, beside the steps of torch's schedulers."""
    from rasched.cli.bench import print_benchmark

    print_benchmark(name, as_json=json)


def _complete(ctx: Any, incomplete: str) -> list[str]:
    from rasched.cli.completion import complete

    return complete(ctx.params.get("overrides") or [], incomplete)
