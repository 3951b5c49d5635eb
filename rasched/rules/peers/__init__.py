"""Published ways to set the learning rate, each with its equation, its source and its source's defaults."""

from rasched.rules.peers.bandit import RateBandit
from rasched.rules.peers.decay import CosineDecay, LinearDecay
from rasched.rules.peers.greedy import Greedy
from rasched.rules.peers.kl_adaptive import KLAdaptive
from rasched.rules.peers.plateau import Plateau

__all__ = ["CosineDecay", "Greedy", "KLAdaptive", "LinearDecay", "Plateau", "RateBandit"]
