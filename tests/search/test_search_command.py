"""The command: its lines, its exit codes, and what it refuses. No password is ever printed."""

import signal
import subprocess
import sys
import traceback

import pytest

from killed import ONE_THREAD, PLACES
from lrsched.lab.search import SearchError, open_storage
from lrsched.lab.search.__main__ import JOURNAL
from team import search

GRID = ("--study", "searched:GRID")
FINE = (*GRID, "--trials", 2)
SIGNALS = (signal.SIGINT, signal.SIGTERM)


def test_command(command, folder):
    before = [signal.getsignal(each) for each in SIGNALS]
    code, out, err = command("--study", "searched:makes_grid", "--trials", 3)
    assert (code, err) == (0, "")
    # A signal in the last moments, when nothing is left to stop, is not answered by a traceback.
    assert [signal.getsignal(each) for each in SIGNALS] == before
    assert out.splitlines() == [
        "trial 0: x=3: 756.25 (0 s)", "trial 1: x=1: 870.25 (0 s)", "trial 2: x=4: 702.25 (0 s)",
        "3 trials are finished", "the best is trial 2: x=4: 702.25",
    ]  # fmt: skip
    assert (folder / JOURNAL).exists()
    code, out, err = command("--study", "searched:makes_grid", "--trials", 2)
    assert (code, err) == (0, "")
    assert out.startswith("2 trials are finished\n")


def test_all_trials_are_pruned(command):
    code, out, err = command("--study", "searched:PRUNED", "--trials", 2)
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == "2 trials are finished"


def test_help(command, folder):
    code, out, err = command("--help")
    assert (code, err) == (0, "")
    shown = "".join(out.split())  # without the breaks of lines
    for word in ("--storage", "--trials", "postgresql://", "module:attribute", "OPTUNA_STORAGE"):
        assert word in shown
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(("variable", "file"), [("there", "there"), ("", JOURNAL)])
def test_the_storage_from_the_environment(command, folder, monkeypatch, variable, file):
    monkeypatch.setenv("OPTUNA_STORAGE", variable)
    assert command(*FINE)[::2] == (0, "")
    assert [path.name for path in folder.iterdir() if path.is_file()] == [file]
    assert command(*FINE, "--storage", "j")[0] == 0
    assert (folder / "j").exists()


@pytest.mark.parametrize(
    ("study", "first", "last"),
    [
        ("RAISES", "Traceback ", "by zero\ntrial 0: its objective or sampler has raised this\n"),
        ("NOTHING", "lrsched.lab.search: trial 0: ", "one number that is not NaN, got None\n"),
    ],
)
def test_what_it_says_of_an_objective(study, first, last):
    """The traceback of the objective's own error, and of no other."""
    line = [sys.executable, "-m", "lrsched.lab.search", "--study", f"searched:{study}"]
    environment = ONE_THREAD | {"PYTHONPATH": ":".join(map(str, PLACES)), "OPTUNA_STORAGE": "j"}
    ended = subprocess.run(
        [*line, "--trials", "2"], env=environment, capture_output=True, text=True
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith(first)
    assert ended.stderr.endswith(last)
    assert ("Traceback" in ended.stderr) == (study == "RAISES")


# Refused


def refused(command, folder, code, arguments, *words):
    """One line with these words; nothing is made, and no trial is begun."""

    def there():
        return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    before = there()
    ended, out, err = command(*arguments)
    assert (ended, out) == (code, "")
    assert err.startswith("lrsched.lab.search: ")
    assert err.count("\n") == 1, err
    assert len(err) < 600
    for word in words:
        assert word in err, err
    for never in ("Traceback", "secret", "usage:"):
        assert never not in err
    assert there() == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), ["--study", "--trials"]),
        (["--study", "decay"], ["--study", "'decay'", "module:attribute", "studies:grid"]),
        (["--study", "no.such:GRID"], ["--study", "'no.such:GRID'", "No module named"]),
        (["--study", "searched:NO"], ["--study", "'searched:NO'", "NO"]),
        (["--study", "searched:BEAT"], ["--study", "'searched:BEAT'", "Study", "got 0.3"]),
        (["--study", "searched:makes_none"], ["heartbeat", "above 0", "got 0"]),
        ([*GRID, "--trials", 0], ["--trials", "at least 1", "got 0"]),
        ([*GRID, "--trials", "x"], ["--trials", "'x'"]),
        ([*GRID, "--trials", 13], ["--trials", "at most 12", "got 13"]),
        # An address in a wrong place.
        ([*GRID, "pg://u:secret@h/d"], ["unrecognized"]),
        ([*GRID, "--storge=pg://u:secret@h/d"], ["--storge"]),
        ([*GRID, "--st=pg://u:secret@h/d"], ["--st"]),
        ([*GRID, "host=h password=secret"], ["unrecognized"]),
        ([*GRID, "--trials", "pg://u:secret@h/d"], ["--trials"]),
        (["--study", "pg://u:sec'ret@h/secret"], ["--study"]),
        (["--study", "searched://u:secret@h/d"], ["--study", "module:attribute"]),
    ],
    ids=str,
)
def test_bad_arguments(command, folder, arguments, words):
    more = [] if "--trials" in (*arguments, *words) else ["--trials", 2]
    refused(command, folder, 2, [*arguments, *more], *words)


