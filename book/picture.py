"""Draw the picture at the top of the README: python book/picture.py [TARGET]."""

import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")

import matplotlib.pyplot as plt
import numpy as np

import lrsched
from lrsched.book.style import STYLE

PICTURE = Path(__file__).parent / "_static" / "schedules.svg"

CALLS = [
    "Cosine(1, 80).warmup(20)",
    "MultiStep(1, [40, 70], gamma=0.4)",
    "Exponential(1, decay_rate=0.97)",
    "CosineRestarts(1, 15)",
    "OneCycle(1, 100)",
    "Cyclical(0.1, 1, step_size_up=12) * 0.8",
]


def draw(target: Path) -> None:
    with mpl.rc_context(STYLE):
        fig, axes = plt.subplots(2, 3, figsize=(9, 3.8), sharex=True, sharey=True)
        for ax, call in zip(axes.flat, CALLS, strict=True):
            eval(call, dict(vars(lrsched))).plot(np.linspace(0, 100, 1001), ax)
            ax.set_title(call, fontsize=8, family="monospace")
            ax.set(xlabel="", ylabel="", ylim=(-0.05, 1.1))
        for ax in axes[1]:
            ax.set_xlabel("step")
        for ax in axes[:, 0]:
            ax.set_ylabel("rate")
        fig.savefig(target, metadata={"Date": None, "Creator": None})
        plt.close(fig)


if __name__ == "__main__":
    draw(Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURE)
