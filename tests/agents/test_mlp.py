"""BatchedMLP equals torch's own layers, its gradient equals that of autograd, and initial weights are as stated."""

from __future__ import annotations

from math import sqrt

import pytest
import torch
from torch import Tensor, nn

from rasched.agents.mlp import ACTIVATIONS, BatchedMLP, _Forward, orthogonal_init, uniform_init
from rasched.rng import RandomStreams

SIZES = [3, 6, 5, 2]
SEEDS = [4, 9]


def make_networks(activation: str = "tanh") -> BatchedMLP:
    networks = BatchedMLP(2, 2, SIZES, activation, torch.float64)
    initializer = uniform_init(RandomStreams(SEEDS, "test"), SIZES)
    networks.init_weights(0, initializer, initializer)
    networks.init_weights(1, initializer, initializer)
    return networks


def by_torch(networks: BatchedMLP, activation: str, x: Tensor) -> Tensor:
    """The outputs of torch's layers with the same weights, through autograd."""
    layers = networks.layers(networks.parameter)
    runs = []
    for run in range(2):
        nets = []
        for net in range(2):
            y = x[run]
            for i, (weight, bias) in enumerate(layers):
                y = nn.functional.linear(y, weight[2 * run + net].t(), bias[2 * run + net, 0])
                if i < 2:
                    y = y.tanh() if activation == "tanh" else y.relu()
            nets.append(y)
        runs.append(torch.stack(nets))
    return torch.stack(runs)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_outputs_and_gradient_are_torchs(activation: str) -> None:
    networks = make_networks(activation)
    x = torch.randn(2, 7, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weights = torch.randn(2, 2, 7, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    ours, theirs = networks(x), by_torch(networks, activation, x)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(networks.forward_no_grad(x, 1), theirs[:, 1])
    (gradient,) = torch.autograd.grad((theirs * weights).sum(), networks.parameter)
    (ours * weights).sum().backward()
    torch.testing.assert_close(networks.parameter.grad, gradient)


def test_the_gradient_is_the_slope() -> None:
    networks = make_networks()
    x = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)

    def outputs(parameter: Tensor) -> Tensor:
        networks.parameter.detach().copy_(parameter.detach())
        outputs: Tensor = _Forward.apply(parameter, x, networks)
        return outputs

    initializer = networks.parameter.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(outputs, (initializer,))


def test_an_input_stays_as_it_is() -> None:
    networks, x = make_networks(), torch.ones(2, 4, 3, dtype=torch.float64)
    networks.forward_no_grad(x)
    networks(x)
    assert torch.equal(x, torch.ones_like(x))


@pytest.mark.parametrize(("inputs", "outputs"), [(4, 64), (64, 64), (64, 2), (1, 1)])
def test_an_orthogonal_start_is_orthogonal(inputs: int, outputs: int) -> None:
    weight = orthogonal_init(RandomStreams(SEEDS, "test"), [sqrt(2)])(0, inputs, outputs)
    assert weight.shape == (2, inputs, outputs)
    small = weight if inputs >= outputs else weight.transpose(1, 2)
    square = small.transpose(1, 2) @ small
    torch.testing.assert_close(square, 2 * torch.eye(min(inputs, outputs), dtype=torch.float64).expand_as(square))


def test_signs_of_an_orthogonal_start_are_even() -> None:
    """Without the correction of signs, the diagonal of a QR decomposition leans to one side."""
    weight = orthogonal_init(RandomStreams(range(2000), "test"), [1.0])(0, 2, 2)
    for entry in weight.flatten(1).unbind(1):
        assert abs((entry > 0).double().mean().item() - 0.5) < 4 * 0.5 / 2000**0.5


def test_a_start_is_the_runs_own() -> None:
    alone = orthogonal_init(RandomStreams([9], "test"), [1.0])(0, 4, 8)
    together = orthogonal_init(RandomStreams([4, 9, 11], "test"), [1.0])(0, 4, 8)
    assert torch.equal(alone[0], together[1])
