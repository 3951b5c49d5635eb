"""Multi-layer perceptrons of many runs in one parameter, with their gradient written out.

The arithmetic is NumPy's, on the memory of torch's parameter: a call costs a third of torch's, and a product of
matrices may write into any view. Arrays of activations have the shape ``(num_runs, num_networks, units, num_rows)``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rasched.memory import check_memory
from rasched.rng import RandomStreams

Array = NDArray[Any]
# Returns the weights of one layer, (num_runs, num_inputs, num_outputs) float64, from its index and its size.
Initializer = Callable[[int, int, int], Tensor]
# Number of networks that go through all layers, forward and backward, while their activations are in the cache. It is a
# whole number of vectors, so that with any layers the position of a run in a batch changes no rounding.
_NETWORKS_PER_TILE = 16
_MINUS_ONE = torch.tensor(-1.0)


class BatchedMLP:
    """``num_networks`` perceptrons of one shape per run, in one parameter ``(num_runs, num_networks, num_weights)``.

    There is one parameter because an optimizer step costs the same for twelve small tensors as for one of a hundred
    times their size; elementwise optimizers give the same result. The biases of a layer are one more row of its
    weights, and every activation has a unit that is always 1, so that a bias costs no operation of its own.

    If the networks need different numbers of outputs, the last layer has the largest of these numbers; unused outputs
    get no gradient.
    """

    def __init__(
        self, num_runs: int, num_networks: int, sizes: Sequence[int], activation: str, dtype: torch.dtype
    ) -> None:
        self.num_runs, self.num_networks, self.sizes = num_runs, num_networks, list(sizes)
        self._shapes = [(num_inputs + 1, num_outputs) for num_inputs, num_outputs in pairwise(sizes)]
        self._ends = list(accumulate(rows * columns for rows, columns in self._shapes))
        num_weights = num_runs * num_networks * self._ends[-1]
        # The weights, their gradient and two states of the optimizer; initial values are drawn in float64.
        check_memory("agent.hidden", num_weights * (4 * dtype.itemsize + 8))
        self.parameter = torch.zeros(num_runs, num_networks, self._ends[-1], dtype=dtype, requires_grad=True)
        self.layers = self.views(self.parameter.detach())
        self._activate_, self._activation_backward_ = _ACTIVATIONS[activation]
        size = max(_NETWORKS_PER_TILE // num_networks, 1)
        self.tiles = [slice(start, min(start + size, num_runs)) for start in range(0, num_runs, size)]
        self._buffers: dict[tuple[int, ...], Array] = {}
        self._acting_passes: dict[tuple[int, int], _ActingPass] = {}
        self._hidden: list[Array] = []  # activations of the last forward pass
        self._inputs: Array
        self._networks: slice

    def views(self, parameter: Tensor) -> list[Array]:
        """Return each layer's ``(num_runs, num_networks, num_inputs + 1, num_outputs)``, a view of a like parameter."""
        flat: Array = parameter.numpy()
        return [
            flat[..., end - rows * columns : end].reshape(*flat.shape[:2], rows, columns)
            for (rows, columns), end in zip(self._shapes, self._ends, strict=True)
        ]

    def init_weights(self, network: int, weight: Initializer, bias: Initializer | None = None) -> None:
        """Set the weights of a network to ``weight(layer, inputs, outputs)``, and its biases to zero or likewise."""
        for layer, values in enumerate(self.layers):
            num_inputs, num_outputs = values.shape[2] - 1, values.shape[3]
            values[:, network, :-1] = weight(layer, num_inputs, num_outputs)
            if bias is not None:
                values[:, network, -1:] = bias(layer, 1, num_outputs)

    def __call__(self, x: Tensor) -> Tensor:
        """Return the first network's outputs ``(num_runs, num_rows, num_outputs)`` with their graph, for autograd.

        Its gradient must be taken before the next pass. The inputs ``(num_runs, num_rows, num_inputs)`` get none.
        """
        outputs: Tensor = _Differentiable.apply(self.parameter, x, self)  # type: ignore[no-untyped-call]
        return outputs

    def act(self, x: Array, network: int = 0) -> Array:
        """Return one network's outputs ``(num_runs, num_rows, num_outputs)`` for ``(num_runs, num_rows, num_inputs)``.

        This is the pass for a few rows, those of the environments.
        """
        acting_pass = self._acting_passes.get((network, x.shape[1]))
        if acting_pass is None:
            weights = [layer[:, network] for layer in self.layers]
            acting_pass = _ActingPass(weights, x.shape[1], self._activate_)
            self._acting_passes[network, x.shape[1]] = acting_pass
        return acting_pass(x)

    def forward(
        self, inputs: Array, runs: slice, networks: slice = slice(None), layers: Sequence[Array] | None = None
    ) -> Array:
        """Return the outputs of some runs for their inputs ``(num_runs, num_inputs + 1, num_rows)``.

        The inputs are those of :func:`augment`. The activations are kept for :meth:`backward`. ``layers`` replaces the
        layers of the networks.
        """
        weights = [layer[runs, networks] for layer in layers or self.layers]
        shapes = [(*weights[0].shape[:2], units + 1, inputs.shape[2]) for units in self.sizes[1:-1]]
        self._inputs, self._hidden, self._networks = inputs[:, None], self._ones(shapes), networks
        x = self._inputs
        for weight, h in zip(weights, self._hidden, strict=False):
            self._activate_(torch.from_numpy(np.matmul(weight.swapaxes(2, 3), x, out=h[:, :, :-1])))
            x = h
        outputs: Array = np.matmul(weights[-1].swapaxes(2, 3), x)
        return outputs

    def backward(self, gradient: Array, runs: slice, out: Sequence[Array]) -> None:
        """Write the gradient of the weights of these runs into ``out``, from that of the last forward pass's outputs.

        ``out`` has the shapes of :meth:`views`.
        """
        activations = [self._inputs, *self._hidden]
        for index in range(len(activations) - 1, -1, -1):
            np.matmul(activations[index], gradient.swapaxes(2, 3), out=out[index][runs])
            if index:
                gradient = np.matmul(self.layers[index][runs, self._networks, :-1], gradient)
                activated = torch.from_numpy(activations[index][:, :, :-1])
                self._activation_backward_(torch.from_numpy(gradient), activated)

    def _ones(self, shapes: Sequence[tuple[int, ...]]) -> list[Array]:
        """Return arrays that are reused; those of one call differ, and the last unit of each is 1."""
        for position, shape in enumerate(shapes):
            if (position, *shape) not in self._buffers:
                self._buffers[position, *shape] = np.ones(shape, self.layers[0].dtype)
        return [self._buffers[position, *shape] for position, shape in enumerate(shapes)]


