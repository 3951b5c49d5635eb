"""Networks of many runs side by side: every weight has a leading run axis."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor

from rasched.rng import RandomStreams


class Table:
    """A preference an action and nothing else, started at zero: the network of an agent that sees nothing."""

    def __init__(self, runs: int, outputs: int, dtype: torch.dtype) -> None:
        self.parameters = [torch.zeros(runs, outputs, dtype=dtype, requires_grad=True)]

    def __call__(self, observation: Tensor) -> Tensor:
        """Return the outputs, ``(runs, num_envs, outputs)``, whatever is observed."""
        return self.parameters[0].unsqueeze(1).expand(-1, observation.shape[1], -1)


class MLP:
    """A perceptron with tanh between its layers, whose last layer starts at zero: every action is as good at first.

    Hidden weights are uniform within ``1 / sqrt(inputs)``, torch's own choice for a linear layer, drawn from each run's
    stream.
    """

    def __init__(self, streams: RandomStreams, runs: int, sizes: Sequence[int], dtype: torch.dtype) -> None:
        self.parameters: list[Tensor] = []
        for i, (inputs, outputs) in enumerate(zip(sizes, sizes[1:], strict=False)):
            scale = 0.0 if i == len(sizes) - 2 else inputs**-0.5
            weight = (2 * streams.uniform(inputs, outputs) - 1) * scale
            bias = (2 * streams.uniform(1, outputs) - 1) * scale
            self.parameters += [_parameter(weight, dtype), _parameter(bias, dtype)]

    def __call__(self, observation: Tensor) -> Tensor:
        """Return the outputs ``(runs, num_envs, outputs)`` for observations ``(runs, num_envs, ...)``."""
        x = observation.flatten(2)
        for i in range(0, len(self.parameters), 2):
            x = torch.baddbmm(self.parameters[i + 1], x, self.parameters[i])
            if i + 2 < len(self.parameters):
                x = x.tanh()
        return x


def _parameter(values: Tensor, dtype: torch.dtype) -> Tensor:
    return values.to(dtype).contiguous().requires_grad_()


def policy_network(
    streams: RandomStreams,
    runs: int,
    observation_shape: Sequence[int],
    hidden: Sequence[int],
    outputs: int,
    dtype: torch.dtype,
) -> Table | MLP:
    """Return a table where nothing is observed, otherwise a perceptron with the hidden layers asked for."""
    if not observation_shape:
        return Table(runs, outputs, dtype)
    return MLP(streams, runs, [prod(observation_shape), *hidden, outputs], dtype)
