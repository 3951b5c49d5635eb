"""Files of strangers are read in bounded time and memory, or refused in one sentence."""

import os
from pathlib import Path

import pytest
import yaml

from rasched.errors import DamagedFileError
from rasched.records.run_json import read_json
from rasched.records.safe_read import MAX_YAML_BYTES, load_yaml

BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (BOMB.encode(), "aliases"),
        (b"[" * 100_000, "levels deep"),
        (b"- " * 400_000, "levels deep"),
        (b"a: " + b"x" * MAX_YAML_BYTES, "more than"),
        (b"\xff\xfe", "not text in UTF-8"),
        (b"a: [", "cannot be read"),
        (b"!!python/object/apply:os.getcwd []", "cannot be read"),
    ],
)
def test_a_dangerous_yaml_file_is_refused(tmp_path: Path, text: bytes, reason: str) -> None:
    (tmp_path / "config.yaml").write_bytes(text)
    with pytest.raises(DamagedFileError, match=reason) as caught:
        load_yaml(tmp_path / "config.yaml")
    assert "config.yaml" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("text", [b"[" * 100_000, b"[1]", b"", b"\xff", b'{"a": '])
def test_a_damaged_json_file_is_refused(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "sweep.json").write_bytes(text)
    with pytest.raises(DamagedFileError, match=r"sweep\.json"):
        read_json(tmp_path / "sweep.json")


def test_good_files_are_read(tmp_path: Path) -> None:
    value = {"a": [1, 2.5, None, {"b": "c: *d"}]}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(value))
    assert load_yaml(tmp_path / "config.yaml") == value


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "run.json")
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "run.json")
