"""Records: what is written can be read, and those of the package are whole and as planned."""

import json
import math
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

import lrsched as L
from drawn import EXAMPLES
from lrsched import book
from lrsched.book import editions, record, record_table, records
from lrsched.book.records import write, write_table
from lrsched.lab import Results, Run

OURS = Path(book.__file__).parent / "records"
FILES = {path.stem: path for path in sorted(OURS.glob("*.json"))}
OF_RUNS = [name for name, path in FILES.items() if "runs" in json.loads(path.read_text())]
OF_TABLES = [name for name in FILES if name not in OF_RUNS]
PLANS = {*editions.FULL, *editions.SWEEPS}
METRICS = [f"{part}_{kind}" for part in ("train", "validation", "test")
           for kind in ("loss", "accuracy")]  # fmt: skip
RUNS = [Run("a [1], {b", L.Cosine(0.1, 10), 1), Run('"c" ]}', L.Constant(1e30))]
RUNS += [Run(f"d\n  {schedule}", schedule, 0) for schedule in EXAMPLES]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder, not there yet, in place of the package's."""
    monkeypatch.setenv("LRSCHED_RECORDS_DIR", str(tmp_path / "records"))
    return tmp_path / "records"


@pytest.fixture
def ours(monkeypatch):
    """The records of the package, and the plans of the full edition."""
    monkeypatch.delenv("LRSCHED_RECORDS_DIR")
    monkeypatch.setenv("LRSCHED_EDITION", "full")


def strict(path):
    """JSON as the standard has it."""
    return json.loads(path.read_text(encoding="utf-8"), parse_constant=pytest.fail)


def close(actual, expected):
    """Equal to five digits, and NaN where the other is not finite."""
    expected = np.where(np.isfinite(expected), expected, np.nan)
    np.testing.assert_allclose(actual, expected, rtol=5.01e-5, atol=0)


def results(values=0.5, runs=RUNS, seconds=0.5, **settings):
    """Results of given numbers, [epochs, runs]."""
    values = np.broadcast_to(values, np.broadcast_shapes(np.shape(values), (1, len(runs))))
    numbers = np.arange(len(runs))
    return Results(
        tuple(runs), dict.fromkeys(METRICS, values), None, None, None, {"1": values / 3},
        7 * np.arange(len(values)), numbers - 1, numbers + seconds,
        {"epochs": len(values), "steps_per_epoch": 7, "é": None} | settings, {"torch": "0"},
    )  # fmt: skip


def write_runs(values=0.5, name="some", **settings):
    return write(name, results(values, **settings))


def write_rows(values=0.5, name="some", **settings):
    return write_table(name, results(**settings), pd.DataFrame({"a": [values, 2]}))


BOTH = pytest.mark.parametrize("write_some", [write_runs, write_rows])


# Written and read


def test_round_trip_of_results(folder):
    written = results([[0.123456789], [math.nan]], optimizer={"a": 1})
    path = write("some", written)
    assert list(folder.iterdir()) == [path] == [folder / "some.json"]
    back = record("some")
    assert (back.runs, back.labels, back.epochs) == (tuple(RUNS), written.labels, 2)
    assert list(back.metrics) == METRICS
    for name, values in (written.metrics | written.distances).items():
        close((back.metrics | back.distances)[name], values)
    close(back.seconds, written.seconds)
    assert back.distance_steps.tolist() == [0, 7]
    assert back.diverged.tolist() == written.diverged.tolist()
    assert back.settings == written.settings
    assert back.surroundings.items() >= written.surroundings.items()
    assert {"date", "commit"} <= set(back.surroundings)
    assert back.rates is back.losses is back.rate is None


@given(values=arrays(float, array_shapes(min_dims=2, max_dims=2), elements=st.floats()))
def test_any_numbers(values):
    runs = [Run(str(k), L.Constant(0.1)) for k in range(values.shape[1])]
    with tempfile.TemporaryDirectory() as place, pytest.MonkeyPatch.context() as patch:
        patch.setenv("LRSCHED_RECORDS_DIR", place)
        strict(write("runs", results(values, runs)))
        rows = pd.DataFrame({"a": values[:, 0], "b": ["x"] * len(values)})
        strict(write_table("rows", results(), rows))
        metrics, rows = record("runs").metrics, record_table("rows")
    close(metrics["test_loss"], values)
    assert pd.api.types.is_numeric_dtype(rows.a)
    close(rows.a, values[:, 0])
    assert (rows.b == "x").all()


