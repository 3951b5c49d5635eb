"""Small Gymnasium environments with something to find out about; importing this module registers them."""

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
        self.steps, self.taken, self.place, self.last = steps, 0, 0.0, 0.0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.place, self.taken = float(self.np_random.random()), 0
        return self.seen(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action), action
        self.last = float(np.sum(action))
        self.place += self.last + float(self.np_random.random())
        self.taken += 1
        return self.seen(), self.last, abs(self.place) > 3, self.taken >= self.steps, {}

    def seen(self) -> Any:
        if isinstance(self.observation_space, Discrete):
            return int(abs(self.place)) % int(self.observation_space.n)
        return np.array([self.place, self.taken])


class Breaking(Walk):
    """After 5 steps in all, the environments of unlucky seeds give what is no number."""

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


class Sealed(Walk):
    """Keeps its state in an object of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.world = object()


class Pair(Walk):
    def __init__(self) -> None:
        super().__init__()
        self.observation_space = Tuple((Discrete(2), Discrete(2)))


def missing() -> None:
    import a_package_that_nobody_has  # noqa: F401


for _name, _entry in {"Walk": Walk, "Breaking": Breaking, "Sealed": Sealed, "Pair": Pair, "Missing": missing}.items():
    gymnasium.register(f"rasched-test/{_name}-v0", _entry)
