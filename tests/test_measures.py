"""How a base rate is chosen and read off, and tables that stand for records."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrsched.book import claims, measures, record_table, records
from lrsched.book.trials.optimizers import readings

RATES = [0.01, 0.1, 1.0, 10.0]


def table(losses, metric="validation_loss"):
    """Losses [rates, seeds] as rows, and the same for the test but higher by 1."""
    rows = [
        {"rate": rate, "seed": seed, metric: loss, "test_loss": loss + 1}
        for rate, of_rate in zip(RATES, losses, strict=True)
        for seed, loss in enumerate(of_rate)
    ]
    return pd.DataFrame(rows).sample(frac=1, random_state=0)


@given(places=st.lists(st.floats(0.51, 1.49), min_size=1, max_size=3))
def test_the_best_rate_of_a_parabola(places):
    """Between the rates, where the loss is a parabola of the logarithm."""
    at = np.log10(RATES)[:, None] + 2
    losses = 0.1 + 0.05 * (at - np.array(places)) ** 2
    found = measures.best_rates(table(losses))
    np.testing.assert_allclose(np.log10(found) + 2, places, rtol=1e-6)


def test_a_best_rate_at_an_end_or_at_the_cliff_is_the_rate():
    losses = np.array([[0.1, 0.9, 0.3], [0.2, 0.8, 0.2], [0.3, 0.7, np.nan], [0.4, 0.6, 2.3]])
    assert measures.best_rates(table(losses)).tolist() == pytest.approx([0.01, 10.0, 0.1])


def test_a_rate_is_chosen_by_the_mean_and_reported_by_the_test():
    """A seed that diverged counts as guessing: the rate is not chosen."""
    losses = np.array([[0.5, 0.5], [0.4, 0.4], [0.1, np.nan], [0.6, 0.6]])
    made = table(losses)
    assert measures.chosen_rate(made) == 0.1
    assert measures.at_chosen_rate(made).to_dict() == pytest.approx({0: 1.4, 1: 1.4})
    assert measures.at_chosen_rate(made, places=-1).to_dict() == {0: 1.5, 1: 1.5}
    lost = measures.at_chosen_rate(made, places=1)
    assert lost.to_dict() == pytest.approx({0: 1.1, 1: np.log(10)})
    for places in (-2, 3):
        with pytest.raises(ValueError, match=rf"places must lead to one of the rates .*{places}"):
            measures.chosen_rate(made, places)


def test_the_readings_of_a_range_test():
    """A fall around 0.01, a floor to 1, then an explosion."""
    rates = np.logspace(-4, 2, 601)
    losses = 2.3 - 1.8 / (1 + (0.01 / rates) ** 2) + np.where(rates > 1, (rates - 1) * 20, 0)
    found = readings(rates, losses, smoothing=0.5)
    assert found["steepest"] == pytest.approx(0.01, rel=0.2)
    assert 0.5 < found["minimum"] < 1.2
    assert found["tenth"] == found["minimum"] / 10
    assert 1 < found["end"] < 3
    losses[rates > 5] = np.nan  # after its end
    assert readings(rates, losses, smoothing=0.5) == found


def test_a_table_stands_for_a_record(monkeypatch, capsys):
    """Only within, and for its name alone; claims are judged from it."""
    real = record_table("cycles")
    losses = {"cosine": 0.5, "restarts, 7 equal": 0.4, "restarts, 3 doubling": 0.6}
    rows = [
        {"shape": shape, "rate": 0.1, "seed": seed} | dict.fromkeys(
            ("validation_loss", "test_loss"), loss + 0.001 * seed)
        for shape, loss in losses.items()
        for seed in range(3)
    ]  # fmt: skip
    made = pd.DataFrame(rows)
    made.attrs = {"settings": {"data": "made up"}}
    claim = claims.claim("restarts-beat-a-cosine")
    before = claim.findings()
    with records.instead({"cycles": made}):
        assert record_table("cycles") is made
        assert record_table("range-tests") is not made
        verdicts = {case: found.verdict for case, found in claim.findings().items()}
        assert claim.data == "made up"
    assert verdicts == {"restarts, 7 equal": "supported", "restarts, 3 doubling": "refuted"}
    assert claim.findings() == before
    pd.testing.assert_frame_equal(record_table("cycles"), real)

    shown = []
    monkeypatch.setattr(claims.catalogue, "show", shown.append)
    claims.compare_with_page(claim, {"cycles": made})
    (sentence,) = shown
    assert before["restarts, 7 equal"].verdict == "refuted"
    assert sentence.startswith("Of 2 comparisons 2 are decided here and 2 in the record.")
    assert "(restarts, 7 equal): supported here, refuted in the record." in sentence
