"""A trained policy: its weights, and what is needed to choose actions and to play episodes with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from rasched.agents import AGENTS, Agent, AgentSettings
from rasched.agents.actor_critic import copy_parameters
from rasched.envs import ENVS, BatchedEnv, EnvSettings
from rasched.envs.gym.frame_stack import FrameStack
from rasched.envs.gym.running_mean_std import RunningMeanStd
from rasched.errors import RunFailed, UsageError
from rasched.registry import build_class
from rasched.train.evaluation import play_episodes
from rasched.train.video import Video, record_video

MAX_EPISODE_STEPS = 100_000  # an environment without a time limit may never end an episode
_INPUTS = (
    "dtype",
    "observation_shape",
    "num_actions",
    "action_shape",
    "action_low",
    "action_high",
    "is_bandit",
)


def policy_state(agent: Agent, env: BatchedEnv, slot: int) -> dict[str, Any]:
    """Return a copy of the policy in one slot of a batch, as tensors and plain values.

    ``parameters`` are those of the agent, each ``(1, ...)``; ``inputs`` describe what the agent reads and writes;
    ``env_state`` is that of :meth:`rasched.envs.BatchedEnv.policy_state`.
    """
    inputs = {name: getattr(env, name) for name in _INPUTS} | {"dtype": str(env.dtype).removeprefix("torch.")}
    return {
        "parameters": [parameter[slot : slot + 1].detach().clone() for parameter in agent.parameters],
        "inputs": {name: value.clone() if isinstance(value, Tensor) else value for name, value in inputs.items()},
        "env_state": env.policy_state(slot),
    }


@dataclass
class _AgentInputs:
    """The environment of one run as far as an agent is built for it; it cannot be stepped."""

    dtype: torch.dtype
    observation_shape: tuple[int, ...]
    num_actions: int | None
    action_shape: tuple[int, ...]
    action_low: Tensor | None
    action_high: Tensor | None
    is_bandit: bool
    num_runs: int = 1
    num_envs: int = 1
    observation: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.observation = torch.ones(1, 1, *self.observation_shape, dtype=self.dtype)

    def step(self, action: Tensor) -> Any:
        raise NotImplementedError("a policy does not train")


class Policy:
    """The deterministic policy of a trained run.

    ``config`` has the settings ``agent`` and ``env`` that it was trained with. Building one imports the classes that
    these name, so that the policy of a stranger must be checked before (:mod:`rasched.records.trust`).
    """

    def __init__(self, content: Mapping[str, Any]) -> None:
        """Build the policy of :func:`policy_state`, with ``agent`` and ``env`` added."""
        self.config = {name: content[name] for name in ("agent", "env")}
        inputs = {**content["inputs"], "dtype": getattr(torch, content["inputs"]["dtype"])}
        tuples = {name: tuple(inputs[name]) for name in ("observation_shape", "action_shape")}
        self._env_state = content["env_state"]
        self._agent_inputs = _AgentInputs(**{**inputs, **tuples})
        settings: AgentSettings = _build(AGENTS, "agent", content, AgentSettings)
        self._agent = settings.make(self._agent_inputs, [0])
        copy_parameters(self._agent.parameters, content["parameters"])
        self._preprocessor = _Preprocessor(self._env_state, self._agent_inputs)

    @property
    def is_bandit(self) -> bool:
        """Whether every step of the environment is an episode."""
        return self._agent_inputs.is_bandit

    def reset(self) -> None:
        """Begin a new episode: needed only for a policy with ``env.frame_stack``."""
        self._preprocessor.reset()

    @torch.no_grad()
    def act(self, observation: ArrayLike | None = None) -> Any:
        """Return the action for an observation, as Gymnasium's ``env.step`` takes it.

        ``observation`` is one observation of the environment, not normalized, or a batch ``(num_envs, ...)``, which
        gives an array of actions. A bandit without a context needs none.

        Raises:
            ValueError: The observation has another shape, or the agent has no deterministic policy.

        """
        inputs, is_batch = self._preprocessor.prepare(observation)
        actions = self._preprocessor.decode(self._agent.act(inputs)[0])
        if is_batch:
            return actions
        return actions[0] if actions[0].ndim else actions[0].item()

    @torch.no_grad()
    def play(self, episodes: int, seed: int = 0) -> NDArray[np.float64]:
        """Return the returns of fresh episodes, ``(episodes,)``; of a bandit, the rewards of as many pulls.

        No number of training is used again: another ``seed`` gives other episodes.

        Raises:
            UsageError: The environment cannot be made, or an episode does not end.
            RunFailed: The environment failed.

        """
        total = torch.zeros(1, episodes, dtype=torch.float64)
        env = self.make_env(episodes, seed)
        for step, reward in enumerate(play_episodes(self._agent.act, env)):
            if step == MAX_EPISODE_STEPS:
                raise UsageError(f"an episode has not ended after {step:,} steps: env.time_limit sets a limit")
            total += reward
        if env.failures:
            raise RunFailed(env.failures[0])
        return total[0].numpy()

    def record(self, seed: int = 0) -> Video:
        """Record one episode; ValueError if the environment cannot be rendered."""
        return record_video(self._agent, self.make_env(1, seed), 0)

    def make_env(self, num_envs: int, seed: int) -> BatchedEnv:
        """Return the environments of :meth:`play`; UsageError if they cannot be made."""
        try:
            settings: EnvSettings = _build(ENVS, "env", self.config, EnvSettings)
            return settings.make_test_env(num_envs, seed, self._env_state)
        except ValueError as error:
            raise UsageError(str(error)) from error


def _build(registry: Any, group: str, config: Mapping[str, Any], base: type[Any]) -> Any:
    node = config[group]
    return build_class(group, node, base) if "_target_" in node else registry.build(node)


class _Preprocessor:
    """From an observation of the environment to an agent's input, and from its output to an action."""

    def __init__(self, env_state: Mapping[str, Any], inputs: _AgentInputs) -> None:
        self._space, self._action_space = env_state["observation_space"], env_state["action_space"]
        self._is_discrete = self._space["kind"] == "discrete"
        self._shape = () if self._is_discrete else tuple(self._space["shape"])
        self._has_observation = bool(inputs.observation_shape)
        self._dtype, self._default = inputs.dtype, inputs.observation
        self._stats = RunningMeanStd.from_state(env_state.get("observation_stats"))
        self._num_frames = env_state.get("num_frames", 1)
        self.reset()

    def reset(self) -> None:
        self._frame_stack = FrameStack(self._num_frames) if self._num_frames > 1 else None
        self._is_first = True

    def prepare(self, observation: ArrayLike | None) -> tuple[Tensor, bool]:
        """Return the input ``(1, num_envs, ...)``, and whether the observation is a batch."""
        if not self._has_observation:
            return self._default, False
        array = np.asarray(observation)
        is_batch = array.ndim == len(self._shape) + 1
        if array.shape[is_batch:] != self._shape or observation is None:
            raise ValueError(f"an observation must have shape {self._shape}, or (num_envs, ...), got {array.shape}")
        values = self._encode(array if is_batch else array[None])[None]
        if self._stats is not None:
            values = self._stats.standardize(values)
        if self._frame_stack is not None:
            first, self._is_first = self._is_first, False
            values = self._frame_stack.fill(values) if first else self._frame_stack.push(values, values, None)[0]
        return torch.from_numpy(values).to(self._dtype), is_batch

    def _encode(self, observations: NDArray[Any]) -> NDArray[Any]:
        if self._is_discrete:
            one_hot: NDArray[np.float32] = np.eye(self._space["n"], dtype=np.float32)
            encoded: NDArray[np.float32] = one_hot[observations.astype(np.int64) - self._space["start"]]
            return encoded
        return np.ascontiguousarray(observations, np.float32 if self._dtype == torch.float32 else np.float64)

    def decode(self, action: Tensor) -> NDArray[Any]:
        """Return the actions ``(num_envs, ...)`` of the environment; continuous ones are clipped to their bounds."""
        space = self._action_space
        values: NDArray[Any] = action.numpy()
        if space["kind"] == "discrete":
            return values + int(space["start"])
        if "low" in space:
            values = np.clip(values, space["low"].numpy(), space["high"].numpy())
        return values.astype(space["dtype"])
