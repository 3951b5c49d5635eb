"""The bandits in Gymnasium: importing this module registers ``rasched/GaussianBandit-v0`` and its four companions.

Gymnasium loads no plugins of itself, so name the module in the id,
``gymnasium.make("rasched.envs.bandits.registration:rasched/GaussianBandit-v0", arms=5)``, or import it before.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray

from rasched.envs.bandits.base import BanditSettings, BatchedBandit
from rasched.envs.base import ENVS

BANDITS = ("bernoulli", "contextual", "drifting", "gaussian", "switching")
MAX_EPISODE_STEPS = 1000  # pulls a problem: the length of a run in Sutton & Barto's testbed


class BanditEnv(gymnasium.Env[NDArray[np.float32], np.int64]):
    """One run of a bandit of :data:`rasched.envs.ENVS`, by name; further keywords are its settings.

    An episode is one problem, and only the time limit ends it: an agent that got a new problem with every pull could
    learn nothing. ``reset(seed=s)`` plays the problem, and the rewards, of ``make([s])``; ``reset()`` a new problem.
    A contextual bandit shows its context, float32 in [-1, 1]; the others a constant 1 (in a space of [0, 1]), by which
    a linear policy without a bias can still learn. ``info`` holds ``best_arm`` and, after a pull, its ``regret``:
    the best arm's mean less the pulled one's. Settings that a bandit refuses are a ValueError, as is an unknown arm.
    """

    def __init__(self, bandit: str, **settings: Any) -> None:
        if settings.get("num_envs", 1) != 1:
            raise ValueError(
                f"env.num_envs must be 1 in Gymnasium, which pulls one arm a step, got {settings['num_envs']!r}"
            )
        built = ENVS.build({"name": bandit, **settings})
        if not isinstance(built, BanditSettings):
            raise ValueError(f"bandit must be one of {', '.join(BANDITS)}, got {bandit!r}")
        self._settings = built
        self._batch: BatchedBandit | None = None
        self.action_space = Discrete(self._settings.arms)
        features = getattr(self._settings, "features", None)
        self.observation_space = Box(-1, 1, (features,), np.float32) if features else Box(0, 1, (1,), np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start the problem of the seed, or, without one, a new problem; ``options`` are not used."""
        super().reset(seed=seed)
        problem = int(self.np_random.integers(2**63)) if seed is None else seed
        self._batch = self._settings.make([problem])
        return self._observation(), {"best_arm": int(self._batch.best)}

    def step(self, action: Any) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Pull one arm, 0 to arms - 1."""
        if self._batch is None:
            raise gymnasium.error.ResetNeeded("call reset() before the first step()")
        if not self.action_space.contains(action):
            raise ValueError(f"action must be an arm from 0 to {self._settings.arms - 1}, got {action!r}")
        best = int(self._batch.best)
        outcome = self._batch.step(torch.tensor([[int(action)]]))
        info = {"regret": float(outcome.metrics["regret"]), "best_arm": best}
        return self._observation(), float(outcome.reward), False, False, info

    def _observation(self) -> NDArray[np.float32]:
        assert self._batch is not None
        shown: NDArray[np.float32] = self._batch.observation[0, 0].reshape(-1).numpy().astype(np.float32)
        return shown


for _name in BANDITS:
    gymnasium.register(
        id=f"rasched/{ENVS.get(_name).__name__.removesuffix('Settings')}-v0",
        entry_point=f"{__name__}:BanditEnv",
        kwargs={"bandit": _name},
        max_episode_steps=MAX_EPISODE_STEPS,
    )
