"""What the tests of searches share: workers, storages, and a PostgreSQL server of their own."""

import contextlib
import functools
import os
import pwd
import shutil
import tempfile
from pathlib import Path

import pytest

import searched
from killed import kill
from lrsched.lab.search.__main__ import main
from lrsched.lab.search.journal import Journal
from searched import TRIALS
from team import Team, address_of, search


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Studies, marks and holds are in the working folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("LRSCHED_EDITION", "OPTUNA_STORAGE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def workers(folder):
    """Makes teams; those who are left of them at the end of the test are killed."""
    with contextlib.ExitStack() as stack:

        def make(*arguments):
            team = Team(folder, *arguments)
            stack.callback(lambda: [kill(child) for child in team.children])
            return team

        yield make


@pytest.fixture(scope="session")
def alone(tmp_path_factory):
    """The trials of one worker alone, by the name of the study."""

    @functools.cache
    def trials(study):
        with contextlib.chdir(tmp_path_factory.mktemp("alone")):
            return search(TRIALS, getattr(searched, study), study).get_trials()

    return trials


@pytest.fixture
def command(capsys):
    """Runs the command here; its exit code, output and errors."""

    def run(*arguments):
        try:
            code = main([str(each) for each in arguments])
        except SystemExit as ended:
            code = ended.code
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def once(monkeypatch):
    """Calls a function once, beside the first entry of the journal for which a condition holds."""

    def beside(condition, call, *, after=False):
        real = Journal.append_logs

        def append(journal, logs):
            if not any(map(condition, logs)):
                return real(journal, logs)
            monkeypatch.setattr(Journal, "append_logs", real)
            if after:
                real(journal, logs)
            call()
            return None if after else real(journal, logs)

        monkeypatch.setattr(Journal, "append_logs", append)

    return beside


# PostgreSQL


@pytest.fixture(scope="session")
def server():
    """A running PostgreSQL server."""
    executors = pytest.importorskip("pytest_postgresql.executors", exc_type=ImportError)
    pytest.importorskip("psycopg", exc_type=ImportError)
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    program = shutil.which("pg_ctl") or (programs and str(programs[-1]))
    if not program:
        pytest.skip("no PostgreSQL server: neither pg_ctl nor /usr/lib/postgresql/*/bin/pg_ctl")
    import port_for

    with tempfile.TemporaryDirectory(prefix="postgresql") as place:
        if os.geteuid() == 0:
            program = as_nobody(program, place)
        process = executors.PostgreSQLExecutor(
            executable=program, host="127.0.0.1", port=port_for.select_random(), user="tester",
            dbname="postgres", datadir=f"{place}/data", unixsocketdir=place,
            logfile=f"{place}/log", startparams="-w",
        )  # fmt: skip
        with process:
            yield process


def as_nobody(program, place):
    """A script that runs the program as nobody, who gets the place: as root it refuses to run."""
    nobody = pwd.getpwnam("nobody")
    os.chown(place, nobody.pw_uid, nobody.pw_gid)
    script = Path(place) / "pg_ctl"
    who = f"--reuid {nobody.pw_uid} --regid {nobody.pw_gid} --clear-groups"
    script.write_text(f'#!/bin/sh\ncd /\nexec setpriv {who} {program} "$@"\n')
    script.chmod(0o755)
    return str(script)


@pytest.fixture
def database(server):
    """An empty database: its janitor, and where it is."""
    from pytest_postgresql.janitor import DatabaseJanitor

    janitor = DatabaseJanitor(
        user=server.user, host=server.host, port=server.port, dbname="studies"
    )
    with janitor:
        yield janitor


@pytest.fixture
def storage(request):
    """The address of a storage of the kind that the parameter says."""
    if request.param == "journal":
        return "j"
    return address_of(request.getfixturevalue("database"))
