"""In Lightning the rate at each step is the scheduler's, with the callback and with Lightning's own plateau entry."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist

pytest.importorskip("lightning")

import lightning.pytorch as pl  # noqa: E402
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint  # noqa: E402
from lightning.pytorch.loggers import CSVLogger  # noqa: E402
from lr_recording import intended_lrs, record_lrs  # noqa: E402
from rank_lightning import OWN, SPARSE, all_scenarios  # noqa: E402
from tiny_lightning import Tiny, dense, fit, sparse  # noqa: E402
from two_ranks import on_two_ranks  # noqa: E402

from rasched import RewardAdaptiveScheduler  # noqa: E402
from rasched.integrations import LightningRewardCallback  # noqa: E402

pytestmark = [
    pytest.mark.lightning,
    pytest.mark.filterwarnings("ignore:The 'train_dataloader' does not have many workers"),  # advice, for real data
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec"),  # torch's, at each batch of Lightning
    pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before the epoch"),  # on purpose
]
STEPS = 8


@pytest.mark.parametrize(("how", "rewards"), list(itertools.product(["scheduler", "lists"], [dense, sparse])))
def test_the_callback_gives_each_step_the_intended_rate(how: str, rewards: Any, tmp_path: Path) -> None:
    module = Tiny(how, rewards)
    fit(module, [LightningRewardCallback()], tmp_path)
    assert module.rates == intended_lrs([rewards(t) for t in range(STEPS)])
    assert len(set(module.rates)) > 2
    assert module.scheduler.num_observed == sum(rewards(t) is not None for t in range(STEPS))


@pytest.mark.parametrize("given", ["scheduler", "factory"])
def test_a_scheduler_held_by_the_callback_serves_too(given: str, tmp_path: Path) -> None:
    module = Tiny("optimizer")
    callback = LightningRewardCallback(RewardAdaptiveScheduler)
    if given == "scheduler":
        optimizer = module.configure_optimizers()
        module.configure_optimizers = lambda: optimizer  # type: ignore[method-assign]
        callback = LightningRewardCallback(RewardAdaptiveScheduler(optimizer))
    fit(module, [callback], tmp_path)
    assert module.rates == intended_lrs([dense(t) for t in range(STEPS)])


def test_a_reward_function_of_the_step_serves_too(tmp_path: Path) -> None:
    module = Tiny(rewards=lambda batch: 5.0)  # not what is observed
    fit(module, [LightningRewardCallback(reward_fn=sparse)], tmp_path)
    assert module.rates == intended_lrs([sparse(t + 1) for t in range(STEPS)])


def test_the_batches_of_one_step_count_as_their_mean(tmp_path: Path) -> None:
    module = Tiny(rewards=sparse)
    fit(module, [LightningRewardCallback()], tmp_path, accumulate_grad_batches=2)
    pairs = [[r for r in (sparse(2 * t), sparse(2 * t + 1)) if r is not None] for t in range(STEPS)]
    assert module.rates == intended_lrs([sum(pair) / len(pair) if pair else None for pair in pairs])


@pytest.mark.filterwarnings("ignore:The dirpath has changed")  # Lightning's: the resumed run saves elsewhere
@pytest.mark.parametrize("weights_only", [None, True])
@pytest.mark.parametrize("how", ["scheduler", "optimizer"])
def test_a_resumed_run_equals_the_straight_one(how: str, weights_only: bool | None, tmp_path: Path) -> None:
    def run(folder: Path, **arguments: Any) -> tuple[Tiny, LightningRewardCallback, RewardAdaptiveScheduler]:
        module = Tiny(how)
        made: list[RewardAdaptiveScheduler] = []

        def make(optimizer: torch.optim.Optimizer) -> RewardAdaptiveScheduler:
            made.append(RewardAdaptiveScheduler(optimizer))
            return made[0]

        callback = LightningRewardCallback(make if how == "optimizer" else None)
        saver = ModelCheckpoint(folder, filename="{step}", every_n_train_steps=4, save_top_k=-1)
        fit(module, [saver, callback], folder, **arguments)
        return module, callback, made[0] if made else module.scheduler

    straight, _, scheduler = run(tmp_path)
    path = str(tmp_path / "step=4.ckpt")
    resumed, _, again = run(tmp_path / "resumed", ckpt_path=path, weights_only=weights_only)
    assert len(set(straight.rates)) == STEPS
    assert resumed.rates == straight.rates[4:]
    assert again.state_dict() == scheduler.state_dict()
    assert all(map(torch.equal, straight.parameters(), resumed.parameters()))


@pytest.mark.filterwarnings("ignore:.*GradScaler:UserWarning")
def test_a_step_left_out_by_the_gradient_scaler_is_not_observed(tmp_path: Path) -> None:
    class Overflowing(Tiny):
        def training_step(self, batch: torch.Tensor, batch_idx: int) -> dict[str, Any]:
            output = super().training_step(batch, batch_idx)
            return {**output, "loss": output["loss"] * (float("inf") if batch_idx in (1, 2) else 1.0)}

    module = Overflowing()
    precision = pl.plugins.MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=8.0))
    fit(module, [LightningRewardCallback()], tmp_path, plugins=[precision], max_steps=5)
    # the rewards of the two steps that were left out go into the mean that the next real step is observed
    assert module.rates == intended_lrs([dense(0), (dense(1) + dense(2) + dense(3)) / 3, dense(4)])


def test_the_learning_rate_monitor_logs_the_rates_in_effect(tmp_path: Path) -> None:
    module = Tiny()
    callbacks = [LearningRateMonitor("step"), LightningRewardCallback()]
    logged: list[float] = []

    class Notebook(CSVLogger):
        def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
            logged.extend(metrics[key] for key in ("lr-AdamW",) if key in metrics)

    fit(module, callbacks, tmp_path, logger=Notebook(tmp_path), log_every_n_steps=1)
    assert logged == module.rates


def test_the_plain_plateau_entry_works_to_float32(tmp_path: Path) -> None:
    module = Tiny("plateau")
    fit(module, [], tmp_path)
    assert module.scheduler.num_observed == STEPS
    assert module.rates == intended_lrs([torch.tensor(dense(t)).item() for t in range(STEPS)])


def test_the_plateau_entry_reads_an_old_value_again_and_the_callback_does_not(tmp_path: Path) -> None:
    def every_fourth(batch: int) -> float | None:
        return 1.0 + batch if batch % 4 == 0 else None

    stale, fresh = Tiny("plateau", every_fourth), Tiny("scheduler", every_fourth)
    fit(stale, [], tmp_path)
    fit(fresh, [LightningRewardCallback()], tmp_path)
    assert stale.rates == intended_lrs([1.0] * 4 + [5.0] * 4)
    assert fresh.rates == intended_lrs([1.0, None, None, None, 5.0, None, None, None])


def test_the_plateau_entry_needs_its_key_and_the_callback_does_not(tmp_path: Path) -> None:
    from lightning.pytorch.utilities.exceptions import MisconfigurationException

    with pytest.raises(MisconfigurationException, match="metric reward which is not available"):
        fit(Tiny("plateau", lambda batch: None), [], tmp_path)
    module = Tiny("scheduler", lambda batch: None)
    fit(module, [LightningRewardCallback()], tmp_path)
    assert set(module.rates) == {1e-3}


@pytest.mark.parametrize("how", ["monitor only", "scheduler"])
def test_without_the_plateau_flag_a_warning_appears(how: str, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match=r"observe\(\) never"):
        fit(Tiny(how), [], tmp_path, max_steps=52, max_epochs=3)


def test_lr_scheduler_step_may_be_overridden(tmp_path: Path) -> None:
    class Overriding(Tiny):
        def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
            scheduler.observe(R=dense(self.batches - 1))

    module = Overriding()
    fit(module, [], tmp_path)
    assert module.rates == intended_lrs([dense(t) for t in range(STEPS)])


class Manual(Tiny):
    """Steps its optimizer itself, and observes itself unless a callback does."""

    def __init__(self, observes: bool) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.observes = observes

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> dict[str, Any]:
        optimizer: Any = self.optimizers()
        reward = dense(self.batches)
        self.batches += 1
        optimizer.zero_grad()
        self.manual_backward(self.net(batch).pow(2).mean())
        optimizer.step()
        if self.observes:
            scheduler: Any = self.lr_schedulers()
            scheduler.observe(R=reward)
        return {"reward": reward}


@pytest.mark.parametrize("observes", [True, False])
def test_manual_optimisation(observes: bool, tmp_path: Path) -> None:
    module = Manual(observes)
    fit(module, [] if observes else [LightningRewardCallback()], tmp_path)
    assert module.rates == intended_lrs([dense(t) for t in range(STEPS)])


def test_each_of_two_optimizers_listens_to_its_own_steps(tmp_path: Path) -> None:
    class Two(Manual):
        def training_step(self, batch: torch.Tensor, batch_idx: int) -> dict[str, Any]:
            optimizers: Any = self.optimizers()
            optimizer = optimizers[batch_idx % 2]
            optimizer.zero_grad()
            self.manual_backward(self.net(batch).pow(2).mean())
            optimizer.step()
            return {"reward": dense(batch_idx)} if batch_idx % 2 == 0 else {"reward": 3.0}

        def configure_optimizers(self) -> Any:
            optimizers = [torch.optim.AdamW(self.net.parameters(), lr=1e-3) for _ in range(2)]
            self.both = [record_lrs(optimizer) for optimizer in optimizers]
            return optimizers, [RewardAdaptiveScheduler(optimizer) for optimizer in optimizers]

    module = Two(observes=False)
    fit(module, [LightningRewardCallback()], tmp_path)
    observed = [dense(t) if t % 2 == 0 else 3.0 for t in range(STEPS)]
    first = [observed[0], *((observed[t - 1] + observed[t]) / 2 for t in range(2, STEPS, 2))]
    second = [(observed[t - 1] + observed[t]) / 2 for t in range(1, STEPS, 2)]
    assert module.both == [intended_lrs(first), intended_lrs(second)]


def test_a_scheduler_of_a_lightning_optimizer_holds_the_raw_one() -> None:
    from lightning.pytorch.core.optimizer import LightningOptimizer

    raw = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=1e-3)
    assert RewardAdaptiveScheduler(LightningOptimizer(raw)).optimizer is raw


def test_a_training_without_a_scheduler_names_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="return one from configure_optimizers"):
        fit(Tiny("optimizer"), [LightningRewardCallback()], tmp_path)


@pytest.fixture(scope="module")
def ranks() -> list[dict[str, Any]]:
    if not (dist.is_available() and dist.is_gloo_available()) or sys.platform == "win32":
        pytest.skip("needs gloo groups of local processes")
    return on_two_ranks(all_scenarios)


@pytest.mark.distributed
@pytest.mark.parametrize("how", ["plateau", "callback"])
def test_ranks_with_rewards_of_their_own_drift_apart(how: str, ranks: list[dict[str, Any]]) -> None:
    zero, one = (rank[how] for rank in ranks)
    assert zero["rates"] != one["rates"]
    assert zero["weights"] != one["weights"]


@pytest.mark.distributed
@pytest.mark.parametrize(
    ("how", "rewards"), [("plateau synced", OWN), ("callback synced", OWN), ("callback sparse", SPARSE)]
)
def test_synchronised_ranks_stay_equal(how: str, rewards: list[list[Any]], ranks: list[dict[str, Any]]) -> None:
    zero, one = (rank[how] for rank in ranks)
    assert zero == one
    observed = [[reward for reward in pair if reward is not None] for pair in zip(*rewards, strict=True)]
    intended = intended_lrs([sum(pair) / len(pair) if pair else None for pair in observed])
    assert zero["rates"] == pytest.approx(intended, rel=1e-6) if how == "plateau synced" else zero["rates"] == intended
