"""Event files through TensorBoard's data server (the fast loader), and what its plugins make of them."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams import metadata as hparams_metadata
from tensorboard.plugins.hparams.summary_v2 import Discrete, HParam, Metric, hparams_config_pb, hparams_pb

from rasched.records.tensorboard.event_file import EventFile
from rasched.records.tensorboard.summaries import LR_VS_REWARD_LAYOUT, BandChart, ChartGroup


@contextmanager
def data_server(folder: Path, port_file: Path) -> Iterator[object]:
    """Serve a folder as `tensorboard --load_fast=true` does, read once, every point kept."""
    tensorboard_data_server = pytest.importorskip("tensorboard_data_server")
    import grpc
    from tensorboard.data import grpc_provider
    from tensorboard.data.proto import data_provider_pb2_grpc

    flags = ["--reload=once", "--samples-per-plugin=scalars=all", "--port=0", "--die-after-stdin"]
    command = [tensorboard_data_server.server_binary(), f"--logdir={folder}", f"--port-file={port_file}", *flags]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while not (port_file.exists() and port_file.read_text().endswith("\n")) and time.monotonic() < deadline:
            time.sleep(0.01)
        address = f"localhost:{port_file.read_text().strip()}"
        with grpc.insecure_channel(address) as channel:
            stub = data_provider_pb2_grpc.TensorBoardDataProviderStub(channel)
            yield grpc_provider.GrpcDataProvider(address, stub)
    finally:
        assert server.stdin is not None
        server.stdin.close()
        server.terminate()
        server.wait()


@pytest.mark.skipif(sys.platform == "win32", reason="no data server is published for Windows")
def test_the_data_server_reads_back_what_was_written_in_float32(tmp_path: Path) -> None:
    from tensorboard.context import RequestContext

    logs, rng = tmp_path / "logs", np.random.default_rng(0)
    steps = np.sort(rng.choice(1 << 40, 500, replace=False))
    columns = {"train/reward": rng.standard_normal(500), "train/lr": np.exp(rng.standard_normal(500))}
    columns["eval/return"] = np.where(np.arange(500) % 50 == 7, 1.0, np.nan)
    events = EventFile(logs / "run")
    events.layout([LR_VS_REWARD_LAYOUT])
    events.append(steps, columns)
    events.close()
    with data_server(logs, tmp_path / "port") as provider:
        deadline, read = time.monotonic() + 20, {}
        while len(read) < 3 and time.monotonic() < deadline:
            found = provider.read_scalars(RequestContext(), experiment_id="", plugin_name="scalars", downsample=10_000)
            read = found.get("run", {})
    for tag, values in columns.items():
        there = ~np.isnan(values)
        expected = list(zip(steps[there].tolist(), values[there].astype(np.float32).tolist(), strict=True))
        assert [(point.step, point.value) for point in read[tag]] == expected


def summaries(path: Path) -> dict[str, object]:
    return {v.tag: v for event in EventFileLoader(str(path)).Load() for v in event.summary.value}


def test_hyperparameters_come_back_with_their_types_and_group(tmp_path: Path) -> None:
    values = {"rule": "kelly", "lr": 0.1, "momentum": False, "steps": 10}
    events = EventFile(tmp_path)
    events.hparams(values, group="kelly 0.1")
    events.close()
    value = summaries(events.path)["_hparams_/session_start_info"]
    start = hparams_metadata.parse_session_start_info_plugin_data(value.metadata.plugin_data.content)
    read = {name: getattr(field, field.WhichOneof("kind")) for name, field in start.hparams.items()}
    assert read == values and start.group_name == "kelly 0.1"
    theirs = hparams_pb(values, trial_id="kelly 0.1", start_time_secs=events.wall_time).value[0]
    parse = hparams_metadata.parse_session_start_info_plugin_data
    assert start == parse(theirs.metadata.plugin_data.content)
    assert (theirs.tag, theirs.tensor) == (value.tag, value.tensor)


def test_a_picture_comes_back_byte_for_byte_at_its_step(tmp_path: Path) -> None:
    events = EventFile(tmp_path)
    events.image("trajectory/video", 300, b"GIF89a...", (320, 213), 12.5)
    events.close()
    (event,) = [event for event in EventFileLoader(str(events.path)).Load() if event.summary.value]
    (value,) = event.summary.value
    assert (event.step, event.wall_time, value.tag) == (300, 12.5, "trajectory/video")
    assert value.metadata.plugin_data.plugin_name == "images"
    assert list(value.tensor.string_val) == [b"320", b"213", b"GIF89a..."]


def test_runs_with_equal_hyperparameters_share_a_group_unless_one_is_named(tmp_path: Path) -> None:
    names = []
    for seed, values in enumerate(({"lr": 0.1}, {"lr": 0.1}, {"lr": 0.2})):
        events = EventFile(tmp_path / str(seed))
        events.hparams(values)
        events.close()
        content = summaries(events.path)["_hparams_/session_start_info"].metadata.plugin_data.content
        names.append(hparams_metadata.parse_session_start_info_plugin_data(content).group_name)
    assert names[0] == names[1] != names[2]


def test_the_table_of_hyperparameters_lists_domains_and_metrics(tmp_path: Path) -> None:
    events = EventFile(tmp_path)
    varied = {"rule": ["trend", "kelly"], "lr": [0.1, 0.2], "num_envs": [4, 8], "clipped": [True, False]}
    events.hparams_config(varied, {"whole_run/reward_last_tenth": "reward_last_tenth"})
    events.close()
    value = summaries(events.path)["_hparams_/experiment"]
    experiment = hparams_metadata.parse_experiment_plugin_data(value.metadata.plugin_data.content)
    domains = {info.name: list(info.domain_discrete) for info in experiment.hparam_infos}
    assert domains == {name: sorted(domain) for name, domain in varied.items()}
    assert [info.name.tag for info in experiment.metric_infos] == ["whole_run/reward_last_tenth"]
    columns = [HParam(name, Discrete(domain)) for name, domain in varied.items()]
    theirs = hparams_config_pb(
        columns, [Metric("whole_run/reward_last_tenth", display_name="reward_last_tenth")], events.wall_time
    ).value[0]
    assert experiment == hparams_metadata.parse_experiment_plugin_data(theirs.metadata.plugin_data.content)
    assert (theirs.tag, theirs.tensor) == (value.tag, value.tensor)


def test_charts_come_back_as_lines_and_bands(tmp_path: Path) -> None:
    band = ChartGroup("rules", (BandChart("reward", "reward/mean", "reward/low", "reward/high"),))
    events = EventFile(tmp_path)
    events.layout([LR_VS_REWARD_LAYOUT, band])
    events.close()
    value = summaries(events.path)["custom_scalars__config__"]
    layout = layout_pb2.Layout.FromString(value.tensor.string_val[0])
    titles = [[chart.title for chart in category.chart] for category in layout.category]
    assert titles == [["learning rate", "reward, or return of episodes"], ["reward"]]
    assert list(layout.category[0].chart[0].multiline.tag) == ["^lr_and_reward/learning_rate$"]
    series = layout.category[1].chart[0].margin.series[0]
    assert (series.value, series.lower, series.upper) == ("reward/mean", "reward/low", "reward/high")
