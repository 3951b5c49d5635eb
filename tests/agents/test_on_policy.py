"""The losses of A2C, PPO and episodic REINFORCE are those of the papers, written out for one run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from rasched.agents import A2CSettings, AgentSettings, GradientStep, PPOSettings, ReinforceSettings
from rasched.agents.minibatches import Batch, Minibatches, standardize
from rasched.agents.mlp import Array
from rasched.agents.on_policy import OnPolicyAgent, explained_variance
from rasched.envs import BatchedEnv, GaussianBanditSettings
from tests.agents.test_rollout import advantage_by_definition
from tests.agents.toy_envs import CartPole, Point

SEEDS = (3, 5)


class RecordingEnv:
    """An environment that records its steps."""

    def __init__(self, env: BatchedEnv) -> None:
        self.env, self.rows = env, list[dict[str, Tensor]]()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.env, name)

    def step(self, action: Tensor) -> Any:
        observation = self.env.observation.clone()
        result = self.env.step(action)
        assert result.final_observation is not None
        self.rows.append({
            "observation": observation, "action": action, "reward": result.reward, "final": result.final_observation,
            "terminated": result.terminated, "truncated": result.truncated,
        })  # fmt: skip
        return result

    def column(self, name: str, run: int) -> Tensor:
        """One run's steps, (steps, num_envs, ...), as floats with plenty of digits."""
        return torch.stack([row[name][run] for row in self.rows]).double()


def network_of(agent: OnPolicyAgent, run: int, network: int, x: Tensor, parameter: Tensor | None = None) -> Tensor:
    """A run's policy (0) or critic (1) in float64, by torch's own operations; of another parameter if one is given."""
    weights = (agent.parameters[0].detach().double() if parameter is None else parameter)[run, network]
    sizes, start = agent.network.networks.sizes, 0
    for i, (num_inputs, num_outputs) in enumerate(zip(sizes, sizes[1:], strict=False)):
        end = start + (num_inputs + 1) * num_outputs
        weight = weights[start:end].view(num_inputs + 1, num_outputs)
        x = x @ weight[:-1] + weight[-1]
        x = x.tanh() if i + 2 < len(sizes) else x
        start = end
    return x


def targets(
    recording: RecordingEnv, agent: OnPolicyAgent, run: int, gamma: float, gae_lambda: float
) -> tuple[Tensor, Tensor]:
    """Advantages and values of a rollout, (steps, num_envs), from the definitions."""
    observation = torch.cat([recording.column("observation", run), recording.env.observation[run].double()[None]])
    value = network_of(agent, run, 1, observation)[..., 0]
    final = network_of(agent, run, 1, recording.column("final", run))[..., 0]
    truncated, terminated = recording.column("truncated", run), recording.column("terminated", run)
    reward = recording.column("reward", run) + gamma * final * truncated
    done = (truncated + terminated > 0).numpy()
    columns = [
        advantage_by_definition(reward[:, c].numpy(), value[:, c].numpy(), done[:, c], gamma, gae_lambda)
        for c in range(reward.shape[1])
    ]
    return torch.from_numpy(np.stack(columns, 1)), value[:-1]


