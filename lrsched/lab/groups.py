"""Groups of runs in training, and how they are worked through: what all trainers share."""

import copy
import dataclasses
import hashlib
import platform
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from .. import __version__
from ..arguments import Choice, Whole
from ..plateau import Plateau
from ..schedule import is_schedule
from . import checkpoints
from .history import Run
from .models import Stack
from .optimizers import SGD, Adam, StackOptimizer
from .plain import plain

Network = Callable[[], nn.Sequential]


@contextmanager
def undisturbed() -> Iterator[None]:
    """What the caller has set for this thread ends here: no_grad, inference_mode, autocast.

    Its default device and dtype need no ending: all that is computed here names its own.
    """
    with (
        torch.inference_mode(False),  # which also turns gradients on
        torch.autocast("cpu", enabled=False),
        torch.autocast("cuda", enabled=False),
    ):
        yield


class Group:
    """Runs in training, side by side.

    Args:
        runs: what is trained.
        networks: the network that each run starts from.
        rule: the optimizer.
        epochs, steps_per_epoch: the length of the training.
        watch: the name of the metric that a :class:`lrsched.Plateau` follows.
        device: where to train.

    Attributes:
        rates: the rates that were applied, read from the optimizer, a tensor [runs] for each
            step so far.
        losses: the losses of the batches likewise.
        lost: which runs have had a loss that is not finite.
        metrics: by name, a tensor [runs] for each epoch so far.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        networks: Sequence[nn.Sequential],
        rule: SGD | Adam,
        epochs: int,
        steps_per_epoch: int,
        watch: str,
        device: torch.device,
    ) -> None:
        self.runs = runs
        self.stack = Stack(networks, device)
        self.optimizer = StackOptimizer(rule, self.stack.parameters)
        self.steps_per_epoch = steps_per_epoch
        self.watch = watch
        steps = np.arange(epochs * steps_per_epoch)
        self.plateaus: dict[int, Plateau] = {}
        each: dict[Any, Any] = {}  # many runs may follow one schedule
        for place, run in enumerate(runs):
            if isinstance(run.schedule, Plateau):
                self.plateaus[place] = dataclasses.replace(run.schedule)  # as it starts
            elif run.schedule not in each:
                each[run.schedule] = run.schedule(steps)
        planned = [
            np.full(len(steps), run.schedule.base_lr)
            if isinstance(run.schedule, Plateau)
            else each[run.schedule]
            for run in runs
        ]
        self.planned = torch.from_numpy(np.stack(planned, axis=1)).to(device)
        self.epoch = 0
        self.seconds = 0.0
        self.lost = torch.zeros(len(runs), dtype=torch.bool, device=device)
        self.rates: list[Tensor] = []
        self.losses: list[Tensor] = []
        self.metrics: dict[str, list[Tensor]] = {}
        self.distances: dict[str, list[Tensor]] = {}

    def step(self, step: int) -> None:
        """Update the weights by their gradients, with the rates of this step."""
        self.optimizer.rates.copy_(self.planned[step])
        self.optimizer.step()
        self.rates.append(self.optimizer.rates.clone())

    def end_epoch(self, losses: list[Tensor], metrics: dict[str, Tensor]) -> None:
        """Keep the losses and the metrics of an epoch, NaN for runs that have diverged."""
        self.epoch += 1
        self.losses += losses
        self.lost |= ~torch.stack(losses).isfinite().all(0)
        for name, value in metrics.items():
            kept = torch.where(self.lost, torch.nan, value.to(self.lost.device)).cpu()
            self.metrics.setdefault(name, []).append(kept)
        self._watch()

    def _watch(self) -> None:
        """Let plateaus see their metric."""
        for place, plateau in self.plateaus.items():
            rate = plateau.update(self.metrics[self.watch][self.epoch - 1][place])
            self.planned[self.epoch * self.steps_per_epoch :, place] = rate

    _LISTS = ("rates", "losses")
    _TABLES = ("metrics", "distances")

    def state_dict(self) -> dict[str, Any]:
        """All that the rest of the training depends on, and what was measured so far."""
        return {
            "epoch": self.epoch,
            "seconds": self.seconds,
            "parameters": {name: p.detach() for name, p in self.stack.parameters.items()},
            "buffers": self.stack.buffers,
            "moments": self.optimizer.state,
            "steps": self.optimizer.steps,
            "lost": self.lost,
            **{name: torch.stack(getattr(self, name)) for name in self._LISTS},
            **{
                name: {key: torch.stack(values) for key, values in getattr(self, name).items()}
                for name in self._TABLES
            },
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state that :meth:`state_dict` gave."""
        device = self.planned.device
        self.seconds = state["seconds"]
        with torch.no_grad():
            for name, p in self.stack.parameters.items():
                p.copy_(state["parameters"][name])
            for name, statistics in self.stack.buffers.items():
                statistics.copy_(state["buffers"][name])
            for name, tensors in self.optimizer.state.items():
                for own, kept in zip(tensors, state["moments"][name], strict=True):
                    own.copy_(kept)
        self.optimizer.steps = state["steps"]
        for name in self._LISTS:
            setattr(self, name, list(state[name].to(device)))
        for name in self._TABLES:
            setattr(self, name, {key: list(values) for key, values in state[name].items()})
        for self.epoch in range(1, state["epoch"] + 1):
            self._watch()
        self.lost.copy_(state["lost"])

    def train_epoch(self) -> None:
        """Go through the training samples once, then measure."""
        raise NotImplementedError

    def results(self) -> dict[str, Any]:
        """What was measured, as tensors [..., runs]."""
        state = self.state_dict()
        names = ("seconds", *self._LISTS, *self._TABLES)
        return {
            name: state[name].cpu() if isinstance(state[name], Tensor) else state[name]
            for name in names
        }


