"""Laws of the gradient bandit."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from rasched.agents import ReinforceSettings
from rasched.envs import ContextualBanditSettings, GaussianBanditSettings
from rasched.registry import Registry


def first_steps(settings: ReinforceSettings, count: int, env: Any = None, seeds: tuple[int, ...] = (0, 1, 2)) -> Any:
    batched_env = (env or GaussianBanditSettings()).make(seeds)
    agent = settings.make(batched_env, seeds)
    gradient_steps = agent.gradient_steps(batched_env)
    return agent, batched_env, [next(gradient_steps) for _ in range(count)]


def test_the_gradient_is_that_of_the_book() -> None:
    """Sutton & Barto (2018), eq. 2.12: H(a) grows by alpha (R - baseline)([a is chosen] - pi(a))."""
    seeds = (0, 1, 2)
    env = GaussianBanditSettings().make(seeds)
    agent = ReinforceSettings(baseline=False).make(env, seeds)
    (preferences,) = agent.parameters
    with torch.no_grad():
        preferences.copy_(torch.linspace(-1, 1, 30).reshape(3, 10))
    step = next(agent.gradient_steps(env))
    step.loss.sum().backward()
    pi = preferences.detach().softmax(-1)
    gradient = -preferences.grad
    chosen = (gradient / step.reward[:, None] + pi).round()
    assert torch.equal(chosen.sum(-1), torch.ones(3))
    torch.testing.assert_close(gradient, step.reward[:, None] * (chosen - pi))


def test_the_baseline_is_the_mean_of_the_rewards_before() -> None:
    _, _, (first, second, third) = first_steps(ReinforceSettings(), 3)
    log_prob = torch.log(torch.tensor(0.1, dtype=torch.float64))
    assert torch.equal(first.loss, torch.zeros(3))
    torch.testing.assert_close(second.loss, -(second.reward - first.reward) * log_prob)
    torch.testing.assert_close(third.loss, -(third.reward - (first.reward + second.reward) / 2) * log_prob)


def test_a_baseline_step_size_forgets() -> None:
    _, _, gradient_steps = first_steps(ReinforceSettings(baseline_step_size=0.5), 4)
    baseline = gradient_steps[0].reward
    for step in gradient_steps[1:3]:
        baseline = baseline + 0.5 * (step.reward - baseline)
    log_prob = torch.log(torch.tensor(0.1, dtype=torch.float64))
    torch.testing.assert_close(gradient_steps[3].loss, -(gradient_steps[3].reward - baseline) * log_prob)


def test_actions_are_drawn_from_the_policy() -> None:
    """Over 20,000 draws the shares of the arms agree with the softmax to four standard errors."""
    env = GaussianBanditSettings(arms=4, num_envs=20_000).make([0])
    agent = ReinforceSettings().make(env, [0])
    logits = torch.tensor([[0.0, 1.0, -1.0, 2.0]], dtype=torch.float64)
    action = agent._sample(logits.log_softmax(-1).unsqueeze(1).expand(1, 20_000, 4))
    share = action.flatten().bincount(minlength=4) / 20_000
    expected = logits.softmax(-1)[0]
    assert ((share - expected).abs() < 4 * (expected * (1 - expected) / 20_000).sqrt()).all()


def test_a_context_is_used() -> None:
    """On the contextual bandit a network learns what a table of preferences cannot."""
    seeds = tuple(range(20))
    env = ContextualBanditSettings().make(seeds)
    agent = ReinforceSettings(hidden=(16,)).make(env, seeds)
    optimizer = torch.optim.Adam(agent.parameters, lr=0.02)
    optimal = []
    for _, step in zip(range(1500), agent.gradient_steps(env), strict=False):
        step.loss.sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        optimal.append(step.metrics["optimal"])
    assert torch.stack(optimal[:100]).mean() < 0.3 < 0.5 < torch.stack(optimal[-300:]).mean()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"baseline_step_size": 1.0}, "baseline_step_size"),
        ({"baseline": False, "baseline_step_size": 0.1}, "leave one"),
        ({"hidden": [0]}, "hidden"),
    ],
)
def test_wrong_settings_name_themselves(wrong: dict[str, Any], says: str) -> None:
    agents: Registry[Any] = Registry("agent", "none")
    agents.register("reinforce")(ReinforceSettings)
    with pytest.raises(ValueError, match=says):
        agents.build({"name": "reinforce", **wrong})
