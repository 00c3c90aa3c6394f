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

import lrsched as L
from drawn import EXAMPLES
from lrsched import book
from lrsched.book import editions, record, record_table, records
from lrsched.book.records import write, write_table
from lrsched.lab import Results, Run, polynomial

OURS = Path(book.__file__).parent / "records"
FILES = {path.stem: path for path in sorted(OURS.glob("*.json"))}
OF_RUNS = [name for name, path in FILES.items() if "runs" in json.loads(path.read_text())]
OF_TABLES = [name for name in FILES if name not in OF_RUNS]
METRICS = [f"{part}_{kind}" for part in ("train", "validation", "test")
           for kind in ("loss", "accuracy")]  # fmt: skip
RUNS = [
    Run("a [1], {b", L.Cosine(0.1, 10).warmup(3), 1),
    Run('"c" ]}', L.Constant(1e30)),
    Run("d\n   e ", L.StepDecay(0.1, 7, gamma=0.5).per_epoch(2) * 0.3),
]


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

    def refuse(token):
        raise AssertionError(token)

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


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


def table(columns=None, **named):
    return pd.DataFrame(named if columns is None else columns)


def write_runs(values=0.5, **settings):
    return write("some", results(values, **settings))


def write_rows(values=0.5, **settings):
    return write_table("some", results(**settings), table(a=[values, 2]))


BOTH = pytest.mark.parametrize("write_some", [write_runs, write_rows])


# Written and read


def test_round_trip_of_results(folder):
    written = results([[0.123456789, 1e-30, 3], [math.nan, math.inf, -1234567]], optimizer={"a": 1})
    path = write("some", written)
    assert list(folder.iterdir()) == [path] == [folder / "some.json"]
    strict(path)
    back = record("some")
    assert (back.runs, back.labels, back.epochs) == (tuple(RUNS), written.labels, 2)
    for there, here in ((back.metrics, written.metrics), (back.distances, written.distances)):
        assert list(there) == list(here)
        for name, values in here.items():
            close(there[name], values)
    close(back.seconds, written.seconds)
    assert back.distance_steps.tolist() == [0, 7]
    assert back.diverged.tolist() == [-1, 0, 1]
    assert back.settings == written.settings
    assert back.surroundings.items() >= written.surroundings.items()
    assert {"date", "commit"} <= set(back.surroundings)
    assert back.rates is back.losses is back.rate is None


def test_every_schedule(folder):
    runs = [Run(repr(schedule), schedule, k) for k, schedule in enumerate(EXAMPLES)]
    strict(write("all", results(runs=runs)))
    assert record("all").runs == tuple(runs)


ROWS = st.integers(1, 4).flatmap(
    lambda width: st.lists(
        st.lists(st.floats(width=32) | st.floats(), min_size=width, max_size=width), min_size=1
    )
)


@given(values=ROWS)
def test_any_numbers(values):
    values = np.array(values)
    runs = [Run(str(k), L.Constant(0.1)) for k in range(values.shape[1])]
    with tempfile.TemporaryDirectory() as place, pytest.MonkeyPatch.context() as patch:
        patch.setenv("LRSCHED_RECORDS_DIR", place)
        strict(write("runs", results(values, runs)))
        strict(write_table("rows", results(), table(a=values[:, 0], b=["x"] * len(values))))
        metrics, rows = record("runs").metrics, record_table("rows")
    close(metrics["test_loss"], values)
    assert pd.api.types.is_numeric_dtype(rows.a)
    close(rows.a, values[:, 0])
    assert (rows.b == "x").all()


def test_a_line_for_each_run_epoch_and_row():
    lines = write("some", results(np.full((4, 3), 0.375))).read_text().splitlines()
    assert lines.count("   [ 0.375, 0.375, 0.375 ],") == 3 * 6
    path = write_table("rows", results(), table(a=[1.5, 2], b=["b\n   c ", '"a" ]}']))
    assert '  [ 1.5, "b\\n   c " ],\n' in path.read_text()


