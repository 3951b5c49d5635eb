"""Environments, stepped as a batch with one row per run."""

from rasched.envs.bandits.bernoulli import BernoulliBanditSettings
from rasched.envs.bandits.contextual import ContextualBanditSettings
from rasched.envs.bandits.drifting import DriftingBanditSettings
from rasched.envs.bandits.gaussian import GaussianBanditSettings
from rasched.envs.bandits.switching import SwitchingBanditSettings
from rasched.envs.base import ENVS, BatchedEnv, EnvSettings, StepResult
from rasched.envs.gym.batched_env import GymSettings

__all__ = [
    "ENVS",
    "BatchedEnv",
    "BernoulliBanditSettings",
    "ContextualBanditSettings",
    "DriftingBanditSettings",
    "EnvSettings",
    "GaussianBanditSettings",
    "GymSettings",
    "StepResult",
    "SwitchingBanditSettings",
]
