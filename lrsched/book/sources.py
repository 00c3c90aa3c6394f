"""The five tutorials whose claims the book judges: title, author and link of each."""

from dataclasses import dataclass

__all__ = ["OURS", "SOURCES", "Source"]

OURS = 0  # the number of what no tutorial claims, but the book


@dataclass(frozen=True)
class Source:
    """A tutorial.

    Attributes:
        number: by which claims name it.
        title: in the language of the text.
        english: the title in English.
        author: "" where the copy at hand names none.
        link: "" where there is none.
    """

    number: int
    title: str
    english: str
    author: str = ""
    link: str = ""

    def __str__(self) -> str:
        """Title and author, on one line.

        >>> print(SOURCES[1])
        Tensorflow/Pytorch学习率衰减方法 (Ways to decay the learning rate), by anie
        """
        title = self.title if self.title == self.english else f"{self.title} ({self.english})"
        return f"{title}, by {self.author}" if self.author else title

    @property
    def markdown(self) -> str:
        """The same, linked."""
        return f"[{self}]({self.link})" if self.link else str(self)


SOURCES = {
    source.number: source
    for source in (
        Source(
            1,
            "Tensorflow/Pytorch学习率衰减方法",
            "Ways to decay the learning rate",
            "anie",
        ),
        Source(
            2,
            "Learning Rate Scheduling for Deep Learning Using TensorFlow 2",
            "Learning Rate Scheduling for Deep Learning Using TensorFlow 2",
            "Towards AI",
            "https://pub.towardsai.net/"
            "learning-rate-scheduling-for-deep-learning-using-tensorflow-2-fb2f14cc955",
        ),
        Source(
            3,
            "学习率调度器",
            "Learning Rate Scheduling",
            "Zhang, Lipton, Li and Smola, Dive into Deep Learning",
            "https://zh.d2l.ai/chapter_optimization/lr-scheduler.html",
        ),
        Source(
            4,
            "学习率衰减的 epoch 数",
            "The number of epochs before the learning rate decays",
            "yinghualeihenmei",
        ),
        Source(
            5,
            "包含BN层的神经网络的学习率优化",
            "Optimising the learning rate of networks with BatchNorm",
        ),
    )
}