def test_round_trip_of_a_table(folder):
    result = table(
        number=[0.1234567, 2e-30, float("nan"), -123456.7],
        whole=np.array([123456789, 0, -5, 2**40]),
        small=np.array([1, 2, 3, 4], "uint8"),
        single=np.array([0.1, 1e10, np.inf, -np.inf], "float32"),
        flag=[True, False, True, True],
        gone=[np.nan] * 4,
        text=["é", '"a" ]}', "b\n   c ", ""],
    )
    result.index = [3, 1, 4, 2]
    source = results()
    path = write_table("some", source, result)
    assert list(folder.iterdir()) == [path] == [folder / "some.json"]
    raw, back = strict(path), record_table("some")
    assert raw["rows"] == [
        [0.12346, 123456789, 1, 0.1, 1, None, "é"],
        [2e-30, 0, 2, 1e10, 0, None, '"a" ]}'],
        [None, -5, 3, None, 1, None, "b\n   c "],
        [-123460.0, 2**40, 4, None, 1, None, ""],
    ]
    assert list(back.columns) == list(result.columns)
    assert back.index.equals(pd.RangeIndex(4))
    for column in ("number", "single", "gone"):
        assert pd.api.types.is_float_dtype(back[column])
        close(back[column], result[column])
    assert pd.api.types.is_integer_dtype(back.whole)
    assert back.whole.tolist() == result.whole.tolist()
    assert back.text.tolist() == result.text.tolist()
    assert all(type(text) is str for text in back.text)
    assert back.attrs == {part: raw[part] for part in ("settings", "surroundings", "seconds")}
    assert raw["settings"] == source.settings | {"seeds": 2}
    assert raw["surroundings"].items() >= source.surroundings.items()
    assert {"date", "commit"} <= set(raw["surroundings"])
    assert raw["seconds"] == source.seconds.sum()


def test_columns_of_one_name():
    result = table(a=[1, 2], b=[0.5, 1.5])
    result.columns = ["a", np.str_("a")]
    write_table("some", results(), result)
    pd.testing.assert_frame_equal(record_table("some"), result, check_dtype=False)


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


def aged(path):
    """The same record of another day, as bytes."""
    content = path.read_text()
    for key in ("date", "commit"):
        content = content.replace(strict(path)["surroundings"][key], f"another {key}")
    path.write_text(content)
    return path.read_bytes()


@BOTH
def test_the_same_results_keep_their_date(write_some):
    before = aged(path := write_some())
    write_some()
    assert path.read_bytes() == before
    for changed in ({"values": 0.7}, {"network": "b"}):
        aged(path)
        write_some(**changed)
        assert strict(path)["surroundings"]["date"] != "another date"
    path.write_text("{")
    write_some()
    assert strict(path)


def test_the_seconds_of_a_table_are_no_result():
    before = aged(path := write_rows())
    write_rows(seconds=99)
    assert path.read_bytes() == before
    write_table("some", results(), table(b=[0.5, 2]))
    assert list(record_table("some")) == ["b"]
    before = aged(path := write_runs())
    write_runs(seconds=99)
    assert path.read_bytes() != before


# Which are there


def test_names_are_of_their_kind(folder):
    """A record of runs is none of a table, and none is listed as the other."""
    for read in (record, record_table):
        with pytest.raises(ValueError, match=r"name must be .*\(there is none\), got 'a'"):
            read("a")
    for name in ("2", "1"):
        write(f"runs{name}", results())
        write_table(f"rows{name}", results(), table(a=[1]))
    for read, kind, wrong in ((record, "runs", "rows1"), (record_table, "rows", "runs1")):
        for name in (wrong, "c"):
            with pytest.raises(ValueError, match=rf"\('{kind}1', '{kind}2'\), got '{name}'"):
                read(name)


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
    for name, expected in (("b.py", head), ("lrsched/book/records/a.json", head),
                           ("lrsched/a.py", f"{head}+changes")):  # fmt: skip
        (tmp_path / name).write_text("after")
        assert records.commit(file) == expected
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert records.commit(file) == "unknown"


# The records of the package

OF_PARTS = {  # by name, the experiment that it is a part of
    name: whole for name in OF_TABLES for whole in editions.FULL if name.startswith(f"{whole}-")
}
OF_SWEEPS = [name for name in OF_TABLES if name in editions.SWEEPS]
FIRST = OF_SWEEPS[0]


