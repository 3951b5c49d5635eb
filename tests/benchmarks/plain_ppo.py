"""PPO on CartPole as a loop in one file, in the manner of CleanRL: plain torch, and nothing between it and the reader.

What the benchmark of the agents compares with. As there: Gymnasium's environments one after another, two networks of
``nn.Sequential``, ``torch.distributions``, a storage of tensors. The rate does not fall, and values are not clipped.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from torch import Tensor, nn
from torch.distributions import Categorical


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The hyperparameters, under CleanRL's names."""

    num_envs: int = 4
    num_steps: int = 128
    num_minibatches: int = 4
    update_epochs: int = 4
    learning_rate: float = 2.5e-4
    gamma: float = 0.99
    gae_lambda: float = 0.95
    clip_coef: float = 0.2
    ent_coef: float = 0.01
    vf_coef: float = 0.5
    max_grad_norm: float = 0.5


def layer(inputs: int, outputs: int, gain: float = sqrt(2)) -> nn.Linear:
    made = nn.Linear(inputs, outputs)
    nn.init.orthogonal_(made.weight, gain)
    nn.init.zeros_(made.bias)
    return made


class Networks(nn.Module):
    def __init__(self, inputs: int, actions: int) -> None:
        super().__init__()
        self.critic = nn.Sequential(layer(inputs, 64), nn.Tanh(), layer(64, 64), nn.Tanh(), layer(64, 1, 1.0))
        self.actor = nn.Sequential(layer(inputs, 64), nn.Tanh(), layer(64, 64), nn.Tanh(), layer(64, actions, 0.01))

    def act_and_value(self, x: Tensor, action: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        choice = Categorical(logits=self.actor(x))
        if action is None:
            action = choice.sample()
        return action, choice.log_prob(action), choice.entropy(), self.critic(x).flatten()


def learn(settings: Settings, steps: int, seed: int = 0) -> tuple[int, list[float]]:
    """Train for at least so many environment steps; return how many there were, and the episodes' returns."""
    s = settings
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)

    def one() -> gymnasium.Env[Any, Any]:
        return gymnasium.wrappers.RecordEpisodeStatistics(gymnasium.make("CartPole-v1"))

    envs = SyncVectorEnv([one] * s.num_envs, autoreset_mode=AutoresetMode.SAME_STEP)
    networks = Networks(4, 2)
    optimizer = torch.optim.Adam(networks.parameters(), lr=s.learning_rate, eps=1e-5)
    shape = (s.num_steps, s.num_envs)
    observations, actions = torch.zeros(*shape, 4), torch.zeros(shape, dtype=torch.int64)
    log_probs, rewards, dones, values = (torch.zeros(shape) for _ in range(4))
    batch = s.num_steps * s.num_envs
    following, done = torch.from_numpy(envs.reset(seed=seed)[0]), torch.zeros(s.num_envs)
    returned: list[float] = []
    taken = 0
    while taken < steps:
        for t in range(s.num_steps):
            taken += s.num_envs
            observations[t], dones[t] = following, done
            with torch.no_grad():
                actions[t], log_probs[t], _, values[t] = networks.act_and_value(following)
            seen, reward, terminated, truncated, infos = envs.step(actions[t].numpy())
            rewards[t] = torch.from_numpy(reward)
            following, done = torch.from_numpy(seen), torch.from_numpy(terminated | truncated).float()
            if "final_info" in infos:
                over = infos["final_info"]["_episode"]
                returned += infos["final_info"]["episode"]["r"][over].tolist()

        with torch.no_grad():
            next_value = networks.critic(following).flatten()
            advantages, carried = torch.zeros(shape), torch.zeros(s.num_envs)
            for t in reversed(range(s.num_steps)):
                goes_on = 1.0 - (done if t == s.num_steps - 1 else dones[t + 1])
                value = next_value if t == s.num_steps - 1 else values[t + 1]
                error = rewards[t] + s.gamma * value * goes_on - values[t]
                advantages[t] = carried = error + s.gamma * s.gae_lambda * goes_on * carried
            returns = advantages + values

        rows = [x.flatten(0, 1) for x in (observations, actions, log_probs, advantages, returns)]
        order = np.arange(batch)
        for _ in range(s.update_epochs):
            random.shuffle(order)
            for place in order.reshape(s.num_minibatches, -1):
                x, action, old, advantage, target = (row[place] for row in rows)
                _, log_prob, entropy, value = networks.act_and_value(x, action)
                ratio = (log_prob - old).exp()
                advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
                clipped = ratio.clamp(1 - s.clip_coef, 1 + s.clip_coef)
                policy_loss = torch.max(-advantage * ratio, -advantage * clipped).mean()
                value_loss = ((value - target) ** 2).mean()
                loss = policy_loss - s.ent_coef * entropy.mean() + s.vf_coef * value_loss
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]  # torch's own
                nn.utils.clip_grad_norm_(networks.parameters(), s.max_grad_norm)
                optimizer.step()
    envs.close()
    return taken, returned
