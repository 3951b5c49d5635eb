"""Multi-layer perceptrons of many runs in one parameter, with their gradient written out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rasched.rng import RandomStreams

ACTIVATIONS = ("relu", "tanh")
# Into fewer columns than this, a product of matrices takes up to seven times as long as its transpose does: 1,440 and
# 210 us for 64 gradients of a layer of 64 inputs and 2 outputs over 256 rows.
_NARROW = 16
# Number of networks that go through all layers before the next ones start: 96 runs of two networks of 64 units took
# 355 us per run forward and backward over 256 rows all at once, 281 us in tiles of 32 and 295 us in tiles of 8. 32
# networks of any shape hold a whole number of vectors, so that the position of a run in a batch changes no rounding.
_TILE_SIZE = 32
# Returns the weights of one layer, (num_runs, num_inputs, num_outputs) float64, from its index and its size.
Initializer = Callable[[int, int, int], Tensor]


class BatchedMLP:
    """``num_networks`` perceptrons of one shape per run, in one parameter ``(num_runs, num_networks, num_weights)``.

    There is one parameter because an optimizer step costs the same for twelve small tensors as for one of a hundred
    times their size; elementwise optimizers give the same result. The gradient is written out for the same reason: a
    network is one node of autograd's graph instead of thirteen, and writes its activations in place.

    Networks of one shape go through each layer in one call. If they need different numbers of outputs, the last layer
    has the largest of these numbers; unused outputs get no gradient.
    """

    def __init__(
        self, num_runs: int, num_networks: int, sizes: Sequence[int], activation: str, dtype: torch.dtype
    ) -> None:
        self.num_runs, self.num_networks = num_runs, num_networks
        self._shapes = list(zip(sizes, sizes[1:], strict=False))
        self._activation = activation
        self.width = sum(inputs * outputs + outputs for inputs, outputs in self._shapes)
        self.parameter = torch.zeros(num_runs, num_networks, self.width, dtype=dtype, requires_grad=True)
        self.views = self.layers(self.parameter.detach())  # they share the memory of the parameter
        self._network_views = [
            [(w[i::num_networks], b[i::num_networks]) for w, b in self.views] for i in range(num_networks)
        ]
        self.tiles = [
            [(w[start : start + _TILE_SIZE], b[start : start + _TILE_SIZE]) for w, b in self.views]
            for start in range(0, num_runs * num_networks, _TILE_SIZE)
        ]

    def init_weights(self, network: int, weight: Initializer, bias: Initializer | None = None) -> None:
        """Set the weights of a network to ``weight(layer, inputs, outputs)``, and its biases to zero or likewise."""
        for layer, ((inputs, outputs), (w, b)) in enumerate(
            zip(self._shapes, self._network_views[network], strict=True)
        ):
            w.copy_(weight(layer, inputs, outputs))
            if bias is not None:
                b.copy_(bias(layer, 1, outputs))

    def layers(self, parameter: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return views of the weights ``(num_runs * num_networks, inputs, outputs)`` and biases of each layer."""
        flat, start, layers = parameter.view(-1, self.width), 0, []
        for inputs, outputs in self._shapes:
            end = start + inputs * outputs
            weight = flat[:, start:end].view(-1, inputs, outputs)
            layers.append((weight, flat[:, end : end + outputs].unsqueeze(1)))
            start = end + outputs
        return layers

    def __call__(self, x: Tensor) -> Tensor:
        """Return outputs ``(num_runs, num_networks, num_rows, num_outputs)`` with their graph.

        The inputs are ``(num_runs, num_rows, num_inputs)``.
        """
        y: Tensor = _Forward.apply(self.parameter, x, self)  # type: ignore[no-untyped-call]
        return y

    def forward_no_grad(
        self, x: Tensor, network: int = 0, layers: Sequence[tuple[Tensor, Tensor]] | None = None
    ) -> Tensor:
        """Return one network's outputs ``(num_runs, num_rows, num_outputs)`` in a new tensor, without a graph.

        ``layers`` replaces the layers of the network.
        """
        with torch.no_grad():
            for layer, (weight, bias) in enumerate(layers or self._network_views[network], 1):
                x = _affine(bias, x, weight)
                if layer < len(self._shapes):
                    self.activate_(x)
        return x

    def activate_(self, x: Tensor) -> None:
        """Apply the activation in place, to a tensor without a graph."""
        if self._activation == "relu":
            x.clamp_(min=0)
        else:
            values = x.numpy()
            np.tanh(values, out=values)  # torch's takes thirteen times as long

    def activation_backward_(self, gradient: Tensor, activated: Tensor) -> None:
        """Replace the gradient of the activation's result ``activated`` by the gradient of its input."""
        aten = torch.ops.aten
        if self._activation == "relu":
            aten.threshold_backward.grad_input(gradient, activated, 0, grad_input=gradient)
        else:
            aten.tanh_backward.grad_input(gradient, activated, grad_input=gradient)


