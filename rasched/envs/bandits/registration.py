"""Register the bandits in Gymnasium, as ``rasched/GaussianBandit-v0`` and likewise for the other four.

Importing this module registers them. Gymnasium can import it too, if an id names it:
``gymnasium.make("rasched.envs.bandits.registration:rasched/GaussianBandit-v0", arms=5)``.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray

from rasched.envs import ENVS
from rasched.envs.bandits.base import BanditSettings, BatchedBandit

BANDITS = ("bernoulli", "contextual", "drifting", "gaussian", "switching")
MAX_EPISODE_STEPS = 1000  # pulls per episode, as in one run of Sutton & Barto's testbed


class BanditEnv(gymnasium.Env[NDArray[np.float32], np.int64]):
    """A bandit of :data:`rasched.envs.ENVS` by name. The other keywords are its settings.

    An episode is one bandit problem, and only the time limit ends it: an agent that got a new problem with every pull
    could not learn. ``reset(seed=s)`` starts the problem, with the rewards, of ``make([s])``; ``reset()`` starts a new
    one. The contextual bandit shows its context, float32 in [-1, 1]. The others show a constant 1, in a space of
    [0, 1]. ``info`` holds ``best_arm`` and, after a pull, ``regret``, the mean of the best arm minus the mean of the
    pulled one. Raises ValueError for a wrong setting and an unknown arm.
    """

    def __init__(self, bandit: str, **settings: Any) -> None:
        if settings.get("num_envs", 1) != 1:
            raise ValueError(
                f"env.num_envs must be 1 in Gymnasium, which pulls one arm per step, got {settings['num_envs']!r}"
            )
        bandit_settings = ENVS.build({"name": bandit, **settings})
        if not isinstance(bandit_settings, BanditSettings):
            raise ValueError(f"bandit must be one of {', '.join(BANDITS)}, got {bandit!r}")
        self._settings = bandit_settings
        self._bandit: BatchedBandit | None = None
        self.action_space = Discrete(self._settings.arms)
        features = getattr(self._settings, "features", None)
        self.observation_space = Box(-1, 1, (features,), np.float32) if features else Box(0, 1, (1,), np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start the problem of the seed or, without a seed, a new problem. ``options`` are not used."""
        super().reset(seed=seed)
        problem_seed = int(self.np_random.integers(2**63)) if seed is None else seed
        self._bandit = self._settings.make([problem_seed])
        return self._observe(), {"best_arm": int(self._bandit.best_arm)}

    def step(self, action: Any) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Pull one arm, from 0 to ``arms - 1``."""
        if self._bandit is None:
            raise gymnasium.error.ResetNeeded("call reset() before the first step()")
        if not self.action_space.contains(action):
            raise ValueError(f"action must be an arm from 0 to {self._settings.arms - 1}, got {action!r}")
        best_arm = int(self._bandit.best_arm)
        step_result = self._bandit.step(torch.tensor([[int(action)]]))
        info = {"regret": float(step_result.metrics["regret"]), "best_arm": best_arm}
        return self._observe(), float(step_result.reward), False, False, info

    def _observe(self) -> NDArray[np.float32]:
        assert self._bandit is not None
        observation: NDArray[np.float32] = self._bandit.observation[0, 0].reshape(-1).numpy().astype(np.float32)
        return observation


for _name in BANDITS:
    gymnasium.register(
        id=f"rasched/{_name.capitalize()}Bandit-v0",
        entry_point=f"{__name__}:BanditEnv",
        kwargs={"bandit": _name},
        max_episode_steps=MAX_EPISODE_STEPS,
    )