def test_a_line_for_each_run_epoch_and_row():
    lines = write("some", results(np.full((4, 3), 0.375), RUNS[:3])).read_text().splitlines()
    assert lines.count("   [ 0.375, 0.375, 0.375 ],") == 3 * 6
    rows = pd.DataFrame({"a": [1.5, 2], "b": ["b\n   c ", '"a" ]}']})
    path = write_table("rows", results(), rows)
    assert '  [ 1.5, "b\\n   c " ],\n' in path.read_text()


def test_round_trip_of_a_table():
    """The index is not kept; two columns may have one name."""
    columns = {
        "number": [0.1234567, 2e-30, np.nan, -123456.7],
        "whole": np.array([123456789, 0, -5, 2**40]),
        "single": np.array([0.1, 1e10, np.inf, -np.inf], "float32"),
        "flag": [True, False, True, True],
        "gone": [np.nan] * 4,
        "text": ["é", '"a" ]}', "b\n   c ", ""],
    }
    result = pd.DataFrame(columns, [3, 1, 4, 2]).set_axis([*"abcde", np.str_("a")], axis=1)
    source = results()
    raw, back = strict(write_table("some", source, result)), record_table("some")
    assert raw["rows"][0] == [0.12346, 123456789, 0.1, 1, None, "é"]
    expected = result.reset_index(drop=True).replace([np.inf, -np.inf], np.nan)
    pd.testing.assert_frame_equal(back, expected, check_dtype=False, rtol=5.01e-5)
    assert back.attrs == {part: raw[part] for part in ("settings", "surroundings", "seconds")}
    assert raw["settings"] == source.settings | {"seeds": 2}
    assert {"date", "commit", "torch"} <= set(raw["surroundings"])
    assert raw["seconds"] == source.seconds.sum()


# Whole or not at all


@BOTH
def test_an_error_leaves_the_old_record(folder, write_some):
    path = write_some()
    before = path.read_bytes()
    for broken in (len, math.nan):  # no JSON
        with pytest.raises((TypeError, ValueError)):
            write_some(network=broken)
    assert path.read_bytes() == before
    assert list(folder.iterdir()) == [path]


@BOTH
def test_the_same_results_keep_their_date(write_some):
    """The seconds that it took are no result of a table."""

    def aged():
        content = path.read_text()
        path.write_text(content.replace(strict(path)["surroundings"]["date"], "another"))
        return path.read_bytes()

    path = write_some()
    before = aged()
    write_some()
    assert path.read_bytes() == before
    write_some(seconds=99)
    assert (path.read_bytes() == before) == (write_some is write_rows)
    for changed in ({"values": 0.7}, {"network": "b"}):
        before = aged()
        write_some(**changed)
        assert b"another" in before
        assert b"another" not in path.read_bytes()
    path.write_text("{")
    write_some()
    assert strict(path)


# Which are there


def test_names_are_of_their_kind():
    """A record of runs is none of a table, and none is listed as the other."""
    for read in (record, record_table):
        with pytest.raises(ValueError, match=r"name must be .*\(there is none\), got 'a'"):
            read("a")
    for number in "21":
        write_runs(name=f"runs{number}")
        write_rows(name=f"rows{number}")
    for read, kind, wrong in ((record, "runs", "rows1"), (record_table, "rows", "runs1")):
        with pytest.raises(ValueError, match=rf"\('{kind}1', '{kind}2'\), got '{wrong}'"):
            read(wrong)


# The commit


def git(folder, *command):
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    done = subprocess.run(["git", "-C", folder, *who, *command], check=True, capture_output=True)
    return done.stdout.decode().strip()


