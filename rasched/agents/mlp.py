"""Perceptrons of many runs side by side, in one parameter, with their gradient written out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

ACTIVATIONS = ("relu", "tanh")
# Into fewer columns than this, a product of matrices takes up to seven times as long as its transpose does: 1,440 and
# 210 us for 64 gradients of a layer of 64 inputs and 2 outputs over 256 rows.
_NARROW = 16
# So many nets go through all layers together, and the others after them: 96 runs of two nets of 64 units took 355 us a
# run forwards and backwards over 256 rows all at once, 281 us in tiles of 32 and 295 us in tiles of 8. Whatever the
# layers, 32 nets hold a whole number of vectors, and where a run lies in a batch changes no rounding.
_TILE = 32
# A run's weights of one layer, (runs, inputs, outputs) float64, from the place of the layer and its size.
Draw = Callable[[int, int, int], Tensor]


class BatchedMLP:
    """``nets`` perceptrons a run, of one shape, all weights and biases in one parameter ``(runs, nets, weights)``.

    One parameter, because an optimizer's step costs the same for twelve small tensors as for one of a hundred times
    their size; the optimizers that go element by element cannot tell. The gradient is by hand for the same reason: a
    network is one node of autograd's graph instead of thirteen, and writes its activations in place.

    Nets of one shape go through each layer in one call. Where they need different numbers of outputs, the last layer
    has as many as the widest needs: a net's unused outputs get no gradient.
    """

    def __init__(self, runs: int, nets: int, sizes: Sequence[int], activation: str, dtype: torch.dtype) -> None:
        self.num_runs, self.nets = runs, nets
        self._shapes = list(zip(sizes, sizes[1:], strict=False))
        self._activation = activation
        self.width = sum(inputs * outputs + outputs for inputs, outputs in self._shapes)
        self.parameter = torch.zeros(runs, nets, self.width, dtype=dtype, requires_grad=True)
        self.views = self.layers(self.parameter.detach())  # follow the parameter, which is only ever written in place
        self._of_nets = [[(w[net::nets], b[net::nets]) for w, b in self.views] for net in range(nets)]
        self.tiles = [
            [(w[start : start + _TILE], b[start : start + _TILE]) for w, b in self.views]
            for start in range(0, runs * nets, _TILE)
        ]

    def draw(self, net: int, weight: Draw, bias: Draw | None = None) -> None:
        """Start a net from ``weight(layer, inputs, outputs)``, and zero biases unless they are drawn as well."""
        for layer, ((inputs, outputs), (w, b)) in enumerate(zip(self._shapes, self._of_nets[net], strict=True)):
            w.copy_(weight(layer, inputs, outputs))
            if bias is not None:
                b.copy_(bias(layer, 1, outputs))

    def layers(self, parameter: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return weights ``(runs * nets, inputs, outputs)`` and biases ``(runs * nets, 1, outputs)``, as views."""
        flat, start, found = parameter.view(-1, self.width), 0, []
        for inputs, outputs in self._shapes:
            end = start + inputs * outputs
            weight = flat[:, start:end].view(-1, inputs, outputs)
            found.append((weight, flat[:, end : end + outputs].unsqueeze(1)))
            start = end + outputs
        return found

    def __call__(self, x: Tensor) -> Tensor:
        """Return the outputs ``(runs, nets, rows, outputs)`` for inputs ``(runs, rows, inputs)``, with their graph."""
        y: Tensor = _Forward.apply(self.parameter, x, self)  # type: ignore[no-untyped-call]
        return y

    def infer(self, x: Tensor, net: int = 0, layers: Sequence[tuple[Tensor, Tensor]] | None = None) -> Tensor:
        """Return one net's outputs ``(runs, rows, outputs)``, without a graph; of other layers where some are given.

        The result is new, ``x`` stays as it is.
        """
        with torch.no_grad():
            for layer, (weight, bias) in enumerate(layers or self._of_nets[net], 1):
                x = _affine(bias, x, weight)
                if layer < len(self._shapes):
                    self.activate_(x)
        return x

    def activate_(self, x: Tensor) -> None:
        """Apply the activation in place, to a tensor that no graph knows."""
        if self._activation == "relu":
            x.clamp_(min=0)
        else:
            values = x.numpy()
            np.tanh(values, out=values)  # torch's takes thirteen times as long

    def back_through_activation_(self, gradient: Tensor, activated: Tensor) -> None:
        """Turn the gradient behind an activation, in place, into the one before it, from the activation's result."""
        aten = torch.ops.aten
        if self._activation == "relu":
            aten.threshold_backward.grad_input(gradient, activated, 0, grad_input=gradient)
        else:
            aten.tanh_backward.grad_input(gradient, activated, grad_input=gradient)


class _Forward(torch.autograd.Function):
    """All nets on the same inputs; inputs get no gradient."""

    @staticmethod
    def forward(ctx: Any, parameter: Tensor, x: Tensor, net: BatchedMLP) -> Tensor:
        inputs = x.unsqueeze(1).expand(-1, net.nets, -1, -1).reshape(-1, *x.shape[1:])
        ctx.net, ctx.activated, outputs = net, [], []
        for layers, y in zip(net.tiles, torch.split(inputs, _TILE), strict=True):
            activated = []
            for layer, (weight, bias) in enumerate(layers, 1):
                activated.append(y)
                y = _affine(bias, y, weight)
                if layer < len(layers):
                    net.activate_(y)
            ctx.activated.append(activated)
            outputs.append(y)
        return _joined(outputs).view(net.num_runs, net.nets, *x.shape[1:2], -1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        net: BatchedMLP = ctx.net
        found: list[Tensor] = []
        for layers, activated, gradient in zip(
            net.tiles, ctx.activated, torch.split(gradients[0].flatten(0, 1), _TILE), strict=True
        ):
            parts: list[Tensor] = []
            for layer in range(len(layers) - 1, -1, -1):
                parts[:0] = [_product(activated[layer].transpose(1, 2), gradient).flatten(1), gradient.sum(1)]
                if layer:
                    gradient = torch.bmm(gradient, layers[layer][0].transpose(1, 2))
                    net.back_through_activation_(gradient, activated[layer])
            found.append(torch.cat(parts, 1))
        return _joined(found).view(net.num_runs, net.nets, -1), None, None


def _joined(tiles: list[Tensor]) -> Tensor:
    return tiles[0] if len(tiles) == 1 else torch.cat(tiles)


def _affine(bias: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    """Return ``bias + x @ weight``, matrix by matrix."""
    if weight.shape[2] < _NARROW:
        return (_product(x, weight)).add_(bias)
    return torch.baddbmm(bias, x, weight)


def _product(one: Tensor, other: Tensor) -> Tensor:
    """Return ``one @ other``, matrix by matrix; contiguous."""
    if other.shape[2] < _NARROW:
        return torch.bmm(other.transpose(1, 2).contiguous(), one.transpose(1, 2)).transpose(1, 2).contiguous()
    return torch.bmm(one, other)
