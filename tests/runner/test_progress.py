"""Progress: failures are reported at once, and steps are counted to the end of each batch."""

from io import StringIO

import pytest
import torch
from rich.console import Console

from rasched.runner.progress import FailureLines, LiveTable, ProgressBar, ProgressLines, ProgressReporter
from rasched.runner.running_scores import RunningScores
from rasched.train.run_result import RunResult, RunStatus

GOOD = RunResult(RunStatus.DONE, scores={"reward_last_tenth": 1.25}, overrides=("rule=kelly", "seed=1"))
BETTER = RunResult(RunStatus.DONE, scores={"reward_last_tenth": 1.5}, overrides=("rule=trend", "seed=2"))
BAD = RunResult(RunStatus.FAILED, 7, "the loss became nan at step 7", 3, overrides=("rule=kelly", "seed=3"))


@pytest.mark.parametrize("kind", [FailureLines, LiveTable])
def test_a_failed_run_is_reported_once_as_soon_as_it_fails(
    kind: type[FailureLines], capsys: pytest.CaptureFixture[str]
) -> None:
    progress = kind()
    with progress:
        progress.begin(3, 3000)
        progress.fail(BAD.overrides, str(BAD.error))
        assert "failed: rule=kelly seed=3: the loss became nan at step 7" in capsys.readouterr().err
        progress.complete([GOOD, BAD])
        assert "became nan" not in capsys.readouterr().err


def test_the_live_table_shows_progress_speed_and_the_best_run(monkeypatch: pytest.MonkeyPatch) -> None:
    table = LiveTable()
    table._live.console = Console(file=StringIO(), width=120, force_terminal=True)
    moments = iter([10.0, *[20.0] * 50])
    monkeypatch.setattr("time.monotonic", lambda: next(moments))
    table.begin(4, 4000)
    table.advance(1000)
    table.complete([GOOD, BAD, BETTER])
    lines = "".join(str(segment.text) for segment in table._live.console.render(table._live.get_renderable()))
    for text in ("2 of 4", "25% of 4k", "100", "0:30", "1.5  rule=trend  (1 run)", "steps/s", "ETA"):
        assert text in lines
    assert " 1 " in lines  # failed


def test_the_live_table_shows_the_best_variant_of_a_batch_that_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    table = LiveTable()
    overrides = [(f"rule={rule}", "steps=10", f"seed={seed}") for rule in ("kelly", "trend") for seed in range(3)]
    rewards = torch.tensor([0.0, 2.0, torch.nan, 3.0, 1.0, 2.0])
    table.begin(6, 60, overrides)
    with table.batch(6, 10, overrides):
        table.step(1, {"train/reward": rewards, "train/lr": rewards})
        assert table._best() == "2  rule=trend  (3 runs)"
        table._next_report = 0.0
        returns = torch.where(rewards == 2.0, 7.0, torch.nan)
        table.step(2, {"train/reward": rewards, "rollout/ep_rew_mean": returns, "train/lr": rewards})
        assert table._running[("rule=kelly", "steps=10")] == (3.5, 3), "of the runs that have a score, by what each has"
    table.complete([RunResult(RunStatus.DONE, scores={"return_last": 9.0}, overrides=o) for o in overrides[:3]])
    assert table._best() == "9  rule=kelly  (3 runs)"


def test_the_smoothed_reward_of_a_run_is_that_of_the_bar() -> None:
    scores, bar = RunningScores([("rule=kelly",)]), ProgressBar()
    for reward in (1.0, torch.nan, 3.0, -2.0):
        scores.add({"train/reward": torch.tensor([reward])})
        bar._smooth(reward)
    assert scores.means() == [(("rule=kelly",), pytest.approx(bar._reward), 1)]


def test_lines_say_how_much_is_done(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    moments = iter([0.0, 5.0, 11.0, 12.0, 30.0])
    monkeypatch.setattr("time.monotonic", lambda: next(moments))
    lines = ProgressLines()
    lines.begin(40, 400)
    for _ in range(4):
        lines.advance(50)
    assert capsys.readouterr().err == "25% of the steps of 40 runs, 0:33 left\n50% of the steps of 40 runs, 0:30 left\n"


def test_a_batch_counts_all_its_steps_however_early_its_runs_end() -> None:
    class Count(ProgressReporter):
        steps = 0

        def advance(self, num_run_steps: int) -> None:
            self.steps += num_run_steps

    count = Count()
    for num_runs, steps in ((5, 100), (2, 30)):
        with count.batch(num_runs, steps):
            for step in range(1, steps // 2):
                count.step(step, {"train/reward": torch.zeros(num_runs)})
    assert count.steps == 5 * 100 + 2 * 30


@pytest.mark.parametrize("num_runs", [1, 3])
def test_the_bar_shows_the_smoothed_reward_and_reaches_its_end(num_runs: int) -> None:
    bar = ProgressBar()
    bar._bar.live.console = Console(file=StringIO(), width=120, force_terminal=True)
    bar.begin(num_runs, num_runs * 10)
    with bar, bar.batch(num_runs, 10):
        for step in range(1, 4):
            columns = (
                {"train/reward": 2.0, "train/lr": 0.5}
                if num_runs == 1
                else {"train/reward": torch.full((num_runs,), 2.0), "train/lr": torch.full((num_runs,), 0.5)}
            )
            bar.step(step, columns)
    (task,) = bar._bar.tasks
    assert task.completed == num_runs * 10
    assert task.fields["reward"] == "2.000" and task.fields["lr"] == "0.5"


def test_curves_of_completed_runs_are_kept_by_their_overrides() -> None:
    progress = ProgressReporter()
    progress.complete([GOOD, RunResult(RunStatus.DONE, overrides=("seed=4",), curves={"step": [1]})])
    assert progress.curves == {("seed=4",): {"step": [1]}}
