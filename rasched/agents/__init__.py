"""Agents: what turns experience into a loss, one learner a run along the leading axis."""

from rasched.agents.a2c import A2C
from rasched.agents.base import AGENTS, Agent, AgentSettings, Update, World
from rasched.agents.dqn import DQN
from rasched.agents.ppo import PPO
from rasched.agents.reinforce import Reinforce

__all__ = ["A2C", "AGENTS", "Agent", "AgentSettings", "DQN", "PPO", "Reinforce", "Update", "World"]
