"""Damage one file of a run or a sweep; whatever reads it afterwards is right, or names the damage."""

from __future__ import annotations

import os
import random
import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safety.commands import run
from safety.comparison import Records, is_equal, read_records

# Each is stopped by SIGKILL at a row; None: it ends.
_COMMANDS: dict[str, tuple[str, int | None]] = {
    "stopped": ("run steps=70 logger.checkpoint_every=20 control=false logger.plot=false hydra.run.dir=out", 55),
    "finished": ("run steps=70 control=false logger.plot=false hydra.run.dir=out", None),
    "sweep": ("sweep steps=70 logger.checkpoint_every=20 optimizer=sgd,adam seed=0,1 -j 1 hydra.sweep.dir=out", 125),
}
# What is damaged: the folders in which it is, and the pattern of its files.
KINDS = {
    "checkpoint": (("stopped",), "checkpoint.pt"),
    "journal": (("stopped",), "metrics.jsonl"),
    "parquet": (("finished", "sweep"), "**/metrics.parquet"),
    "run.json": (("stopped", "finished", "sweep"), "**/run.json"),
    "sweep.json": (("sweep",), "sweep.json"),
    "hydra": (("stopped", "finished", "sweep"), "**/.hydra/*.yaml"),
    "batch": (("sweep",), ".batches/*"),
}


@dataclass(frozen=True)
class Damage:
    """One damage: a file's path below its folder, its new content (None: deleted), and how it came about."""

    folder: str
    path: str
    content: bytes | None
    how: str


def flip(data: bytes, rng: random.Random) -> bytes:
    """Flip one bit."""
    index = rng.randrange(len(data))
    return data[:index] + bytes([data[index] ^ 1 << rng.randrange(8)]) + data[index + 1 :]


def _digit(data: bytes, rng: random.Random) -> bytes:
    """Change one digit to another, as an editor would."""
    places = [index for index, byte in enumerate(data) if 48 <= byte <= 57]
    if not places:
        return flip(data, rng)
    index = rng.choice(places)
    return data[:index] + b"%d" % ((data[index] - 48 + rng.randrange(1, 10)) % 10) + data[index + 1 :]


def _span(data: bytes, rng: random.Random) -> tuple[int, int]:
    start = rng.randrange(len(data))
    return start, min(len(data), start + rng.randrange(1, 200))


def _zero(data: bytes, rng: random.Random) -> bytes:
    start, end = _span(data, rng)
    return data[:start] + bytes(end - start) + data[end:]


def _drop(data: bytes, rng: random.Random) -> bytes:
    start, end = _span(data, rng)
    return data[:start] + data[end:]


def _repeat(data: bytes, rng: random.Random) -> bytes:
    start, end = _span(data, rng)
    return data[:end] + data[start:]


def _lines(data: bytes, rng: random.Random) -> bytes:
    """Exchange two lines, or delete or repeat one."""
    lines = data.splitlines(keepends=True)
    a, b = rng.randrange(len(lines)), rng.randrange(len(lines))
    how = rng.randrange(3)
    if how == 0:
        lines[a], lines[b] = lines[b], lines[a]
    else:
        lines[a : a + 1] = [] if how == 1 else [lines[a]] * 2
    return b"".join(lines)


_WAYS: dict[str, Callable[[bytes, random.Random], bytes | None]] = {
    "flip": flip,
    "digit": _digit,
    "zero": _zero,
    "drop": _drop,
    "repeat": _repeat,
    "lines": _lines,
    "cut": lambda data, rng: data[: rng.randrange(len(data))],
    "random": lambda data, rng: rng.randbytes(rng.randrange(200)),
    "append": lambda data, rng: data + rng.randbytes(rng.randrange(1, 50)),
    "delete": lambda data, rng: None,
}
_COMMON = ("flip", "flip", "flip", "digit", "digit", "zero", "drop", "repeat", "lines", "cut", "cut")


