"""The compiled epochs: each network as if trained alone by PyTorch, and by itself bit for bit."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numba import njit
from torch import nn

from lrsched.lab import SGD, Adam, compiled, lenet, mlp
from lrsched.lab.models import Stack
from lrsched.lab.optimizers import StackOptimizer

LANES = compiled.LANES
DOUBLE = torch.float64
KINK = 2e-5  # nearer to it float32 may take the other side, and learn something else


# tanh

vector_tanh, load, store = compiled._tanh, compiled.load, compiled.store


@njit
def fill_tanh(x, y):
    for place in range(len(x) // LANES):
        store(y, place, vector_tanh(load(x, place)))


def tanh(x):
    """The compiled tanh of float32 numbers."""
    padded = np.append(x, np.zeros(-len(x) % LANES, np.float32))
    assert padded.dtype == np.float32
    y = np.full_like(padded, 7)
    fill_tanh(padded, y)
    return y[: len(x)]


def floats(low, high, step=1):
    """Every float32 between two that are not negative, or each of so many."""
    low, high = (int(np.float32(x).view(np.int32)) for x in (low, high))
    return np.arange(low, high, step, np.int32).view(np.float32)


@pytest.mark.parametrize(
    "x",
    [
        floats(0, np.inf, 1009),
        floats(0, 1e-42),
        floats(1.17e-38, 1.18e-38),
        floats(0.999, 1.001),
        floats(9, 9.6),
        floats(1e38, np.inf, 101),
        np.linspace(0, 10, 500_001, dtype=np.float32),
    ],
    ids=["all magnitudes", "denormal", "least normal", "one", "end", "huge", "even"],
)
def test_tanh(x):
    assert len(x) > 500
    y, exact = tanh(x), np.tanh(x.astype(np.float64))
    there = x != 0
    assert np.abs(y[there].astype(np.float64) / exact[there] - 1).max(initial=0) < 4e-7
    assert y.max() <= 1
    assert (y[x >= 9.5] == 1).all()
    np.testing.assert_array_equal(tanh(-x).view(np.int32), (-y).view(np.int32))


def test_tanh_of_special_values():
    tiny, huge = np.finfo(np.float32).smallest_subnormal, np.finfo(np.float32).max
    x = np.array([0, -0.0, np.inf, -np.inf, np.nan, -np.nan, tiny, -tiny, huge, -huge], np.float32)
    y = tanh(x)
    expected = np.array([0, -0.0, 1, -1, np.nan, np.nan, tiny, -tiny, 1, -1], np.float32)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(np.signbit(y[:2]), [False, True])


# Beside PyTorch


class Task:
    """Samples, their order and the rates of two epochs, for networks of some seeds."""

    def __init__(self, features, outputs, rows, batch, size, seeds=3, evaluated=50, rate=0.05):
        g = torch.Generator().manual_seed(size)

        def samples(count):
            x = torch.randn(count, features, generator=g)
            y = torch.sin(x @ torch.randn(features, outputs, generator=g))
            return x, y + 0.3 * torch.randn(count, outputs, generator=g)

        self.samples, self.evaluated = samples(rows), samples(evaluated)
        self.batch, self.steps = batch, -(-rows // batch)
        self.orders = [
            torch.stack([torch.randperm(rows, generator=g) for _ in range(seeds)]) for _ in range(2)
        ]
        self.seed_of = torch.randint(seeds, (size,), generator=g)
        self.rates = rate * torch.rand(2, self.steps, size, dtype=DOUBLE, generator=g)

    def of(self, chosen):
        """The same for some of the networks, in this order."""
        task = copy.copy(self)
        task.seed_of, task.rates = self.seed_of[chosen], self.rates[:, :, chosen]
        return task


def networks(make, size):
    """Networks whose weights and running statistics all differ."""
    torch.manual_seed(size)
    found = [make() for _ in range(size)]
    with torch.no_grad():
        for network in found:
            for p in network.parameters():
                p.add_(torch.randn_like(p), alpha=0.2)
            for name, buffer in network.named_buffers():
                if name.endswith("running_var"):
                    buffer.uniform_(0.5, 2)
                elif name.endswith("running_mean"):
                    buffer.normal_(0, 0.3)
                else:
                    buffer.fill_(int(torch.randint(9, ())))
    return found


def together(found, rule, task):
    """All that two epochs give for all networks, by name, each [networks, ...]."""
    stack = Stack(found)
    assert compiled.supported(stack)
    optimizer = StackOptimizer(rule, stack.parameters)
    results = {}
    for epoch, orders in enumerate(task.orders):
        losses, applied = compiled.train(
            stack, optimizer, *task.samples, orders, task.seed_of, task.rates[epoch], task.batch
        )
        assert torch.equal(applied, task.rates[epoch].float())
        assert optimizer.steps == (epoch + 1) * task.steps
        results[f"loss {epoch}"] = losses.T
        for mode in ("eval", "precise"):
            results[f"{mode} {epoch}"] = compiled.errors(stack, *task.evaluated, mode)
    results |= {name: p.detach() for name, p in stack.parameters.items()} | stack.buffers
    for moment, tensors in optimizer.state.items():
        for name, tensor in zip(stack.parameters, tensors, strict=True):
            results[f"{moment} of {name}"] = tensor
    return results


def native(rule, parameters):
    """PyTorch's own optimizer, and its names of the moments."""
    if isinstance(rule, Adam):
        made = torch.optim.Adam(
            parameters, 1.0, (rule.beta1, rule.beta2), rule.eps, rule.weight_decay
        )
        return made, {"mean": "exp_avg", "square": "exp_avg_sq"}
    made = torch.optim.SGD(
        parameters, 1.0, rule.momentum, weight_decay=rule.weight_decay, nesterov=rule.nesterov
    )
    return made, {"velocity": "momentum_buffer"} if rule.momentum else {}


