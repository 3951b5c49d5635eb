"""Runs a function in two processes that form a gloo group, and gives up on them after a time: a hang is a failure."""

from __future__ import annotations

import multiprocessing
import os
import queue
import socket
import sys
import traceback
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist

SECONDS = 300  # the imports of transformers and Lightning take a fifth of it where the cores are busy


def on_two_ranks(function: Callable[..., Any], *args: Any) -> list[Any]:
    """Return ``[function(0, *args), function(1, *args)]``; the function is of a module that a child can import."""
    # A server that imports the frameworks once and forks every rank from there; processes that import them anew each
    # would take most of the time of these tests.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([name for name in sys.modules if name.startswith("rank_")])
    results: Any = context.Queue()
    port = _free_port()
    ranks = [context.Process(target=_rank, args=(rank, port, results, function, args)) for rank in range(2)]
    for rank in ranks:
        rank.start()
    try:
        values: dict[int, Any] = {}
        for _ in ranks:
            number, ok, value = results.get(timeout=SECONDS)
            assert ok, f"rank {number}:\n{value}"
            values[number] = value
        return [values[0], values[1]]
    except queue.Empty:
        raise AssertionError(f"the ranks did not finish within {SECONDS} s: one waits for the other") from None
    finally:
        for rank in ranks:
            rank.kill()
            rank.join()


def _rank(number: int, port: int, results: Any, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    # what torchrun sets; from TORCHELASTIC_RUN_ID Lightning knows that it need not start ranks itself
    os.environ.update(
        RANK=str(number),
        LOCAL_RANK=str(number),
        GROUP_RANK="0",
        WORLD_SIZE="2",
        LOCAL_WORLD_SIZE="2",
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(port),
        TORCHELASTIC_RUN_ID="test",
        ACCELERATE_USE_CPU="true",
    )
    try:
        dist.init_process_group("gloo")
        results.put((number, True, function(number, *args)))
    except BaseException:
        results.put((number, False, traceback.format_exc()))
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
