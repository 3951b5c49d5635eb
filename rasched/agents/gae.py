"""Generalised advantage estimation (Schulman et al., 2016)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]


def gae(reward: Array, value: Array, done: NDArray[np.bool_], gamma: float, gae_lambda: float) -> Array:
    r"""Return the advantages of a rollout, of the shape of ``reward``, ``(steps, ...)``.

    With :math:`\delta_t = R_t + \gamma (1 - d_t) V_{t+1} - V_t`,

        A_t = \delta_t + \gamma \lambda (1 - d_t) A_{t+1}

    ``value``, ``(steps + 1, ...)``, ends with the value of the observation behind the last step; ``done`` is true where
    an episode ended. The reward of a step that a time limit cut off must hold the discounted value of what would have
    come (Pardo et al., 2018). ``gae_lambda=1`` is the discounted return less the value.
    """
    # NumPy: some ten thousand additions in rows of a few hundred, where a call of torch costs more than the work.
    carry = (gamma * (1 - done)).astype(reward.dtype)
    advantage = reward + carry * value[1:] - value[:-1]
    carry *= gae_lambda
    for t in range(len(reward) - 2, -1, -1):
        advantage[t] += carry[t] * advantage[t + 1]
    return advantage