class _Differentiable(torch.autograd.Function):
    """The first network as one node of autograd's graph."""

    @staticmethod
    def forward(ctx: Any, parameter: Tensor, x: Tensor, mlp: BatchedMLP) -> Tensor:
        ctx.mlp = mlp
        outputs = mlp.forward(augment(x.numpy()), slice(None), slice(0, 1))
        return torch.from_numpy(outputs[:, 0].swapaxes(1, 2))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        mlp: BatchedMLP = ctx.mlp
        gradient = torch.zeros_like(mlp.parameter, requires_grad=False)
        layers = [layer[:, :1] for layer in mlp.views(gradient)]
        mlp.backward(gradients[0].numpy().swapaxes(1, 2)[:, None], slice(None), layers)
        return gradient, None, None


class _ActingPass:
    """The pass for a few rows, whose views are made once: they take as long as the arithmetic of one environment."""

    def __init__(self, weights: list[Array], num_rows: int, activate_: Callable[[Tensor], None]) -> None:
        shapes = [(weight.shape[0], num_rows, weight.shape[1]) for weight in weights]
        activations = [np.ones(shape, weights[0].dtype) for shape in shapes]
        results = [h[..., :-1] for h in activations]
        self._x, self._activate_ = results[0], activate_
        self._layers = [
            (h, weight, z, torch.from_numpy(z)) for h, weight, z in zip(activations, weights, results[1:], strict=False)
        ]
        self._last = activations[-1], weights[-1]

    def __call__(self, x: Array) -> Array:
        """Return the outputs, in a new array."""
        self._x[...] = x
        for h, weight, z, tensor in self._layers:
            np.matmul(h, weight, out=z)
            self._activate_(tensor)
        outputs: Array = np.matmul(*self._last)
        return outputs


def augment(x: Array) -> Array:
    """Return ``(num_runs, num_inputs + 1, num_rows)`` of ``(num_runs, num_rows, num_inputs)``; the last input is 1."""
    num_runs, num_rows, num_inputs = x.shape
    inputs = np.ones((num_runs, num_inputs + 1, num_rows), x.dtype)
    inputs[:, :-1] = x.swapaxes(1, 2)
    return inputs


def _tanh_(z: Tensor) -> None:
    """Replace z by tanh z = 2 sigmoid(2 z) - 1, which takes half the time of either library's own."""
    torch.add(_MINUS_ONE, z.mul_(2).sigmoid_(), alpha=2, out=z)


def _tanh_backward_(gradient: Tensor, activated: Tensor) -> None:
    torch.ops.aten.tanh_backward.grad_input(gradient, activated, grad_input=gradient)


def _relu_(z: Tensor) -> None:
    z.clamp_(min=0)


def _relu_backward_(gradient: Tensor, activated: Tensor) -> None:
    torch.ops.aten.threshold_backward.grad_input(gradient, activated, 0, grad_input=gradient)


# Each pair applies the activation in place, and replaces the gradient of its result by the gradient of its input.
_ACTIVATIONS: dict[str, tuple[Callable[[Tensor], None], Callable[[Tensor, Tensor], None]]] = {
    "relu": (_relu_, _relu_backward_),
    "tanh": (_tanh_, _tanh_backward_),
}


class TabularPolicy:
    """One preference per action, started at zero: the policy of an agent that observes nothing."""

    def __init__(self, num_runs: int, num_actions: int, dtype: torch.dtype) -> None:
        self.parameter = torch.zeros(num_runs, num_actions, dtype=dtype, requires_grad=True)

    def __call__(self, observation: Tensor) -> Tensor:
        """Return the preferences ``(num_runs, num_envs, num_actions)``, the same for every observation."""
        return self.parameter.unsqueeze(1).expand(-1, observation.shape[1], -1)


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


def uniform_init(streams: RandomStreams, sizes: Sequence[int], last_is_zero: bool = False) -> Initializer:
    """Return an initializer that draws within ``1 / sqrt(inputs)`` of zero, as torch does for a linear layer.

    With ``last_is_zero`` the weights of the last layer are 0.
    """

    def draw(layer: int, inputs: int, outputs: int) -> Tensor:
        bound = 0.0 if last_is_zero and layer == len(sizes) - 2 else float(sizes[layer] ** -0.5)
        return (2 * streams.uniform(inputs, outputs) - 1) * bound

    return draw
