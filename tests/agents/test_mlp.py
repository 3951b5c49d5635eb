"""BatchedMLP equals torch's own layers, its gradient equals that of autograd, and initial weights are as stated."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rasched.agents.mlp import BatchedMLP, augment, orthogonal_init, uniform_init
from rasched.rng import RandomStreams

SIZES = [3, 6, 5, 2]
SEEDS = [4, 9]
ACTIVATIONS = ("relu", "tanh")


def make_networks(activation: str = "tanh", num_runs: int = 2, dtype: torch.dtype = torch.float64) -> BatchedMLP:
    networks = BatchedMLP(num_runs, 2, SIZES, activation, dtype)
    initializer = uniform_init(RandomStreams(range(num_runs), "test"), SIZES)
    networks.init_weights(0, initializer, initializer)
    networks.init_weights(1, initializer, initializer)
    return networks


def by_torch(networks: BatchedMLP, activation: str, x: Tensor) -> Tensor:
    """The outputs (num_runs, 2, num_rows, 2) of torch's layers with the same weights, through autograd."""
    flat, start, weights = networks.parameter, 0, []
    for num_inputs, num_outputs in zip(SIZES, SIZES[1:], strict=False):
        end = start + (num_inputs + 1) * num_outputs
        weights.append(flat[..., start:end].view(*flat.shape[:2], num_inputs + 1, num_outputs))
        start = end
    runs = []
    for run in range(len(x)):
        outputs = []
        for network in range(2):
            y = x[run]
            for i, weight in enumerate(weights):
                y = nn.functional.linear(y, weight[run, network, :-1].t(), weight[run, network, -1])
                if i < 2:
                    y = y.tanh() if activation == "tanh" else y.relu()
            outputs.append(y)
        runs.append(torch.stack(outputs))
    return torch.stack(runs)


def gradient_of(networks: BatchedMLP, inputs: np.ndarray, gradient: np.ndarray) -> Tensor:
    """The gradient of the parameter, tile by tile."""
    out = torch.empty_like(networks.parameter, requires_grad=False)
    for runs in networks.tiles:
        networks.forward(inputs[runs], runs)
        networks.backward(gradient[runs], runs, networks.views(out))
    return out


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_outputs_and_gradient_are_torchs(activation: str) -> None:
    networks = make_networks(activation)
    x = torch.randn(2, 7, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weights = torch.randn(2, 2, 7, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    theirs = by_torch(networks, activation, x)
    ours = torch.from_numpy(networks.forward(augment(x.numpy()), slice(0, 2))).transpose(2, 3)
    torch.testing.assert_close(ours, theirs.detach())
    torch.testing.assert_close(torch.from_numpy(networks.act(x.numpy(), 1)), theirs[:, 1].detach())
    (gradient,) = torch.autograd.grad((theirs * weights).sum(), networks.parameter)
    torch.testing.assert_close(
        gradient_of(networks, augment(x.numpy()), weights.transpose(2, 3).contiguous().numpy()), gradient
    )


def test_autograd_gets_the_first_networks_gradient() -> None:
    networks, x = make_networks(), torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0)).double()
    ours, theirs = networks(x), by_torch(networks, "tanh", x)[:, 0]
    torch.testing.assert_close(ours, theirs)
    (expected,) = torch.autograd.grad((theirs**2).sum(), networks.parameter)
    (gradient,) = torch.autograd.grad((ours**2).sum(), networks.parameter)
    torch.testing.assert_close(gradient, expected)


def test_other_layers_replace_the_networks() -> None:
    networks, other = make_networks(), make_networks(num_runs=2)
    with torch.no_grad():
        other.parameter.mul_(2)
    inputs = augment(np.ones((2, 4, 3)))
    expected = other.forward(inputs, slice(0, 2))
    assert np.array_equal(networks.forward(inputs, slice(0, 2), layers=other.layers), expected)
    assert np.array_equal(networks.forward(inputs, slice(0, 2), slice(1, 2), other.layers), expected[:, 1:])


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("num_rows", [1, 7, 16])
def test_a_run_is_bit_for_bit_the_same_in_any_slot(activation: str, num_rows: int) -> None:
    """Odd sizes leave the ends of vectors, which may round differently, at the end of each network."""
    networks = make_networks(activation, 64, torch.float32)
    random = np.random.default_rng(0)
    x = random.normal(size=(64, num_rows, 3)).astype(np.float32)
    gradient = random.normal(size=(64, 2, 2, num_rows)).astype(np.float32)
    with torch.no_grad():
        networks.parameter[40] = networks.parameter[3]
    x[40], gradient[40] = x[3], gradient[3]
    outputs = np.concatenate([networks.forward(augment(x[runs]), runs) for runs in networks.tiles])
    slopes, actions = gradient_of(networks, augment(x), gradient), networks.act(x)
    assert np.array_equal(outputs[40], outputs[3]) and np.array_equal(actions[40], actions[3])
    assert torch.equal(slopes[40], slopes[3])


def test_the_input_does_not_change() -> None:
    networks, x = make_networks(), np.ones((2, 4, 3))
    networks.act(x)
    inputs = augment(x)
    networks.forward(inputs, slice(0, 2))
    assert np.array_equal(x, np.ones_like(x)) and np.array_equal(inputs, np.ones_like(inputs))


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
