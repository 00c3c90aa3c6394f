"""What readers ask, and how much they read from the front page to the answer.

    python book/questions.py

A path begins at the front page. Its steps lead on by a link in the text, by the list of
pages at the side ("side:PAGE") or by the list of a page's sections ("section:HEADING");
at "quote:TEXT" a part of the answer has been read. Words and lines are all that stands
before the link, the entry of the list, and the end of what is quoted of the answer,
where it is plain or its list begins.
"""

import re
from pathlib import Path
from typing import NamedTuple

import toc
from reading import Counts, measured, pieces, words

BOOK = Path(__file__).parent


class Question(NamedTuple):
    """A question, the steps from the front page to its answer, and a quote of that."""

    text: str
    path: tuple[str, ...]
    answer: str


QUESTIONS = [
    Question(
        "which schedule for 20 epochs of SGD with momentum",
        ("which_schedule",),
        "lrsched.OneCycle(2 * lr, T)  # and its .momentum()",
    ),
    Question(
        "step per batch or per epoch",
        ("which_schedule",),
        "Steps: call `scheduler.step()` after *each* `optimizer.step()`",
    ),
    Question(
        "how many warmup steps",
        ("which_schedule",),
        "warm up over an epoch or a tenth of the updates.",
    ),
    Question(
        "what are restarts, should I use them",
        ("side:learn_cycles",),
        "Restarts did not.",
    ),
    Question(
        "how to choose the base rate",
        ("which_schedule",),
        "AdamW 0.001.",
    ),
    Question(
        "warmup, cosine, accumulation, two groups",
        (
            "recipes",
            "section:Two parameter groups",
            "quote:[0.1 * schedule, schedule])",
            "section:Gradient accumulation",
        ),
        "optimizer.zero_grad()",
    ),
    Question(
        "resume from a checkpoint",
        ("recipes", "section:Stop and resume"),
        "parts[name].load_state_dict(state)",
    ),
    Question(
        "warmup-stable-decay: how long is the decay",
        ("which_schedule",),
        "A cooldown over the last 10 to 20 % equals a cosine of that length",
    ),
    Question(
        "does the batch size change the rate",
        ("which_schedule",),
        "four times the batch: about twice the rate.",
    ),
    Question(
        "log the applied rate, find a difference",
        ("check_rates",),
        "found = lrsched.diagnose(recorder.rates, plan, steps_per_epoch=25)",
    ),
    Question(
        "one cycle in Keras",
        ("recipes", "section:One cycle with its momentum"),
        "`lrsched.keras.schedule(cycle)`; its momentum takes no schedule and stays.",
    ),
    Question(
        "plateau with warmup",
        ("recipes", "section:A plateau after a warmup"),
        "scheduler.update(validation_loss(model))",
    ),
    Question(
        "save and load a model with a custom schedule",
        ("side:learn_custom_keras", "section:A class"),
        "keras.models.load_model(file)",
    ),
    Question(
        "StepLR in Keras",
        ("side:names", "section:Which is which"),
        "what can stand for a schedule with some of its arguments only.",
    ),
    Question(
        "which claims of the sources are wrong",
        ("claims",),
        "`tf.train` has no decays in TensorFlow 2",
    ),
    Question(
        "cosine against constant: evidence, and rerun only that",
        ("side:trial_schedules",),
        "make record NAME=lenet-schedules",
    ),
    Question(
        "which documents does the book follow",
        ("claims",),
        "by anie, a blog post for TensorFlow 1 and PyTorch.",
    ),
    Question(
        "API reference",
        ("side:api",),
        "On other pages:",
    ),
    Question(
        "as a PDF; on a phone; without network",
        (),
        "The whole book is also",
    ),
]


def page(name):
    """The file of a page."""
    return next(
        path for end in (".ipynb", ".md") if (path := BOOK / f"{name}{end}").exists()
    )


def title(name):
    """The title of a page."""
    return next(
        re.search(r"^# (.*)", text, re.M)[1]
        for kind, text in pieces(page(name))
        if kind == "markdown" and re.search(r"^# ", text, re.M)
    )


def headings(name):
    """The headings of a page's sections."""
    return [
        heading
        for kind, text in pieces(page(name))
        if kind == "markdown"
        for heading in re.findall(r"^##+ (.*)", text, re.M)
    ]


def until(name, start, mark):
    """What is read of a page from a heading, or its beginning, to the end of a mark.

    Raises:
        LookupError: the mark is not there.
    """
    read, begun = Counts(), start is None
    for kind, text in pieces(page(name)):
        if not begun:
            found = kind == "markdown" and re.search(
                rf"^##+ {re.escape(start)}$", text, re.M
            )
            if not found:
                continue
            begun, text = True, text[found.start() :]
        end = mark.search(text)
        part = text[: end.end()] if end else text
        read = read.plus(measured(kind, part))
        if end:
            return read
    raise LookupError(f"{name} has no {mark.pattern!r} after {start!r}")


def quoted(text):
    """A pattern for a text, however its lines are broken."""
    return re.compile(r"\s+".join(map(re.escape, text.split())))


def cost(question):
    """What is read from the front page to the answer."""
    name, start, read = "index", None, Counts()
    for step in question.path:
        way, _, to = step.partition(":")
        if way == "side":
            listed = toc.names()[1:]
            before = listed[: listed.index(to) + 1]
            read = read.plus(Counts(words=sum(words(title(each)) for each in before)))
            name, start = to, None
        elif way == "section":
            all_of_them = headings(name)
            before = all_of_them[: all_of_them.index(to) + 1]
            read = read.plus(Counts(words=sum(map(words, before))))
            start = to
        elif way == "quote":
            read = read.plus(until(name, start, quoted(to)))
        else:
            link = re.compile(rf":link: {step}\b|\]\({step}\.(?:ipynb|md)[)#]")
            read = read.plus(until(name, start, link))
            name, start = step, None
    return read.plus(until(name, start, quoted(question.answer)))


def main():
    """Print the table."""
    print(f"{'question':58} {'words':>5} {'lines':>5}  path")
    for question in QUESTIONS:
        found = cost(question)
        path = " > ".join(question.path) or "front page"
        print(f"{question.text:58} {found.words:5} {found.lines:5}  {path}")


if __name__ == "__main__":
    main()
