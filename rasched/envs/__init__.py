"""Environments, stepped as a batch with one row a run; :mod:`rasched.envs.gymnasium` registers the bandits there."""

from rasched.envs.base import ENVS, BatchedEnv, EnvSettings, Outcome
from rasched.envs.bernoulli import BernoulliBandit
from rasched.envs.contextual import ContextualBandit
from rasched.envs.drifting import DriftingBandit
from rasched.envs.gaussian import GaussianBandit
from rasched.envs.gym import GymEnv
from rasched.envs.switching import SwitchingBandit

__all__ = [
    "ENVS",
    "BatchedEnv",
    "BernoulliBandit",
    "ContextualBandit",
    "DriftingBandit",
    "EnvSettings",
    "GaussianBandit",
    "GymEnv",
    "Outcome",
    "SwitchingBandit",
]
