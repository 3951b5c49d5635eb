"""The same testbed in plain NumPy, sharing no line with rasched, to tell a fault of ours from a difference of the book.

`python experiments/testbed/independent.py` prints the share of optimal actions over the last 100 of 1,000 steps, mean
over 2,000 problems, for step sizes 0.1 and 0.4.
"""

import numpy as np


def share(step_size, baseline, seed=0, level=4.0, noise=1.0, chosen_only=False, problems=2000, steps=1000):
    rng = np.random.default_rng(seed)
    rows = np.arange(problems)
    values = rng.normal(level, 1, (problems, 10))
    preferences, mean, optimal = np.zeros((problems, 10)), np.zeros(problems), []
    for t in range(steps):
        policy = np.exp(preferences - preferences.max(1, keepdims=True))
        policy /= policy.sum(1, keepdims=True)
        action = (policy.cumsum(1) < rng.random((problems, 1))).sum(1).clip(max=9)
        reward = rng.normal(values[rows, action], noise)
        optimal.append((action == values.argmax(1)).mean())
        chosen = np.eye(10)[action]
        advantage = reward - (mean if t else reward) if baseline else reward  # equation 2.12
        change = chosen * (1 - policy) if chosen_only else chosen - policy
        preferences += step_size * advantage[:, None] * change
        mean += (reward - mean) / (t + 1)
    return np.mean(optimal[-100:])


for name, how in {
    "with baseline": {"baseline": True},
    "without": {"baseline": False},
    "without, another seed": {"baseline": False, "seed": 1},
    "without, rewards free of noise": {"baseline": False, "noise": 0.0},
    "without, only the chosen arm moves": {"baseline": False, "chosen_only": True},
    "without, values about +3": {"baseline": False, "level": 3.0},
}.items():
    print(f"{name:36}", *(f"{share(step_size, **how):.3f}" for step_size in (0.1, 0.4)))
