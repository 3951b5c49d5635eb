"""Gymnasium environments of many runs, as a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rasched.envs.base import BatchedEnv, StepResult
from rasched.envs.gym.backend import Array, Backend
from rasched.envs.gym.cartpole_backend import CartPoleBackend
from rasched.envs.gym.envpool_backend import EnvPoolBackend
from rasched.envs.gym.frame_stack import FrameStack
from rasched.envs.gym.lookup import find
from rasched.envs.gym.running_mean_std import RunningMeanStd
from rasched.envs.gym.settings import GymSettings
from rasched.envs.gym.spaces import Actions, Observations
from rasched.envs.gym.sync_backend import SyncBackend
from rasched.rng import RandomStreams


class GymBatchedEnv(BatchedEnv):
    """``num_envs`` environments a run; each is seeded once from its run's own stream, and goes on from there.

    A run whose environment gives an observation or a reward that is not finite is named in ``failures``.
    """

    dtype = torch.float32

    def __init__(
        self, settings: GymSettings, seeds: Sequence[int], normalize_like: GymBatchedEnv | None = None
    ) -> None:
        self.settings, self.seeds = settings, list(seeds)
        self.num_runs, self.num_envs = len(seeds), settings.num_envs
        self.failures: dict[int, str] = {}
        self._backend = self._make_backend()
        self._observations = Observations(self._backend.observation_space, settings.id)
        self._actions = Actions(self._backend.action_space, settings.id)
        self.num_actions, self.action_shape = self._actions.num_actions, self._actions.shape
        self.action_low, self.action_high = self._actions.low, self._actions.high
        self._steps = 0
        self._is_eval_env = normalize_like is not None
        self._make_scales(normalize_like)
        self._frames = FrameStack(settings.frame_stack) if settings.frame_stack > 1 else None
        frames = (settings.frame_stack,) if self._frames else ()
        self.observation_shape = (*frames, *self._observations.shape)
        self._begin("env/reset")

    def _make_backend(self) -> Backend:
        return _backend(self.settings, self.num_runs * self.num_envs)

    def _make_scales(self, other: GymBatchedEnv | None) -> None:
        shape = self._observations.shape
        self._scale = RunningMeanStd(self.num_runs, shape) if self.settings.normalize_observation else None
        self._reward_scale = RunningMeanStd(self.num_runs, ()) if self.settings.normalize_reward else None
        self._discounted = np.zeros((self.num_runs, self.num_envs))
        if other is not None:  # rewards of an evaluation stay as they are
            self._scale, self._reward_scale = other._scale, None

    def _begin(self, purpose: str) -> None:
        """Reset every copy by a seed from its run's stream of that purpose."""
        u = RandomStreams(self.seeds, purpose).uniform(self.num_envs)
        observation = self._finite(self._arranged(self._backend.reset((u * 2**31).long().flatten().tolist())))
        if self._scale is not None:
            if not self._is_eval_env:
                self._scale.update(observation)
            observation = self._scale.standardize(observation)
        if self._frames is not None:
            observation = self._frames.fill(observation)
        self.observation = torch.from_numpy(observation)

    def step(self, action: Tensor) -> StepResult:
        """Step every copy; actions ``(runs, num_envs, *action_shape)``, continuous ones are clipped to their bounds.

        Raises ValueError for another shape.
        """
        if action.shape != (self.num_runs, self.num_envs, *self.action_shape):
            expected = (self.num_runs, self.num_envs, *self.action_shape)
            raise ValueError(
                f"action must have shape (runs, num_envs, *action_shape) = {expected}, got {tuple(action.shape)}"
            )
        moved = self._backend.step(self._actions.decode(action))
        self._steps += 1
        pulls = self.num_runs, self.num_envs
        reward = self._finite(moved.reward.astype(np.float32, copy=False).reshape(pulls), "reward")
        terminated, truncated = moved.terminated.reshape(pulls), moved.truncated.reshape(pulls)
        over = terminated | truncated
        observation = self._finite(self._arranged(moved.observation))
        final = observation if moved.final is moved.observation else self._finite(self._arranged(moved.final))
        observation, final = self._shown(observation, final, over)
        self.observation = torch.from_numpy(observation)
        return StepResult(
            torch.from_numpy(self._rescaled(reward, over)),
            torch.from_numpy(terminated),
            torch.from_numpy(truncated),
            {},
            self.observation if final is observation else torch.from_numpy(final),
            None if self._reward_scale is None else torch.from_numpy(reward),
        )

    def _arranged(self, raw: Array) -> Array:
        return self._observations.encode(raw).reshape(self.num_runs, self.num_envs, *self._observations.shape)

    def _shown(self, observation: Array, final: Array, over: Array) -> tuple[Array, Array]:
        """Return what the agent sees of the next observations, and of what the step led to."""
        apart = final is not observation
        if self._scale is not None:
            if not self._is_eval_env:
                self._scale.update(observation)
            observation = self._scale.standardize(observation)
            final = self._scale.standardize(final) if apart else observation
        if self._frames is not None:
            return self._frames.push(observation, final, over)
        return observation, final

    def _rescaled(self, reward: Array, over: Array) -> Array:
        if self._reward_scale is None:
            return reward
        self._discounted = self._discounted * self.settings.gamma + reward
        self._reward_scale.update(self._discounted)
        self._discounted[over] = 0
        return self._reward_scale.rescale(reward)

    def _finite(self, values: Array, what: str = "observation") -> Array:
        """Return the values with 0 for what is not finite, and note the runs that it came from as failed."""
        if np.isfinite(values).all():
            return values
        broken = np.flatnonzero(~np.isfinite(values).reshape(self.num_runs, -1).all(1))
        for run in broken.tolist():
            bad = values[run][~np.isfinite(values[run])].flat[0]
            when = f"at its step {self._steps}" if self._steps else "when it was reset"
            self.failures.setdefault(run, f"environment {self.settings.id} gave {bad} as {what} {when}")
        return np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)

    def make_eval_env(self, num_envs: int) -> GymBatchedEnv:
        """Return copies for evaluation: raw rewards, and observations scaled by this environment's statistics."""
        return GymBatchedEnv(replace(self.settings, num_envs=num_envs), self.seeds, normalize_like=self)

    def reset_for_evaluation(self, evaluation: int) -> None:
        """Begin all episodes anew, for the evaluation of this number."""
        self._begin(f"env/evaluation/{evaluation}")

    def make_render_env(self, run: int) -> GymBatchedEnv:
        """Return one copy that can be drawn; a run of EnvPool's is shown in Gymnasium's environment of that id."""
        from rasched.envs.gym.rendering import RenderedGym

        return RenderedGym(self, run)

    def state_dict(self) -> dict[str, Any]:
        """Return what moves; ValueError where the environment keeps its state to itself."""
        return {
            "steps": self._steps,
            "observation": self.observation,
            "discounted": torch.from_numpy(self._discounted),
            "backend": self._backend.state_dict(),
            "scales": [scale.state_dict() for scale in (self._scale, self._reward_scale) if scale],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on, bit for bit, from the state of environments with the same settings and seeds."""
        self._backend.load_state_dict(state["backend"])
        self._steps, self.observation = state["steps"], state["observation"]
        self._discounted = state["discounted"].numpy().copy()
        for scale, saved in zip((s for s in (self._scale, self._reward_scale) if s), state["scales"], strict=True):
            scale.load_state_dict(saved)
        if self._frames is not None:
            self._frames.stack = self.observation.numpy()


def _backend(settings: GymSettings, count: int) -> Backend:
    spec = find(settings.id, settings.module)
    vectorised = settings.backend == "auto" and CartPoleBackend.serves(spec, count)
    kind = EnvPoolBackend if settings.backend == "envpool" else CartPoleBackend if vectorised else SyncBackend
    return kind(spec, count, settings.time_limit, settings.kwargs)
