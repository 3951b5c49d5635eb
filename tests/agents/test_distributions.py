"""Distributions over actions agree with torch's own, and their samples have the stated probabilities."""

from __future__ import annotations

import torch
from torch.distributions import Categorical as TorchCategorical
from torch.distributions import Normal

from rasched.agents.distributions import Categorical, DiagonalGaussian
from rasched.rng import RandomStreams
from tests.agents.toy_envs import Point

LOGITS = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def gaussian(num_runs: int = 3) -> DiagonalGaussian:
    distribution = DiagonalGaussian(Point(range(num_runs), 1), -0.5)
    with torch.no_grad():
        distribution.log_std += torch.linspace(-1, 1, 2 * num_runs).view(num_runs, 2)
    return distribution


def test_a_categorical_is_torchs() -> None:
    ours, theirs = Categorical(4, torch.float64), TorchCategorical(logits=LOGITS)
    action = torch.arange(15).view(3, 5) % 4
    torch.testing.assert_close(ours.log_prob(LOGITS, action), theirs.log_prob(action))
    torch.testing.assert_close(ours.entropy(LOGITS), theirs.entropy())
    assert torch.equal(ours.mode(LOGITS), LOGITS.argmax(-1))


def test_a_gaussian_is_torchs() -> None:
    ours, mean = gaussian(), torch.randn(3, 5, 2, generator=torch.Generator().manual_seed(1))
    theirs = Normal(mean, ours.log_std.detach().exp().unsqueeze(1).expand_as(mean))
    action = mean + 0.3
    torch.testing.assert_close(ours.log_prob(mean, action), theirs.log_prob(action).sum(-1))
    torch.testing.assert_close(ours.entropy(mean), theirs.entropy().sum(-1))
    assert torch.equal(ours.mode(mean), mean)


def test_actions_have_the_probabilities_of_the_softmax() -> None:
    """Over 40,000 draws each share is right to four standard errors."""
    distribution = Categorical(4, torch.float32)
    logits = torch.tensor([0.0, 1.0, -1.0, 2.0])
    (noise,) = distribution.noise(RandomStreams([7], "test"), 1, 40_000)
    share = distribution.sample(logits.expand(1, 40_000, 4), noise).flatten().bincount(minlength=4) / 40_000
    expected = logits.softmax(-1)
    assert ((share - expected).abs() < 4 * (expected * (1 - expected) / 40_000).sqrt()).all()


def test_continuous_actions_have_the_standard_deviation_of_their_run() -> None:
    distribution = gaussian()
    (noise,) = distribution.noise(RandomStreams([1, 2, 3], "test"), 1, 20_000)
    sampled = distribution.sample(torch.full((3, 20_000, 2), 5.0), noise)
    expected = distribution.log_std.detach().exp()
    assert ((sampled.std(1) - expected).abs() < 4 * expected / (2 * 20_000) ** 0.5).all()
    assert ((sampled.mean(1) - 5).abs() < 4 * expected / 20_000**0.5).all()


def test_the_environment_gets_actions_within_its_bounds() -> None:
    action = torch.tensor([[[3.0, -0.5]]])
    assert torch.equal(gaussian().to_env_action(action), torch.tensor([[[1.0, -0.5]]]))