def work_through(
    groups: Sequence[Sequence[int]],
    build: Callable[[int], Group],
    epochs: int,
    state: dict[str, Any],
    save: Callable[[], object],
    seconds: float,
    name: str,
    after_epoch: Callable[[Group], object] | None = None,
) -> list[dict[str, Any]]:
    """Train one group after the other; return the results of each.

    Args:
        groups: the places of the runs of each group.
        build: makes a group, by its number, ready for training.
        epochs: the length of the training.
        state: with ``"done"``, the results so far, and ``"present"``, the state of the group
            in training or None. Kept up to date.
        save: called when the state should be kept.
        seconds: the least time from one such call to the next within a group.
        name: what to write before the progress bar.
        after_epoch: called with the group after each epoch.
    """
    from tqdm import tqdm

    done: list[dict[str, Any]] = state["done"]
    with tqdm(total=epochs * sum(map(len, groups)), desc=name, unit="epoch", smoothing=0.05) as bar:
        bar.update(epochs * sum(len(places) for places in groups[: len(done)]))
        for number in range(len(done), len(groups)):
            size = len(groups[number])
            group = build(number)
            if state["present"] is not None:
                group.load_state_dict(state["present"])
                bar.update(group.epoch * size)
            kept = time.monotonic()
            while group.epoch < epochs:
                group.train_epoch()
                bar.update(size)
                if after_epoch:
                    after_epoch(group)
                if group.epoch < epochs and time.monotonic() - kept > seconds:
                    state["present"] = group.state_dict()
                    save()
                    kept = time.monotonic()
            done.append(group.results())
            state["present"] = None
            save()
    return done


def resume(
    file: Path | None,
    identity: Callable[[], dict[str, Any]],
    begin: Callable[[], dict[str, Any]],
    is_done: Callable[[dict[str, Any]], bool],
) -> tuple[dict[str, Any], Callable[[], None]]:
    """The state of a training to go on from, and what keeps it.

    Args:
        file: where it is kept; None: nowhere.
        identity: gives what makes it this training and no other.
        begin: gives the first state, if none is kept.
        is_done: whether a state leaves nothing to do, and so nothing to keep.
    """
    if file is None:
        return begin() | {"done": [], "present": None}, lambda: None
    settings = {name: plain(name, value) for name, value in identity().items()}

    def save() -> None:
        checkpoints.save(file, settings, state)

    kept = checkpoints.load(file, settings)
    if kept is None or not is_done(kept):
        checkpoints.needs_place(file)  # before hours of training
    state = kept or begin() | {"done": [], "present": None}
    if kept is None:
        save()
    return state, save


