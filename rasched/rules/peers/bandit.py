"""A bandit whose arms are learning rates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Interval
from torch import Tensor

from rasched.numerics import (
    RANDOM_MODULI,
    BoolLike,
    Real,
    Window,
    append_to_window,
    exp,
    log,
    maximum,
    minimum,
    next_random,
    where,
    window_mean,
)
from rasched.rng import stream_start
from rasched.rules.base import RULES, Rule
from rasched.stacking import context, shared, state

LARGEST_SIGNAL = 1e150
LARGEST_WEIGHT = 50.0  # in either direction: beyond it one rate has a probability of 1 to the last digit


@RULES.register("bandit")
@dataclass(slots=True)
class RateBandit(Rule):
    r"""Choose among a few rates by a bandit, whose feedback is the change of the mean reward.

    The arms are :math:`lr0 r^k`, as many below the base rate as above. One rate is kept for a block of rewards, whose
    mean is :math:`f`. With :math:`f' = f -` the mean of the last :math:`j` such means, the weights and the
    probabilities of the next choice are

        w_k <- delta w_k + [k chosen] alpha f' / exp(w_k),    p = softmax(w)

    Source: LRRL (arXiv 2410.12598). The division by :math:`e^w` takes the place of Exp3's division by the probability
    (Auer et al. 2002), which makes the estimate of each arm's feedback unbiased; ``corrected`` divides by :math:`p_k`.
    As published, a weight below 0 falls faster the lower it is. Both depend on the scale of the rewards.

    The source's defaults are :math:`\alpha = 0.2` and five arms, there rates of a factor 2 around one known to be good.
    Decay :math:`\delta`, memory :math:`j` and the length of a block are not published with certainty: .95, 5 and 20 are
    ours. So is the ratio of 10, with which the arms span the default bounds of the scheduler, and the limit of 50 on
    the size of a weight. A call without a reward changes nothing.

    Call ``scheduler.apply()`` before the first step, because constructing a scheduler writes no rate.
    """

    never_raises: ClassVar[bool] = True
    num_arms: Annotated[int, Interval(ge=2)] = shared(5)
    ratio: Annotated[Real, Interval(gt=1)] = 10.0  # r
    alpha: Annotated[Real, Interval(ge=0)] = 0.2  # per unit of the signal
    decay: Annotated[Real, Interval(gt=0, le=1)] = 0.95  # delta
    block: Annotated[Real, Interval(ge=1)] = 20.0  # signals
    memory: Annotated[int, Interval(ge=1)] = shared(5)  # j, in blocks
    corrected: bool = shared(False)
    seed: Annotated[Real, Interval(ge=0)] = 0.0
    weights: Window = state((), length="num_arms")
    means: Window = state((), length="memory")  # of the last blocks
    sum_of_block: Real = state(0.0)
    num_in_block: Real = state(0.0)
    arm: Real = state(-1.0)  # -1 before the first signal
    random_1: Real = state(1.0)
    random_2: Real = state(1.0)
    run_start: Real = context(0.0)

    def __post_init__(self) -> None:
        super(RateBandit, self).__post_init__()
        self.weights = (0.0,) * self.num_arms
        start = stream_start(float(self.seed), "bandit")
        self.random_1, self.random_2 = (1.0 + start % (modulus - 1.0) for modulus in RANDOM_MODULI)

    def initial_lr(self, base_lr: Real) -> Real:
        return self.next_lr(base_lr, base_lr)

    def observe(self, signal: Real) -> None:
        self.arm, self.random_1, self.random_2 = self._current_choice()
        self.sum_of_block = self.sum_of_block + maximum(minimum(signal, LARGEST_SIGNAL), -LARGEST_SIGNAL)
        self.num_in_block = self.num_in_block + 1.0
        self._end_block(self.num_in_block >= self.block)

    def next_lr(self, lr: Real, base_lr: Real) -> Real:
        arm, _, _ = self._current_choice()
        return base_lr * exp((arm - (self.num_arms - 1) / 2.0) * log(self.ratio))

    def _current_choice(self) -> tuple[Real, Real, Real]:
        """Return the arm and the states of the random stream; before the first signal, those of the first choice."""
        is_first = self.arm < 0.0
        states = zip((self.random_1, self.random_2), RANDOM_MODULI, strict=True)
        starts = [1.0 + (before - 1.0 + self.run_start) % (modulus - 1.0) for before, modulus in states]
        number, first, second = next_random(*starts)
        arm = self._arm_at(number, self.weights)
        return (
            where(is_first, arm, self.arm),
            where(is_first, first, self.random_1),
            where(is_first, second, self.random_2),
        )

    def _end_block(self, is_over: BoolLike) -> None:
        mean = self.sum_of_block / self.num_in_block
        gain = mean - window_mean(self.means, mean)
        weights = self._updated_weights(gain)
        number, first, second = next_random(self.random_1, self.random_2)
        self.arm = where(is_over, self._arm_at(number, weights), self.arm)
        self.random_1, self.random_2 = where(is_over, first, self.random_1), where(is_over, second, self.random_2)
        self.weights = where(is_over, weights, self.weights)  # type: ignore[assignment,arg-type]
        self.means = where(is_over, append_to_window(self.means, mean, self.memory), self.means)  # type: ignore[assignment,arg-type]
        self.sum_of_block = where(is_over, 0.0, self.sum_of_block)
        self.num_in_block = where(is_over, 0.0, self.num_in_block)

    def _updated_weights(self, gain: Real) -> Window:
        probabilities = self._probabilities(self.weights)
        weights: list[Any] = []
        for index, (weight, probability) in enumerate(zip(self.weights, probabilities, strict=True)):
            scale = 1.0 / maximum(probability, exp(-2.0 * LARGEST_WEIGHT)) if self.corrected else exp(-weight)
            change = where(self.arm == index, self.alpha * gain * scale, 0.0)
            weights.append(maximum(minimum(self.decay * weight + change, LARGEST_WEIGHT), -LARGEST_WEIGHT))
        return torch.stack(weights) if isinstance(weights[0], Tensor) else tuple(weights)

    def _probabilities(self, weights: Window) -> list[Real]:
        powers: list[Any] = [exp(weight) for weight in weights]  # at most e^50
        total = sum(powers)
        return [power / total for power in powers]

    def _arm_at(self, number: Real, weights: Window) -> Real:
        """Return the arm whose part of [0, 1) holds the number."""
        arm, below = number * 0.0, number * 0.0
        for probability in self._probabilities(weights)[:-1]:
            below = below + probability
            arm = arm + where(number >= below, 1.0, 0.0)
        return arm