@pytest.mark.skipif(not shutil.which("git"), reason="there is no git")
def test_commit(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    for name in ("lrsched/book/records.py", "lrsched/book/records/a.json", "lrsched/a.py", "b.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("before")
    file = tmp_path / "lrsched" / "book" / "records.py"
    assert records.commit(file) == "unknown"
    git(tmp_path, "init")
    git(tmp_path, "add", "b.py")
    git(tmp_path, "commit", "-m", "of others, in whose folder it is installed")
    assert records.commit(file) == "unknown"
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "ours")
    head = git(tmp_path, "rev-parse", "--short=12", "HEAD")
    for name in ("b.py", "lrsched/book/records/a.json", "lrsched/a.py"):
        (tmp_path / name).write_text("after")
        assert records.commit(file) == head + "+changes" * (name == "lrsched/a.py")
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert records.commit(file) == "unknown"


# The records of the package


def planned(name):
    """The plan of the experiment that a record is of, or a part of; in the full edition."""
    return book.plan(max((each for each in PLANS if f"{name}-".startswith(f"{each}-")), key=len))


def check_settings(said, plan):
    batches = math.ceil(said["samples"] / plan.batch_size)
    numbers = plan.epochs, plan.batch_size, batches
    assert (said["epochs"], said["batch_size"], said["steps_per_epoch"]) == numbers
    if plan.validation is None or plan.small:
        data = plan.data
        expected = data.name, data.checksum, len(data.train)
        assert (said["data"], said["checksum"], said["samples"]) == expected
    else:
        assert (said["data"], said["samples"]) == ("Fashion-MNIST", 60_000 - plan.validation)


def check_parts(table, plan):
    """Of training runs each with settings of its own."""
    said = table.attrs["settings"]
    parts = {name: said | own for name, own in said["parts"].items()}
    assert set(table["part"]) == set(parts)
    assert plan.epochs in {own.get("start_epoch", 0) + own["epochs"] for own in parts.values()}
    for name, own in parts.items():
        assert own["data"] == "Fashion-MNIST"
        assert own["samples"] <= 60_000 - plan.validation
        assert own["steps_per_epoch"] == math.ceil(own["samples"] / own["batch_size"])
        rows = table[table["part"] == name]
        assert not rows.duplicated(["seed", *table.columns[: table.columns.get_loc("part")]]).any()
        for text in set(rows["schedule"]):
            try:
                L.from_text(text)
            except ValueError:  # it follows a metric
                assert text.startswith("Plateau(")


def test_every_experiment_has_a_record(ours):
    assert {planned(name).name for name in FILES} == PLANS
    assert set(editions.SWEEPS) <= set(OF_TABLES)


@pytest.mark.parametrize("name", OF_RUNS)
def test_record(ours, name):
    found, raw, plan = record(name), strict(FILES[name]), book.plan(name)
    check_settings(found.settings, plan)
    assert {run.seed for run in found.runs} == set(range(plan.seeds))
    assert len({(run.label, run.seed) for run in found.runs}) == len(found.runs)
    assert [run.to_dict() for run in found.runs] == raw["runs"]
    assert found.diverged.shape == found.seconds.shape == (len(found.runs),)
    assert (found.seconds > 0).all()
    went_well = found.diverged < 0
    assert list(found.metrics) == METRICS
    for metric, values in found.metrics.items():
        assert values.shape == (found.epochs, len(found.runs))
        there = plan.validation > 0 or "validation" not in metric
        assert (np.isfinite(values[:, went_well]) == there).all(), metric
        assert np.isnan(values[-1, ~went_well]).all()
    for values in found.distances.values():
        assert values.shape == (len(found.distance_steps), len(found.runs))
        assert (values[0] == 0).all()


@pytest.mark.parametrize("name", OF_TABLES)
def test_record_of_a_table(ours, name):
    found, plan = record_table(name), planned(name)
    said = found.attrs["settings"]
    if "parts" in said and len({*said["parts"]}) > 1:
        check_parts(found, plan)
    else:
        check_settings(said, plan)
    assert said["seeds"] == plan.seeds
    assert {"date", "commit", "torch", "group"} <= set(found.attrs["surroundings"])
    assert found.attrs["seconds"] > 0
    assert found.size >= 1


def test_summary(folder):
    about = {"data": "digits", "samples": 7}
    some = results(epochs=2, **about)
    some.surroundings["threads"] = 1
    write("runs", some)
    write_table("table", some, pd.DataFrame({"a": [1]}))
    table = records.summary().set_index("record")
    assert list(table.index) == ["runs", "table"]
    assert set(table["data"]) == {"digits"}
    assert set(table["epochs"]) == {2}
    assert set(table["seeds"]) == {len({run.seed for run in RUNS})}
    assert table["runs"]["runs"] == len(RUNS)
    assert table["runs"].isna().tolist() == [False, True]
    close(table["seconds"], some.seconds.sum())


def test_summary_of_ours(ours):
    table = records.summary()
    assert table["record"].tolist() == list(FILES)
    assert (table["seconds"] > 0).all()
    assert table.drop(columns=["epochs", "runs"]).notna().all(axis=None)
