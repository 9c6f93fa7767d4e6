"""`doorline db`: a schema brought up to date, said to be, and said not to be."""

import psycopg
import pytest
from typer.testing import CliRunner

from cli.main import app
from server.storage.migrate import packaged


@pytest.fixture
def run(empty_dsn: str) -> CliRunner:
    return CliRunner(env={"DOORLINE_DSN": empty_dsn, "COLUMNS": "200"})


def test_a_schema_is_brought_up_to_date_once(run: CliRunner) -> None:
    names = [migration.name for migration in packaged()]
    before = run.invoke(app, ["db", "status"])
    assert before.exit_code == 1
    assert before.output.count("not applied") == len(names)
    done = run.invoke(app, ["db", "migrate"])
    assert done.exit_code == 0, done.output
    assert [line.removeprefix("applied ") for line in done.output.splitlines() if line.startswith("applied ")] == names
    assert f"{len(names)} applied" in done.output
    after = run.invoke(app, ["db", "status"])
    assert after.exit_code == 0
    assert "not applied" not in after.output
    again = run.invoke(app, ["db", "migrate"])
    assert "nothing to do: the schema is up to date" in again.output


def test_an_edited_migration_is_said_to_be(run: CliRunner, empty_dsn: str) -> None:
    run.invoke(app, ["db", "migrate"])
    with psycopg.connect(empty_dsn) as connection:
        connection.execute("UPDATE schema_migration SET sha256 = 'other' WHERE name = '0001_stores.sql'")
    told = run.invoke(app, ["db", "status"])
    assert told.exit_code == 1
    (line,) = [line for line in told.output.splitlines() if "0001_stores.sql" in line]
    assert line.endswith("edited since")
    refused = run.invoke(app, ["db", "migrate"])
    assert refused.exit_code == 2
    assert "was edited after it was applied" in refused.output


def test_a_check_of_a_database_that_is_away_ends_with_one_clear_line() -> None:
    nowhere = "postgresql://nobody@127.0.0.1:1/nothing"
    said = CliRunner(env={"DOORLINE_DSN": nowhere}).invoke(app, ["db", "migrate"])
    assert said.exit_code == 2
    assert "the database can't be reached" in said.output
