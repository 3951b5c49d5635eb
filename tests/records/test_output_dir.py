"""Names of folders: never too long, never taken twice."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rasched.errors import UsageError
from rasched.records.output_dir import create_output_dir, delete_records, job_folder


@given(st.integers(0, 10**6), st.text(max_size=600))
def test_a_name_is_one_folder_of_bearable_length(num: int, overrides: str) -> None:
    name = job_folder(num, overrides)
    assert 0 < len(name.encode()) <= 200
    assert "/" not in name and "\0" not in name and name not in (".", "..")
    assert name.split("_")[0] == str(num)


def test_names_that_are_cut_still_differ() -> None:
    a, b = (job_folder(1, "x" * 300 + end) for end in "ab")
    assert a != b


def test_a_dated_folder_is_never_taken_twice(tmp_path: Path) -> None:
    folders = [create_output_dir(tmp_path / "12-00-00", dated=True) for _ in range(3)]
    assert [folder.name for folder in folders] == ["12-00-00", "12-00-00_1", "12-00-00_2"]


def test_a_named_folder_may_exist_but_not_hold_anything(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    assert create_output_dir(tmp_path / "mine", dated=False).is_dir()
    (tmp_path / "mine" / "run.json").write_text("{}")
    with pytest.raises(UsageError, match="not empty"):
        create_output_dir(tmp_path / "mine", dated=False)


def test_what_an_earlier_try_recorded_goes_and_the_rest_stays(tmp_path: Path) -> None:
    records = ["run.json", "run.json.new", "metrics.parquet", "metrics.jsonl", "policy.pt", "events.out.tfevents.1.2.0"]
    records += ["checkpoint.pt", "checkpoint.previous.pt", "lr_vs_reward.png", "video.gif"]
    for name in [*records, "notes.txt"]:
        (tmp_path / name).touch()
    delete_records(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        ("optimizer.lr=0.1,rule=kelly,seed=3", "3_kelly,lr=0.1,s3"),
        ("agent.hidden=[64,64],seed=0", "3_hidden=_64,64_,s0"),
        ("env.gamma=0.9,agent.gamma=0.8", "3_env.gamma=0.9,agent.gamma=0.8"),
        ("preset=ppo_cartpole,~signal", "3_preset=ppo_cartpole,_signal"),
        ("", "3"),
    ],
)
def test_a_job_is_named_by_what_differs_with_the_rule_first_and_the_seed_last(overrides: str, name: str) -> None:
    assert job_folder(3, overrides) == name
