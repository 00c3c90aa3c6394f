"""What the notebooks share."""

import numpy as np
import pytest

from lrsched import book, lab
from lrsched.book import Findings, judged


def test_findings(monkeypatch):
    """They are a dictionary, and each is shown once."""
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda text: shown.append(text.data))
    findings = Findings()
    findings.conclude("a is better", "supported")
    findings.conclude("b is better", "undecided")
    assert findings == {"a is better": "supported", "b is better": "undecided"}
    assert shown == [
        "**Verdict** on *a is better*: **supported**.",
        "**Verdict** on *b is better*: **undecided**.",
    ]


@pytest.mark.parametrize("sign", [1, -1])
def test_judged(sign):
    differences = sign * np.array([0.11, 0.12, 0.14])
    text, verdict = judged(differences, digits=4)
    mean, low, high = lab.interval(differences)
    assert text == f"{mean:+.4f} ({low:+.4f} to {high:+.4f})"
    assert text.startswith("+0.1233" if sign > 0 else "-0.1233")
    assert verdict == book.verdict(differences) == ("supported" if sign > 0 else "refuted")


@pytest.mark.parametrize("few", [[], [0.1]])
def test_judged_with_too_few_seeds(few):
    assert judged(few) == ("too few seeds", "undecided")
