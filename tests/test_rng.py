"""A run's random numbers depend on no other run."""

import json
import math
from hashlib import blake2b

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.random import Generator, Philox

from rasched.rng import RandomStreams

DRAWS = ("uniform", "normal")
shapes = st.lists(st.integers(1, 7), max_size=3).map(tuple)
plans = st.lists(st.tuples(st.sampled_from(DRAWS), shapes), min_size=1, max_size=12)


def flat(streams: RandomStreams, kind: str, count: int, chunk: tuple[int, ...] = ()) -> torch.Tensor:
    """Draw at least ``count`` numbers a run in chunks of one shape; return the first ``count`` of each."""
    drawn = [
        getattr(streams, kind)(*chunk).flatten(1) if chunk else getattr(streams, kind)()[:, None]
        for _ in range(-(-count // math.prod(chunk)))
    ]
    return torch.cat(drawn, 1)[:, :count]


@pytest.mark.parametrize("kind", DRAWS)
@pytest.mark.parametrize("block", [1, 255, 256, 257, 1000])
@pytest.mark.parametrize("chunk", [(), (1,), (3,), (2, 5), (300,)])
def test_numbers_depend_on_neither_block_nor_shape(kind, block, chunk):
    plain = flat(RandomStreams([5, 6], "p"), kind, 900)
    assert torch.equal(flat(RandomStreams([5, 6], "p", block=block), kind, 900, chunk), plain)


@pytest.mark.parametrize("kind", DRAWS)
def test_numbers_are_those_of_numpys_philox_page_by_page(kind):
    """Written again from the definition, so that what a seed means does not change unnoticed."""
    key = int.from_bytes(blake2b(f"42/env/noise/{kind}".encode(), digest_size=16).digest(), "little")
    generators = [Generator(Philox(key=key, counter=page << 64)) for page in range(2)]
    expected = [getattr(g, {"uniform": "random", "normal": "standard_normal"}[kind])(256) for g in generators]
    assert np.array_equal(flat(RandomStreams([42], "env/noise"), kind, 512)[0].numpy(), np.concatenate(expected))


@pytest.mark.parametrize("kind", DRAWS)
@pytest.mark.parametrize("runs", [2, 63, 64, 65, 200])
def test_a_run_draws_alone_what_it_draws_in_any_batch(kind, runs):
    batch = flat(RandomStreams(range(runs), "p"), kind, 300)
    for seed in {0, runs // 2, runs - 1}:
        assert torch.equal(flat(RandomStreams([seed], "p"), kind, 300)[0], batch[seed])


@pytest.mark.parametrize("kind", DRAWS)
def test_neighbours_do_not_matter(kind):
    one, other = (RandomStreams([7, neighbour], "p") for neighbour in (8, 9))
    first, second = getattr(one, kind)(50), getattr(other, kind)(50)
    assert torch.equal(first[0], second[0]) and not torch.equal(first[1], second[1])


def test_seed_purpose_and_distribution_each_make_another_stream():
    numbers = [RandomStreams([s], p).uniform(8) for s in (0, 1, -1, 2**70) for p in ("a", "b", "1/a")]
    assert len({tuple(n.flatten().tolist()) for n in numbers}) == len(numbers)
    normal, uniform = RandomStreams([0], "a").normal(512)[0], RandomStreams([0], "a").uniform(512)[0]
    assert abs(torch.corrcoef(torch.stack([normal, uniform]))[0, 1]) < 4 / math.sqrt(512)


def test_one_distribution_does_not_move_the_other():
    with_uniform, without = RandomStreams([1], "a"), RandomStreams([1], "a")
    with_uniform.uniform(1000)
    assert torch.equal(with_uniform.normal(5), without.normal(5))


@given(before=plans, after=plans, block=st.sampled_from([1, 256, 300]))
def test_loaded_streams_go_on_bit_for_bit(before, after, block):
    streams, resumed = RandomStreams([3, 4], "p"), RandomStreams([3, 4], "p", block=block)
    for kind, shape in before:
        getattr(streams, kind)(*shape)
    resumed.uniform(11)  # a state may be loaded over streams in use
    resumed.load_state_dict(json.loads(json.dumps(streams.state_dict())))
    for kind, shape in after:
        assert torch.equal(getattr(streams, kind)(*shape), getattr(resumed, kind)(*shape))
    assert streams.state_dict() == resumed.state_dict()


def test_the_state_counts_the_numbers_drawn():
    streams = RandomStreams([0, 1, 2], "p")
    streams.uniform()
    streams.uniform(2, 3)
    streams.normal(1)
    assert streams.state_dict() == {"uniform": 7, "normal": 1}


def test_a_far_position_is_reached_at_once():
    streams = RandomStreams([0], "p")
    streams.load_state_dict({"uniform": 10**15 + 1, "normal": 10**15 + 1})
    far = streams.normal(300)
    streams.load_state_dict({"uniform": 0, "normal": 10**15 + 101})
    assert torch.equal(streams.normal(200), far[:, 100:])


@pytest.mark.parametrize("kind", DRAWS)
def test_a_returned_tensor_keeps_its_values(kind):
    streams = RandomStreams([1, 2], "p")
    held = [getattr(streams, kind)(1) for _ in range(600)]
    copies = [tensor.clone() for tensor in held]
    flat(streams, kind, 2000)
    assert all(torch.equal(a, b) for a, b in zip(held, copies, strict=True))


@pytest.mark.parametrize("kind", DRAWS)
@pytest.mark.parametrize("shape", [(), (1,), (4,), (2, 3)])
def test_shape_dtype_and_layout(kind, shape):
    streams = RandomStreams(range(5), "p")
    for _ in range(3):
        drawn = getattr(streams, kind)(*shape)
        assert drawn.shape == (5, *shape) and drawn.dtype == torch.float64
        assert drawn.movedim(0, -1).is_contiguous()  # runs last in memory
        assert math.prod(shape) > 1 or drawn.is_contiguous()


def test_uniform_numbers_are_uniform_and_normal_ones_normal():
    n = 200_000
    uniform, normal = (flat(RandomStreams(range(20), "p"), kind, n // 20).flatten() for kind in DRAWS)
    assert 0 <= uniform.min() and uniform.max() < 1
    for level in (0.1, 0.5, 0.9):  # shares below a quantile, within four standard errors
        error = 4 * math.sqrt(level * (1 - level) / n)
        assert abs((uniform < level).double().mean() - level) < error
        quantile = torch.special.ndtri(torch.tensor(level, dtype=torch.float64))
        assert abs((normal < quantile).double().mean() - level) < error
    assert abs(normal.mean()) < 4 / math.sqrt(n) and abs(normal.var() - 1) < 4 * math.sqrt(2 / n)


def test_runs_are_not_correlated():
    numbers = RandomStreams(range(30), "p").normal(4000)
    off_diagonal = torch.corrcoef(numbers) - torch.eye(30)
    assert off_diagonal.abs().max() < 5 / math.sqrt(4000)


def test_pages_are_not_correlated():
    pages = RandomStreams([0], "p").uniform(256 * 30).view(30, 256)
    assert (torch.corrcoef(pages) - torch.eye(30)).abs().max() < 5 / math.sqrt(256)


@pytest.mark.parametrize(
    ("seeds", "block", "error", "words"),
    [
        ([], 256, ValueError, "seeds must name at least one run"),
        ([0], 0, ValueError, "block must be at least 1, got 0"),
        ([0.5], 256, TypeError, "float"),
    ],
)
def test_wrong_arguments_are_refused(seeds, block, error, words):
    with pytest.raises(error, match=words):
        RandomStreams(seeds, "p", block=block)