def log_prob_of(
    agent: OnPolicyAgent, recording: RecordingEnv, run: int, parameter: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Log probabilities of the actions, and entropies, (steps, num_envs)."""
    policy: Any
    outputs = network_of(agent, run, 0, recording.column("observation", run), parameter)
    policy = torch.distributions.Categorical(logits=outputs)
    return policy.log_prob(recording.column("action", run)), policy.entropy()


def check_gradient(agent: OnPolicyAgent, step: GradientStep, losses: list[Tensor], parameter: Tensor) -> None:
    """The gradient that the agent wrote out is autograd's, of the losses of both runs."""
    assert step.gradients is not None
    (expected,) = torch.autograd.grad(sum(losses, torch.tensor(0.0)), parameter)
    torch.testing.assert_close(step.gradients[0].double(), expected, rtol=1e-3, atol=1e-5)


def close(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours.detach().double(), theirs.detach(), rtol=2e-4, atol=2e-6)


def first_step(settings: AgentSettings, limit: int = 6) -> tuple[Any, RecordingEnv, GradientStep]:
    env = CartPole(SEEDS, 3)
    env.limit = limit  # so that the rollout has episodes of both ends, and one that is cut by nothing
    recording = RecordingEnv(env)
    agent: Any = settings.make(recording, SEEDS)  # type: ignore[arg-type]  # whatever has the attributes will do
    return agent, recording, next(iter(agent.gradient_steps(recording)))


@pytest.mark.parametrize("normalize", [False, True])
def test_the_loss_of_a2c(normalize: bool) -> None:
    settings = A2CSettings(
        n_steps=16, gamma=0.9, gae_lambda=0.8, ent_coef=0.1, vf_coef=0.3, normalize_advantage=normalize
    )
    agent, recording, step = first_step(settings)
    assert step.env_steps == 16 * 3 and step.is_last_of_rollout and step.max_grad_norm == 0.5
    parameter, losses = agent.parameters[0].detach().double().requires_grad_(), []
    for run in range(2):
        advantage, value = targets(recording, agent, run, 0.9, 0.8)
        log_prob, entropy = log_prob_of(agent, recording, run, parameter)
        weight = (advantage - advantage.mean()) / (advantage.std() + 1e-8) if normalize else advantage
        error = network_of(agent, run, 1, recording.column("observation", run), parameter)[..., 0] - (advantage + value)
        policy_loss, value_loss = -(weight * log_prob).mean(), error.square().mean()
        losses.append(policy_loss + 0.3 * value_loss - 0.1 * entropy.mean())
        close(step.loss[run], losses[run])
        close(step.metrics["policy_gradient_loss"][run], policy_loss)
        close(step.metrics["value_loss"][run], value_loss)
        close(step.metrics["entropy_loss"][run], -entropy.mean())
        returns = advantage + value
        close(step.metrics["explained_variance"][run], 1 - advantage.var() / returns.var())
        close(step.reward[run], recording.column("reward", run).mean())
    check_gradient(agent, step, losses, parameter)


@pytest.mark.parametrize("baseline", [True, False])
def test_the_loss_of_episodic_reinforce(baseline: bool) -> None:
    agent, recording, step = first_step(ReinforceSettings(n_steps=16, gamma=0.9, baseline=baseline))
    for run in range(2):
        advantage, value = targets(recording, agent, run, 0.9, 1.0)
        log_prob, _ = log_prob_of(agent, recording, run)
        weight = advantage if baseline else advantage + value
        close(step.loss[run], -(weight * log_prob).mean() + 0.5 * advantage.square().mean())


@pytest.mark.parametrize("clip_range_vf", [None, 0.05])
def test_the_loss_of_ppo(clip_range_vf: float | None) -> None:
    """The second epoch's, after a step that moved the policy beyond the clip range here and there."""
    settings = PPOSettings(
        n_steps=16, batch_size=100, n_epochs=2, gamma=0.9, gae_lambda=0.8, ent_coef=0.1, vf_coef=0.3,
        clip_range=0.02, clip_range_vf=clip_range_vf,
    )  # fmt: skip
    env = RecordingEnv(CartPole(SEEDS, 3))
    env.env.limit = 6  # type: ignore[attr-defined]
    agent: Any = settings.make(env, SEEDS)  # type: ignore[arg-type]
    gradient_steps = agent.gradient_steps(env)
    first = next(gradient_steps)
    before = [targets(env, agent, run, 0.9, 0.8) + log_prob_of(agent, env, run) for run in range(2)]
    first.backward(agent.parameters)
    with torch.no_grad():
        for parameter in agent.parameters:
            parameter -= 0.01 * parameter.grad.sign()
    second = next(gradient_steps)
    assert not first.is_last_of_rollout and second.is_last_of_rollout
    parameter, losses = agent.parameters[0].detach().double().requires_grad_(), []
    for run, (advantage, old_value, old_log_prob, old_entropy) in enumerate(before):
        returns = advantage + old_value
        weight = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        log_prob, entropy = log_prob_of(agent, env, run, parameter)
        ratio = (log_prob - old_log_prob).exp()
        assert 0.1 < (ratio.log().abs() > 0.02).double().mean() < 0.95
        policy_loss = -torch.minimum(ratio * weight, ratio.clamp(0.98, 1.02) * weight).mean()
        value = network_of(agent, run, 1, env.column("observation", run), parameter)[..., 0]
        if clip_range_vf is not None:
            value = old_value + (value - old_value).clamp(-clip_range_vf, clip_range_vf)
        value_loss = (returns - value).square().mean()
        losses.append(policy_loss + 0.3 * value_loss - 0.1 * entropy.mean())
        close(second.loss[run], losses[run])
        metrics = {name: values[run] for name, values in second.metrics.items()}
        close(metrics["approx_kl"], (ratio - 1 - ratio.log()).mean())
        close(metrics["clip_fraction"], ((ratio - 1).abs() > 0.02).double().mean() / 2)  # the first epoch's is 0
        close(metrics["entropy_loss"], -(old_entropy.mean() + entropy.mean()) / 2)
        close(metrics["explained_variance"], 1 - advantage.var() / returns.var())
    check_gradient(agent, second, losses, parameter)


def test_a_run_that_went_too_far_rests_until_the_next_rollout() -> None:
    settings = PPOSettings(n_steps=16, batch_size=12, n_epochs=4, target_kl=0.01)
    env = CartPole(SEEDS, 3)
    agent: Any = settings.make(env, SEEDS)
    gradient_steps, rows = agent.gradient_steps(env), []
    for _ in range(32):
        step = next(gradient_steps)
        rows.append(step.active.tolist())
        step.backward(agent.parameters)
        with torch.no_grad():
            for parameter in agent.parameters:
                size = torch.tensor([1e-4, 0.05]).view(-1, 1, 1) * step.active.view(-1, 1, 1)
                parameter -= size * parameter.grad.sign()
                parameter.grad = None
    active = torch.tensor(rows)
    assert active[:, 0].all()
    assert active[0].all() and active[16].all()  # each rollout begins with all
    for rollout in (active[:16, 1], active[16:, 1]):
        assert not rollout[-1] and (rollout[1:] <= rollout[:-1]).all()


def test_a_run_alone_closes_a_rollout_that_it_left() -> None:
    settings = PPOSettings(n_steps=16, batch_size=12, n_epochs=4, target_kl=1e-9)
    env = CartPole(SEEDS[:1], 3)
    agent: Any = settings.make(env, SEEDS[:1])
    gradient_steps = agent.gradient_steps(env)
    first = next(gradient_steps)
    first.backward(agent.parameters)
    with torch.no_grad():
        agent.parameters[0].sub_(agent.parameters[0].grad)
    second, third = next(gradient_steps), next(gradient_steps)
    assert first.active.all() and not first.is_last_of_rollout
    assert not second.active.any() and second.is_last_of_rollout and "approx_kl" in second.metrics
    assert third.env_steps == 2 * first.env_steps


def rows_of(values: Array) -> Batch:
    """A batch with the same values (num_runs, num_rows) in every column."""
    return Batch(values[:, None], values[:, None], values, values, values, values)


def test_an_epoch_shows_every_row_once() -> None:
    numbers = np.arange(2 * 10.0).reshape(2, 10)
    minibatches = Minibatches(SEEDS, 10, 4)
    orders = []
    for epoch in minibatches.epochs(rows_of(numbers), 2):
        parts = [batch.value for batch in epoch]
        assert [part.shape for part in parts] == [(2, 4), (2, 4), (2, 2)] and minibatches.count == 3
        assert all(np.array_equal(batch.inputs[:, 0], batch.value) for batch in epoch)
        order = np.concatenate(parts, 1)
        assert np.array_equal(np.sort(order, 1), numbers)
        orders.append(order)
    assert not np.array_equal(orders[0], orders[1]) and not np.array_equal(orders[0][0], orders[0][1] - 10)


def test_advantages_are_standardized_run_by_run() -> None:
    advantage = np.random.default_rng(0).normal(size=(3, 50)) * [[1.0], [10.0], [0.0]]
    expected = (advantage - advantage.mean(1, keepdims=True)) / (advantage.std(1, ddof=1, keepdims=True) + 1e-8)
    np.testing.assert_allclose(standardize(advantage), expected, rtol=1e-6, atol=1e-9)
    assert np.array_equal(standardize(advantage[:, :1]), advantage[:, :1])


def test_advantages_are_standardized_minibatch_by_minibatch() -> None:
    advantage = np.random.default_rng(0).normal(size=(2, 10))
    (epoch,) = Minibatches(SEEDS, 10, 4, normalize_advantage=True).epochs(rows_of(advantage), 1)
    for batch in epoch:
        np.testing.assert_allclose(batch.advantage, standardize(batch.returns))


def test_explained_variance_knows_perfect_constant_and_undefined() -> None:
    returns = np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [2.0, 2.0, 2.0]])
    value = np.array([[1.0, 2.0, 3.0], [5.0, 5.0, 5.0], [1.0, 2.0, 3.0]])
    perfect, constant, undefined = explained_variance(value, returns).tolist()
    assert perfect == 1 and abs(constant) < 1e-6 and undefined != undefined


