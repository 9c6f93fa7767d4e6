"""`doorline user` and `doorline audit-trail`, as a person types them, over a real database."""

import json
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner, Result

from cli.main import app


@pytest.fixture
def environment(db_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Settings as the environment gives them; no .env file of a developer's is near."""
    monkeypatch.chdir(tmp_path)
    return {
        "DOORLINE_DSN": db_dsn,
        "DOORLINE_ARGON2_MEMORY_KIB": "64",
        "DOORLINE_ARGON2_TIME_COST": "1",
        "COLUMNS": "200",
        "TERM": "dumb",
    }


def run(environment: dict[str, str], *arguments: str, stdin: str = "") -> Result:
    return CliRunner().invoke(app, list(arguments), env=environment, input=stdin)


def test_people_are_added_changed_barred_and_given_another_password(environment: dict[str, str]) -> None:
    first = run(environment, "user", "add", "root", "--role", "admin", "--password-stdin", stdin="a long password\n")
    assert first.exit_code == 0, first.output
    for store in ("S01", "S02"):
        run(environment, "store", "add", store, "--name", store)
    added = run(environment, "user", "add", "wang", "--role", "desk", "--store", "S01", "--temporary")
    password, said = added.stdout.splitlines()
    assert said == "Added wang (desk, S01)."
    assert len(password) == 17
    assert "temporary password" in run(environment, "user", "list").stdout
    changed = run(environment, "user", "change", "wang", "--role", "region", "--store", "S01", "--store", "S02")
    assert changed.stdout == "wang is region of S01, S02 now.\n"
    assert run(environment, "user", "reset-password", "wang").stdout.strip() != password
    assert run(environment, "user", "end-sessions", "wang").stdout == "Ended 0 sessions of wang.\n"
    assert run(environment, "user", "reset-codes", "wang").exit_code == 0
    assert run(environment, "user", "disable", "wang").exit_code == 0
    assert "disabled" in run(environment, "user", "list").stdout
    assert run(environment, "user", "enable", "wang").exit_code == 0
    last = run(environment, "user", "disable", "root")
    assert (last.exit_code, "last administrator" in last.output) == (2, True)
    assert run(environment, "user", "change", "nobody", "--role", "hq").exit_code == 2


def test_keys_are_made_listed_replaced_and_ended(environment: dict[str, str]) -> None:
    run(environment, "store", "add", "S01", "--name", "S01")
    made = run(environment, "user", "add-key", "till 1", "--store", "S01", "--days", "90", "--right", "receipts:write")
    key_id = made.stdout.split("_")[1]
    listed = run(environment, "user", "keys").stdout
    assert key_id in listed
    assert "receipts:write" in listed
    assert made.stdout.strip() not in listed
    rotated = run(environment, "user", "rotate-key", key_id, "--overlap-hours", "1")
    assert rotated.stdout.startswith("dl_"), rotated.output
    assert run(environment, "user", "end-key", key_id).exit_code == 0
    assert run(environment, "user", "end-key", key_id).exit_code == 2
    assert run(environment, "user", "add-key", "x", "--role", "hq", "--right", "all").exit_code == 2


def test_the_trail_is_checked_against_a_noted_head(environment: dict[str, str], tmp_path: Path) -> None:
    run(environment, "store", "add", "S01", "--name", "S01")
    run(environment, "user", "add-key", "till 1", "--store", "S01")
    heads = tmp_path / "heads.txt"
    heads.write_text(f"2026-11-20 {run(environment, 'audit-trail', 'head').stdout}")
    run(environment, "user", "add-key", "till 2", "--store", "S01")
    sound = run(environment, "audit-trail", "verify", "--head-file", str(heads))
    assert (sound.exit_code, sound.stdout.startswith("The audit trail is sound: 3 lines")) == (0, True), sound.output
    assert "api_key.create" in run(environment, "audit-trail", "list", "--limit", "2").stdout
    with psycopg.connect(environment["DOORLINE_DSN"]) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("UPDATE audit SET actor = 'nobody' WHERE audit_id = 2")
    broken = run(environment, "audit-trail", "verify")
    assert broken.exit_code == 1
    assert "changed: line 2 at link 2" in broken.stdout
    told = json.loads(run(environment, "audit-trail", "verify", "--json").stdout)
    assert (told["sound"], [fault["audit_id"] for fault in told["faults"]]) == (False, [2])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--head", "7:abc"), "is no head of an audit trail"),
        (("--head-file", "missing.txt"), "can't be read"),
        (("--head", f"1:{'a' * 64}", "--head-file", "x"), "not both"),
    ],
)
def test_a_head_that_is_none_is_refused(environment: dict[str, str], arguments: tuple[str, ...], said: str) -> None:
    result = run(environment, "audit-trail", "verify", *arguments)
    assert (result.exit_code, said in result.output) == (2, True), result.output
