"""What would not fit into memory is refused before it is allocated."""

from pathlib import Path

import pytest

from rasched import memory


@pytest.fixture(autouse=True)
def _fresh() -> None:
    memory.memory_limit.cache_clear()


def test_the_sentence_names_the_need_and_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "memory_limit", lambda: 24_000_000_000)
    memory.check_memory("agent.hidden", 24_000_000_000)
    sentence = "agent.hidden needs about 40 GB of memory, and this machine has 24 GB: choose a smaller number"
    with pytest.raises(ValueError, match=sentence):
        memory.check_memory("agent.hidden", 40_123_456_789)
    with pytest.raises(ValueError, match=r"needs about 1e\+282 EB"):
        memory.check_memory("agent.hidden", 10**300)


def test_what_is_not_known_is_no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "memory_limit", lambda: None)
    memory.check_memory("agent.hidden", 10**30)


@pytest.mark.parametrize(
    ("line", "file"),
    [
        ("0::/slurm/job", "slurm/job/memory.max"),
        ("0::/slurm/job", "slurm/memory.max"),
        ("0::/", "memory.max"),
        ("9:memory:/job", "memory/job/memory.limit_in_bytes"),
    ],
)
def test_a_containers_limit_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, line: str, file: str) -> None:
    (tmp_path / "slurm/job").mkdir(parents=True)
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text("1000000\n")
    (tmp_path / "cgroup").write_text(f"3:cpu:/job\n{line}\n")
    monkeypatch.setattr(memory, "_CGROUPS", tmp_path)
    monkeypatch.setattr(memory, "_CGROUP_OF_PROCESS", tmp_path / "cgroup")
    assert memory.memory_limit() == 1_000_000
    memory.memory_limit.cache_clear()
    monkeypatch.setattr(memory, "_CGROUP_OF_PROCESS", tmp_path / "missing")
    limit = memory.memory_limit()
    assert limit is None or limit > 1_000_000
