"""What is shown of a sweep while it runs."""

import pytest
import torch

from rasched.runner.progress import Ended, Feed, Lines, Progress, Table

GOOD = Ended(("rule=kelly", "seed=1"), "done", None, 1.25)
BETTER = Ended(("rule=trend", "seed=2"), "done", None, 1.5)
BAD = Ended(("rule=kelly", "seed=3"), "failed", "the loss became nan at step 7", -2.0)


@pytest.mark.parametrize("kind", [Lines, Table])
def test_a_failed_run_is_told_once_as_soon_as_it_fails(kind: type[Lines], capsys: pytest.CaptureFixture[str]) -> None:
    shown = kind()
    with shown:
        shown.begin(3, 3000)
        shown.failed(BAD.overrides, str(BAD.reason))
        assert "failed: rule=kelly seed=3: the loss became nan at step 7" in capsys.readouterr().err
        shown.ended([GOOD, BAD])
        assert "became nan" not in capsys.readouterr().err


def test_the_live_table_says_how_far_how_fast_and_what_is_best(monkeypatch: pytest.MonkeyPatch) -> None:
    from io import StringIO

    from rich.console import Console

    table = Table()
    screen = StringIO()
    table._live.console = Console(file=screen, width=120, force_terminal=True)
    moments = iter([10.0, *[20.0] * 50])
    monkeypatch.setattr("time.monotonic", lambda: next(moments))
    table.begin(4, 4000)
    table.advance(1000)
    table.ended([GOOD, BAD, BETTER])
    lines = "".join(str(segment.text) for segment in table._live.console.render(table._live.get_renderable()))
    for words in ("2 of 4", "25%", "100", "0:30", "1.5  rule=trend seed=2"):
        assert words in lines
    assert " 1 " in lines  # failed


def test_a_batch_feeds_all_its_steps_however_early_its_runs_end() -> None:
    class Count(Progress):
        steps = 0

        def advance(self, run_steps: int) -> None:
            self.steps += run_steps

    count = Count()
    feed = Feed(count)
    for runs, steps in ((5, 100), (2, 30)):
        with feed.batch(runs, steps):
            for step in range(1, steps // 2):
                feed.step(step, {"train/reward": torch.zeros(runs)})
    assert count.steps == 5 * 100 + 2 * 30