def test_what_is_not_seen_is_refused() -> None:
    env = GaussianBanditSettings().make(SEEDS)
    for settings in (A2CSettings(), PPOSettings()):
        with pytest.raises(ValueError, match=f"{settings.name} reads observations.*agent=reinforce"):
            settings.make(env, SEEDS)


def test_continuous_actions_are_clipped_for_the_environment_only() -> None:
    """The density is that of the action as drawn: it reaches beyond the bounds."""
    env = RecordingEnv(Point(SEEDS, 50))
    agent: Any = A2CSettings(n_steps=4, log_std_init=1.0).make(env, SEEDS)  # type: ignore[arg-type]
    next(agent.gradient_steps(env))
    assert max(row["action"].abs().max().item() for row in env.rows) == 1
    assert np.abs(agent._collector._action).max() > 2


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"n_steps": 0}, "agent.n_steps must be a whole number of at least 1, got 0"),
        ({"gamma": 1.5}, "agent.gamma"),
        ({"gae_lambda": -0.1}, "agent.gae_lambda"),
        ({"max_grad_norm": 0.0}, "agent.max_grad_norm must be above 0, or None"),
        ({"hidden": [64, 0]}, "agent.hidden"),
        ({"activation": "gelu"}, "agent.activation must be one of relu, tanh, got 'gelu'"),
        ({"batch_size": 1}, "agent.batch_size must be a whole number of at least 2"),
        ({"clip_range": 0.0}, "agent.clip_range"),
        ({"target_kl": 0.0}, "agent.target_kl"),
    ],
)
def test_wrong_settings_name_themselves(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        PPOSettings(**wrong)
