"""The numbers in the READMEs of the studies are those of their results."""

import importlib.util
import re
from pathlib import Path
from typing import Any

import polars as pl

from rasched.analysis.kept import kept_table
from rasched.rules import Kelly
from rasched.runner.study import studies_dir

ROOT = Path(__file__).parents[1]
FOLKLORE, ROBUSTNESS = studies_dir() / "folklore", studies_dir() / "robustness"


def script(path: Path) -> Any:
    """Return a study's script as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_of_folklore_are_those_of_its_results() -> None:
    measure, table = script(FOLKLORE / "measure.py"), pl.read_csv(FOLKLORE / "results.csv")
    text = (FOLKLORE / "README.md").read_text()
    for signal in measure.SIGNALS:
        assert measure.to_markdown(table, signal) in text


def test_a_row_of_folklore_is_what_the_rule_gives() -> None:
    measure, table = script(FOLKLORE / "measure.py"), pl.read_csv(FOLKLORE / "results.csv")
    row = table.filter((pl.col("rule") == "kelly") & (pl.col("signal") == "raw") & (pl.col("rewards") == "constant 1"))
    rewards = (measure.REWARDS["constant 1"](None, t) for t in range(measure.NUM_CALLS))
    values = measure.log_rates(measure.RULES.get("kelly")(), measure.SIGNALS["raw"], rewards)
    assert round(float(values.mean()), 3) == row["mean_log_lr"][0] and values.std() == 0.0


def test_the_tables_of_robustness_are_those_of_its_results() -> None:
    text = (ROBUSTNESS / "README.md").read_text()
    for name in ("results.csv", "further.csv", "pendulum.csv"):
        assert kept_table(pl.read_csv(ROBUSTNESS / name)) in text
    assert script(ROBUSTNESS / "designs.py").to_markdown(pl.read_csv(ROBUSTNESS / "designs.csv")) in text


def test_the_table_of_rules_in_readme_has_the_numbers_of_robustness() -> None:
    rows = {}
    for line in kept_table(pl.read_csv(ROBUSTNESS / "results.csv")).splitlines()[2:]:
        rule, *values = (cell.strip() for cell in line.strip("|").split("|"))
        rows[rule] = values
    mean, tuned = -5, -4
    text = (ROOT / "README.md").read_text()
    search, constant, published, reward_only, kelly = (
        rows[rule] for rule in ("kl_search", "constant", "kl_published", "search_hold", "kelly")
    )
    assert f"`kl_search` keeps {search[tuned]} of it, `kelly` {kelly[tuned]}" in text
    assert f"keeps {search[mean]}, a constant rate {constant[mean]}; the published KL rule {published[mean]}" in text
    assert f"keeps {reward_only[mean]}; poor on A2C" in text
    held_out = kept_table(pl.read_csv(ROBUSTNESS / "further.csv")).splitlines()
    numbers = {line.split("|")[1].strip(): line.split("|")[5].split("[")[0].strip() for line in held_out[2:]}
    assert f"({numbers['kl_search']} and {numbers['kl_published']})" in text
    lines = kept_table(pl.read_csv(ROBUSTNESS / "pendulum.csv")).splitlines()[2:]
    numbers = {line.split("|")[1].strip(): line.split("|")[2].split("[")[0].strip() for line in lines}
    rest = f"kept {numbers['kl_search']}, a constant rate {numbers['constant']}, `kl_adaptive` {numbers['kl_adaptive']}"
    assert rest in " ".join(text.split())


def intervals_of(row: str) -> list[str]:
    """Return the cells of a Markdown row that hold a number with its interval."""
    return [cell.strip() for cell in row.strip("|").split("|") if re.fullmatch(r"\s*-?[\d.]+ \(.* to .*\)\s*", cell)]


def rows_with_intervals(study: str) -> list[str]:
    lines = (studies_dir() / study / "README.md").read_text().splitlines()
    return [line for line in lines if line.startswith("|") and intervals_of(line)]


def scores_of(study: str) -> dict[str, str]:
    """Return the score of each setting with its interval, as the READMEs write it."""
    table = pl.read_csv(studies_dir() / study / "results.csv").unique("setting", keep="first", maintain_order=True)
    return {
        row["setting"]: f"{row['score']:.3f} ({row['score_low']:.3f} to {row['score_high']:.3f})"
        for row in table.iter_rows(named=True)
    }


def test_the_table_of_testbed_is_that_of_its_results() -> None:
    scores, rows = scores_of("testbed"), rows_with_intervals("testbed")
    assert len(rows) == len(scores)
    for row in rows:
        step_size, baseline = (cell.strip() for cell in row.strip("|").split("|")[:2])
        setting = f"agent.baseline={baseline != 'none'} optimizer.lr={step_size}"
        assert intervals_of(row) == [scores[setting]]


def test_the_table_of_switch_is_that_of_its_results() -> None:
    scores, rows = scores_of("switch"), rows_with_intervals("switch")
    assert 2 * len(rows) == len(scores)
    for row in rows:
        rule = row.strip("|").split("|")[0].strip()
        assert intervals_of(row) == [scores[f"optimizer.lr={lr} rule={rule}"] for lr in ("0.03", "0.3")]


def test_the_numbers_of_parity_are_those_of_its_two_files() -> None:
    folder = studies_dir() / "parity"
    compare, text = script(folder / "compare.py"), (folder / "README.md").read_text()

    def both(of: Any, row: str) -> list[str]:
        cells = (compare.interval(of(folder / name)[row]) for name in ("ours.csv", "sb3.csv"))
        return [f"{middle:.1f} ({low:.1f} to {high:.1f})" for middle, low, high in cells]

    rows = rows_with_intervals("parity")
    keys = {row.strip("|").split("|")[0].strip().removesuffix("-v1").lower().replace(" ", "-"): row for row in rows}
    assert set(keys) == set(compare.finals(folder / "sb3.csv"))
    for key, row in keys.items():
        assert intervals_of(row) == both(compare.finals, key)
    for key in ("dqn-cartpole", "ppo-pendulum"):
        assert all(number in " ".join(text.split()) for number in both(compare.late, key))


def test_a_rule_that_observes_other_rewards_does_what_it_would_do_with_them() -> None:
    offsets = script(ROBUSTNESS / "offsets.py")
    changed, plain = offsets.observing(Kelly(gain=0.3), 10.0, -1.0), Kelly(gain=0.3)
    for reward in (0.5, -0.25, 1.0):
        changed.observe(reward)
        plain.observe(10.0 * reward - 1.0)
        assert changed.next_lr(0.1, 0.1) == plain.next_lr(0.1, 0.1)
