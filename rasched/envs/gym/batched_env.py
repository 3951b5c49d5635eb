"""Environments of Gymnasium for many runs.

Gymnasium is imported when an environment is made, not with this module: it takes a third of a second.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite, prod
from typing import Annotated, Any, Literal

import numpy as np
import torch
from annotated_types import Ge, Interval
from numpy.typing import NDArray
from torch import Tensor

from rasched.envs.base import ENVS, BatchedEnv, EnvSettings, StepResult
from rasched.envs.gym.backend import Array, Backend
from rasched.envs.gym.frame_stack import FrameStack
from rasched.envs.gym.running_mean_std import RunningMeanStd
from rasched.memory import check_memory
from rasched.rng import RandomStreams
from rasched.validation import check_settings


@ENVS.register("gym")
@dataclass(frozen=True, kw_only=True)
class GymSettings(EnvSettings):
    """Settings of ``num_envs`` environments with the Gymnasium id ``id``. ``module`` is imported first to register it.

    ``kwargs`` are passed to the environment. ``time_limit`` replaces the registered limit, in steps.
    ``normalize_observation`` and ``normalize_reward`` use running statistics over a run's own environments, as
    ``VecNormalize`` of Stable-Baselines3 does: rewards are divided by the standard deviation of the return discounted
    by ``gamma``. ``frame_stack`` stacks the last (normalized) observations along a new first axis.

    ``backend="auto"`` uses a form of the environment that is vectorized with NumPy, if there is one (CartPole, Acrobot,
    Pendulum, MountainCar and MountainCarContinuous), and otherwise steps one environment after the other. Both give the
    same episodes. It never uses EnvPool, which rounds differently: what a seed means should not depend on the packages
    that are installed.
    """

    id: str
    module: str | None = None
    kwargs: Mapping[str, Any] = field(default_factory=dict, hash=False)
    backend: Literal["auto", "gymnasium", "envpool"] = "auto"
    time_limit: Annotated[int, Ge(1)] | None = None  # None: the registered one
    normalize_observation: bool = False
    normalize_reward: bool = False
    gamma: Annotated[float, Interval(ge=0, le=1)] = 0.99
    frame_stack: Annotated[int, Interval(ge=1, le=1_000)] = 1

    def __post_init__(self) -> None:
        check_settings(self, "env.")
        if not isinstance(self.kwargs, Mapping):
            raise ValueError(f"env.kwargs must be a mapping, as in +env.kwargs.g=9.8, got {self.kwargs!r}")

    def make(self, seeds: Sequence[int]) -> GymBatchedEnv:
        """Return the environments of each seed's run; ValueError, in one sentence, if they cannot be made."""
        return GymBatchedEnv(self, seeds, make_backend(self, len(seeds) * self.num_envs))

    def make_test_env(self, num_envs: int, seed: int, state: Mapping[str, Any]) -> GymBatchedEnv:
        """Return environments with new episodes; observations are normalized as at the end of training."""
        settings = replace(self, num_envs=num_envs)
        stats = RunningMeanStd.from_state(state.get("observation_stats"))
        backend = make_backend(settings, num_envs)
        return GymBatchedEnv(settings, [seed], backend, is_eval=True, observation_stats=stats, reset_stream="env/test")


def make_backend(settings: GymSettings, num_envs: int) -> Backend:
    """Return what steps the environments of these settings; ValueError, in one sentence, if they cannot be made."""
    from rasched.envs.gym.acrobot_backend import AcrobotBackend
    from rasched.envs.gym.cartpole_backend import CartPoleBackend
    from rasched.envs.gym.envpool_backend import EnvPoolBackend
    from rasched.envs.gym.lookup import get_spec
    from rasched.envs.gym.mountain_car_backend import MountainCarBackend, MountainCarContinuousBackend
    from rasched.envs.gym.pendulum_backend import PendulumBackend
    from rasched.envs.gym.sync_backend import SyncBackend

    spec = get_spec(settings.id, settings.module)
    backend: type[Backend] = EnvPoolBackend if settings.backend == "envpool" else SyncBackend
    if settings.backend == "auto":
        vectorized = (
            CartPoleBackend,
            AcrobotBackend,
            PendulumBackend,
            MountainCarBackend,
            MountainCarContinuousBackend,
        )
        backend = next((b for b in vectorized if b.supports(spec, num_envs, settings.kwargs)), backend)
    check_memory("env.num_envs", num_envs * backend.BYTES_PER_ENV)
    return backend(spec, num_envs, settings.time_limit, settings.kwargs)