def test_every_experiment_has_a_record():
    assert sorted(editions.FULL) == sorted({*OF_RUNS, *OF_PARTS.values()})
    assert sorted([*OF_SWEEPS, *OF_PARTS]) == OF_TABLES


@pytest.mark.parametrize("name", OF_RUNS)
def test_record(ours, name):
    found, raw = record(name), strict(FILES[name])
    assert list(found.metrics) == METRICS
    assert len({(run.label, run.seed) for run in found.runs}) == len(found.runs) > 0
    steps = np.arange(found.epochs * found.steps_per_epoch)
    for run, written in zip(found.runs, raw["runs"], strict=True):
        assert run.to_dict() == written
        assert np.isfinite(run.schedule(steps)).all()
    assert found.diverged.shape == found.seconds.shape == (len(found.runs),)
    assert (found.seconds > 0).all()
    went_well = found.diverged < 0
    for metric, values in found.metrics.items():
        assert values.shape == (found.epochs, len(found.runs))
        finite = np.isfinite(values[:, went_well])
        assert finite.all() or ("validation" in metric and not finite.any()), metric
        assert np.isnan(values[-1, ~went_well]).all()
        if "accuracy" in metric:
            assert np.nanmax(values, initial=0) <= 1
            assert np.nanmin(values, initial=1) >= 0
    for values in found.distances.values():
        assert values.shape == (len(found.distance_steps), len(found.runs))
        assert (values[0] == 0).all()


def check_pictures(said, plan):
    assert said["data"] == "Fashion-MNIST"
    assert said["samples"] == 60_000 - plan.validation
    assert (said["epochs"], said["batch_size"]) == (plan.epochs, plan.batch_size)
    assert said["steps_per_epoch"] == math.ceil(said["samples"] / said["batch_size"])


@pytest.mark.parametrize("name", OF_RUNS)
def test_record_is_of_the_full_edition(ours, name):
    found, plan = record(name), book.plan(name)
    check_pictures(found.settings, plan)
    assert {run.seed for run in found.runs} == set(range(plan.seeds))
    for metric in ("validation_loss", "validation_accuracy"):
        assert np.isfinite(found.metrics[metric]).any() == (plan.validation > 0)


def check_table(name, plan):
    """That a record is a table of what was planned."""
    found = record_table(name)
    said = found.attrs["settings"]
    assert len(found) >= 1
    assert len(set(found.columns)) == len(found.columns) >= 1
    for column in found:
        assert type(column) is str
        kinds = {type(value) for value in found[column]}
        assert kinds <= {str} or pd.api.types.is_numeric_dtype(found[column]), column
    assert said["seeds"] == plan.seeds
    assert {"date", "commit", "torch", "group"} <= set(found.attrs["surroundings"])
    assert found.attrs["seconds"] > 0
    if plan.validation is not None:
        check_pictures(said, plan)
        return
    data = polynomial()
    assert (said["data"], said["checksum"]) == ("polynomial", data.checksum)
    assert said["samples"] == len(data.train)
    assert (said["epochs"], said["batch_size"]) == (plan.epochs, plan.batch_size)
    assert said["steps_per_epoch"] == plan.steps_per_epoch
    assert said["networks"]


@pytest.mark.parametrize("name", OF_TABLES)
def test_record_of_a_table(ours, name):
    assert set(strict(FILES[name])) == {"settings", "surroundings", "seconds", "columns", "rows"}
    check_table(name, book.plan(OF_PARTS.get(name, name)))


@pytest.mark.parametrize("wrong", [
    {"settings": {"seeds": 2}}, {"settings": {"epochs": 2}}, {"settings": {"batch_size": 100}},
    {"settings": {"checksum": "0"}}, {"rows": []}, {"columns": ["network"]}, {"seconds": 0},
], ids=str)  # fmt: skip
def test_the_check_of_tables(monkeypatch, folder, wrong):
    """It accepts no other."""
    monkeypatch.setenv("LRSCHED_EDITION", "full")
    content = strict(FILES[FIRST])
    for part, value in wrong.items():
        if part == "settings":
            value = content[part] | value
        if part == "columns":
            value = value * len(content[part])
        content[part] = value
    folder.mkdir()
    (folder / f"{FIRST}.json").write_text(json.dumps(content))
    with pytest.raises(AssertionError):
        check_table(FIRST, book.plan(FIRST))
