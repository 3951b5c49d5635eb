"""TensorBoard summaries beyond scalars: HParams, images and layouts of custom charts, serialised as `Summary`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from rasched.records.tensorboard.tags import column_tag


@dataclass(frozen=True)
class LineChart:
    """A chart with one line per run and tag; `tags` are regular expressions."""

    title: str
    tags: tuple[str, ...]


@dataclass(frozen=True)
class BandChart:
    """A chart of a line inside a band; the three tags belong to one run."""

    title: str
    value: str
    lower: str
    upper: str


@dataclass(frozen=True)
class ChartGroup:
    """Charts side by side under one heading."""

    title: str
    charts: tuple[LineChart | BandChart, ...]


_REWARDS = ("train/reward", "rollout/ep_rew_mean", "eval/return")
LR_VS_REWARD_LAYOUT = ChartGroup(
    "learning rate against reward",
    (
        LineChart("learning rate", (f"^{column_tag('train/lr')}$",)),
        LineChart("reward, or return of episodes", tuple(f"^{column_tag(name)}$" for name in _REWARDS)),
    ),
)


def session_summary(values: Mapping[str, float | str | bool], group: str | None, wall_time: float) -> bytes:
    """Return one run's hyperparameters; `group` names the seeds of one variant, by default runs with equal values."""
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    data = HParamsPluginData()
    data.session_start_info.group_name = repr(sorted(values.items())) if group is None else group
    data.session_start_info.start_time_secs = wall_time
    for name, value in values.items():
        field = data.session_start_info.hparams[name]
        if isinstance(value, bool):
            field.bool_value = value
        elif isinstance(value, str):
            field.string_value = value
        else:
            field.number_value = value
    return _hparams_summary("session_start_info", data)


def config_summary(
    values: Mapping[str, Sequence[float | str | bool]], metrics: Mapping[str, str], wall_time: float
) -> bytes:
    """Return the columns of the HParams table: hyperparameters with their values, all of one type, and metrics.

    ``metrics`` has the name of each metric by its tag. TensorBoard ticks the first five.
    """
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    data = HParamsPluginData()
    data.experiment.time_created_secs = wall_time
    for name, domain in values.items():
        info = data.experiment.hparam_infos.add(name=name, type=_DATA_TYPES.get(type(domain[0]), _FLOAT64))
        info.domain_discrete.extend(sorted(domain))
    for tag, name in metrics.items():
        info = data.experiment.metric_infos.add(display_name=name)
        info.name.tag = tag
    return _hparams_summary("experiment", data)


_DATA_TYPES, _FLOAT64 = {str: 1, bool: 2}, 3  # of tensorboard/plugins/hparams/api.proto


def _hparams_summary(kind: str, data: Any) -> bytes:
    """Return the message of tensorboard's `hparams_pb`, whose import takes longer than the records of fifty runs."""
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.compat.proto.tensor_pb2 import TensorProto

    content = data.SerializeToString(deterministic=True)
    metadata = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="hparams", content=content))
    nothing = TensorProto(dtype=1)  # DT_FLOAT, of shape (0,): a summary needs a value
    nothing.tensor_shape.dim.add(size=0)
    return bytes(
        Summary(value=[Summary.Value(tag=f"_hparams_/{kind}", metadata=metadata, tensor=nothing)]).SerializeToString()
    )


def image_summary(tag: str, encoded: bytes, width: int, height: int) -> bytes:
    """Return an encoded picture as a summary; an animated GIF plays, and is all that TensorBoard has for a video."""
    from tensorboard.compat.proto.summary_pb2 import Summary

    image = Summary.Image(width=width, height=height, colorspace=3, encoded_image_string=encoded)  # 3: RGB
    return bytes(Summary(value=[Summary.Value(tag=tag, image=image)]).SerializeToString())


@lru_cache(maxsize=64)
def layout_summary(categories: tuple[ChartGroup, ...]) -> bytes:
    """Return the layout of the "Custom Scalars" tab."""
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.plugins.custom_scalar import layout_pb2, metadata

    layout = layout_pb2.Layout(version=1)
    for category in categories:
        charts = layout.category.add(title=category.title).chart
        for chart in category.charts:
            if isinstance(chart, LineChart):
                charts.add(title=chart.title).multiline.tag.extend(chart.tags)
            else:
                charts.add(title=chart.title).margin.series.add(value=chart.value, lower=chart.lower, upper=chart.upper)
    string = 7  # DT_STRING; a scalar: the empty shape stands for no dimensions
    tensor = TensorProto(dtype=string, string_val=[layout.SerializeToString()])
    tensor.tensor_shape.SetInParent()
    value = Summary.Value(tag=metadata.CONFIG_SUMMARY_TAG, metadata=metadata.create_summary_metadata(), tensor=tensor)
    return bytes(Summary(value=[value]).SerializeToString())