def alone(network, rule, task, index, dtype):
    """The same for one network by an ordinary training loop, and how near it was to a kink."""
    network = copy.deepcopy(network).to(dtype)
    optimizer, moments = native(rule, network.parameters())
    (inputs, targets), (others, goals) = (
        [x.to(dtype) for x in samples] for samples in (task.samples, task.evaluated)
    )
    results, nearest = {}, np.inf

    def outputs(x):
        nonlocal nearest
        exact = False  # zeros that are no rounding of anything
        for layer in network:
            if isinstance(layer, nn.ReLU):
                distances = x.detach().abs()
                distances = distances[distances != 0] if exact else distances
                nearest = min([nearest, *distances.flatten().tolist()])
                exact = True
            elif isinstance(layer, nn.Linear | nn.BatchNorm1d):
                exact = False
            x = layer(x)
        return x

    for epoch, orders in enumerate(task.orders):
        losses = []
        order = orders[task.seed_of[index]]
        for step, rows in enumerate(torch.split(order, task.batch)):
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(outputs(inputs[rows]), targets[rows])
            loss.backward()
            optimizer.param_groups[0]["lr"] = task.rates[epoch, step, index].float().item()
            optimizer.step()
            losses.append(loss.detach())
        results[f"loss {epoch}"] = torch.stack(losses)
        for mode, training in {"eval": False, "precise": True}.items():
            trial = copy.deepcopy(network).train(training)
            with torch.no_grad():
                results[f"{mode} {epoch}"] = nn.functional.mse_loss(trial(others), goals)
    results |= {name: p.detach() for name, p in network.named_parameters()}
    results |= dict(network.named_buffers())
    for moment, theirs in moments.items():
        for name, p in network.named_parameters():
            results[f"{moment} of {name}"] = optimizer.state[p][theirs]
    return results, nearest


def distance(found, exact):
    return float((found.double() - exact).abs().max() / (exact.abs().max() + 0.01))


