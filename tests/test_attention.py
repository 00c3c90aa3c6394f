"""Transformers side by side: each is what PyTorch's own layers give alone; and what is refused."""

import functools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

import lrsched as L
from experiments import IMAGES, TRANSFORMERS, agrees, alone, arrays, same
from lrsched.lab import SGD, AdamW, Run, Stack, train, transformer
from lrsched.lab.attention import MeanOverTokens, Tokens, printed
from stacks import DOUBLE, built, check_batch, encoder, networks

SMALL = {"side": 8, "patch": 4, "width": 8, "heads": 2, "depth": 1}


# One transformer


@pytest.mark.parametrize("norm", ["before", "after"])
@pytest.mark.parametrize("activation", ["gelu", "relu"])
def test_transformer(norm, activation):
    network = transformer(
        12, 5, patch=3, width=6, heads=2, depth=3, norm=norm, activation=activation
    )
    layers = nn.Conv2d, Tokens, *[nn.TransformerEncoderLayer] * 3, nn.LayerNorm, MeanOverTokens
    layers = [kind for kind in layers if norm == "before" or kind is not nn.LayerNorm]
    assert [type(layer) for layer in network] == [*layers, nn.Linear]
    assert network(torch.zeros(4, 1, 12, 12)).shape == (4, 5)
    for layer in network[2:5]:
        assert layer.norm_first == (norm == "before")
        assert layer.activation is getattr(F, activation)
        assert (layer.self_attn.num_heads, layer.linear1.out_features) == (2, 24)
        assert {part.p for part in layer.modules() if isinstance(part, nn.Dropout)} == {0.0}


def test_patches_are_tokens():
    """Of each patch the same linear map, row by row; and a vector for each place."""
    torch.manual_seed(1)
    first, tokens, *_ = transformer(6, patch=2, width=4, heads=1)
    images = torch.randn(5, 1, 6, 6)
    found = tokens(first(images))
    for row in range(3):
        for column in range(3):
            patch = images[:, 0, 2 * row :, 2 * column :][:, :2, :2].flatten(1)
            expected = F.linear(patch, first.weight.flatten(1), first.bias)
            place = 3 * row + column
            torch.testing.assert_close(found[:, place], expected + tokens.positions[place])
    assert 0.01 < float(tokens.positions.detach().std()) < 0.03


def test_printed_says_what_pytorch_leaves_out():
    """Else the settings of two trainings could look alike."""
    said = [{"heads": 1}, {"activation": "relu"}, {"norm": "after"}, {}]
    texts = {printed(transformer(**SMALL | other)) for other in said}
    assert len(texts) == 4
    assert "\n(2): heads=2, norm_first=True, activation=gelu" in printed(transformer(**SMALL))
    assert "(1): Tokens(4, 8)" in printed(transformer(**SMALL))
    assert printed(nn.Linear(2, 1)) == str(nn.Linear(2, 1))


@pytest.mark.parametrize(("said", "message"), [
    ({"side": 10}, "^patch must divide side=10, got 4"), ({"patch": 16}, "side=8, got 16"),
    ({"heads": 3}, "^heads must divide width=8, got 3"), ({"width": 7}, "width=7, got 2"),
])  # fmt: skip
def test_sizes_that_do_not_fit(said, message):
    with pytest.raises(ValueError, match=message):
        transformer(**SMALL | said)


# Many side by side


@given(data=st.data(), count=st.sampled_from([1, 2, 5, 20]), norm=st.sampled_from([*TRANSFORMERS]))
def test_any_transformer(data, count, norm):
    patch, across, heads, part = (data.draw(st.integers(1, 4)) for _ in range(4))
    side, depth = patch * across, data.draw(st.integers(1, 3))
    activation = data.draw(st.sampled_from(["gelu", "relu"]))
    make = functools.partial(
        transformer, side, 3, patch=patch, width=heads * part, heads=heads, depth=depth,
        norm=norm, activation=activation,
    )  # fmt: skip
    nets = networks(make, count, DOUBLE)
    stack = Stack(nets)
    for batch in data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=2)):
        check_batch(stack, nets, torch.randn(batch, 1, side, side, dtype=DOUBLE), False, 1e-7, 1e-8)


@pytest.mark.parametrize("optimizer", [AdamW(), AdamW(0.8, 0.9, weight_decay=1.0),
                                       SGD(0.9, 0.01, nesterov=True)], ids=repr)  # fmt: skip
@pytest.mark.parametrize("norm", TRANSFORMERS)
def test_training_equals_a_plain_loop(norm, optimizer):
    """In chunks and groups; and each alone as beside the others."""
    lr = 0.003 if isinstance(optimizer, AdamW) else 0.02
    schedules = {"constant": L.Constant(lr), "warm": L.Cosine(lr, 25).warmup(5)}
    runs = [Run(*each, seed) for each in schedules.items() for seed in (0, 1)]
    said = {"network": TRANSFORMERS[norm], "epochs": 3, "batch_size": 13, "optimizer": optimizer}
    results = train(runs, IMAGES, **said, group=2, chunk=5)
    plain = {name: said[name] for name in ("epochs", "batch_size", "optimizer")}
    for run in runs:
        agrees(results, run, alone(run, IMAGES, said["network"], **plain))
    for place, run in [(0, runs[0]), (3, runs[3])]:
        single = train([run], IMAGES, **said, group=1, chunk=13)
        same(arrays(results, [place]), arrays(single), exact=False)
    assert "norm_first" in results.settings["network"]


