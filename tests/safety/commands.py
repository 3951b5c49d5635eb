"""Commands in processes that are forked from this one, which has imported everything: they start in milliseconds.

This process must not use polars before it forks, because the threads of polars do not survive a fork.
"""

from __future__ import annotations

import copy
import gc
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any


def import_everything() -> None:
    """Import what commands need, so that forked processes share it."""
    from rasched.runner.process_setup import import_torch

    import_torch()
    import torch

    for name in ("cli.app", "cli.run_report", "runner.resume", "runner.run", "runner.sweep", "analysis.load"):
        import_module(f"rasched.{name}")
    from rasched.compose.composer import Composer
    from rasched.compose.jobs import JobComposer
    from rasched.runner.batching import make_batches
    from rasched.runner.run_spec import make_run_specs, validate

    torch.set_num_threads(1)
    jobs = JobComposer(Composer.open(), [])
    specs = make_run_specs([jobs.compose(["agent=ppo", "env.id=CartPole-v1", "optimizer=adam"], 0)])
    validate(specs)
    make_batches(specs, 1)
    COMPOSITIONS.install()
    gc.collect()
    gc.freeze()  # a collection would copy what processes share


class _Compositions:
    """Configurations that Hydra has composed. Composing the same one again is most of the time of a short command.

    A command says which it lacked; they are composed in this process before the next command starts.
    """

    def __init__(self) -> None:
        self._known: dict[str, Any] = {}
        self._lacking = Path(tempfile.mkdtemp()) / "lacking"

    def install(self) -> None:
        """Let the composer of this process, and of those forked from it, look here first."""
        from rasched.compose.composer import Composer

        self._load = Composer._load
        Composer._load = lambda *args: self._look_up(*args)  # type: ignore[method-assign]

    def _look_up(self, composer: Any, overrides: Sequence[str], mode: Any) -> Any:
        key = json.dumps([list(overrides), mode.value])
        is_default = not any((composer.config_files or {}).get(name) for name in ("config_dir", "config_path"))
        if not is_default or composer.config_name != "config":
            return self._load(composer, overrides, mode)
        if key not in self._known:
            self._known[key] = self._load(composer, overrides, mode)
            with self._lacking.open("a") as file:
                file.write(key + "\n")
        return copy.deepcopy(self._known[key])

    def compose_lacking(self) -> None:
        """Compose what the commands so far have lacked."""
        from hydra.errors import HydraException
        from hydra.types import RunMode
        from omegaconf.errors import OmegaConfBaseException

        from rasched.compose.composer import Composer

        if not self._lacking.exists():
            return
        lines = [line for line in self._lacking.read_text().splitlines() if line not in self._known]
        self._lacking.unlink()
        for line in lines:
            overrides, mode = json.loads(line)
            with suppress(HydraException, OmegaConfBaseException):
                self._known[line] = self._load(Composer.open(), overrides, RunMode(mode))


COMPOSITIONS = _Compositions()


@dataclass(frozen=True)
class Outcome:
    """How a command ended: its exit code, or minus the number of the signal, and what it printed."""

    code: int
    out: str
    err: str

    def is_one_sentence(self) -> bool:
        """Return whether nothing but sentences of ours stands on stderr."""
        lines = [line for line in self.err.splitlines() if line.strip()]
        return all(line.startswith(("rasched: ", "failed: ", "warning: ")) for line in lines)


class Command:
    """A running command."""

    def __init__(self, here: Path, *args: str, prepare: Callable[[], None] | None = None) -> None:
        """Start ``rasched ARGS`` in the folder ``here``; ``prepare`` is called first, in the new process."""
        here.mkdir(exist_ok=True)
        self._out, self._err = here.with_suffix(".out"), here.with_suffix(".err")
        COMPOSITIONS.compose_lacking()
        sys.stdout.flush()
        self.start = time.monotonic()
        self.pid = os.fork()
        if self.pid == 0:
            self._run(here, args, prepare)
        self._code: int | None = None

    def _run(self, here: Path, args: tuple[str, ...], prepare: Callable[[], None] | None) -> None:
        code = 1
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)  # a background process ignores it
            os.chdir(here)
            for number, path in ((1, self._out), (2, self._err)):
                os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666), number)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            sys.argv = ["rasched", *args]
            sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
            if prepare is not None:
                prepare()
            from rasched.cli import main

            main()
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else int(error.code is not None)
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            os._exit(code)

    def poll(self) -> int | None:
        """Return the exit code, or None if the command still runs."""
        if self._code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._code = os.waitstatus_to_exitcode(status) if pid else None
        return self._code

    def wait(self, seconds: float = 600) -> Outcome:
        """Wait for the end; a command that takes longer is killed, and a TimeoutError is raised."""
        deadline = time.monotonic() + seconds
        while self.poll() is None:
            if time.monotonic() > deadline:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                raise TimeoutError(f"process {self.pid} took longer than {seconds} s")
            time.sleep(0.002)
        assert self._code is not None
        return Outcome(self._code, *(path.read_text(errors="replace") for path in (self._out, self._err)))

    def send(self, number: int) -> None:
        """Send a signal, if the command still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)


def run(here: Path, *args: str, prepare: Callable[[], None] | None = None) -> Outcome:
    """Run ``rasched ARGS`` in the folder ``here`` to its end."""
    return Command(here, *args, prepare=prepare).wait()