def agrees(make, rule, task, least):
    """As near to float64 as PyTorch's float32 is, for so many networks of the task at least."""
    found, compared = networks(make, len(task.seed_of)), 0
    results = together(found, rule, task)
    for index, network in enumerate(found):
        exact, nearest = alone(network, rule, task, index, DOUBLE)
        if nearest < KINK:
            continue
        compared += 1
        theirs, _ = alone(network, rule, task, index, torch.float32)
        assert results.keys() == theirs.keys()
        slack = max(distance(theirs[name], exact[name]) for name in exact)
        for name, tensor in results.items():
            assert (tensor.dtype, tensor[index].shape) == (theirs[name].dtype, theirs[name].shape)
            if not tensor.is_floating_point():
                assert torch.equal(tensor[index], theirs[name]), name
                continue
            assert distance(tensor[index], exact[name]) <= 1e-4 + 50 * slack, (index, name)
    assert compared >= least
    return compared


def sharing():
    """A linear layer and a normalisation, each at two places."""
    linear, norm = nn.Linear(4, 4), nn.BatchNorm1d(4)
    return nn.Sequential(
        nn.Linear(3, 4), linear, norm, nn.Tanh(), linear, norm, nn.ReLU(), nn.Linear(4, 2)
    )


HANDMADE = {
    "linear": lambda: nn.Sequential(nn.Linear(3, 2)),
    "no bias": lambda: nn.Sequential(
        nn.Linear(3, 6, bias=False), nn.Tanh(), nn.Linear(6, 5, bias=False), nn.ReLU(),
        nn.Linear(5, 2, bias=False),
    ),
    "affine=False": lambda: nn.Sequential(
        nn.Linear(3, 6), nn.BatchNorm1d(6, affine=False, eps=1e-2), nn.Tanh(), nn.Linear(6, 2)
    ),
    "bias alone of none": lambda: nn.Sequential(
        nn.Linear(3, 6, bias=False), nn.BatchNorm1d(6, momentum=0.4), nn.ReLU(), nn.Linear(6, 2)
    ),
    "norm first and last": lambda: nn.Sequential(
        nn.BatchNorm1d(3), nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2), nn.BatchNorm1d(2)
    ),
    "norm alone": lambda: nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 2)),
    "norms in a row": lambda: nn.Sequential(
        nn.Linear(3, 4), nn.BatchNorm1d(4, momentum=0.0), nn.BatchNorm1d(4, momentum=1.0, eps=0.1),
        nn.Linear(4, 2),
    ),
    "tanh first and last": lambda: nn.Sequential(nn.Tanh(), nn.Linear(3, 2), nn.Tanh()),
    "ReLU first and last": lambda: nn.Sequential(
        nn.ReLU(), nn.BatchNorm1d(3), nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2), nn.ReLU()
    ),
    "activations in a row": lambda: nn.Sequential(
        nn.Linear(3, 4), nn.Tanh(), nn.ReLU(), nn.Tanh(), nn.Tanh(), nn.BatchNorm1d(4), nn.ReLU(),
        nn.ReLU(), nn.Linear(4, 2),
    ),
    "linear layers in a row": lambda: nn.Sequential(
        nn.Linear(3, 9), nn.Linear(9, 1), nn.Linear(1, 7), nn.Linear(7, 2)
    ),
    "flat": lambda: nn.Sequential(
        nn.Flatten(), nn.Linear(3, 5), nn.Flatten(), nn.ReLU(), nn.Flatten(), nn.Linear(5, 2),
        nn.Flatten(),
    ),
    "in place": lambda: nn.Sequential(
        nn.Linear(3, 5), nn.ReLU(inplace=True), nn.Linear(5, 4), nn.BatchNorm1d(4),
        nn.ReLU(inplace=True), nn.Linear(4, 2),
    ),
    "shared": sharing,
    "deep": lambda: mlp(3, 4, 5, outputs=2, norm="after"),
}  # fmt: skip
RULES = [
    SGD(),
    SGD(0.9),
    SGD(0.5, 0.1, nesterov=True),
    SGD(weight_decay=0.1),
    Adam(eps=1e-3),
    Adam(0.5, 0.9, 1e-2, 0.1),
]


