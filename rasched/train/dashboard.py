"""What TensorBoard shows beyond scalars: HParams records and layouts of custom charts, serialised as `Summary`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True)
class Lines:
    """A chart of one line a run and tag; `tags` are regular expressions."""

    title: str
    tags: tuple[str, ...]


@dataclass(frozen=True)
class Band:
    """A chart of a line inside a band; the three tags belong to one run."""

    title: str
    value: str
    lower: str
    upper: str


@dataclass(frozen=True)
class Category:
    """Charts side by side under one heading."""

    title: str
    charts: tuple[Lines | Band, ...]


RATE_AGAINST_REWARD = Category(
    "learning rate against reward",
    (
        Lines("reward", (r"^train/reward$", r"^eval/return$")),
        Lines("learning rate", (r"^train/lr$",)),
    ),
)


def session_summary(values: Mapping[str, float | str | bool], group: str | None, wall_time: float) -> bytes:
    """One run's hyperparameters; `group` joins the seeds of one setting."""
    from tensorboard.plugins.hparams import summary_v2

    pb = summary_v2.hparams_pb(dict(values), trial_id=group, start_time_secs=wall_time)
    return bytes(pb.SerializeToString())


def config_summary(
    values: Mapping[str, Sequence[float | str | bool]], metrics: Sequence[str], wall_time: float
) -> bytes:
    """Columns of the HParams table: hyperparameters with the values they take, and metric tags."""
    from tensorboard.plugins.hparams import summary_v2

    hparams = [summary_v2.HParam(name, summary_v2.Discrete(list(domain))) for name, domain in values.items()]
    pb = summary_v2.hparams_config_pb(hparams, [summary_v2.Metric(tag) for tag in metrics], time_created_secs=wall_time)
    return bytes(pb.SerializeToString())


def image_summary(tag: str, encoded: bytes, width: int, height: int) -> bytes:
    """Return an encoded picture as a summary; an animated GIF plays, and is all that TensorBoard has for a video."""
    from tensorboard.compat.proto.summary_pb2 import Summary

    image = Summary.Image(width=width, height=height, colorspace=3, encoded_image_string=encoded)  # 3: RGB
    return bytes(Summary(value=[Summary.Value(tag=tag, image=image)]).SerializeToString())


@lru_cache(maxsize=64)
def layout_summary(categories: tuple[Category, ...]) -> bytes:
    """Layout of the custom scalars tab."""
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.plugins.custom_scalar import layout_pb2, metadata

    layout = layout_pb2.Layout(version=1)
    for category in categories:
        charts = layout.category.add(title=category.title).chart
        for chart in category.charts:
            if isinstance(chart, Lines):
                charts.add(title=chart.title).multiline.tag.extend(chart.tags)
            else:
                charts.add(title=chart.title).margin.series.add(value=chart.value, lower=chart.lower, upper=chart.upper)
    string = 7  # DT_STRING; a scalar: the empty shape stands for no dimensions
    tensor = TensorProto(dtype=string, string_val=[layout.SerializeToString()])
    tensor.tensor_shape.SetInParent()
    value = Summary.Value(tag=metadata.CONFIG_SUMMARY_TAG, metadata=metadata.create_summary_metadata(), tensor=tensor)
    return bytes(Summary(value=[value]).SerializeToString())
