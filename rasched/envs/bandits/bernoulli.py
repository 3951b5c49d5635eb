"""A bandit whose rewards are 0 or 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Ge
from torch import Tensor

from rasched.envs.bandits.base import BanditSettings, BatchedBandit
from rasched.envs.base import ENVS


@ENVS.register("bernoulli")
@dataclass(frozen=True, kw_only=True)
class BernoulliBanditSettings(BanditSettings):
    """Settings of a bandit whose arm a pays 1 with probability p_a, else 0.

    The probabilities are drawn from the uniform distribution on [0, 1), once per run, and again after every
    ``switch_every`` steps unless that is None. The agent does not observe when this happens.
    """

    switch_every: Annotated[int, Ge(1)] | None = None

    def make(self, seeds: Sequence[int]) -> BernoulliBandit:
        """Return the bandits of ``len(seeds)`` runs, one seed per run."""
        return BernoulliBandit(self, seeds)


class BernoulliBandit(BatchedBandit):
    """Bernoulli bandits of many runs. If they switch, all do at the same steps, each to means of its own."""

    def __init__(self, settings: BernoulliBanditSettings, seeds: Sequence[int]) -> None:
        super().__init__(settings, seeds, ("problem", "noise"))
        self._switch_every, self._num_steps = settings.switch_every, 0
        self._sample_means()

    def state_dict(self) -> dict[str, Any]:
        """Return the means of the arms, the position in each random stream, and the number of steps."""
        return {**super().state_dict(), "num_steps": self._num_steps}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue, bit for bit, from the state of a bandit with the same settings and seeds."""
        super().load_state_dict(state)
        self._num_steps = state["num_steps"]

    def _sample_means(self) -> None:
        # A copy: the sample is a view of a whole block of the stream, all of which a saved state would hold.
        self._set_means(self._streams["problem"].uniform(self.num_actions).clone())

    def _advance_means(self) -> None:
        self._num_steps += 1
        if self._switch_every is not None and self._num_steps % self._switch_every == 0:
            self._sample_means()

    def _sample_reward(self, mean: Tensor) -> Tensor:
        return (self._streams["noise"].uniform(self.num_envs) < mean).to(self.dtype)