@pytest.mark.parametrize("rule", RULES, ids=repr)
@pytest.mark.parametrize("kind", HANDMADE)
def test_handmade(kind, rule):
    """Batches of 9, 9 and 5 rows."""
    agrees(HANDMADE[kind], rule, Task(3, 2, rows=23, batch=9, size=3), least=1)


def test_the_default_adam():
    agrees(lambda: mlp(3, 1, outputs=2), Adam(), Task(3, 2, 23, 9, 5, rate=0.01), least=5)


@pytest.mark.parametrize("batch", range(1, 12))
def test_batch_sizes(batch):
    """Sums and products are computed some rows at a time, and then the rows left over."""
    make = HANDMADE["linear layers in a row"]
    agrees(make, SGD(), Task(3, 2, 10, batch, size=1), least=1)
    if 10 % batch != 1 and batch > 1:
        make = HANDMADE["norm first and last"]
        agrees(make, SGD(), Task(3, 2, 10, batch, size=1), least=1)


@pytest.mark.parametrize("rows", [1, 2, 39, 40, 41, 80, 81, 83])
@pytest.mark.parametrize("norm", [None, "before"])
def test_evaluated_rows(rows, norm):
    if rows == 1 and norm:
        rows = 5
    task = Task(3, 3, 12, 5, size=2, evaluated=rows)
    agrees(lambda: mlp(3, 2, 5, outputs=3, norm=norm), SGD(), task, least=2)


@st.composite
def layers(draw, features, outputs):
    """What makes each layer of a network, of up to five linear ones."""

    def norm(width):
        keywords = {
            "eps": draw(st.sampled_from([1e-5, 1e-2])),
            "momentum": draw(st.sampled_from([0.0, 0.1, 0.37, 1.0])),
            "affine": draw(st.booleans()),
        }
        return lambda: nn.BatchNorm1d(width, **keywords)

    def some(width):
        for name in draw(st.sampled_from(["", "t", "r", "nt", "nr", "tn", "rn", "trf", "rnnt"])):
            found.append({"t": nn.Tanh, "r": nn.ReLU, "f": nn.Flatten}.get(name) or norm(width))

    found, width = [], features
    some(width)
    for units in [*draw(st.lists(st.integers(1, 9), max_size=4)), outputs]:
        bias = draw(st.booleans())
        found.append(lambda width=width, units=units, bias=bias: nn.Linear(width, units, bias=bias))
        width = units
        some(width)
    return found


SHARES = st.sampled_from([0.0, 0.3, 0.9])
DECAYS = st.sampled_from([0.0, 0.05])
DRAWN_RULES = st.one_of(
    st.builds(SGD, SHARES, DECAYS),
    st.builds(SGD, st.sampled_from([0.3, 0.9]), DECAYS, st.just(True)),
    st.builds(Adam, SHARES, st.sampled_from([0.5, 0.99]), st.just(1e-2), DECAYS),
)


