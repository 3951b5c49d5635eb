"""In Stable-Baselines3 the rate at each optimizer step, the logged one and the scheduler's are one number."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("stable_baselines3")

import gymnasium  # noqa: E402
from lr_recording import record_lrs  # noqa: E402
from stable_baselines3 import A2C, DQN, PPO, SAC, TD3  # noqa: E402
from stable_baselines3.common.callbacks import BaseCallback  # noqa: E402
from stable_baselines3.common.vec_env import DummyVecEnv  # noqa: E402

from rasched import RewardAdaptiveScheduler  # noqa: E402
from rasched.integrations import SB3RewardCallback  # noqa: E402
from rasched.rules import KLSearch  # noqa: E402

pytestmark = [
    pytest.mark.sb3,
    pytest.mark.filterwarnings("ignore:Box .* precision lowered"),  # gymnasium, of Pendulum's own bounds
]
LR = 3e-4
OFF_POLICY = {"learning_starts": 50, "train_freq": 25, "gradient_steps": 2, "batch_size": 16, "buffer_size": 500}


def small() -> dict[str, Any]:  # anew for each: A2C writes into its policy_kwargs
    return {"policy_kwargs": {"net_arch": [8]}, "seed": 0, "device": "cpu", "learning_rate": LR}


class ShortPendulum(gymnasium.Wrapper):
    """Episodes of twenty steps, so that a short training sees many."""

    def __init__(self) -> None:
        super().__init__(gymnasium.wrappers.TimeLimit(gymnasium.make("Pendulum-v1").unwrapped, 20))


MODELS: dict[str, Any] = {
    "PPO": lambda: PPO("MlpPolicy", "CartPole-v1", n_steps=128, n_epochs=2, batch_size=64, **small()),
    "A2C": lambda: A2C("MlpPolicy", "CartPole-v1", n_steps=16, **small()),
    "DQN": lambda: DQN("MlpPolicy", "CartPole-v1", **OFF_POLICY, **small()),
    "SAC": lambda: SAC("MlpPolicy", ShortPendulum(), **OFF_POLICY, **small()),
    "TD3": lambda: TD3("MlpPolicy", ShortPendulum(), **OFF_POLICY, **small()),
}


def make_scheduler(optimizer: torch.optim.Optimizer) -> RewardAdaptiveScheduler:
    return RewardAdaptiveScheduler(optimizer, normalize="standardize")


def optimizers_of(model: Any) -> list[torch.optim.Optimizer]:
    if hasattr(model, "actor"):
        three = [model.actor.optimizer, model.critic.optimizer, getattr(model, "ent_coef_optimizer", None)]
        return [optimizer for optimizer in three if optimizer is not None]
    return [model.policy.optimizer]


class Watch(BaseCallback):
    """Notes the scheduler's rate, its observations and the log, at the end of each update."""

    def __init__(self, callback: SB3RewardCallback) -> None:
        super().__init__()
        self.callback = callback
        self.intended: list[float] = []

    def _on_training_start(self) -> None:
        self.steps = [record_lrs(optimizer) for optimizer in optimizers_of(self.model)]
        self.logged: list[float] = []
        record = self.model.logger.record

        def recording(key: str, value: Any, *args: Any, **kwargs: Any) -> None:
            if key == "train/learning_rate":
                self.logged.append(value)
                self.intended.append(self.callback.scheduler.get_lr()[0])
                assert value == self.callback.scheduler.state_dict()["lrs"][0]
            record(key, value, *args, **kwargs)

        self.model.logger.record = recording

    def _on_step(self) -> bool:
        return True


def train(model: Any, timesteps: int, scheduler: Any = make_scheduler) -> tuple[SB3RewardCallback, Watch]:
    callback = SB3RewardCallback(scheduler)
    watch = Watch(callback)
    model.learn(timesteps, callback=[callback, watch])
    return callback, watch


