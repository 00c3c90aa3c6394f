"""What a stack is made of has no say in each network; and what it refuses."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from lrsched import lab
from lrsched.lab import Stack, lenet
from stacks import (
    ALL,
    DOUBLE,
    SINGLE,
    BatchNorm,
    Conv,
    Flatten,
    Linear,
    example,
    gradients,
    inputs_for,
    mlp,
    of,
    reusing,
    shaken,
)

# A broken neighbour


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("dtype", [SINGLE, DOUBLE])
@ALL
def test_a_broken_network_leaves_the_others_alone(name, dtype, mode):
    """To the last bit: outputs, gradients and statistics."""
    x, others = inputs_for(name, dtype=dtype), [0, 1, 3]

    def work(value):
        networks = example(name, 4, dtype)
        with torch.no_grad():
            for tensor in networks[2].state_dict().values():
                if tensor.is_floating_point() and value is not None:
                    tensor.fill_(value)
        stack = Stack(networks)
        stack.mode = mode
        outputs, grads = gradients(stack, x)
        return {"outputs": outputs, **grads, **stack.buffers}

    clean = work(None)
    for value in (torch.nan, torch.inf, 1e30):
        broken = work(value)
        for key, values in clean.items():
            assert torch.equal(values[others], broken[key][others])
            assert values.isfinite().all()
        assert broken["outputs"][2].isnan().any() or value == value or "in place" in name


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_broken_inputs_of_one_network(value):
    networks, x = example("everywhere, {}"), inputs_for("everywhere, {}", own=True)
    other = x.clone()
    other[1, 4, 2] = value
    clean, broken = Stack(networks), Stack(networks)
    (outputs, grads), (others, other_grads) = gradients(clean, x), gradients(broken, other)
    left, right = {"": outputs, **grads, **clean.buffers}, {"": others, **other_grads}
    for key, values in (right | broken.buffers).items():
        assert torch.equal(values[[0, 2]], left[key][[0, 2]])
    finite = broken.buffers["0.running_mean"][1].isfinite().tolist()
    assert finite == [True, True, False, True, True]


# Stacks of other sizes


def check_parts(networks, sizes, features, batch, own):
    """The networks in one stack beside the same in stacks of these sizes.

    To rounding: matrix libraries choose their programs by the processor and by the number of
    the matrices.
    """
    count, dtype = len(networks), networks[0][-1].weight.dtype
    single = dtype == SINGLE
    rounding = {"rtol": 1e-3, "atol": 1e-4} if single else {"rtol": 1e-9, "atol": 1e-10}
    parts = torch.arange(count).split(sizes)
    whole, stacks = Stack(networks), [Stack([networks[k] for k in part]) for part in parts]
    for mode in ("train", "train", "precise", "eval"):
        x = torch.randn(*[count] * own, batch, features, dtype=dtype)
        for stack in (whole, *stacks):
            stack.mode = mode
            for p in stack.parameters.values():
                p.grad = None
        outputs = whole(x)
        outputs.square().sum().backward()
        for part, stack in zip(parts, stacks, strict=True):
            of_part = stack(x[part] if own else x)
            of_part.square().sum().backward()
            torch.testing.assert_close(of_part, outputs[part], **rounding)
            for name, p in stack.parameters.items():
                grad = whole.parameters[name].grad[part]
                scale = grad.abs().max().clamp(min=1)  # by which sums that cancel are rounded
                torch.testing.assert_close(p.grad / scale, grad / scale, **rounding)
            for name, buffer in stack.buffers.items():
                torch.testing.assert_close(buffer, whole.buffers[name][part], **rounding)


@given(
    sizes=st.lists(st.integers(1, 20), min_size=2, max_size=5),
    dtype=st.sampled_from([SINGLE, DOUBLE]),
    arguments=st.tuples(
        st.integers(1, 8),
        st.integers(0, 3),
        st.integers(1, 20),
        st.integers(1, 3),
        st.sampled_from(["tanh", "relu"]),
        st.sampled_from([None, "before", "after"]),
    ),
    batch=st.integers(2, 60),
    own=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_parts_of_any_size_give_the_same(sizes, dtype, arguments, batch, own, seed):
    torch.manual_seed(seed)
    networks = [shaken(lab.mlp(*arguments).to(dtype)) for _ in range(sum(sizes))]
    check_parts(networks, sizes, arguments[0], batch, own)


# What is refused


class Doubled(nn.Sequential):
    def forward(self, x):
        return 2 * super().forward(x)


def separate():
    """As ``reusing`` to look at, but of two linear layers."""
    return of(Flatten, (Linear, 64, 64), nn.ReLU, (Linear, 64, 64), nn.ReLU, (Linear, 64, 5))()


ALIKE = "networks must differ in their weights alone"
WRONG = [
    ([], ValueError, "networks must hold at least one network, got none"),
    ([Linear(64, 10)], TypeError, "networks must be .*Sequential, got a Linear"),
    ([mlp(), nn.Tanh()], TypeError, "networks must be .*Sequential, got a Tanh"),
    ([Doubled(Flatten(), Linear(64, 10))], TypeError, "Sequential, got a Doubled"),
    ([None], TypeError, "Sequential, got a NoneType"),
    ([mlp(), mlp(nn.Tanh)], ValueError, ALIKE),
    ([mlp(), mlp(bias=False)], ValueError, ALIKE),
    ([reusing(), separate()], ValueError, ALIKE),
    ([lab.mlp(norm="before"), lab.mlp(norm="after")], ValueError, ALIKE),
    ([lab.mlp(norm="after"), lab.mlp(norm="after", momentum=0.2)], ValueError, ALIKE),
    ([lenet(8), lenet(8, 3)], ValueError, ALIKE),
]
LAYERS = [
    (BatchNorm(3, momentum=None), "normalisations with a momentum, got BatchNorm1d.*=None"),
    (nn.Dropout(), "must be made of .* layers, got Dropout"),
    (nn.BatchNorm2d(2), "must be made of .* layers, got BatchNorm2d"),
    (Flatten(0), "Flatten.start_dim=0"),
    (Flatten(1, 2), "end_dim=2"),
    (nn.Sequential(Flatten()), "must be made of .* layers, got Sequential"),
    (Conv(2, 2, 3, groups=2), "one group"),
    (Conv(1, 2, 3, dilation=2), "without dilation"),
    (Conv(1, 2, 3, padding="same"), "padded by numbers"),
    (Conv(1, 2, 3, padding="valid"), "padded by numbers"),
    (Conv(1, 2, 3, padding=1, padding_mode="reflect"), "zeros"),
]
WRONG += [([nn.Sequential(layer, Linear(3, 1))], TypeError, text) for layer, text in LAYERS]


@pytest.mark.parametrize(("networks", "error", "message"), WRONG)
def test_wrong_networks(networks, error, message):
    with pytest.raises(error, match=message):
        Stack(networks)


@pytest.mark.parametrize("index", [3, -1, -3, 0.5, None])
def test_wrong_index(index):
    stack = Stack(example("MLP, ReLU"))
    with pytest.raises(IndexError, match=f"index must be from 0 to 2, got {index!r}"):
        stack.network(index)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_own_inputs_for_another_number_of_networks(count):
    stack = Stack(example("mixed"))
    message = rf"inputs must be \[batch, ...\] or \[3, batch, features\], got \[{count}, 6, 5\]"
    with pytest.raises(ValueError, match=message):
        stack(torch.zeros(count, 6, 5, dtype=DOUBLE))


@pytest.mark.parametrize(
    "layers",
    [
        [BatchNorm(1)],
        [BatchNorm(1, affine=False, track_running_stats=False)],
        [Conv(1, 3, 3), BatchNorm(3)],
        [Conv(1, 3, 3), BatchNorm(3, affine=False, track_running_stats=False)],
        [Conv(1, 3, 3), Linear(6, 2)],
        [Linear(8, 2)],
    ],
)
def test_images_that_are_not_flat(layers):
    stack = Stack([nn.Sequential(*layers)] * 3)
    with pytest.raises(ValueError, match="networks must have a Flatten layer between images"):
        stack(torch.zeros(2, 1, 8, 8))
