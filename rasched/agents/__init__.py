"""Agents: they turn experience into losses, one agent per run along the leading axis."""

from rasched.agents.a2c import A2CSettings
from rasched.agents.base import AGENTS, Agent, AgentSettings, GradientStep, VectorEnv
from rasched.agents.dqn import DQNSettings
from rasched.agents.ppo import PPOSettings
from rasched.agents.reinforce import ReinforceSettings

__all__ = [
    "A2CSettings",
    "AGENTS",
    "Agent",
    "AgentSettings",
    "DQNSettings",
    "PPOSettings",
    "ReinforceSettings",
    "GradientStep",
    "VectorEnv",
]
