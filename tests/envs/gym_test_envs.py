"""Small Gymnasium environments for tests. Importing this module registers them."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete, Tuple


class Walk(gymnasium.Env[Any, Any]):
    """A sum of uniform steps and actions; an episode ends at 3, or when ``steps`` are over."""

    def __init__(self, steps: int = 10, actions: int = 0, observations: int = 0) -> None:
        self.observation_space = Discrete(observations) if observations else Box(-np.inf, np.inf, (2,), np.float64)
        self.action_space = Discrete(actions, start=5) if actions else Box(-1.0, 2.0, (1,), np.float32)
        self.steps, self.num_steps, self.position, self.last_action = steps, 0, 0.0, 0.0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.position, self.num_steps = float(self.np_random.random()), 0
        return self.observe(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action), action
        self.last_action = float(np.sum(action))
        self.position += self.last_action + float(self.np_random.random())
        self.num_steps += 1
        return self.observe(), self.last_action, abs(self.position) > 3, self.num_steps >= self.steps, {}

    def observe(self) -> Any:
        if isinstance(self.observation_space, Discrete):
            return int(abs(self.position)) % int(self.observation_space.n)
        return np.array([self.position, self.num_steps])


class Breaking(Walk):
    """After 5 steps in all, the environments of unlucky seeds return what is not finite."""

    def __init__(self, what: str = "observation", share: float = 0.5) -> None:
        super().__init__(steps=100)
        self.what, self.share, self.total = what, share, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        first = super().reset(seed=seed)
        if seed is not None:
            self.unlucky = float(self.np_random.random()) < self.share
        return first

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = super().step(action)
        self.total += 1
        if self.unlucky and self.total == 5:
            return (
                (observation * np.nan, reward, False, False, info)
                if self.what == "observation"
                else (observation, float("inf"), False, False, info)
            )
        return observation, reward, terminated, truncated, info


class Faulty(Walk):
    """Does what ``fault`` says at the third step in all of the environments with unlucky seeds."""

    faults = {
        "raise": None,
        "text": {"reward": "1.0"},
        "complex": {"reward": 1j},
        "pair": {"reward": np.array([1.0, 2.0])},
        "none": {"reward": None},
        "huge": {"reward": 10**400},
        "text observed": {"observation": "0.5"},
        "short": {"observation": np.zeros(1)},
        "scalar": {"observation": 0.0},
        "unclear end": {"terminated": np.array([True, False])},
        "reset": None,
    }

    def __init__(self, fault: str) -> None:
        super().__init__(steps=4)
        self.fault, self.total, self.unlucky = fault, 0, False

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        if self.fault == "reset" and self.unlucky and seed is None:
            raise RuntimeError("no track\nleft")
        first = super().reset(seed=seed)
        if seed is not None:
            self.unlucky = float(self.np_random.random()) < 0.3
        return first

    def step(self, action: Any) -> tuple[Any, Any, Any, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = super().step(action)
        self.total += 1
        if self.unlucky and self.total == 3 and self.fault != "reset":
            if self.fault == "raise":
                raise RuntimeError("the track has\nended")
            result = {"observation": observation, "reward": reward, "terminated": terminated, **self.faults[self.fault]}
            return result["observation"], result["reward"], result["terminated"], truncated, info
        return observation, reward, terminated, truncated, info


class Sealed(Walk):
    """Keeps its state in an object that cannot be read."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = object()


class Painted(Walk):
    """Renders its step, last action and position as stripes of red, green and blue."""

    metadata = {"render_modes": ["ansi", "rgb_array"], "render_fps": 25}

    def __init__(self, render_mode: str | None = None, draws: int = 10**9, wall: float = 3.0, **walk: int) -> None:
        super().__init__(**walk)
        self.render_mode, self.draws, self.wall = render_mode, draws, wall

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        observation, reward, _, truncated, info = super().step(action)
        return observation, reward, abs(self.position) > self.wall, truncated, info

    def render(self) -> Any:
        if self.num_steps > self.draws:
            raise RuntimeError("the paint has dried\nup")
        if self.render_mode != "rgb_array":
            return None
        stripes = np.diag([self.num_steps, *np.clip([20 * self.last_action + 100, 30 * self.position + 140], 64, 255)])
        return stripes.astype(np.uint8).repeat(20, 0)[:, None].repeat(40, 1)


class Mute(Painted):
    """Declares rgb_array, but renders nothing."""

    def render(self) -> Any:
        return None


class Pair(Walk):
    def __init__(self) -> None:
        super().__init__()
        self.observation_space = Tuple((Discrete(2), Discrete(2)))


def missing() -> None:
    import a_package_that_nobody_has  # noqa: F401


for _env_class in (Walk, Breaking, Faulty, Sealed, Painted, Mute, Pair):
    gymnasium.register(f"rasched-test/{_env_class.__name__}-v0", _env_class)
gymnasium.register("rasched-test/Missing-v0", missing)
