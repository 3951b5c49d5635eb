"""The KL divergence of an update, estimated from log-probabilities of the actions that were taken."""

from __future__ import annotations

import torch
from torch import Tensor


def schulman_kl(old_log_prob: Tensor, log_prob: Tensor, mask: Tensor | None = None) -> float:
    """Return an estimate of KL(old, new) in nats, by the mean of ``r - 1 - log r`` with ``r = p_new / p_old``.

    The actions must be drawn from the old policy. Then the estimate has no bias, is never negative, and varies less
    than the mean of ``-log r`` (J. Schulman, *Approximating KL divergence*, 2020). All tensors have one shape; only
    actions for which ``mask`` is true count.
    """
    log_ratio = log_prob.detach().double() - old_log_prob.to(log_prob.device).detach().double().reshape(log_prob.shape)
    terms = torch.expm1(log_ratio) - log_ratio
    return float(terms.mean() if mask is None else terms[mask.bool()].mean())
