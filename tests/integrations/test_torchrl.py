"""In TorchRL the rate of a batch's steps is the scheduler's after the reward of the batch before."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("torchrl")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # TorchRL's own modules warn of each other when they are imported
    from tensordict.nn import TensorDictModule
    from torchrl.collectors import Collector
    from torchrl.envs import GymEnv, InitTracker, RewardSum, TransformedEnv
    from torchrl.modules import OneHotCategorical, ProbabilisticActor, ValueOperator
    from torchrl.objectives import ClipPPOLoss
    from torchrl.objectives.value import GAE
    from torchrl.trainers import Trainer
from lr_recording import record_lrs  # noqa: E402

from rasched import RewardAdaptiveScheduler  # noqa: E402
from rasched.integrations import RewardSchedulerHook  # noqa: E402
from rasched.rules import KLSearch  # noqa: E402

pytestmark = [
    pytest.mark.torchrl,
    pytest.mark.filterwarnings("ignore:The 'optimizer' hook stage:FutureWarning"),  # of Trainer(optimizer=...) itself
]
LR = 1e-3
BATCH, STEPS = 64, 3


def build(
    batches: int = 5, transform: bool = True, hook: bool = True, rule: Any = None, **more: Any
) -> tuple[Any, ...]:
    torch.manual_seed(0)
    env: Any = GymEnv("CartPole-v1", device="cpu")
    env = TransformedEnv(env, InitTracker())  # which the collector wants for its policy
    if transform:
        env.append_transform(RewardSum())
    env.set_seed(0)
    actor = ProbabilisticActor(
        TensorDictModule(torch.nn.Linear(4, 2), in_keys=["observation"], out_keys=["logits"]),
        in_keys=["logits"],
        distribution_class=OneHotCategorical,
        return_log_prob=True,
    )
    critic = ValueOperator(torch.nn.Linear(4, 1), in_keys=["observation"])
    loss = ClipPPOLoss(actor, critic)
    advantage = GAE(gamma=0.99, lmbda=0.95, value_network=critic)
    optimizer = torch.optim.AdamW(loss.parameters(), lr=LR)
    settings: Any = {"normalize": "standardize"} if rule is None else {"rule": rule}
    scheduler = RewardAdaptiveScheduler(optimizer, **settings)
    collector = Collector(env, actor, frames_per_batch=BATCH, total_frames=BATCH * batches, device="cpu")
    trainer = Trainer(
        collector=collector,
        total_frames=BATCH * batches,
        frame_skip=1,
        optim_steps_per_batch=STEPS,
        loss_module=loss,
        optimizer=optimizer,
        progress_bar=False,
        **more,
    )
    trainer.register_op("pre_epoch", advantage)
    if hook:
        RewardSchedulerHook(scheduler).register(trainer)
    return trainer, scheduler, record_lrs(optimizer)


def test_the_next_batch_trains_at_the_rate_after_the_reward() -> None:
    trainer, scheduler, rates = build()
    observed: list[tuple[Any, float]] = []
    batch_returns: list[Any] = []
    observe = scheduler.observe

    def watching(R: Any, kl: Any) -> None:  # noqa: N803
        observe(R=R, kl=kl)
        observed.append((R, scheduler.get_lr()[0]))

    scheduler.observe = watching

    def note(batch: Any) -> None:
        ended = batch["next", "episode_reward"][batch["next", "done"]].tolist()
        batch_returns.append(sum(ended) / len(ended) if ended else None)

    trainer.register_op("pre_steps_log", note)
    trainer.train()
    assert [reward for reward, _ in observed] == pytest.approx(batch_returns)
    after = [LR] + [rate for _, rate in observed]
    assert rates == [rate for rate in after[:-1] for _ in range(STEPS)]
    assert len(set(rates)) > 2


@pytest.mark.filterwarnings("ignore:The (default Trainer|legacy CKPT_BACKEND).*checkpoint")  # of the older format
@pytest.mark.parametrize("format", ["file", "torchrl.checkpoint"])
def test_a_checkpoint_restores_state_and_rate(format: str, tmp_path: Path) -> None:
    def saved() -> dict[str, Any]:
        if format == "file":
            return {"save_trainer_file": str(tmp_path / "trainer.pt")}
        checkpoint: Any = pytest.importorskip("torchrl.checkpoint")
        return {"save_trainer_file": str(tmp_path / "trainer"), "checkpoint": checkpoint.Checkpoint()}

    trainer, scheduler, _ = build(**saved())
    trainer.train()  # saves at its end
    again, restored, _ = build(**saved())
    again.load_from_file(saved()["save_trainer_file"])
    assert restored.state_dict() == scheduler.state_dict()
    assert restored.optimizer.param_groups[0]["lr"] == scheduler.get_lr()[0] != LR


def test_torchrls_own_hook_alone_leaves_the_rate_constant_and_beside_ours_does_no_harm() -> None:
    from torchrl.trainers.trainers import LRSchedulerHook

    silent, scheduler, rates = build(batches=18, hook=False)
    LRSchedulerHook(scheduler, interval="optim").register(silent)
    with pytest.warns(UserWarning, match=r"observe\(\) never"):
        silent.train()
    assert set(rates) == {LR}
    alone, _, intended = build()
    alone.train()
    both, scheduler, rates = build()
    LRSchedulerHook(scheduler).register(both)
    both.train()
    assert rates == intended


def test_a_batch_without_a_step_is_left_out() -> None:
    from tensordict import TensorDict

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=LR)
    scheduler = RewardAdaptiveScheduler(optimizer)
    hook = RewardSchedulerHook(scheduler)
    ended = TensorDict({"next": {"episode_reward": torch.tensor([[3.0], [5.0]]), "done": torch.ones(2, 1).bool()}}, [2])
    hook.capture(ended)
    hook()
    assert scheduler.num_observed == 0
    hook.capture(ended)
    optimizer.step()
    hook()
    assert (scheduler.num_observed, scheduler.last_signal) == (1, 4.0)
    optimizer.step()
    hook.capture(None)
    hook()
    assert scheduler.num_observed == 1


def test_a_batch_without_returns_names_what_to_add() -> None:
    trainer, _, _ = build(transform=False)
    with pytest.raises(KeyError, match=r"add RewardSum\(\)"):
        trainer.train()


def test_a_kl_rule_gets_the_divergence_of_the_batch_and_sets_every_rate() -> None:
    trainer, scheduler, rates = build(rule=KLSearch())
    net = trainer.loss_module.actor_network_params
    expected, observed, before = [], [], {}
    observe = scheduler.observe

    def log_probs(batch: Any) -> torch.Tensor:
        parameters = dict(net.flatten_keys(".").items())
        weight, bias = (next(v for k, v in parameters.items() if k.endswith(end)) for end in ("weight", "bias"))
        logits = batch["observation"] @ weight.detach().T + bias.detach()
        return (logits.log_softmax(-1) * batch["action"]).sum(-1).double()

    def note(batch: Any) -> None:
        before["batch"], before["log_probs"] = batch, log_probs(batch)

    def watching(R: Any, kl: Any) -> None:  # noqa: N803
        log_ratio = log_probs(before["batch"]) - before["log_probs"]
        expected.append(float((log_ratio.exp() - 1 - log_ratio).mean()))
        observe(R=R, kl=kl)
        observed.append((kl, scheduler.get_lr()[0]))

    scheduler.observe = watching
    trainer.register_op("pre_steps_log", note)
    trainer.train()
    assert [kl for kl, _ in observed] == pytest.approx(expected, rel=1e-3, abs=1e-9) and min(expected) > 0
    after = [LR / 100] + [rate for _, rate in observed]
    assert rates == pytest.approx([rate for rate in after[:-1] for _ in range(STEPS)], rel=1e-15)
    assert len(set(rates)) == 5