FILES = {
    "text": b"This is no journal.\n" * 100,
    "other": b'{"version": 2}\n',
    "note": b"no end of a line",
    "newline": b"\n",
}
LOCAL = "postgresql://127.0.0.1:1"  # a port where nobody listens


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("", ["''"]),
        ("no/such/journal", ["'no/such/journal'", "No such file"]),
        ("some", ["'some'", "directory"]),
        ("damaged", ["'damaged'", "damaged"]),
        *((file, [f"'{file}'", "not a journal"]) for file in FILES),
        ("sqlite:///studies.db", ["SQLite", "many workers", "PostgreSQL", "journal"]),
        ("nosuch://someone:secret@host/a", ["'nosuch://host/a'", "no kind"]),
        ("mysql+pymysql://someone:secret@host/a", ["mysql+pymysql://host/a", "driver"]),
        # What no address is, and where a password may stand in one.
        ("://", ["'://***'"]),
        ("post-gres://someone:secret@host/a", ["'post-gres://host/a'"]),
        ("postgresql+psycopg://u:secret@h:port/a", ["postgresql+psycopg://***", "no address"]),
        ("postgresql://someone:1?secret@host/a", ["postgresql://***"]),
        ("postgresql://someone:1/secret@host/a", ["postgresql://***"]),
        ("postgresql://someone:x@secret@nohost.invalid/a", ["postgresql://***"]),
        ("postgresql://secret@nohost.invalid", ["'postgresql://nohost.invalid/'", "host"]),
        (f"{LOCAL}/a?password=secret", ["'postgresql://127.0.0.1/a'", "refused"]),
        (f"{LOCAL}/a?secret", ["postgresql://127.0.0.1/a"]),
        (f"{LOCAL}/a?port=secret", ["postgresql://127.0.0.1/a"]),
        (f"{LOCAL}/a?x='secret", ["postgresql://127.0.0.1/a"]),
        ("postgresql:///a?password=se@secret", ["postgresql://***"]),
        ("postgresql:///a;password=secret", ["postgresql://***"]),
        ("postgresql:///host=127.0.0.1 port=1 password=secret", ["postgresql://***"]),
        ("postgresql://a:%73ecret@127.0.0.1:1/b", ["'postgresql://127.0.0.1/b'", "refused"]),
        ("postgresql://a:{secret}@127.0.0.1:1/b{secret}", ["postgresql://***", "refused"]),
        ("someone:secret@host/a", ["'***'", "No such file"]),
        ("host=localhost password=secret", ["'***'", "no address"]),
    ],
    ids=str,
)
def test_bad_storages(command, folder, monkeypatch, address, words):
    if address.startswith("postgres"):
        pytest.importorskip("psycopg", exc_type=ImportError)
    (folder / "some").mkdir()
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    if address == "damaged":  # in its middle, where no dying worker leaves a half-written line
        search(3)
        lines = (folder / "j").read_bytes().splitlines(keepends=True)
        (folder / "damaged").write_bytes(b"".join([*lines[:5], b"{half\n", *lines[5:]]))
    monkeypatch.setitem(sys.modules, "pymysql", None)
    for variable, arguments in {"elsewhere": ("--storage", address), address: ()}.items():
        monkeypatch.setenv("OPTUNA_STORAGE", variable)
        if variable:  # an empty one is none
            refused(command, folder, 1, [*FINE, *arguments], "storage", *words)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("connection to server failed: FATAL: password authentication failed for user", "password"),
        ("(1049, \"Unknown database 'secret'\")", "the database does not exist"),
        ("invalid dsn: host=h password=secret", "its driver raised Odd"),
    ],
)
def test_what_a_driver_says_is_not_repeated(monkeypatch, said, reason):
    """Nor in what the error comes from."""
    pytest.importorskip("psycopg", exc_type=ImportError)

    class Odd(Exception):
        pass

    def connect(*_, **__):
        raise Odd(f"{said} secret")

    monkeypatch.setattr("psycopg.connect", connect)
    address = "postgresql+psycopg://someone:secret@127.0.0.1/a?password=secret"
    with pytest.raises(SearchError, match=reason) as caught:
        open_storage(address)
    assert caught.value.__context__ is None
    assert "secret" not in "".join(traceback.format_exception(caught.value))


def test_a_study_with_other_settings(command, folder):
    """When is a worker dead? Two of them must agree."""
    search(name="searched:PATIENT")
    arguments = ["--study", "searched:PATIENT", "--storage", "j", "--trials", 2]
    words = ["'searched:PATIENT'", "heartbeat: 0.3 there, 60.0 here", "name another storage"]
    refused(command, folder, 1, arguments, *words)