@pytest.mark.parametrize("name", MODELS)
def test_effect_log_and_intention_are_one_number(name: str) -> None:
    model = MODELS[name]()
    callback, watch = train(model, 512)
    per_update = len(watch.steps[0]) // len(watch.logged)
    assert callback.scheduler.num_observed > 3
    assert len(set(watch.steps[0])) > 2
    assert watch.logged == watch.intended
    assert watch.steps[0] == [rate for rate in watch.logged for _ in range(per_update)] or name == "TD3"
    for rates in watch.steps:  # TD3's actor steps at every second update only
        assert set(rates) <= set(watch.logged)
        assert rates[-1] == callback.scheduler.get_lr()[0]


def test_ppo_on_cartpole_takes_every_optimizer_step_at_the_schedulers_rate() -> None:
    model = PPO("MlpPolicy", "CartPole-v1", n_steps=256, n_epochs=4, batch_size=64, **small())
    seen: list[float] = []

    def make(optimizer: torch.optim.Optimizer) -> RewardAdaptiveScheduler:
        scheduler = make_scheduler(optimizer)
        optimizer.register_step_pre_hook(lambda *_: seen.append(scheduler.state_dict()["lrs"][0]))
        return scheduler

    callback, watch = train(model, 2048, make)
    assert watch.steps[0] == seen
    assert len(seen) == 8 * 16  # eight rollouts, sixteen steps each
    assert len(set(seen)) == 8
    assert watch.logged == seen[::16]
    assert model.logger.name_to_value["train/learning_rate"] == seen[-1]


@pytest.mark.parametrize("name", ["PPO", "SAC"])
def test_state_survives_save_and_load(name: str, tmp_path: Path) -> None:
    model = MODELS[name]()
    callback, _ = train(model, 512)
    rate = callback.scheduler.get_lr()[0]
    assert rate != LR
    model.save(tmp_path / "model")
    loaded = type(model).load(tmp_path / "model", env=model.get_env())
    assert loaded.lr_schedule(1.0) == LR  # Stable-Baselines3 makes it anew from learning_rate
    rewards: list[Any] = []

    def make(optimizer: torch.optim.Optimizer) -> RewardAdaptiveScheduler:
        scheduler = make_scheduler(optimizer)
        observe = scheduler.observe
        scheduler.observe = lambda R, kl=None: (rewards.append(R), observe(R=R))[1]  # type: ignore[method-assign]
        return scheduler

    again, watch = train(loaded, 64, make)
    assert again.scheduler.optimizer is optimizers_of(loaded)[0]
    alone = make_scheduler(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=LR))
    alone.load_state_dict(callback.scheduler.state_dict())
    rates = []
    for reward in rewards:  # those before each update: the saved state goes on where it stood
        alone.observe(R=reward)
        rates.append(alone.get_lr()[0])
    assert watch.steps[0][0] in rates
    assert watch.logged[-1] == rates[-1]
    assert loaded._rasched_state == again.scheduler.state_dict()


def test_the_state_in_the_file_is_the_schedulers_and_no_copy_of_it_travels(tmp_path: Path) -> None:
    import json
    import zipfile

    model = MODELS["A2C"]()
    callback, _ = train(model, 256)
    model.save(tmp_path / "model")
    with zipfile.ZipFile(tmp_path / "model.zip") as archive:
        data = json.loads(archive.read("data"))
    assert data["_rasched_state"] == callback.scheduler.state_dict()
    assert len(json.dumps(data["lr_schedule"])) < 2000
    loaded = A2C.load(tmp_path / "model")
    restored = make_scheduler(loaded.policy.optimizer)
    SB3RewardCallback(restored).init_callback(loaded)
    assert restored.state_dict() == callback.scheduler.state_dict()
    assert loaded.lr_schedule(1.0) == loaded.policy.optimizer.param_groups[0]["lr"] == callback.scheduler.get_lr()[0]


