"""The command: its lines, its exit codes, and what it refuses. No password is ever printed."""

import signal
import socket
import subprocess
import sys
import traceback

import pytest

import searched
from killed import ONE_THREAD, PLACES
from lrsched.lab.search import SearchError, open_storage, work
from lrsched.lab.search.__main__ import JOURNAL

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
    code, out, err = command("--study", "searched:PRUNED", "--storage", "j", "--trials", 2)
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


def test_what_it_says_of_an_objective():
    """The traceback of the objective's own error, and of no other."""
    environment = ONE_THREAD | {"PYTHONPATH": ":".join(map(str, PLACES)), "OPTUNA_STORAGE": "j"}

    def said(name):
        line = [sys.executable, "-m", "lrsched.lab.search", "--study", f"searched:{name}"]
        ended = subprocess.run(
            [*line, "--trials", "2"], env=environment, capture_output=True, text=True
        )
        assert (ended.returncode, ended.stdout) == (1, "")
        return ended.stderr

    assert said("RAISES").splitlines()[-2:] == [
        "ZeroDivisionError: division by zero",
        "trial 0: its objective or sampler has raised this",
    ]
    assert said("NOTHING") == (
        "lrsched.lab.search: trial 0 (x=3): what the objective returns must be one number that "
        "is not NaN, got None\n"
    )


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
        assert str(word) in err, err
    for never in ("Traceback", "secret", "usage:"):
        assert never not in err
    assert there() == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--trials", 2], ["--study"]),
        (GRID, ["--trials"]),
        ([], ["--study", "--trials"]),
        (["--study", "decay"], ["--study", "'decay'", "module:attribute", "studies:grid"]),
        (["--study", ""], ["--study", "''", "module:attribute"]),
        (["--study", "no.such:GRID"], ["--study", "'no.such:GRID'", "No module named"]),
        (["--study", "searched:NO"], ["--study", "'searched:NO'", "NO"]),
        (["--study", "searched:"], ["--study", "'searched:'"]),
        (["--study", ":GRID"], ["--study", "':GRID'"]),
        (["--study", ".searched:GRID"], ["--study", "'.searched:GRID'"]),
        (["--study", "searched:NONE"], ["--study", "'searched:NONE'", "Study", "got 3"]),
        (["--study", "searched:reach"], ["--study", "'searched:reach'", "Study"]),
        (["--study", "searched:HEARTBEAT"], ["heartbeat", "above 0", "got 0"]),
        ([*GRID, "--trials", 0], ["--trials", "at least 1", "got 0"]),
        ([*GRID, "--trials", -3], ["--trials", "at least 1", "got -3"]),
        ([*GRID, "--trials", "x"], ["--trials", "'x'"]),
        ([*GRID, "--trials", "1.5"], ["--trials", "'1.5'"]),
        ([*GRID, "--trials", 13], ["--trials", "at most 12", "got 13"]),
        ([*GRID, "--workers", 3], ["--workers"]),
        ([*GRID, "more"], ["more"]),
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


PG = "postgresql+psycopg://someone:secret@127.0.0.1"


