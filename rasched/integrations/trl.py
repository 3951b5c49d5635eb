"""The KL divergence of each optimizer step in TRL's GRPO and RLOO, which TRL itself does not compute."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from rasched.integrations.divergence import schulman_kl
from rasched.integrations.huggingface import RewardObserveCallback
from rasched.integrations.optional import require
from rasched.scheduler import RewardAdaptiveScheduler

LOG_PROBS = "_get_per_token_logps_and_entropies"  # TRL's own method; a test fails if it is renamed


def attach_trl(
    trainer: Any,
    scheduler: RewardAdaptiveScheduler | Callable[[Any], RewardAdaptiveScheduler],
    *,
    reward_key: str = "reward",
) -> RewardObserveCallback:
    """Set the learning rate of a TRL trainer by the rewards that it logs, and by the KL divergence of its steps.

    A rule that needs the divergence (``KLSearch``, ``KLAdaptive``) gets that of each optimizer step, from the policy
    before it to the policy after it, by Schulman's estimate on the tokens of the step's completions. It takes one more
    forward pass per step. It is not the ``kl`` that TRL logs, which is the distance from the reference model.

    Args:
        trainer: A ``GRPOTrainer`` or ``RLOOTrainer``, with ``logging_steps=1``.
        scheduler: A scheduler of the optimizer that was passed to the trainer, or a function from optimizer to
            scheduler if the trainer makes its own, as in
            ``lambda optimizer: RewardAdaptiveScheduler(optimizer, rule=KLSearch())``.
        reward_key: The entry of the logs that is the reward.

    Returns:
        The callback that was added to the trainer.

    Raises:
        ImportError: trl is not installed.
        TypeError: The trainer computes no log-probabilities of tokens.

    """
    require("trl", "trl")
    if not hasattr(trainer, LOG_PROBS):
        raise TypeError(f"attach_trl needs a GRPOTrainer or RLOOTrainer, got {type(trainer).__name__}")
    callback = RewardObserveCallback(scheduler, reward_key=reward_key, kl_fn=_StepDivergence(trainer))
    trainer.add_callback(callback)
    return callback


class _StepDivergence:
    """Keeps the log-probabilities of a step's completions, and computes them again after the step."""

    def __init__(self, trainer: Any) -> None:
        self._compute = getattr(trainer, LOG_PROBS)
        self._signature = inspect.signature(self._compute)
        self._calls: list[tuple[inspect.BoundArguments, Tensor]] = []
        self._has_warned = False
        setattr(trainer, LOG_PROBS, self._compute_and_keep)

    def _compute_and_keep(self, *args: Any, **kwargs: Any) -> Any:
        result = self._compute(*args, **kwargs)
        if result[0].requires_grad:  # a loss: not an evaluation, nor the reference model
            self._calls.append((self._signature.bind(*args, **kwargs), result[0].detach()))
        return result

    def __call__(self, step: int) -> float | None:
        """Return the divergence of the optimizer step that was just taken, None if TRL computed none of its own."""
        calls, self._calls = self._calls, []
        if not calls:
            self._warn(step)
            return None
        old, new = [], []
        for call, log_probs in calls:
            is_completion = call.arguments["attention_mask"][:, -log_probs.shape[1] :].bool()
            with torch.no_grad():
                again = self._compute(*call.args, **call.kwargs)[0]
            old.append(log_probs[is_completion])
            new.append(again[is_completion])
        return schulman_kl(torch.cat(old), torch.cat(new))

    def _warn(self, step: int) -> None:
        if not self._has_warned:
            self._has_warned = True
            warnings.warn(
                f"TRL computed no log-probabilities for step {step}, as with use_liger_kernel=True: the rule gets no"
                " KL divergence (this warning appears once)",
                UserWarning,
                stacklevel=2,
            )
