"""Register the bandits in Gymnasium, as ``rasched/GaussianBandit-v0`` and likewise for the other four.

Importing this module registers them. Gymnasium can import it too, if an id names it:
``gymnasium.make("rasched.envs.bandits.registration:rasched/GaussianBandit-v0", arms=5)``. Since version 1.0 Gymnasium
loads no entry points, so one of the two is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box, Discrete, Space
from gymnasium.utils.seeding import np_random
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from rasched.envs import ENVS
from rasched.envs.bandits.base import BanditSettings, BatchedBandit
from rasched.envs.bandits.rendering import draw_arms

BANDITS = ("bernoulli", "contextual", "drifting", "gaussian", "switching")
MAX_EPISODE_STEPS = 1000  # pulls per episode, as in one run of Sutton & Barto's testbed
RENDER_MODES = ["rgb_array"]


class BanditEnv(gymnasium.Env[NDArray[np.float32], np.int64]):
    """A bandit of :data:`rasched.envs.ENVS` by name. The other keywords are its settings.

    An episode is one bandit problem, and only the time limit ends it: an agent that got a new problem with every pull
    could not learn. ``reset(seed=s)`` starts the problem, with the rewards, of ``make([s])``; ``reset()`` starts a new
    one. The contextual bandit shows its context, float32 in [-1, 1]. The others show a constant 1, in a space of
    [0, 1]. ``info`` holds ``best_arm`` and, after a pull, ``regret``, the mean of the best arm minus the mean of the
    pulled one. ``render_mode="rgb_array"`` draws the means of the arms and how often each was pulled in the episode.
    Raises ValueError for a wrong setting and an unknown arm.
    """

    metadata = {"render_modes": RENDER_MODES, "render_fps": 30}

    def __init__(self, bandit: str, render_mode: str | None = None, **settings: Any) -> None:
        self._settings = make_settings(bandit, render_mode, settings)
        self.render_mode = render_mode
        self._bandit: BatchedBandit | None = None
        self.action_space, self.observation_space = make_spaces(self._settings)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start the problem of the seed or, without a seed, a new problem. ``options`` are not used."""
        super().reset(seed=seed)
        self._bandit = self._settings.make([draw_problem_seed(self.np_random) if seed is None else seed])
        self._num_pulls = np.zeros(self._settings.arms, np.int64)
        self._last_arm: int | None = None
        return observe(self._bandit)[0], {"best_arm": int(self._bandit.best_arm)}

    def step(self, action: Any) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Pull one arm, from 0 to ``arms - 1``."""
        if self._bandit is None:
            raise gymnasium.error.ResetNeeded("call reset() before the first step()")
        if not self.action_space.contains(action):
            raise ValueError(f"action must be an arm from 0 to {self._settings.arms - 1}, got {action!r}")
        best_arm, self._last_arm = int(self._bandit.best_arm), int(action)
        step_result = self._bandit.step(torch.tensor([[self._last_arm]]))
        self._num_pulls[self._last_arm] += 1
        info = {"regret": float(step_result.metrics["regret"]), "best_arm": best_arm}
        return observe(self._bandit)[0], float(step_result.reward), False, False, info

    def render(self) -> NDArray[np.uint8] | None:
        """Return an RGB image ``(height, width, 3)``, or None without a render mode."""
        if self.render_mode is None or self._bandit is None:
            return None
        return draw_arms(self._bandit.means.reshape(-1).numpy(), self._num_pulls, self._last_arm)


class BanditVectorEnv(gymnasium.vector.VectorEnv[NDArray[np.float32], NDArray[np.int64], NDArray[Any]]):
    """Many bandits of one kind, stepped as one batch; ``gymnasium.make_vec`` makes it by id.

    Its numbers are those of ``SyncVectorEnv`` over :class:`BanditEnv`: bandit i is seeded with ``seed + i``,
    and the step after the last of an episode resets all of them. All episodes have the same length, so they end
    together.
    """

    # Gymnasium 1.0 has no AutoresetMode, and always resets in the next step.
    metadata: dict[str, Any] = {"render_modes": RENDER_MODES, "render_fps": 30}
    if hasattr(gymnasium.vector, "AutoresetMode"):
        metadata["autoreset_mode"] = gymnasium.vector.AutoresetMode.NEXT_STEP

    def __init__(
        self,
        bandit: str,
        num_envs: int = 1,
        max_episode_steps: int | None = MAX_EPISODE_STEPS,
        render_mode: str | None = None,
        **settings: Any,
    ) -> None:
        self._settings = make_settings(bandit, render_mode, settings)
        self.num_envs, self.render_mode = num_envs, render_mode
        self._max_episode_steps = max_episode_steps
        self._bandit: BatchedBandit | None = None
        self._generators: list[np.random.Generator] = [np_random()[0] for _ in range(num_envs)]
        self.single_action_space, self.single_observation_space = make_spaces(self._settings)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.observation_space = batch_space(self.single_observation_space, num_envs)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start the problems of the seeds or, without seeds, new problems. ``options`` are not used."""
        seeds = list(range(seed, seed + self.num_envs)) if isinstance(seed, int) else seed or [None] * self.num_envs
        for index, problem_seed in enumerate(seeds):
            if problem_seed is not None:
                self._generators[index] = np_random(problem_seed)[0]
        self._bandit = self._settings.make(
            [
                draw_problem_seed(generator) if problem_seed is None else problem_seed
                for generator, problem_seed in zip(self._generators, seeds, strict=True)
            ]
        )
        self._num_steps = 0
        self._num_pulls = np.zeros((self.num_envs, self._settings.arms), np.int64)
        self._last_arms: NDArray[np.int64] | None = None
        return observe(self._bandit), self._infos(best_arm=self._bandit.best_arm.reshape(-1).numpy())

    def step(
        self, actions: Any
    ) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Pull one arm of each bandit, int64 ``(num_envs,)``, or reset them if the last step ended their episodes."""
        if self._bandit is None:
            raise gymnasium.error.ResetNeeded("call reset() before the first step()")
        never = np.zeros(self.num_envs, bool)
        if self._num_steps == self._max_episode_steps:
            observation, infos = self.reset()
            return observation, np.zeros(self.num_envs), never, never.copy(), infos
        arms = np.asarray(actions, np.int64)
        if not self.action_space.contains(arms):
            raise ValueError(
                f"actions must be {self.num_envs} arms from 0 to {self._settings.arms - 1}, got {actions!r}"
            )
        best_arm = self._bandit.best_arm.reshape(-1).numpy()
        step_result = self._bandit.step(torch.from_numpy(arms)[:, None])
        self._num_steps += 1
        self._num_pulls[np.arange(self.num_envs), arms] += 1
        self._last_arms = arms
        truncated = np.full(self.num_envs, self._num_steps == self._max_episode_steps)
        infos = self._infos(regret=step_result.metrics["regret"].numpy(), best_arm=best_arm)
        return observe(self._bandit), step_result.reward[:, 0].numpy().copy(), never, truncated, infos

    def _infos(self, **values: NDArray[Any]) -> dict[str, Any]:
        """Return the values with the mask that Gymnasium adds to each, which says that all bandits have one."""
        masks = {f"_{name}": np.ones(self.num_envs, bool) for name in values}
        return {**{name: value.copy() for name, value in values.items()}, **masks}

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """Return one RGB image per bandit, or None without a render mode."""
        if self.render_mode is None or self._bandit is None:
            return None
        means = self._bandit.means.reshape(self.num_envs, -1).numpy()
        last_arms = [None] * self.num_envs if self._last_arms is None else self._last_arms.tolist()
        return tuple(draw_arms(*arms) for arms in zip(means, self._num_pulls, last_arms, strict=True))


def make_settings(bandit: str, render_mode: str | None, settings: dict[str, Any]) -> BanditSettings:
    """Return the checked settings of a bandit; ValueError for a wrong one and for an unknown render mode."""
    if settings.get("num_envs", 1) != 1:
        raise ValueError(f"env.num_envs must be 1 in Gymnasium, which pulls one arm, got {settings['num_envs']!r}")
    if render_mode not in (None, *RENDER_MODES):
        raise ValueError(f"render_mode must be None or {' or '.join(RENDER_MODES)}, got {render_mode!r}")
    bandit_settings = ENVS.build({"name": bandit, **settings})
    if not isinstance(bandit_settings, BanditSettings):
        raise ValueError(f"bandit must be one of {', '.join(BANDITS)}, got {bandit!r}")
    return bandit_settings


def make_spaces(settings: BanditSettings) -> tuple[Space[Any], Space[Any]]:
    """Return the action and the observation space of one bandit."""
    features = getattr(settings, "features", None)
    observation_space = Box(-1, 1, (features,), np.float32) if features else Box(0, 1, (1,), np.float32)
    return Discrete(settings.arms), observation_space


def draw_problem_seed(generator: np.random.Generator) -> int:
    """Return the seed of a new problem."""
    return int(generator.integers(2**63))


def observe(bandit: BatchedBandit) -> NDArray[np.float32]:
    """Return what each run of a bandit observes, float32 ``(num_runs, features)``."""
    observation: NDArray[np.float32] = bandit.observation.reshape(bandit.num_runs, -1).numpy().astype(np.float32)
    return observation


for _name in BANDITS:
    gymnasium.register(
        id=f"rasched/{_name.capitalize()}Bandit-v0",
        entry_point=f"{__name__}:BanditEnv",
        vector_entry_point=f"{__name__}:BanditVectorEnv",
        kwargs={"bandit": _name},
        max_episode_steps=MAX_EPISODE_STEPS,
    )
