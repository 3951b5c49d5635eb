"""What networks start from, each run's weights drawn from a stream of its own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rasched.agents.mlp import Draw
from rasched.rng import RandomStreams


def orthogonal(streams: RandomStreams, gains: Sequence[float], columns: Sequence[int] | None = None) -> Draw:
    """Draw orthogonal matrices times a gain a layer (Saxe et al., 2014), as the trusted libraries do for PPO and A2C.

    ``columns`` says how many outputs of each layer are drawn; the others start at zero.
    """

    def draw(layer: int, inputs: int, outputs: int) -> Tensor:
        used = outputs if columns is None else columns[layer]
        normal = streams.normal(inputs, used).contiguous()
        tall = normal if inputs >= used else normal.transpose(1, 2)
        q, r = torch.linalg.qr(tall)
        q = q * r.diagonal(dim1=1, dim2=2).sign().unsqueeze(1)  # otherwise not uniform over the orthogonal matrices
        q = (q if inputs >= used else q.transpose(1, 2)) * gains[layer]
        return torch.nn.functional.pad(q, (0, outputs - used))

    return draw


def uniform(streams: RandomStreams, sizes: Sequence[int]) -> Draw:
    """Draw within ``1 / sqrt(inputs)`` of zero, torch's own choice for weights and biases of a linear layer."""

    def draw(layer: int, inputs: int, outputs: int) -> Tensor:
        bound: float = sizes[layer] ** -0.5
        return (2 * streams.uniform(inputs, outputs) - 1) * bound

    return draw