class _Forward(torch.autograd.Function):
    """All networks on the same inputs; inputs get no gradient."""

    @staticmethod
    def forward(ctx: Any, parameter: Tensor, x: Tensor, mlp: BatchedMLP) -> Tensor:
        inputs = x.unsqueeze(1).expand(-1, mlp.num_networks, -1, -1).reshape(-1, *x.shape[1:])
        ctx.mlp, ctx.activated, outputs = mlp, [], []
        for layers, y in zip(mlp.tiles, torch.split(inputs, _TILE_SIZE), strict=True):
            activated = []
            for layer, (weight, bias) in enumerate(layers, 1):
                activated.append(y)
                y = _affine(bias, y, weight)
                if layer < len(layers):
                    mlp.activate_(y)
            ctx.activated.append(activated)
            outputs.append(y)
        return _concat(outputs).view(mlp.num_runs, mlp.num_networks, *x.shape[1:2], -1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        mlp: BatchedMLP = ctx.mlp
        tiles: list[Tensor] = []
        for layers, activated, gradient in zip(
            mlp.tiles, ctx.activated, torch.split(gradients[0].flatten(0, 1), _TILE_SIZE), strict=True
        ):
            parts: list[Tensor] = []
            for layer in range(len(layers) - 1, -1, -1):
                parts[:0] = [_matmul(activated[layer].transpose(1, 2), gradient).flatten(1), gradient.sum(1)]
                if layer:
                    gradient = torch.bmm(gradient, layers[layer][0].transpose(1, 2))
                    mlp.activation_backward_(gradient, activated[layer])
            tiles.append(torch.cat(parts, 1))
        return _concat(tiles).view(mlp.num_runs, mlp.num_networks, -1), None, None


def _concat(tiles: list[Tensor]) -> Tensor:
    return tiles[0] if len(tiles) == 1 else torch.cat(tiles)


def _affine(bias: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    """Return ``bias + x @ weight``, matrix by matrix."""
    if weight.shape[2] < _NARROW:
        return (_matmul(x, weight)).add_(bias)
    return torch.baddbmm(bias, x, weight)


def _matmul(left: Tensor, right: Tensor) -> Tensor:
    """Return ``left @ right``, matrix by matrix; contiguous."""
    if right.shape[2] < _NARROW:
        return torch.bmm(right.transpose(1, 2).contiguous(), left.transpose(1, 2)).transpose(1, 2).contiguous()
    return torch.bmm(left, right)


class TabularPolicy:
    """One preference per action, started at zero: the policy of an agent that observes nothing."""

    def __init__(self, num_runs: int, num_actions: int, dtype: torch.dtype) -> None:
        self.parameters = [torch.zeros(num_runs, num_actions, dtype=dtype, requires_grad=True)]

    def __call__(self, observation: Tensor) -> Tensor:
        """Return the preferences ``(num_runs, num_envs, num_actions)``, the same for every observation."""
        return self.parameters[0].unsqueeze(1).expand(-1, observation.shape[1], -1)


def orthogonal_init(
    streams: RandomStreams, gains: Sequence[float], num_outputs: Sequence[int] | None = None
) -> Initializer:
    """Return an initializer that draws orthogonal matrices times a gain per layer (Saxe et al., 2014).

    Stable-Baselines3 and CleanRL use it for PPO and A2C. ``num_outputs`` is the number of outputs of each layer that
    are drawn; the others start at zero.
    """

    def draw(layer: int, inputs: int, outputs: int) -> Tensor:
        columns = outputs if num_outputs is None else num_outputs[layer]
        normal = streams.normal(inputs, columns).contiguous()
        tall = normal if inputs >= columns else normal.transpose(1, 2)
        q, r = torch.linalg.qr(tall)
        q = q * r.diagonal(dim1=1, dim2=2).sign().unsqueeze(1)  # otherwise not uniform over the orthogonal matrices
        q = (q if inputs >= columns else q.transpose(1, 2)) * gains[layer]
        return torch.nn.functional.pad(q, (0, outputs - columns))

    return draw


def uniform_init(streams: RandomStreams, sizes: Sequence[int]) -> Initializer:
    """Return an initializer that draws within ``1 / sqrt(inputs)`` of zero, as torch does for a linear layer."""

    def draw(layer: int, inputs: int, outputs: int) -> Tensor:
        bound: float = sizes[layer] ** -0.5
        return (2 * streams.uniform(inputs, outputs) - 1) * bound

    return draw