class GymBatchedEnv(BatchedEnv):
    """``num_envs`` environments per run, each seeded once from the random stream of its run.

    If an environment raises an exception, or returns an observation or a reward that is not finite, ``failures`` says
    so for its run. With
    ``is_eval``, rewards are not normalized, and observations are normalized by ``observation_stats``, which stay as
    they are. ``reset_stream`` names the random stream of the first seeds.
    """

    dtype = torch.float32

    def __init__(
        self,
        settings: GymSettings,
        seeds: Sequence[int],
        backend: Backend,
        *,
        is_eval: bool = False,
        observation_stats: RunningMeanStd | None = None,
        reset_stream: str = "env/reset",
    ) -> None:
        from rasched.envs.gym.spaces import ActionDecoder, ObservationEncoder

        self.settings, self.seeds = settings, list(seeds)
        self.num_runs, self.num_envs = len(seeds), settings.num_envs
        self.failures: dict[int, str] = {}
        self._backend, self._is_eval = backend, is_eval
        self.frames_per_second = backend.frames_per_second
        self._observations = ObservationEncoder(backend.observation_space, settings.id)
        self._actions = ActionDecoder(backend.action_space, settings.id)
        self.num_actions, self.action_shape = self._actions.num_actions, self._actions.shape
        self.action_low, self.action_high = self._actions.low, self._actions.high
        self._num_steps = 0
        self._make_stats(observation_stats)
        self._frame_stack = FrameStack(settings.frame_stack) if settings.frame_stack > 1 else None
        frames = (settings.frame_stack,) if self._frame_stack else ()
        self.observation_shape = (*frames, *self._observations.shape)
        num_values = self.num_runs * self.num_envs * prod(self.observation_shape)
        check_memory("env.frame_stack times env.num_envs", num_values * 4 * 3)  # the last stacks, and two new ones
        self._reset(reset_stream)

    def _make_stats(self, observation_stats: RunningMeanStd | None) -> None:
        self._observation_stats, self._return_stats = observation_stats, None
        if not self._is_eval:
            if self.settings.normalize_observation:
                self._observation_stats = RunningMeanStd(self.num_runs, self._observations.shape)
            if self.settings.normalize_reward:
                self._return_stats = RunningMeanStd(self.num_runs, ())
        self._discounted_return = np.zeros((self.num_runs, self.num_envs))

    def _reset(self, stream_name: str) -> None:
        """Reset every environment with a seed from that random stream of its run."""
        uniform = RandomStreams(self.seeds, stream_name).uniform(self.num_envs)
        seeds = (uniform * 2**31).long().flatten().tolist()
        observation = self._replace_nonfinite(self._reshape_obs(self._backend.reset(seeds)))
        self._record_failures()
        if self._observation_stats is not None:
            if not self._is_eval:
                self._observation_stats.update(observation)
            observation = self._observation_stats.standardize(observation)
        if self._frame_stack is not None:
            observation = self._frame_stack.fill(observation)
        self.observation = torch.from_numpy(observation)

    def step(self, action: Tensor) -> StepResult:
        """Step every environment with actions ``(num_runs, num_envs, *action_shape)``.

        Continuous actions are clipped to their bounds. Raises ValueError for another shape.
        """
        shape = self.num_runs, self.num_envs
        if action.shape != (*shape, *self.action_shape):
            expected = (*shape, *self.action_shape)
            raise ValueError(
                f"action must have shape (num_runs, num_envs, *action_shape) = {expected}, got {tuple(action.shape)}"
            )
        step = self._backend.step(self._actions.decode(action))
        self._num_steps += 1
        if self._backend.failures:
            self._record_failures()
        reward = self._replace_nonfinite(step.reward.astype(np.float32, copy=False).reshape(shape), "reward")
        terminated, truncated = step.terminated.reshape(shape), step.truncated.reshape(shape)
        observation = final = self._replace_nonfinite(self._reshape_obs(step.observation))
        has_ended = None  # in most steps no episode ends, and then nothing need look where
        if step.final_observation is not step.observation:
            final = self._replace_nonfinite(self._reshape_obs(step.final_observation))
            has_ended = terminated | truncated
        observation, final = self._preprocess_obs(observation, final, has_ended)
        self.observation = torch.from_numpy(observation)
        return StepResult(
            torch.from_numpy(self._normalize_reward(reward, has_ended)),
            torch.from_numpy(terminated),
            torch.from_numpy(truncated),
            {},
            self.observation if final is observation else torch.from_numpy(final),
            None if self._return_stats is None else torch.from_numpy(reward),
        )

    def _reshape_obs(self, observation: Array) -> Array:
        return self._observations.encode(observation).reshape(self.num_runs, self.num_envs, *self._observations.shape)

    def _preprocess_obs(self, observation: Array, final: Array, has_ended: Array | None) -> tuple[Array, Array]:
        """Normalize and stack the next observations, and those that the step led to."""
        if self._observation_stats is not None:
            is_same = final is observation
            if not self._is_eval:
                self._observation_stats.update(observation)
            observation = self._observation_stats.standardize(observation)
            final = observation if is_same else self._observation_stats.standardize(final)
        if self._frame_stack is not None:
            return self._frame_stack.push(observation, final, has_ended)
        return observation, final

    def _normalize_reward(self, reward: Array, has_ended: Array | None) -> Array:
        if self._return_stats is None:
            return reward
        self._discounted_return = self._discounted_return * self.settings.gamma + reward
        self._return_stats.update(self._discounted_return)
        if has_ended is not None:
            self._discounted_return[has_ended] = 0
        return self._return_stats.divide_by_std(reward)

    def _replace_nonfinite(self, values: Array, what: str = "observation") -> Array:
        """Return the values with 0 in place of those that are not finite, and record which runs failed."""
        # The sum of squares is finite if the values are, unless it overflows: 0.6 us instead of 2.5 for all of them.
        if isfinite(np.vdot(values, values)):
            return values
        is_finite = np.isfinite(values)
        for run_index in np.flatnonzero(~is_finite.reshape(self.num_runs, -1).all(1)).tolist():
            value = values[run_index][~is_finite[run_index]].flat[0]
            self._record_failure(run_index, f"returned the {what} {value}")
        return np.where(is_finite, values, np.zeros_like(values))

    def _record_failures(self) -> None:
        for env_index, what in self._backend.failures.items():
            self._record_failure(env_index // self.num_envs, what)

    def _record_failure(self, run_index: int, what: str) -> None:
        when = f"at its step {self._num_steps}" if self._num_steps else "when it was reset"
        self.failures.setdefault(run_index, f"environment {self.settings.id} {what} {when}")

    def make_eval_env(self, num_envs: int) -> GymBatchedEnv:
        """Return environments for evaluation, whose observations are normalized by this environment's statistics."""
        settings = replace(self.settings, num_envs=num_envs)
        backend = make_backend(settings, self.num_runs * num_envs)
        stats = self._observation_stats
        return GymBatchedEnv(settings, self.seeds, backend, is_eval=True, observation_stats=stats)

    def reset_for_evaluation(self, evaluation: int) -> None:
        """Begin new episodes for the evaluation of this number."""
        self._reset(f"env/evaluation/{evaluation}")

    def make_render_env(self, run_index: int) -> GymBatchedEnv:
        """Return one environment of a run that can be rendered, normalized by the run's statistics as they are now.

        An EnvPool run is shown in Gymnasium's environment of the same id. Raises ValueError if that observes something
        else, or cannot be rendered.
        """
        from rasched.envs.gym.lookup import get_spec
        from rasched.envs.gym.rendering import RenderBackend

        settings = replace(self.settings, num_envs=1)
        unknown_to_gymnasium = ("num_threads",) if settings.backend == "envpool" else ()
        kwargs = {name: value for name, value in settings.kwargs.items() if name not in unknown_to_gymnasium}
        backend = RenderBackend(get_spec(settings.id, settings.module), settings.time_limit, kwargs)
        stats = None if self._observation_stats is None else self._observation_stats.select_run(run_index)
        env = GymBatchedEnv(
            settings,
            [self.seeds[run_index]],
            backend,
            is_eval=True,
            observation_stats=stats,
            reset_stream="env/video",
        )
        if env.observation_shape != self.observation_shape or env.action_shape != self.action_shape:
            raise ValueError(
                f"logger.video must be false with {settings.id} and env.backend={settings.backend}: its observations"
                f" have shape {self.observation_shape}, but {env.observation_shape} in Gymnasium, which renders it"
            )
        return env

    def render(self) -> NDArray[np.uint8]:
        """Return an RGB image ``(height, width, 3)``; ValueError, in one sentence, if that fails."""
        return self._backend.render()

    def close(self) -> None:
        """Release what rendering uses."""
        self._backend.close()

    def policy_state(self, run_index: int) -> dict[str, Any]:
        """Return Gymnasium's spaces, and the statistics by which the observations of a run are normalized."""
        from rasched.envs.gym.spaces import describe_space

        stats = None if self._observation_stats is None else self._observation_stats.select_run(run_index).state_dict()
        return {
            "observation_space": describe_space(self._backend.observation_space),
            "action_space": describe_space(self._backend.action_space),
            "observation_stats": stats,
            "num_frames": self.settings.frame_stack,
        }

    def state_dict(self) -> dict[str, Any]:
        """Return all that changes; ValueError if the environment's state cannot be read."""
        return {
            "num_steps": self._num_steps,
            "observation": self.observation,
            "discounted_return": torch.from_numpy(self._discounted_return),
            "backend": self._backend.state_dict(),
            "stats": [stats.state_dict() for stats in self._all_stats()],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue, bit for bit, from the state of environments with the same settings and seeds."""
        self._backend.load_state_dict(state["backend"])
        self._num_steps, self.observation = state["num_steps"], state["observation"]
        self._discounted_return = state["discounted_return"].numpy().copy()
        for stats, saved in zip(self._all_stats(), state["stats"], strict=True):
            stats.load_state_dict(saved)
        if self._frame_stack is not None:
            self._frame_stack.stack = self.observation.numpy()

    def _all_stats(self) -> list[RunningMeanStd]:
        return [stats for stats in (self._observation_stats, self._return_stats) if stats is not None]
