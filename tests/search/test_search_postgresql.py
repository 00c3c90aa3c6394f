"""Searches on a PostgreSQL server, which cuts connections and goes away."""

import dataclasses
import traceback

import pytest
import sqlalchemy

import searched
from lrsched.lab.search import SearchError, open_storage, work
from team import address_of, same


def test_connections_that_are_cut(database, workers, alone):
    """As by a server that is restarted in the middle of trials: the workers connect again."""
    team = workers(address_of(database), "GRID")
    both = team.started(2)
    with database.cursor() as cursor:
        line = "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s"
        assert cursor.execute(line, [database.dbname]).fetchall()
    team.release()
    team.finish(*both)
    same(team.trials(), alone("GRID"))


def test_a_database_that_goes_away(database):
    """In the middle of a trial: it is said in our words, and from nothing that has others."""

    def objective(trial):
        database.drop()
        return 1.0

    storage = open_storage(address_of(database, "tester:secret"))
    study = dataclasses.replace(searched.RANDOM, objective=objective)
    with pytest.raises(SearchError, match="cannot be used: the database does not ex") as caught:
        work(study, "s", storage, 1)
    storage.engine.dispose()
    assert f"'postgresql+psycopg://127.0.0.1/{database.dbname}'" in str(caught.value)
    assert caught.value.__context__ is None
    assert "secret" not in "".join(traceback.format_exception(caught.value))


def test_no_password_is_kept_in_the_study(database):
    """Nor is an odd one changed: braces and percents are none of Optuna's business."""
    storage = open_storage(address_of(database, "tester:%7B0%7D{x}%25secret"))
    assert len(work(searched.GRID, "s", storage, 1).get_trials()) == 1
    with storage.engine.connect() as connection:
        tables = sqlalchemy.inspect(connection).get_table_names()
        rows = [connection.execute(sqlalchemy.text(f"select * from {each}")) for each in tables]
        content = repr([row.all() for row in rows])
    storage.engine.dispose()
    assert "sign_of_life" in content
    assert "secret" not in content


def test_tables_of_a_newer_optuna(database):
    storage = open_storage(address_of(database))
    with storage.engine.begin() as connection:
        connection.execute(sqlalchemy.text("update alembic_version set version_num = 'v9.9.9.a'"))
    storage.engine.dispose()
    with pytest.raises(SearchError, match=r"version v9\.9\.9\.a, and Optuna 5"):
        open_storage(address_of(database))