class Damages:
    """Folders to damage, and what should come of them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.sources = {name: self._make(name) for name in _COMMANDS}
        self.wholes: dict[str, Records] = {}
        self.loaded: dict[str, Any] = {}
        for name in self.sources:
            self._restore(name)
            self.loaded[name] = self._load()[0]
            if name != "finished":
                code, text = self._call("resume", "out")
                assert code == 0, text
            self.wholes[name] = read_records(self.here / "out")

    @property
    def here(self) -> Path:
        """The folder in which commands run; each has its ``out`` there, at the same path as the damaged one had."""
        return self.root / "here"

    def _make(self, name: str) -> Path:
        line, stop_at = _COMMANDS[name]
        shutil.rmtree(self.here, ignore_errors=True)
        outcome = run(self.here, *line.split(), prepare=None if stop_at is None else lambda: _stop_at_row(stop_at))
        assert outcome.code == (0 if stop_at is None else -9), outcome
        shutil.copytree(self.here / "out", self.root / name)
        return self.root / name

    def _restore(self, name: str) -> None:
        shutil.rmtree(self.here, ignore_errors=True)
        shutil.copytree(self.sources[name], self.here / "out")
        (self.here / "neighbour").write_text("not ours")

    def choose(self, kind: str, rng: random.Random) -> Damage:
        """Return a random damage of a kind."""
        folders, pattern = KINDS[kind]
        folder = rng.choice(folders)
        source = self.sources[folder]
        path = rng.choice(sorted(source.glob(pattern)))
        how = rng.choice(_COMMON) if rng.random() < 0.95 else rng.choice(list(_WAYS))
        content = _WAYS[how](path.read_bytes(), rng)
        return Damage(folder, str(path.relative_to(source)), content, how)

    def apply(self, damage: Damage) -> str:
        """Damage a file, load and resume; return what is wrong, if anything is."""
        self._restore(damage.folder)
        path = self.here / "out" / damage.path
        if damage.content is None:
            path.unlink()
        else:
            path.write_bytes(damage.content)
        return self._check_load(damage) or self._check_resume(damage) or self._check_neighbours()

    def _check_load(self, damage: Damage) -> str:
        loaded, text = self._load()
        if damage.path == "metrics.jsonl" and damage.how == "cut":  # an earlier kill leaves the same
            return ""
        if not text and not is_equal(loaded, self.loaded[damage.folder]):
            return "loaded as something else, without a word"
        return "" if "\n" not in text.strip() or "Traceback" not in text else f"load: {text}"

    def _load(self) -> tuple[Any, str]:
        """Return what analysis reads of the folder, and what was said of damages."""
        from rasched.analysis.load import load
        from rasched.errors import RunFailed, UsageError

        said: list[str] = []
        values = []
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                results = load(self.here / "out")
                for run_of_folder in results:
                    table = run_of_folder.metrics if run_of_folder.status != "missing" else None
                    columns = table.to_dict(as_series=False) if table is not None else {}
                    entries = (run_of_folder.status, run_of_folder.seed, run_of_folder.scores, run_of_folder.config)
                    values.append([str(run_of_folder.folder), *entries, columns])
                if results:
                    values.append(results.metrics("train/reward").collect().to_dict(as_series=False))
                said += results.damaged
            except (UsageError, RunFailed, FileNotFoundError) as error:
                said.append(str(error))
        return values, "; ".join([*said, *(str(warning.message) for warning in caught)])

    def _check_resume(self, damage: Damage) -> str:
        code, text = self._call("resume", "out")
        if code not in (0, 2, 3):
            return f"resume: exit code {code}: {text}"
        if code:
            sentences = [line for line in text.splitlines() if line.strip()]
            return "" if sentences and "Traceback" not in text else f"resume: no sentence but {text!r}"
        difference = self.wholes[damage.folder].difference(read_records(self.here / "out"))
        return f"resumed to something else: {difference}; {text}" if difference else ""

    def _check_neighbours(self) -> str:
        names = sorted(path.name for path in self.here.iterdir())
        is_untouched = names == ["neighbour", "out"] and (self.here / "neighbour").read_text() == "not ours"
        return "" if is_untouched else f"other files were touched: {names}"

    def _call(self, *args: str) -> tuple[int, str]:
        """Run a command in this process; return its exit code, and its errors and warnings."""
        from typer.testing import CliRunner

        from rasched.cli.app import app

        os.chdir(self.here)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            result = CliRunner().invoke(app, list(args), prog_name="rasched")
        os.chdir("/")
        messages = [str(warning.message) for warning in caught]
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            return -1, f"{type(result.exception).__name__}: {result.exception}"
        return result.exit_code, "\n".join([result.stderr, result.stdout if result.exit_code else "", *messages])


def _stop_at_row(row: int) -> None:
    """Let this process kill itself at a row, once the rows so far are written."""
    import signal

    from rasched.runner.run_batch import _BatchRun

    count, on_row = 0, _BatchRun.on_row

    def stop(self: Any, step: int, columns: Any) -> None:
        nonlocal count
        on_row(self, step, columns)
        count += 1
        if count == row:
            self.recorder.flush()
            os.kill(os.getpid(), signal.SIGKILL)

    _BatchRun.on_row = stop  # type: ignore[method-assign]