@pytest.mark.parametrize("name", ["PPO", "SAC"])
def test_each_return_is_observed_once_in_the_mean_of_its_rollout(name: str) -> None:
    observed: list[Any] = []
    ended: list[list[float]] = [[]]

    class Count(BaseCallback):
        def _on_step(self) -> bool:
            ended[-1].extend(info["episode"]["r"] for info in self.locals["infos"] if "episode" in info)
            return True

        def _on_rollout_end(self) -> None:
            ended.append([])

    model = MODELS[name]()
    scheduler = make_scheduler(optimizers_of(model)[0])
    observe = scheduler.observe
    scheduler.observe = lambda R, kl=None: (observed.append(R), observe(R=R))[1]  # type: ignore[method-assign]
    model.learn(512, callback=[SB3RewardCallback(scheduler), Count()])
    assert observed == [sum(returns) / len(returns) if returns else None for returns in ended[:-1]]
    assert sum(map(len, ended)) > len(observed) / 2


def test_a_second_learn_goes_on() -> None:
    model = MODELS["PPO"]()
    callback, _ = train(model, 512)
    rate, observed = callback.scheduler.get_lr()[0], callback.scheduler.num_observed
    again, watch = train(model, 128, callback.scheduler)
    assert again.scheduler is callback.scheduler
    assert again.scheduler.num_observed == observed + 1
    assert 0 < abs(watch.steps[0][0] / rate - 1) <= 0.2


def test_resume_false_starts_afresh() -> None:
    model = MODELS["A2C"]()
    callback, _ = train(model, 256)
    assert callback.scheduler.num_observed > 0
    fresh = SB3RewardCallback(make_scheduler, resume=False)
    fresh.init_callback(model)
    assert fresh.scheduler.num_observed == 0


def test_an_environment_without_returns_gives_a_warning() -> None:
    env = DummyVecEnv([lambda: gymnasium.make("CartPole-v1")])
    model = A2C("MlpPolicy", env, n_steps=16, **small())
    with pytest.warns(UserWarning, match="none reported its return.*Monitor"):
        callback, _ = train(model, 128)
    assert callback.scheduler.num_observed == 0


def test_the_scheduler_of_another_optimizer_is_refused() -> None:
    scheduler = make_scheduler(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=LR))
    with pytest.raises(ValueError, match="not the model's.*model.policy.optimizer"):
        MODELS["A2C"]().learn(16, callback=SB3RewardCallback(scheduler))


def test_ppo_gives_a_kl_rule_its_divergence_and_starts_at_the_rules_rate() -> None:
    model = MODELS["PPO"]()
    used = record_lrs(model.policy.optimizer)
    seen: list[float] = []

    @dataclass(slots=True)
    class Recorder(KLSearch):
        def observe(self, signal: Any, kl: Any = math.nan) -> None:
            seen.append(kl)
            super().observe(signal, kl)

    class Logged(BaseCallback):
        """Keeps what the logger holds before it is emptied."""

        kls: list[float]

        def _on_training_start(self) -> None:
            self.kls = []

        def _on_step(self) -> bool:
            return True

        def _on_rollout_end(self) -> None:
            self.kls += [self.logger.name_to_value.get("train/approx_kl", math.nan)]

    logged = Logged()
    intended: list[float] = []

    class Spy(RewardAdaptiveScheduler):
        def observe(self, R: Any, **extra: Any) -> None:  # noqa: N803
            super().observe(R, **extra)
            intended.extend(self.get_lr())

    callback = SB3RewardCallback(lambda optimizer: Spy(optimizer, rule=Recorder()))
    model.learn(128 * 6, callback=[logged, callback])
    steps_per_update = len(used) // len(intended)
    assert used == [lr for lr in intended for _ in range(steps_per_update)]  # at every optimizer step
    assert math.isnan(seen[0]) and all(kl > 0 for kl in seen[1:])
    assert seen[1:] == pytest.approx(logged.kls[1:])
    # the first rate is the rule's after an update without a divergence, a hundredth of the base rate and one step up
    assert used[0] == pytest.approx(LR / 100 * math.exp(0.1))
    assert len(set(used)) > 3 and used == sorted(used)
    assert callback.scheduler.get_lr()[0] == used[-1] == model.lr_schedule(0.0)
