"""In skrl the rate of update k + 1 is the scheduler's after the reward of update k."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

pytest.importorskip("skrl")

import gymnasium  # noqa: E402
from lr_recording import record_lrs  # noqa: E402
from skrl.agents.torch.ppo import PPO, PPO_CFG  # noqa: E402
from skrl.agents.torch.sac import SAC, SAC_CFG  # noqa: E402
from skrl.envs.wrappers.torch import wrap_env  # noqa: E402
from skrl.memories.torch import RandomMemory  # noqa: E402
from skrl.models.torch import CategoricalMixin, DeterministicMixin, GaussianMixin, Model  # noqa: E402
from skrl.trainers.torch import SequentialTrainer  # noqa: E402

from rasched import RewardAdaptiveScheduler  # noqa: E402
from rasched.integrations import attach_skrl  # noqa: E402
from rasched.rules import KLSearch, NoRule  # noqa: E402

pytestmark = pytest.mark.skrl
LR = 1e-3
ROLLOUT = 64
SETTINGS = {"normalize": "standardize"}


class Discrete(CategoricalMixin, Model):
    def __init__(self, env: Any) -> None:
        Model.__init__(self, observation_space=env.observation_space, action_space=env.action_space, device="cpu")
        CategoricalMixin.__init__(self)
        self.net = torch.nn.Linear(self.num_observations, self.num_actions)

    def compute(self, inputs: Any, role: str = "") -> Any:
        return self.net(inputs["observations"]), {}


class Continuous(GaussianMixin, Model):
    def __init__(self, env: Any) -> None:
        Model.__init__(self, observation_space=env.observation_space, action_space=env.action_space, device="cpu")
        GaussianMixin.__init__(self)
        self.net = torch.nn.Linear(self.num_observations, self.num_actions)
        self.log_std = torch.nn.Parameter(torch.zeros(self.num_actions))

    def compute(self, inputs: Any, role: str = "") -> Any:
        return torch.tanh(self.net(inputs["observations"])), {"log_std": self.log_std}


class Value(DeterministicMixin, Model):
    def __init__(self, env: Any, with_actions: bool = False) -> None:
        Model.__init__(self, observation_space=env.observation_space, action_space=env.action_space, device="cpu")
        DeterministicMixin.__init__(self)
        self.with_actions = with_actions
        self.net = torch.nn.Linear(self.num_observations + with_actions * self.num_actions, 1)

    def compute(self, inputs: Any, role: str = "") -> Any:
        given = inputs["observations"]
        return self.net(torch.cat([given, inputs["taken_actions"]], dim=-1) if self.with_actions else given), {}


class Paid(gymnasium.RewardWrapper):
    """Pays more where a test says so."""

    factor = 1.0

    def reward(self, reward: Any) -> float:
        return float(reward) * self.factor


def make_ppo(folder: Path, scheduled: bool = True, settings: Any = SETTINGS) -> tuple[PPO, Any]:
    torch.manual_seed(0)
    raw = Paid(gymnasium.make("CartPole-v1"))
    raw.reset(seed=0)
    env = wrap_env(raw, verbose=False)
    cfg = PPO_CFG(rollouts=ROLLOUT, learning_epochs=3, mini_batches=2, learning_rate=LR)
    if scheduled:
        cfg.learning_rate_scheduler = RewardAdaptiveScheduler
        cfg.learning_rate_scheduler_kwargs = settings
    cfg.experiment.directory = str(folder)
    cfg.experiment.write_interval = 0
    cfg.experiment.checkpoint_interval = 0
    agent = PPO(
        models={"policy": Discrete(env), "value": Value(env)},
        memory=RandomMemory(memory_size=ROLLOUT, num_envs=1, device="cpu"),
        observation_space=env.observation_space,
        action_space=env.action_space,
        device="cpu",
        cfg=cfg,
    )
    return agent, env


def train(agent: Any, env: Any, timesteps: int = 5 * ROLLOUT) -> None:
    cfg = {"timesteps": timesteps, "headless": True, "disable_progressbar": True, "close_environment_at_exit": False}
    SequentialTrainer(env=env, agents=agent, cfg=cfg).train()


def watch_observations(scheduler: RewardAdaptiveScheduler) -> list[tuple[Any, float]]:
    """Return a list that grows by (reward, rate after it) at each observation."""
    seen: list[tuple[Any, float]] = []
    observe = scheduler.observe

    def watching(R: Any, kl: Any) -> None:  # noqa: N803
        observe(R=R, kl=kl)
        seen.append((R, scheduler.get_lr()[0]))

    scheduler.observe = watching  # type: ignore[method-assign]
    return seen


def test_the_next_update_runs_at_the_rate_after_the_reward(tmp_path: Path) -> None:
    agent, env = make_ppo(tmp_path)
    (scheduler,) = attach_skrl(agent)
    assert scheduler is agent.scheduler
    rates, seen = record_lrs(agent.optimizer), watch_observations(scheduler)
    logged: list[float] = []
    track = agent.track_data
    agent.track_data = lambda tag, value: (logged.append(value) if "Learning rate" in tag else None, track(tag, value))
    train(agent, env)
    assert len(seen) == 5
    assert sum(reward is not None for reward, _ in seen) > 2
    per_update = 3 * 2
    after = [LR] + [rate for _, rate in seen]
    assert rates == [rate for rate in after[:-1] for _ in range(per_update)]
    assert logged == after[:-1]
    assert len(set(rates)) > 2


def test_the_observed_reward_is_the_mean_return_of_the_ended_episodes(tmp_path: Path) -> None:
    agent, env = make_ppo(tmp_path)
    lengths: list[list[int]] = [[]]
    length = 0
    record, update = agent.record_transition, agent.update

    def recording(**transition: Any) -> None:
        nonlocal length
        length += 1  # CartPole pays 1 a step
        if bool(transition["terminated"] | transition["truncated"]):
            lengths[-1].append(length)
            length = 0
        record(**transition)

    def updating(**when: Any) -> None:
        update(**when)
        lengths.append([])

    agent.record_transition, agent.update = recording, updating
    seen = watch_observations(attach_skrl(agent)[0])
    train(agent, env)
    assert [reward for reward, _ in seen] == [sum(ended) / len(ended) if ended else None for ended in lengths[:-1]]
    assert sum(map(len, lengths)) > 4


def test_both_schedulers_of_an_agent_with_two_optimizers_observe(tmp_path: Path) -> None:
    torch.manual_seed(0)
    raw = gymnasium.make("Pendulum-v1").unwrapped
    env = wrap_env(gymnasium.wrappers.TimeLimit(raw, 20), verbose=False)
    cfg = SAC_CFG(batch_size=8, learning_starts=10, learning_rate=LR)
    cfg.learning_rate_scheduler = RewardAdaptiveScheduler
    cfg.learning_rate_scheduler_kwargs = SETTINGS
    cfg.experiment.directory = str(tmp_path)
    cfg.experiment.write_interval = cfg.experiment.checkpoint_interval = 0
    critics = {name: Value(env, True) for name in ("critic_1", "critic_2", "target_critic_1", "target_critic_2")}
    agent = SAC(
        models={"policy": Continuous(env), **critics},
        memory=RandomMemory(memory_size=200, num_envs=1, device="cpu"),
        observation_space=env.observation_space,
        action_space=env.action_space,
        device="cpu",
        cfg=cfg,
    )
    both = attach_skrl(agent)
    assert both == [agent.policy_scheduler, agent.critic_scheduler]
    rates = [record_lrs(scheduler.optimizer) for scheduler in both]
    train(agent, env, 130)
    assert both[0].num_observed == both[1].num_observed == 6
    assert rates[0] == rates[1]
    assert len(set(rates[0])) > 3


def test_checkpoints_hold_and_restore_the_scheduler(tmp_path: Path) -> None:
    agent, env = make_ppo(tmp_path)
    (scheduler,) = attach_skrl(agent)
    train(agent, env)
    agent.save(str(tmp_path / "agent.pt"))
    again, _ = make_ppo(tmp_path)
    (restored,) = attach_skrl(again)
    again.load(str(tmp_path / "agent.pt"))
    assert restored.state_dict() == scheduler.state_dict()
    assert again.optimizer.param_groups[0]["lr"] == scheduler.get_lr()[0] != LR


def test_an_evaluation_is_not_observed(tmp_path: Path) -> None:
    agent, env = make_ppo(tmp_path)
    seen = watch_observations(attach_skrl(agent)[0])
    cfg = {"timesteps": 2 * ROLLOUT, "headless": True, "disable_progressbar": True, "close_environment_at_exit": False}
    Paid.factor = 1000.0
    try:
        SequentialTrainer(env=env, agents=agent, cfg=cfg).eval()
    finally:
        Paid.factor = 1.0
    train(agent, env)
    assert len(seen) == 5
    assert all(reward is None or reward < 1000 for reward, _ in seen)


def test_dropped_in_without_the_adapter_a_warning_appears(tmp_path: Path) -> None:
    agent, env = make_ppo(tmp_path)
    rates = record_lrs(agent.optimizer)
    with pytest.warns(UserWarning, match=r"observe\(\) never"):
        train(agent, env, ROLLOUT * 17)  # three bare steps an update
    assert set(rates) == {LR}


def test_attaching_nothing_or_twice_is_refused(tmp_path: Path) -> None:
    agent, _ = make_ppo(tmp_path, scheduled=False)
    with pytest.raises(ValueError, match="no RewardAdaptiveScheduler.*learning_rate_scheduler=RewardAdaptiveScheduler"):
        attach_skrl(agent)
    attach_skrl(agent, RewardAdaptiveScheduler(agent.optimizer))
    with pytest.raises(ValueError, match="attached already"):
        attach_skrl(agent)


@dataclass(slots=True)
class Recorder(KLSearch):
    """Keeps the divergences that it gets."""

    seen: ClassVar[list[float]] = []

    def observe(self, signal: Any, kl: Any = math.nan) -> None:
        self.seen.append(kl)
        super(Recorder, self).observe(signal, kl)

    def observe_missing(self, kl: Any = math.nan) -> Any:
        self.seen.append(kl)
        return super(Recorder, self).observe_missing(kl)


def test_a_kl_rule_gets_the_divergence_of_the_whole_update_and_sets_every_rate(tmp_path: Path) -> None:
    Recorder.seen.clear()
    agent, env = make_ppo(tmp_path, settings={"rule": Recorder()})
    update, expected = agent.update, []

    def updating(**when: Any) -> None:
        """Compute the estimate from copies of the policy before and after the update."""
        before = copy.deepcopy(agent.policy.net)
        update(**when)
        observations, actions = (agent.memory.get_tensor_by_name(name)[:, 0] for name in ("observations", "actions"))
        log_probs = [
            net(observations).detach().log_softmax(-1).gather(1, actions.long()) for net in (before, agent.policy.net)
        ]
        log_ratio = (log_probs[1] - log_probs[0]).double()
        expected.append(float((log_ratio.exp() - 1 - log_ratio).mean()))

    agent.update = updating
    (scheduler,) = attach_skrl(agent)
    rates, seen = record_lrs(agent.optimizer), watch_observations(scheduler)
    train(agent, env)
    assert Recorder.seen == pytest.approx(expected, rel=1e-3, abs=1e-9) and min(expected) > 0
    after = [LR / 100] + [rate for _, rate in seen]
    assert rates == pytest.approx([rate for rate in after[:-1] for _ in range(6)], rel=1e-15)
    assert len(set(rates)) == 5


def test_measuring_the_divergence_changes_no_training(tmp_path: Path) -> None:
    @dataclass(slots=True)
    class Constant(NoRule):
        extra_signals: ClassVar[tuple[str, ...]] = ("kl",)

        def observe(self, signal: Any, kl: Any = math.nan) -> None: ...

        def observe_missing(self, kl: Any = math.nan) -> Any:
            return False

    weights = []
    for rule in (NoRule(), Constant()):
        agent, env = make_ppo(tmp_path, settings={"rule": rule})
        attach_skrl(agent)
        train(agent, env)
        weights.append(agent.policy.net.weight.detach().clone())
    assert torch.equal(*weights)