def test_layers_that_are_measured():
    runs = [Run("a", L.Constant(0.1)), Run("b", L.Constant(0.0))]
    said = {"network": TRANSFORMERS["before"], "epochs": 1, "distances_every": 2}
    distances = train(runs, IMAGES, **said).distances
    parts = ["self_attn", "self_attn.out_proj", "linear1", "linear2", "norm1", "norm2"]
    layers = [f"{layer}.{part}" for layer in (2, 3) for part in parts]
    assert list(distances) == ["0", "1", *layers, "4", "6"]
    for values in distances.values():
        assert values[1, 0] > 0
        assert values[1, 1] == 0


# What is refused


def own(**replaced):
    """A transformer layer in which something is another than PyTorch's."""
    layer = encoder(4, 2)()
    for name, part in replaced.items():
        setattr(layer, name, part)
    return layer


class Otherwise(nn.TransformerEncoderLayer):
    def forward(self, x):
        return 2 * super().forward(x)


def attention(**settings):
    return nn.MultiheadAttention(4, 2, batch_first=True, **settings)


FOREIGN = [
    encoder(4, 2, dropout=0.1)(), own(dropout1=nn.Dropout(0.5)), encoder(4, 2, batch_first=False)(),
    own(self_attn=attention(dropout=0.1)), own(self_attn=attention(add_bias_kv=True)),
    own(self_attn=attention(add_zero_attn=True)), own(self_attn=attention(kdim=4, vdim=3)),
    own(norm1=nn.RMSNorm(4)), own(linear2=nn.Identity()), own(self_attn=nn.Identity()),
    encoder(4, 2, activation=F.silu)(), encoder(4, 2, activation=nn.GELU("tanh"))(),
    Otherwise(4, 2, 7, 0.0, batch_first=True),
]  # fmt: skip


@pytest.mark.parametrize("layer", FOREIGN, ids=range(len(FOREIGN)))
def test_other_transformer_layers(layer):
    network = nn.Sequential(nn.Conv2d(1, 4, 4, 4), Tokens(4, 4), layer, MeanOverTokens())
    with pytest.raises(TypeError, match="networks must have transformer layers as PyTorch makes"):
        Stack([network])


POOL, FLAT, MEAN, NORM = nn.MaxPool2d(1), nn.Flatten(), MeanOverTokens(), nn.BatchNorm1d(64)
TOKENS, LAYER, LINEAR = Tokens(64, 1), encoder(1)(), nn.Linear(64, 64)
MISPLACED = [
    ([LAYER, LINEAR], "inputs for TransformerEncoderLayer"),
    ([MEAN], "inputs for MeanOverTokens"),
    ([FLAT, LINEAR, TOKENS], "columns for Tokens"),
    ([TOKENS, TOKENS], "tokens for Tokens"),
    ([TOKENS, POOL], "tokens for MaxPool2d"),
    ([TOKENS, NORM], "tokens for BatchNorm1d"),
    ([TOKENS, MEAN, LAYER], "columns for TransformerEncoderLayer"),
    ([FLAT, LINEAR, POOL], "columns for MaxPool2d"),
    ([FLAT, NORM, nn.Conv2d(1, 1, 1)], "columns for Conv2d"),
]


@pytest.mark.parametrize(("layers", "message"), MISPLACED)
def test_layers_in_the_wrong_place(layers, message):
    message = f"networks must have layers that fit behind one another, got {message}"
    with pytest.raises(TypeError, match=message):
        Stack([nn.Sequential(*layers)])


def test_normalised_over_several_axes():
    with pytest.raises(TypeError, match="normalisations over one axis, got LayerNorm"):
        Stack([nn.Sequential(nn.LayerNorm((8, 8)), nn.Flatten(), nn.Linear(64, 1))])


def test_tokens_of_rows():
    stack = Stack([nn.Sequential(Tokens(3, 1), MeanOverTokens())])
    with pytest.raises(ValueError, match=r"Tokens layer for images alone, .* \[5, 3\]"):
        stack(torch.zeros(5, 3))


def tied(kind, part):
    network = built((3,), 3, kind, 3, kind, 2)
    setattr(network[3], part, getattr(network[1], part))
    return network


@pytest.mark.parametrize("network", [
    tied("l", "weight"), tied({}, "bias"), nn.Sequential(nn.Conv2d(1, 4, 4), Tokens(25, 4),
    own(norm2=(norm := nn.LayerNorm(4)), norm1=norm), MeanOverTokens()),
], ids=range(3))  # fmt: skip
def test_single_weights_that_are_shared(network):
    """Of layers as a whole it is fine."""
    with pytest.raises(TypeError, match="networks must share layers as a whole"):
        Stack([network])


def test_networks_that_differ_in_what_is_not_printed():
    nets = [transformer(**SMALL), transformer(**SMALL | {"heads": 4})]
    with pytest.raises(ValueError, match="networks must differ in their weights alone"):
        Stack(nets)
