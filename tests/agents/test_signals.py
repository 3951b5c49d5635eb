"""The signals ``kl`` and ``entropy`` are those of torch, and a rule that uses them does not see its neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution, Independent, Normal, kl_divergence

from rasched.agents import A2CSettings, AgentSettings, GradientStep, PPOSettings, ReinforceSettings
from rasched.agents.mlp import augment
from rasched.envs import ContextualBanditSettings, EnvSettings, GaussianBanditSettings
from rasched.numerics import Real, where
from rasched.rules import NoRule, Rule
from rasched.stacking import state
from rasched.train.settings import SignalSettings
from tests.agents.toy_envs import CartPoleSettings, PointSettings
from tests.run_factories import columns_of, run_settings

SEEDS = (3, 5)
PPO = PPOSettings(n_steps=16, batch_size=24, n_epochs=2)
DEEP: dict[str, tuple[AgentSettings, EnvSettings]] = {
    "ppo": (PPO, CartPoleSettings(num_envs=3)),
    "ppo-continuous": (PPO, PointSettings(num_envs=3)),
    "a2c": (A2CSettings(), CartPoleSettings(num_envs=4)),
    "a2c-continuous": (A2CSettings(), PointSettings(num_envs=2)),
    "reinforce": (ReinforceSettings(n_steps=20), CartPoleSettings(num_envs=4)),
}


def descend(agent: Any, step: GradientStep, size: float = 0.05) -> None:
    step.backward(agent.parameters)
    with torch.no_grad():
        for parameter in agent.parameters:
            parameter -= size * parameter.grad.sign()
            parameter.grad = None


def policy_of(agent: Any, observation: Tensor) -> Distribution:
    """The policy as torch's own distribution; a copy, which later steps do not change."""
    outputs = torch.from_numpy(agent.network.outputs(augment(observation.numpy()))).transpose(1, 2)
    if not agent.network.head.parameters:
        return Categorical(logits=outputs)
    log_std = agent.network.head.log_std.detach().clone().unsqueeze(1)
    return Independent(Normal(outputs, log_std.exp().expand_as(outputs)), 1)


@pytest.mark.parametrize("case", DEEP)
def test_kl_and_entropy_are_torchs_after_each_gradient_step(case: str) -> None:
    settings, env_settings = DEEP[case]
    env = env_settings.make(SEEDS)
    agent: Any = settings.make(env, SEEDS)
    steps = agent.gradient_steps(env)
    old: Distribution | None = None
    for _ in range(4):
        step = next(steps)
        observation = torch.from_numpy(agent._collector._observation).flatten(1, 2).clone()
        old = old or policy_of(agent, observation)
        descend(agent, step)
        new = policy_of(agent, observation)
        torch.testing.assert_close(step.signals["kl"], kl_divergence(old, new).mean(1), rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(step.signals["entropy"], new.entropy().mean(1), rtol=1e-4, atol=1e-6)
        assert (step.signals["kl"] > 0).all()
        old = None if step.is_last_of_rollout else old


@pytest.mark.parametrize("env_settings", [GaussianBanditSettings(num_envs=2), ContextualBanditSettings(num_envs=3)])
def test_a_bandits_kl_and_entropy_are_torchs(env_settings: EnvSettings) -> None:
    env = env_settings.make(SEEDS)
    agent: Any = ReinforceSettings(baseline=False).make(env, SEEDS)
    steps = agent.gradient_steps(env)
    for _ in range(3):
        observation = env.observation.clone()
        old = Categorical(logits=agent._policy(observation).detach().clone())
        step = next(steps)
        descend(agent, step)
        new = Categorical(logits=agent._policy(observation).detach())
        torch.testing.assert_close(step.signals["kl"], kl_divergence(old, new).mean(1))
        torch.testing.assert_close(step.signals["entropy"], new.entropy().mean(1))


@dataclass(slots=True)
class Target(Rule):
    """Halve the rate if the KL divergence is above a target, otherwise raise it by a tenth."""

    extra_signals: ClassVar[tuple[str, ...]] = ("kl", "entropy")
    target: Real = 0.01
    factor: Real = state(1.0)

    def observe(self, signal: Real, kl: Real, entropy: Real) -> None:
        self.factor = where(kl > self.target, 0.5, 1.1) * (1.0 + 1e-3 * entropy)

    def next_lr(self, lr: Real, base_lr: Real) -> Real:
        return lr * self.factor


@pytest.mark.parametrize("every", ["step", "update"])
@pytest.mark.parametrize("case", ["ppo", "ppo-continuous", "a2c"])
def test_a_run_with_a_kl_rule_does_not_depend_on_its_neighbours(case: str, every: str) -> None:
    agent, env = DEEP[case]

    def run(seed: int, rule: Rule) -> Any:
        signal = SignalSettings(every=every)
        return run_settings(seed, rule, agent=agent, env=env, optimizer="adam", lr=1e-3, steps=200, signal=signal)

    rules = [NoRule(), Target(target=0.003)]
    many = columns_of([run(seed, rules[seed % 2]) for seed in range(36)])
    few = columns_of([run(seed, Target(target=0.003)) for seed in (1, 3)])
    for name, values in few.items():
        assert torch.equal(values.nan_to_num(-1e9), many[name][:, [1, 3]].nan_to_num(-1e9)), name
    for name in ("train/kl", "train/entropy"):
        assert many[name][:, ::2].isnan().all() and not many[name][:, 1::2].isnan().any()
    alone = columns_of([run(1, Target(target=0.003))])
    torch.testing.assert_close(alone["train/lr"][:3, 0], few["train/lr"][:3, 0], rtol=1e-4, atol=0)
    torch.testing.assert_close(alone["train/kl"][:3, 0], few["train/kl"][:3, 0], rtol=1e-2, atol=1e-6)


def test_nothing_is_measured_and_recorded_if_no_rule_needs_it() -> None:
    columns = columns_of([run_settings(1, agent=A2CSettings(), env=CartPoleSettings(), optimizer="adam", lr=1e-3)])
    assert "train/kl" not in columns and "train/entropy" not in columns