@settings(max_examples=max(10, settings.default.max_examples // 2))
@given(data=st.data())
def test_drawn(data):
    draw = data.draw
    features, outputs = draw(st.integers(1, 9)), draw(st.integers(1, 4))
    parts = draw(layers(features, outputs))

    def make():
        return nn.Sequential(*(part() for part in parts))

    least = 4 if any(True for _ in make().buffers()) else 1  # few rows are hard to normalise
    last = draw(st.integers(least, 13))
    batch = draw(st.integers(last, 15))
    rows = last + batch * draw(st.integers(0, 3))
    size = draw(st.sampled_from([1, 3, 17]))
    task = Task(features, outputs, rows, batch, size, seeds=draw(st.integers(1, 3)), rate=0.02)
    assume(agrees(make, draw(DRAWN_RULES), task, least=0))


# By itself, bit for bit


BLOCKS = {
    "tanh": (lambda: mlp(3, 2, outputs=2), SGD(0.9)),
    "before": (lambda: mlp(3, 2, 5, 2, norm="before"), Adam()),
    "after": (lambda: mlp(3, 3, activation="relu", outputs=2, norm="after"), SGD(0.5, 0.1, True)),
    "flat": (HANDMADE["flat"], Adam(weight_decay=0.1)),
    "ends": (HANDMADE["norm first and last"], SGD()),
}
SIZE = 70  # blocks of one seed, of several seeds, and one that is not full
MANY = Task(3, 2, 23, 9, SIZE, seeds=3)


def bits(results):
    """All numbers of each network, [networks, numbers]."""
    return torch.cat(
        [t.flatten(1) if t.dim() > 1 else t[:, None] for t in map(integers, results.values())], 1
    )


def integers(tensor):
    return tensor.contiguous().view(torch.int32).long() if tensor.is_floating_point() else tensor


@pytest.fixture
def threads():
    """Sets the number of threads until the test ends."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.fixture(params=BLOCKS)
def block(request):
    """Networks, the rule, and all that they give."""
    make, rule = BLOCKS[request.param]
    found = networks(make, SIZE)
    results = together(found, rule, MANY)
    assert all(t.isfinite().all() for t in results.values())
    assert len(set(map(tuple, bits(results).tolist()))) == SIZE
    return found, rule, bits(results)


CHOICES = {
    "all": range(SIZE),
    "one": [5],
    "last": [SIZE - 1],
    "few": [69, 3, 50],
    "without the first": range(1, SIZE),
    "half": range(0, SIZE, 2),
    "backwards": range(SIZE - 1, -1, -1),
    "mixed": torch.randperm(SIZE, generator=torch.Generator().manual_seed(1)).tolist(),
    "repeated": [7, 7, 40, *[7] * 20, 41],
}


def test_neither_lane_nor_subset_nor_order_matters(block):
    found, rule, expected = block
    for label, chosen in CHOICES.items():
        chosen = list(chosen)
        results = together([found[index] for index in chosen], rule, MANY.of(chosen))
        assert torch.equal(bits(results), expected[chosen]), label


@pytest.mark.parametrize("count", [1, 2, 3])
def test_threads_do_not_matter(block, threads, count):
    found, rule, expected = block
    threads(count)
    assert torch.equal(bits(together(found, rule, MANY)), expected)


def test_threads_share_no_memory(threads):
    """Epochs so long that the blocks are computed at the same time."""
    task = Task(3, 2, 4000, 50, 6 * LANES, evaluated=4000)
    found = networks(lambda: mlp(3, 3, 5, 2, norm="before"), 6 * LANES)
    threads(1)
    expected = bits(together(found, SGD(0.9), task))
    threads(3)
    assert torch.equal(bits(together(found, SGD(0.9), task)), expected)


@pytest.mark.parametrize("value", [torch.nan, 1e30, -1e38])
@pytest.mark.parametrize("first", [0, 1])
def test_lost_neighbours_do_not_matter(block, value, first):
    """Every second network of a block is lost, and does not recover."""
    found, rule, expected = block
    lost = MANY.seed_of.argsort(stable=True)[first::2].tolist()
    found = copy.deepcopy(found)
    with torch.no_grad():
        for index in lost:
            for p in found[index].parameters():
                p.fill_(value)
    results = together(found, rule, MANY)
    well = [index for index in range(SIZE) if index not in lost]
    assert torch.equal(bits(results)[well], expected[well])
    losses = torch.cat([results[f"{what} 1"].view(SIZE, -1) for what in ("loss", "eval")], 1)
    if value != 1e30:  # some networks bear that
        assert not losses[lost].isfinite().any()


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_nan_is_passed_on(activation):
    """A single hidden unit that is NaN, and no more, makes the loss NaN."""
    stack = Stack([mlp(3, 1, 4, activation=activation, outputs=2) for _ in range(2)])
    with torch.no_grad():
        stack.parameters["0.bias"][0, 2] = torch.nan
    inputs, targets = MANY.evaluated
    for mode in ("eval", "precise"):
        assert compiled.errors(stack, inputs, targets, mode).isnan().tolist() == [True, False]
    rates = torch.zeros(2, 2, dtype=DOUBLE)
    orders = torch.arange(len(inputs))[None]
    losses, _ = compiled.train(
        stack, StackOptimizer(SGD(), stack.parameters), inputs, targets, orders,
        torch.zeros(2, dtype=torch.int64), rates, 25,
    )  # fmt: skip
    assert losses.isnan().tolist() == [[True, False]] * 2


def test_one_seed_and_several(block):
    """The rows of a block are gathered in one of two ways."""
    found, rule, _ = block
    found, several = found[:LANES], MANY.of(list(range(LANES)))
    assert len(several.seed_of.unique()) == 3
    mixed = bits(together(found, rule, several))
    for seed in range(3):
        one = copy.copy(several)
        one.seed_of = torch.full((LANES,), seed)
        chosen = several.seed_of == seed
        assert torch.equal(bits(together(found, rule, one))[chosen], mixed[chosen])
        assert not torch.equal(bits(together(found, rule, one)), mixed)
    alike = copy.copy(several)
    alike.orders = [orders[:1].expand(3, -1) for orders in several.orders]
    one.orders = alike.orders
    assert torch.equal(bits(together(found, rule, alike)), bits(together(found, rule, one)))


# Rates, samples, and what is supported


def test_rates_that_float32_rounds():
    values = [0.1, 1 / 3, 0.0, 1e-40, 1e-300, 1e300, 5e-8, 1 - 1e-12, 16777217.0]
    rates = torch.tensor([values, values[::-1]], dtype=DOUBLE)
    size = len(values)
    stack = Stack(networks(lambda: mlp(3, 1, outputs=2), size))
    optimizer = StackOptimizer(SGD(), stack.parameters)
    before = stack.parameters["0.weight"].detach().clone()
    inputs, targets = MANY.samples
    orders = torch.arange(len(inputs))[None]
    _, applied = compiled.train(
        stack, optimizer, inputs, targets, orders, torch.zeros(size, dtype=torch.int64), rates, 12
    )
    assert applied.dtype == torch.float32
    assert torch.equal(applied, rates.float())
    assert torch.isinf(applied).sum() == 2
    assert (stack.parameters["0.weight"][0] != before[0]).any()


def test_the_rate_zero_leaves_the_weights():
    found = networks(lambda: mlp(3, 2, outputs=2, norm="after"), 5)
    still = Task(3, 2, 23, 9, 5, rate=0.0)
    results = together(found, SGD(0.9), still)
    for index, network in enumerate(found):
        for name, p in network.named_parameters():
            assert torch.equal(results[name][index], p)


def test_samples_may_lie_apart_and_stay():
    found = networks(lambda: mlp(3, 2, outputs=2), 4)
    task = Task(3, 2, 23, 9, 4)
    apart = copy.copy(task)
    apart.samples, apart.evaluated = (
        [x.repeat_interleave(2, dim=1)[:, ::2] for x in samples]
        for samples in (task.samples, task.evaluated)
    )
    apart.orders = [orders.T.contiguous().T for orders in task.orders]
    assert not any(x.is_contiguous() for x in (*apart.samples, *apart.orders))
    kept = copy.deepcopy(task)
    assert torch.equal(bits(together(found, SGD(), apart)), bits(together(found, SGD(), task)))
    for name in ("samples", "evaluated", "orders"):
        assert all(map(torch.equal, getattr(task, name), getattr(kept, name)))


@pytest.mark.parametrize("mode", ["eval", "precise"])
def test_no_samples(mode):
    stack = Stack([mlp(3, norm="before") for _ in range(3)])
    found = compiled.errors(stack, torch.zeros(0, 3), torch.zeros(0, 1), mode)
    assert found.dtype == torch.float32
    assert found.isnan().tolist() == [True] * 3


@pytest.mark.parametrize("rule", [SGD(), SGD(0.9), Adam()], ids=["none", "one", "two"])
def test_checks_are_errors(rule, threads):
    """What is evaluated with the training, beside any number of moments; of several sizes."""
    threads(2)
    task = Task(3, 2, 23, 9, 40, evaluated=83)
    stack = Stack(networks(lambda: mlp(3, 2, outputs=2, norm="before"), 40))
    optimizer = StackOptimizer(rule, stack.parameters)
    nothing = torch.zeros(0, 3), torch.zeros(0, 2)
    for orders, rates in zip(task.orders, task.rates, strict=True):
        checks = [
            (*samples, mode)
            for samples in (task.samples, nothing, task.evaluated)
            for mode in ("precise", "eval")
        ]
        arguments = *task.samples, orders, task.seed_of, rates, 9
        _, _, *found = compiled.train(stack, optimizer, *arguments, checks)
        assert len(found) == len(checks)
        for errors, check in zip(found, checks, strict=True):
            torch.testing.assert_close(
                errors, compiled.errors(stack, *check), rtol=0, atol=0, equal_nan=True
            )
            assert errors.isnan().all() == (not len(check[0]))


def test_refused():
    stack = Stack([mlp(3, outputs=2)] * 2)
    inputs, targets = MANY.samples
    with pytest.raises(ValueError, match="must have 3 inputs, got 2"):
        compiled.errors(stack, inputs[:, :2], targets, "eval")
    with pytest.raises(ValueError, match="targets must have 2 columns, got 1"):
        compiled.errors(stack, inputs, targets[:, :1], "eval")
    with pytest.raises(KeyError):
        compiled.errors(stack, inputs, targets, "train")


@pytest.mark.parametrize("updates", [2, 4])
def test_rates_of_another_length_are_refused(updates):
    stack = Stack([mlp(3)] * 2)
    inputs, targets = torch.zeros(11, 3), torch.zeros(11, 1)
    order, seeds = torch.arange(11)[None], torch.zeros(2, dtype=torch.int64)
    optimizer = StackOptimizer(SGD(), stack.parameters)
    rates = torch.zeros(updates, 2, dtype=torch.float64)
    with pytest.raises(ValueError, match=f"rates must be of the 3 updates .* got {updates}"):
        compiled.train(stack, optimizer, inputs, targets, order, seeds, rates, 4)


@pytest.mark.parametrize("kind", HANDMADE)
def test_supported(kind):
    assert compiled.supported(Stack([HANDMADE[kind]()]))


class Own(nn.Linear):
    """A layer whose ``forward`` could be anything."""


def test_not_supported():
    linear = nn.Linear(3, 3)
    assert not compiled.supported(Stack([lenet()]))
    assert not compiled.supported(Stack([mlp().double()]))
    assert not compiled.supported(Stack([mlp(norm="after").double()]))
    norm = nn.BatchNorm1d(3, track_running_stats=False)
    assert not compiled.supported(Stack([nn.Sequential(linear, norm)]))
    assert not compiled.supported(Stack([nn.Sequential(linear, nn.BatchNorm1d(3).double())]))
    assert not compiled.supported(Stack([nn.Sequential(nn.MaxPool2d(2), nn.Flatten(), linear)]))
    assert not compiled.supported(Stack([nn.Sequential(linear, Own(3, 3))]))
