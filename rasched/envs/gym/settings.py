"""Any Gymnasium environment with Box or Discrete spaces: its settings.

Gymnasium is imported when an environment is made, not before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rasched.envs.base import ENVS, EnvSettings
from rasched.validation import check_choice, check_number

if TYPE_CHECKING:
    from rasched.envs.gym.batched_env import GymBatchedEnv

BACKENDS = ("auto", "gymnasium", "envpool")


@ENVS.register("gym")
@dataclass(frozen=True, kw_only=True)
class GymSettings(EnvSettings):
    """``num_envs`` of the environment that Gymnasium knows by ``id``; ``module`` is imported first, to register it.

    ``kwargs`` go to the environment. ``time_limit`` replaces the registered one, in steps. ``normalize_observation``
    and ``normalize_reward`` scale by running statistics, each run's over its own copies, as Stable-Baselines3's
    ``VecNormalize`` does: rewards by the deviation of their sum discounted by ``gamma``. ``frame_stack`` shows the last
    few observations, scaled, along a new first axis.

    ``backend=auto`` takes a NumPy-vectorised version of the environment where its resets can belong to single copies
    (CartPole), and otherwise copies one by one, which give the same episodes. It never takes EnvPool, whose arithmetic
    differs: what a seed means should not depend on what is installed.
    """

    id: str
    module: str | None = None
    kwargs: Mapping[str, Any] = field(default_factory=dict, hash=False)
    num_envs: int = 1
    backend: str = "auto"
    time_limit: int | None = None
    normalize_observation: bool = False
    normalize_reward: bool = False
    gamma: float = 0.99
    frame_stack: int = 1

    def __post_init__(self) -> None:
        if not isinstance(self.kwargs, Mapping):
            raise ValueError(f"env.kwargs must be a mapping, as +env.kwargs.g=9.8 makes it, got {self.kwargs!r}")
        check_choice("env.backend", self.backend, BACKENDS)
        check_number("env.num_envs", self.num_envs, "at least 1", lambda v: v >= 1)
        check_number("env.frame_stack", self.frame_stack, "at least 1", lambda v: v >= 1)
        check_number("env.gamma", self.gamma, "in [0, 1]", lambda v: 0 <= v <= 1)
        if self.time_limit is not None:
            check_number(
                "env.time_limit", self.time_limit, "at least 1 step, or null for the registered one", lambda v: v >= 1
            )

    def make(self, seeds: Sequence[int]) -> GymBatchedEnv:
        """Return the copies of each seed's run; ValueError, in one sentence, where the environment cannot be made."""
        from rasched.envs.gym.batched_env import GymBatchedEnv

        return GymBatchedEnv(self, seeds)