@pytest.mark.parametrize("how", ["argument", "environment"])
@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("no/such/journal", ["'no/such/journal'", "No such file"]),
        ("some", ["'some'", "directory"]),
        ("text", ["'text'", "not a journal"]),
        ("zeros", ["'zeros'", "not a journal"]),
        ("other", ["'other'", "not a journal"]),
        ("note", ["'note'", "not a journal"]),
        ("damaged", ["'damaged'", "damaged"]),
        ("text/journal", ["'text/journal'", "Not a directory"]),
        ("sqlite:///studies.db", ["SQLite", "many workers", "PostgreSQL", "journal"]),
        ("nosuch://someone:secret@host/a", ["'nosuch://host/a'", "no kind"]),
        ("redis://:secret@host/a", ["'redis://host/a'", "no kind"]),
        ("mysql+pymysql://someone:secret@host/a", ["mysql+pymysql://host/a", "driver"]),
        # What no address is, and where a password may stand in one.
        ("://", ["'://***'"]),
        ("post-gres://someone:secret@host/a", ["'post-gres://host/a'"]),
        (f"{PG}:port/a", ["postgresql+psycopg://***", "no address"]),
        (f"{PG}:99999999/a", ["postgresql+psycopg://"]),
        ("postgresql://someone:1?secret@host/a", ["postgresql://***"]),
        ("postgresql://someone:1/secret@host/a", ["postgresql://***"]),
        ("postgresql://someone:x@secret@nohost.invalid/a", ["postgresql://***"]),
        ("postgresql://:secret@nohost.invalid:5/a", ["'postgresql://nohost.invalid/a'"]),
        ("postgresql://secret@nohost.invalid", ["'postgresql://nohost.invalid/'", "host"]),
        ("postgresql:///a?host=127.0.0.1&port=1&password=secret", ["'postgresql:///a'"]),
        ("postgresql:///a?host=127.0.0.1&port=1&sslpassword=secret", ["postgresql:///a"]),
        ("postgresql:///a?secret", ["postgresql:///a"]),
        ("postgresql:///a?secret=1", ["postgresql:///a"]),
        ("postgresql:///a?host=127.0.0.1&port=secret", ["postgresql:///a"]),
        ("postgresql:///a?host=127.0.0.1&port=1&options=secret", ["postgresql:///a"]),
        ("postgresql:///a?host=127.0.0.1&port=1&x='secret", ["postgresql:///a"]),
        ("postgresql:///a?password=se@secret", ["postgresql://***"]),
        ("postgresql:///a;password=secret", ["postgresql://***"]),
        ("postgresql:///host=127.0.0.1 port=1 password=secret", ["postgresql://***"]),
        ("postgresql://a:%73ecret@127.0.0.1:1/b", ["'postgresql://127.0.0.1/b'", "refused"]),
        ("postgresql://a:{secret}@127.0.0.1:1/b{secret}", ["postgresql://***", "refused"]),
        ("someone:secret@host/a", ["'***'", "No such file"]),
        ("someone:secret@host", ["'***'", "no address"]),
        ("host=localhost password=secret", ["'***'", "no address"]),
    ],
    ids=str,
)
def test_bad_storages(command, folder, monkeypatch, address, words, how):
    if address.startswith("postgres"):
        pytest.importorskip("psycopg", exc_type=ImportError)
    (folder / "some").mkdir()
    (folder / "text").write_text("This is no journal.\n" * 100)
    (folder / "zeros").write_bytes(b"\0" * 1000)
    (folder / "other").write_text('{"version": 2}\n')
    (folder / "note").write_text("no end of a line")
    if address == "damaged":  # in its middle, where no dying worker leaves a half-written line
        work(searched.GRID, "searched:GRID", open_storage("damaged"), 3)
        lines = (folder / "damaged").read_bytes().splitlines(keepends=True)
        (folder / "damaged").write_bytes(b"".join([*lines[:5], b"{half\n", *lines[5:]]))
    monkeypatch.setitem(sys.modules, "pymysql", None)
    monkeypatch.setenv("OPTUNA_STORAGE", "elsewhere" if how == "argument" else address)
    arguments = ["--storage", address] if how == "argument" else []
    refused(command, folder, 1, [*FINE, *arguments], "storage", *words)


def test_an_empty_storage(command, folder):
    refused(command, folder, 1, [*FINE, "--storage", ""], "got ''")


def test_a_server_that_is_not_there(command, folder):
    pytest.importorskip("psycopg", exc_type=ImportError)
    with socket.socket() as taken:  # a port where nobody listens
        taken.bind(("127.0.0.1", 0))
        arguments = [*FINE, "--storage", f"{PG}:{taken.getsockname()[1]}/a"]
        refused(command, folder, 1, arguments, "'postgresql+psycopg://127.0.0.1/a'", "refused")


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("connection to server failed: FATAL: password authentication failed for user", "password"),
        ('FATAL:  database "secret" does not exist', "the database does not exist"),
        ("(1049, \"Unknown database 'secret'\")", "the database does not exist"),
        ("(2003, \"Can't connect to MySQL server on 'secret' (timed out)\")", "no answer in time"),
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
    address = f"{PG}/a?password=secret"
    with pytest.raises(SearchError, match=reason) as caught:
        open_storage(address)
    assert caught.value.__context__ is None
    assert "secret" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("study", "words"),
    [
        ("OTHER", ["of: 'one' there, 'another' here", "more: None there, [1] here"]),
        ("PATIENT", ["heartbeat: 0.3 there, 60.0 here"]),  # when is one of them dead?
    ],
)
def test_a_study_with_other_settings(command, folder, study, words):
    work(searched.GRID, f"searched:{study}", open_storage("j"), 1)
    arguments = ["--study", f"searched:{study}", "--storage", "j", "--trials", 2]
    refused(command, folder, 1, arguments, f"'searched:{study}'", *words, "name another storage")
