"""Agents: what turns experience into a loss, one learner a run along the leading axis."""

from rasched.agents.base import AGENTS, Agent, AgentSettings, Update, World
from rasched.agents.reinforce import Reinforce

__all__ = ["AGENTS", "Agent", "AgentSettings", "Reinforce", "Update", "World"]
