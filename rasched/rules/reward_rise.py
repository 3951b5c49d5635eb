"""When has the reward risen: the test that rules with a search phase share."""

from __future__ import annotations

from dataclasses import dataclass

from rasched.numerics import BoolLike, Real, logical_and, logical_not, maximum, minimum, sqrt, where
from rasched.rules.base import Rule
from rasched.stacking import state

SLACK = 0.5  # standard deviations by which a reward must exceed the mean so far to be evidence
HEIGHT = 10.0  # of the sum of evidence at which the reward counts as risen
LARGEST = 4.0  # standard deviations that one reward counts at the most
FORGETTING = 0.02  # of the noise variance
SETTLED = 5.0  # signals before anything is concluded
SMALLEST_VARIANCE = 1e-16
LARGEST_SIGNAL = 1e150  # whose square is a float


@dataclass(slots=True)
class RewardRise(Rule):
    r"""A rule that knows whether the reward has risen above its level at the start, by a one-sided CUSUM (Page 1954).

    With the mean :math:`m` of the signals so far and the noise variance :math:`v`, an exponential mean of
    :math:`(S_t - S_{t-1})^2 / 2`, which no offset and hardly a trend moves,

        x = clip((S_t - m) / sqrt(v), -4, 4),   C <- max(0, C + x - 0.5),   risen if C > 10

    The answer is the same for any offset and positive scale of the rewards. Once risen, it stays so.
    """

    num_signals: Real = state(0.0)
    mean_signal: Real = state(0.0)
    noise_variance: Real = state(0.0)
    last_signal: Real = state(0.0)
    evidence: Real = state(0.0)
    risen: Real = state(0.0)  # 1 once the reward has risen

    @property
    def needs_raw_rewards(self) -> bool:
        return True

    def observe_rise(self, signal: Real) -> BoolLike:
        """Take a signal; return whether the reward counts as risen from this one on."""
        signal = clip(signal, LARGEST_SIGNAL)
        count = self.num_signals + 1.0
        step = signal - self.last_signal
        forgetting = maximum(1.0 / maximum(count - 1.0, 1.0), FORGETTING)
        moved = self.noise_variance + forgetting * (step * step / 2.0 - self.noise_variance)
        self.noise_variance = where(count > 1.0, moved, self.noise_variance)
        self.last_signal, self.num_signals = signal, count
        deviation = sqrt(maximum(self.noise_variance, SMALLEST_VARIANCE))
        excess = where(self.is_informed(), clip((signal - self.mean_signal) / deviation, LARGEST), 0.0)
        evidence = maximum(self.evidence + excess - SLACK, 0.0)
        searching = logical_not(self.risen > 0.0)
        self.evidence = where(searching, evidence, self.evidence)
        self.mean_signal = where(searching, self.mean_signal + (signal - self.mean_signal) / count, self.mean_signal)
        rises = logical_and(searching, self.evidence > HEIGHT)
        self.risen = where(rises, 1.0, self.risen)
        return rises

    def is_informed(self) -> BoolLike:
        """Return whether there were rewards enough, and not all the same, to conclude anything."""
        return logical_and(self.num_signals > SETTLED, self.noise_variance > SMALLEST_VARIANCE)


def clip(x: Real, limit: float) -> Real:
    """Return ``x`` limited to ``[-limit, limit]``."""
    return minimum(maximum(x, -limit), limit)
