"""Distributions over actions agree with torch's own, and their samples have the stated probabilities."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical as TorchCategorical
from torch.distributions import Distribution as TorchDistribution
from torch.distributions import Independent, Normal, kl_divergence

from rasched.agents.distributions import Categorical, CategoricalHead, DiagonalGaussian, Distribution, GaussianHead
from rasched.agents.mlp import Array
from rasched.rng import RandomStreams
from tests.agents.toy_envs import Point

RANDOM = torch.Generator().manual_seed(0)
OUTPUTS, OTHER = (torch.randn(3, 4, 5, generator=RANDOM, dtype=torch.float64) for _ in range(2))
LOG_STD = torch.linspace(-1, 1, 12, dtype=torch.float64).view(3, 4)


def categorical(outputs: Tensor, log_std: Tensor) -> tuple[Distribution, TorchDistribution]:
    return Categorical(outputs.detach().numpy()), TorchCategorical(logits=outputs.transpose(1, 2))


def gaussian(outputs: Tensor, log_std: Tensor) -> tuple[Distribution, TorchDistribution]:
    mean = outputs.transpose(1, 2)
    ours = DiagonalGaussian(outputs.detach().numpy(), log_std.detach().numpy())
    return ours, Independent(Normal(mean, log_std.exp().unsqueeze(1).expand_as(mean)), 1)


def close(ours: Array, theirs: Tensor) -> None:
    torch.testing.assert_close(torch.from_numpy(np.array(ours)), theirs.detach())


@pytest.mark.parametrize("make", [categorical, gaussian])
def test_log_prob_entropy_kl_and_their_gradient_are_torchs(make: type) -> None:
    outputs, log_std = OUTPUTS.clone().requires_grad_(), LOG_STD.clone().requires_grad_()
    ours, theirs = make(outputs, log_std)
    action = theirs.sample()
    columns = action.double().unsqueeze(2) if make is categorical else action
    columns = columns.transpose(1, 2).contiguous().numpy()
    close(ours.log_prob(columns), theirs.log_prob(action))
    close(ours.entropy(), theirs.entropy())
    our_other, their_other = make(OTHER, LOG_STD.flip(0))
    close(ours.kl(our_other), kl_divergence(theirs, their_other))
    slope = torch.randn(3, 5, generator=RANDOM, dtype=torch.float64)
    loss = (slope * theirs.log_prob(action)).sum() + 0.3 * theirs.entropy().sum()
    expected = torch.autograd.grad(loss, [outputs, log_std], allow_unused=True)
    gradient, of_parameters = ours.backward(columns, slope.numpy(), 0.3)
    for value, theirs_too in zip([gradient, *of_parameters], expected, strict=False):
        close(value, theirs_too)
    assert (len(of_parameters) == 1) == (expected[1] is not None)


def head(num_runs: int = 3) -> GaussianHead:
    head = GaussianHead(Point(range(num_runs), 1), -0.5)
    with torch.no_grad():
        head.log_std += torch.linspace(-1, 1, 2 * num_runs).view(num_runs, 2)
    return head


def test_a_head_gives_the_distribution_of_its_runs_at_the_time() -> None:
    of_runs = head().distribution(np.zeros((2, 2, 1), np.float32), slice(1, 3))
    assert np.array_equal(of_runs.log_std[:, :, 0], head().log_std.detach()[1:])
    changed = head()
    distribution = changed.distribution(np.zeros((3, 2, 1), np.float32))
    before = distribution.entropy().copy()
    with torch.no_grad():
        changed.log_std += 1
    assert np.array_equal(distribution.entropy(), before)


def test_actions_have_the_probabilities_of_the_softmax() -> None:
    """Over 40,000 draws each share is right to four standard errors."""
    distribution = CategoricalHead(4, torch.float32)
    logits = torch.tensor([0.0, 1.0, -1.0, 2.0])
    (noise,) = distribution.noise(RandomStreams([7], "test"), 1, 40_000)
    action = torch.from_numpy(distribution.sample(logits.expand(1, 40_000, 4).numpy(), noise))
    share = action.flatten().bincount(minlength=4) / 40_000
    expected = logits.softmax(-1)
    assert ((share - expected).abs() < 4 * (expected * (1 - expected) / 40_000).sqrt()).all()
    assert distribution.mode(logits.numpy()) == 3


def test_continuous_actions_have_the_standard_deviation_of_their_run() -> None:
    distribution = head()
    (noise,) = distribution.noise(RandomStreams([1, 2, 3], "test"), 1, 20_000)
    sampled = torch.from_numpy(distribution.sample(np.full((3, 20_000, 2), 5.0, np.float32), noise))
    expected = distribution.log_std.detach().exp()
    assert ((sampled.std(1) - expected).abs() < 4 * expected / (2 * 20_000) ** 0.5).all()
    assert ((sampled.mean(1) - 5).abs() < 4 * expected / 20_000**0.5).all()


def test_the_environment_gets_actions_within_its_bounds() -> None:
    action = np.array([[[3.0, -0.5]]], np.float32)
    assert torch.equal(head().to_env_action(action), torch.tensor([[[1.0, -0.5]]]))
