"""Training on images with classes: the mean cross-entropy, and the accuracy."""

import math
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from .. import Constant
from .data import Data, Split
from .group import Epoch, Group
from .machine import least_seconds
from .runs import Run
from .seeds import order
from .settings import Sizes
from .task import Work, split_by

__all__ = ["Classification", "batches"]

GROUPS = (1, 2, 4, 8, 16, 32)
CHUNKS = (32, 64, 128, 256)


def batches(
    split: Split, batch_size: int, seed: int, epoch: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """The images and labels of each batch of an epoch, in an order that the seed decides."""
    index = order(len(split), seed, epoch).to(split.labels.device)
    for part in torch.split(index, batch_size):
        yield split.batch(part)


class Classification:
    """Images with classes. Runs of one network and one seed make a group: they share batches."""

    metrics = (
        "train_loss",
        "train_accuracy",
        "validation_loss",
        "validation_accuracy",
        "test_loss",
        "test_accuracy",
    )

    def __init__(self, data: Data) -> None:
        if not len(data.train):
            raise ValueError("data must have images to train on, got none")
        for part in ("train", "validation", "test"):
            labels = getattr(data, part).labels
            if labels.dtype != torch.int64 or (labels < 0).any():
                raise ValueError(f"data.{part}.labels must be int64 of at least 0, got {labels}")
        self.data = data

    @property
    def example(self) -> Tensor:
        return self.data.train.images[:1]

    def to(self, device: torch.device) -> "Classification":
        return Classification(self.data.to(device))

    def check_outputs(self, name: str, shape: list[int]) -> None:
        splits = (self.data.train, self.data.validation, self.data.test)
        classes = 1 + max(int(split.labels.max()) for split in splits if len(split))
        if len(shape) != 2 or shape[1] < classes:
            raise ValueError(
                f"{name} must give outputs of shape [1, {classes}] for one image, or more, "
                f"got {shape}"
            )

    def checked_chunk(self, chunk: int | None, batch_size: int, normalised: bool) -> int | None:
        if not normalised:
            return chunk
        if chunk is not None and chunk < batch_size:
            raise ValueError(
                f"chunk must be None or at least batch_size={batch_size} with batch "
                f"normalisation, which needs the batch as a whole, got {chunk}"
            )
        return batch_size

    def split(self, runs: Sequence[Run], size: int) -> list[list[int]]:
        return split_by(runs, size, lambda run: (run.network, run.seed))

    def sizes(self, work: Work, asked: Sizes) -> Sizes:
        if asked.group and asked.chunk:
            return asked
        costs = self.costs(work, asked)
        return min(costs, key=lambda sizes: costs[sizes])

    def costs(self, work: Work, asked: Sizes) -> dict[Sizes, float]:
        """The seconds for one update of one run, by what is computed at once.

        They are measured with the largest network.
        """
        batch, label = work.settings.batch_size, work.largest
        most = max(map(len, self.split(work.runs, len(work.runs))))
        # Groups are as even as can be: of 5 runs, no more than 4 at once means 3 and 2.
        groups = {math.ceil(most / math.ceil(most / size)) for size in GROUPS}
        chunks = [c for c in CHUNKS if c < batch] + [batch]
        index = torch.arange(min(batch, len(self.data.train)), device=work.device)
        images, labels = self.data.train.batch(index)
        costs = {}
        for size in [asked.group] if asked.group else sorted(groups):
            group = work.group([Run(str(k), Constant(0.0), 0, label) for k in range(size)])
            for chunk in [asked.chunk] if asked.chunk else chunks:
                teacher = self.teacher(group, Sizes(size, chunk))

                def update(group: Group = group, teacher: "_Teacher" = teacher) -> None:
                    teacher.gradients(group, images, labels)
                    group.optimizer.step(group.planned[0])

                costs[Sizes(size, chunk)] = least_seconds(update, work.device) / size
        return costs

    def teacher(self, group: Group, sizes: Sizes) -> "_Teacher":
        return _Teacher(self.data, sizes.chunk or group.settings.batch_size)


class _Teacher:
    """A batch is computed in chunks, whose gradients add up."""

    def __init__(self, data: Data, chunk: int) -> None:
        self.data, self.chunk = data, chunk

    def epoch(self, group: Group) -> Epoch:
        group.stack.mode = "train"
        size, seed = group.settings.batch_size, group.runs[0].seed
        losses, right = [], group.zeros
        for images, labels in batches(self.data.train, size, seed, group.epoch):
            loss, hits = self.gradients(group, images, labels)
            group.step()
            losses.append(loss)
            right += hits
        samples = len(self.data.train)
        shares = right.new_full((len(losses), 1), size / samples)
        shares[-1] = len(labels) / samples
        group.stack.mode = "eval"
        values = [
            (torch.stack(losses) * shares).sum(0),  # a sum over all samples might overflow
            right / samples,
            *self.evaluate(group, self.data.validation),
            *self.evaluate(group, self.data.test),
        ]
        metrics = dict(zip(Classification.metrics, values, strict=True))
        return Epoch(torch.stack(losses), metrics, torch.ones_like(right, dtype=torch.bool))

    def gradients(self, group: Group, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Leave the gradients of each run's mean loss in the weights.

        Returns the losses and the numbers of samples that were classified rightly, [runs].
        """
        group.optimizer.zero_grad()
        losses, right = group.zeros, group.zeros
        for loss, hits in self._parts(group, images, labels, self.chunk):
            each = loss / len(labels)
            torch.autograd.backward(each.sum())
            losses += each.detach()
            right += hits
        return losses, right

    @torch.no_grad()
    def evaluate(self, group: Group, split: Split) -> tuple[Tensor, Tensor]:
        """Mean loss and accuracy of each run, NaN without samples."""
        losses, right = group.zeros, group.zeros
        if not len(split):
            nothing = torch.full_like(losses, torch.nan)
            return nothing, nothing
        # Without gradients there is half as much to hold.
        for loss, hits in self._parts(group, split.images, split.labels, 2 * self.chunk):
            losses += loss / len(split)  # a sum over all samples might overflow
            right += hits
        right[~losses.isfinite()] = torch.nan  # no class is the largest of what is not finite
        return losses, right / len(split)

    def _parts(
        self, group: Group, images: Tensor, labels: Tensor, size: int
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """So many samples at a time: the sum of the losses and the right answers, [runs]."""
        for x, y in zip(torch.split(images, size), torch.split(labels, size), strict=True):
            outputs = group.stack(x)
            yield _cross_entropy(outputs, y), (outputs.detach().argmax(2) == y).sum(1)


def _cross_entropy(outputs: Tensor, labels: Tensor) -> Tensor:
    """The sum of the cross-entropies of each network, [networks]."""
    networks = len(outputs)
    each = F.cross_entropy(outputs.flatten(0, 1), labels.repeat(networks), reduction="none")
    return each.view(networks, -1).sum(1)