def initial(network: Network, seed: int) -> nn.Sequential:
    """The network with the weights that PyTorch draws after ``torch.manual_seed(seed)``.

    They are drawn from a generator of their own, in this thread alone. So neither the global
    generator, nor what other threads draw from it, nor a ``torch.manual_seed`` within
    ``network`` has a say, and drawing leaves the global one as it was. Nor have the default
    device and dtype of the caller: the network is made on the CPU, in float32, but for what it
    names itself.
    """
    on_cpu = torch.get_default_device().type == "cpu"  # then it costs time to say so
    with undisturbed(), nullcontext() if on_cpu else torch.device("cpu"), _Drawing(seed):
        return network()


class _Drawing(TorchFunctionMode):
    """In here all functions of PyTorch draw from generators of their own, and make float32."""

    DRAW = frozenset((
        "bernoulli", "bernoulli_", "binomial", "cauchy_", "exponential_", "geometric_",
        "kaiming_uniform_", "log_normal_", "multinomial", "normal", "normal_", "poisson", "rand",
        "rand_like", "randint", "randint_like", "randn", "randn_like", "random_", "randperm",
        "uniform_",
    ))  # fmt: skip
    MAKE = frozenset((
        "empty", "eye", "linspace", "logspace", "ones", "rand", "randn", "zeros"
    ))  # fmt: skip

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed
        self.generators: dict[torch.device, torch.Generator] = {}

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name in self.MAKE and kwargs.get("dtype") is None and kwargs.get("out") is None:
            kwargs = kwargs | {"dtype": torch.float32}
        if name in self.DRAW and kwargs.get("generator") is None:
            try:
                return func(*args, **kwargs | {"generator": self._generator(args, kwargs)})
            except TypeError:  # older ones of PyTorch, for rand_like and the like, take none
                pass
        return func(*args, **kwargs)

    def _generator(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.Generator:
        """The generator for the device of what is drawn, the global one's twin."""
        tensors = (each for each in (*args, *kwargs.values()) if isinstance(each, Tensor))
        device = next((each.device for each in tensors), kwargs.get("device"))
        made = torch.Generator("cpu" if device is None else device)
        return self.generators.setdefault(made.device, made.manual_seed(self.seed))


def order(samples: int, seed: int, epoch: int) -> Tensor:
    """The order of the samples in an epoch, which the seed decides."""
    return torch.from_numpy(np.random.default_rng([seed, epoch]).permutation(samples))


def surroundings(device: torch.device) -> dict[str, Any]:
    """Machine and versions, which may change the last digits and the time."""
    on_gpu = device.type == "cuda"
    return {
        "lrsched": __version__,
        "torch": str(torch.__version__),
        "device": torch.cuda.get_device_name(device) if on_gpu else "CPU",
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
    }


def chosen_device(device: torch.device | str | None) -> torch.device:
    """The device, or for None a GPU if there is one, else the CPU."""
    if device is None:
        # Where a driver is missing or too old, PyTorch's CUDA build says so: then it is the CPU.
        with warnings.catch_warnings(action="ignore", category=UserWarning):
            device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(device)


def least_seconds(work: Callable[[], object], device: torch.device, times: int = 3) -> float:
    """The least of a few times that some work takes on the device."""
    best = float("inf")
    for _ in range(times):
        _wait(device)
        begun = time.perf_counter()
        work()
        _wait(device)
        best = min(best, time.perf_counter() - begun)
    return best


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def checked_optimizer(optimizer: Any) -> SGD | Adam:
    """The optimizer, ``SGD()`` for None."""
    if optimizer is None:
        return SGD()
    if not isinstance(optimizer, SGD | Adam):
        raise TypeError(f"optimizer must be lab.SGD(...) or lab.Adam(...), got {optimizer!r}")
    return optimizer


def described(optimizer: SGD | Adam) -> Any:
    """An optimizer in plain values."""
    values = {"class": type(optimizer).__name__, **dataclasses.asdict(optimizer)}
    return plain("optimizer", values)


def checked_seed(name: str, seed: Any) -> int:
    """A seed, which tables keep as a signed integer of 64 bits."""
    seed = Whole()(name, seed)
    if seed >= 2**63:
        raise ValueError(f"{name} must be below 2**63, got {seed!r}")
    return int(seed)


def checked_network(name: str, make: Any, inputs: Tensor) -> tuple[nn.Sequential, list[int]]:
    """The network of seed 0 that ``make`` makes, and the shape of its outputs for one input."""
    if isinstance(make, nn.Module) or not callable(make):
        raise TypeError(f"{name} must be a function that makes a network, got {make!r}")
    network = initial(make, 0)
    if not isinstance(network, nn.Sequential):
        raise TypeError(f"{name} must make a torch.nn.Sequential, got {network!r}")
    own = copy.deepcopy(network).cpu().eval()  # the network may be one that the caller uses
    two = inputs.cpu().expand(2, *inputs.shape[1:])  # a normalisation may need as many
    try:
        outputs = own(two)
    except (IndexError, RuntimeError, ValueError) as error:
        raise ValueError(
            f"{name} must take inputs of shape {list(inputs.shape)}, got: {error}"
        ) from error
    Stack([network])  # knows all its layers
    if not any(True for _ in network.parameters()):
        raise ValueError(f"{name} must make a network with weights to train, got {network!r}")
    return network, [1, *outputs.shape[1:]]


def checked_batch_size(size: Any, samples: int, normalised: Sequence[str]) -> int:
    """The size of batches, of which none may hold a single sample if there are such networks."""
    size = Whole(low=1)("batch_size", size)
    if normalised and (size == 1 or samples % size == 1):
        raise ValueError(
            "batch_size must leave no batch of one sample, which has no variance for the "
            f"normalisation of {normalised[0]}: got {size} for {samples} samples"
        )
    return int(size)


def fingerprint(network: nn.Module) -> str:
    """The first 16 digits of the SHA-256 of the weights: the same layers may start otherwise."""
    digest = hashlib.sha256()
    for tensor in network.state_dict().values():
        digest.update(tensor.cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()[:16]


def checked_watch(
    watch: Any, metrics: tuple[str, ...], runs: Sequence[Run], data: Any, called: str
) -> str:
    """The metric to follow, "" if no run follows one; ``called``: what data call their parts."""
    metric = metrics[metrics.index(Choice(metrics)("watch", watch))]
    if not any(isinstance(run.schedule, Plateau) for run in runs):
        return ""
    part = metric.partition("_")[0]
    if not len(getattr(data, part, data.train)):
        raise ValueError(f"data must have a {part} {called} for a Plateau to follow, got none")
    return metric


def checked_schedule(name: str, schedule: Any) -> None:
    """Refuse what is neither a schedule nor a plateau."""
    if not isinstance(schedule, Plateau):
        is_schedule(name, schedule)


def checked_rates(schedules: dict[str, Any], steps: int) -> None:
    """Refuse schedules, by name, that do not give a rate for each of so many steps."""
    seen = set()
    for name, schedule in schedules.items():
        if isinstance(schedule, Plateau):
            continue
        try:
            known = schedule in seen
        except TypeError as error:
            raise TypeError(
                f"{name} must have arguments that can be hashed, such as tuples for lists, "
                f"got {schedule!r}"
            ) from error
        if known:
            continue
        seen.add(schedule)
        rates = np.asarray(schedule(np.arange(steps)), float)
        if rates.shape != (steps,) or not (np.isfinite(rates) & (rates >= 0)).all():
            raise ValueError(
                f"{name} must give a finite rate of at least 0 for each of {steps} steps, got "
                f"{rates!r} from {schedule!r}"
            )
