"""Corrections, rosters and settings over the API and from the command line."""

from collections.abc import Callable
from datetime import date

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from cli.main import app
from server.services import Services

SignIn = Callable[[str], TestClient]
RATE = {
    "kind": "staff_rate",
    "reason": "watched for a day",
    "store_id": "S01",
    "day_from": "2026-11-16",
    "value": "1.5",
}


def test_made_listed_and_withdrawn(sign_in: SignIn) -> None:
    hq = sign_in("hq")
    made = hq.post("/api/v1/corrections", json=RATE)
    assert made.status_code == 201, made.text
    number = made.json()["correction_id"]
    assert made.json()["made_by"] == "hq"
    listed = hq.get("/api/v1/corrections", params={"store": "S01"}).json()
    assert [(each["correction_id"], each["kind"], each["value"]) for each in listed] == [(number, "staff_rate", "1.5")]
    ended = hq.post(f"/api/v1/corrections/{number}/withdrawal", json={"reason": "too high"})
    assert ended.json()["withdrawn_reason"] == "too high"
    assert hq.get("/api/v1/corrections").json() == []
    assert len(hq.get("/api/v1/corrections", params={"withdrawn": True}).json()) == 1
    assert hq.post(f"/api/v1/corrections/{number}/withdrawal", json={"reason": "again"}).status_code == 409


def test_an_audit_and_an_interval(chain: Services, sign_in: SignIn) -> None:
    hq = sign_in("hq")
    audit = {"counted": 338, "missed": 9, "invented": 2}
    made = hq.post(
        "/api/v1/corrections",
        json={"kind": "accuracy", "reason": "audit", "store_id": "S01", "day_from": "2026-11-16", "audit": audit},
    )
    assert made.json()["value"] == "1.020710"
    interval = {"starts_at": "2026-11-16T10:05:00+08:00", "ends_at": "2026-11-16T10:20:00+08:00"}
    made = hq.post(
        "/api/v1/corrections", json={"kind": "excluded", "reason": "delivery", "store_id": "S01", **interval}
    )
    assert made.json()["starts_at"] == "2026-11-16T02:00:00Z"
    assert made.json()["ends_at"] == "2026-11-16T02:30:00Z"
    assert chain.db is not None


@pytest.mark.parametrize(
    ("body", "field"),
    [({"value": "-1"}, "value"), ({"reason": ""}, "reason"), ({"line_id": "L"}, "line_id"), ({"mood": "good"}, "mood")],
)
def test_what_is_wrong_is_named(sign_in: SignIn, body: dict[str, str], field: str) -> None:
    refused = sign_in("hq").post("/api/v1/corrections", json=RATE | body)
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, field)


def test_a_manager_leaves_rates_alone_and_enters_the_roster(sign_in: SignIn) -> None:
    manager = sign_in("manager")
    assert manager.post("/api/v1/corrections", json=RATE).status_code == 403
    roster = "/api/v1/stores/S01/roster/2026-11-16"
    assert manager.get(roster).json() == {"is_known": False, "shifts": []}
    shift = {"starts_at": "2026-11-16T10:00:00+08:00", "ends_at": "2026-11-16T18:00:00+08:00", "people": "2.5"}
    assert manager.put(roster, json={"shifts": [shift]}).status_code == 204
    assert manager.get(roster).json()["shifts"][0]["people"] == "2.500000"
    assert manager.put(roster, json={"hours": 24}).status_code == 204
    # Open from 10:00 to 22:00: two people all day.
    assert [each["people"] for each in manager.get(roster).json()["shifts"]] == ["2.000000"]
    assert manager.put(roster, json={}).status_code == 422
    assert manager.put("/api/v1/stores/S02/roster/2026-11-16", json={"hours": 24}).status_code == 403


def test_settings(chain: Services, sign_in: SignIn) -> None:
    hq = sign_in("hq")
    for key, value in (("takes_check_ins", 1), ("power_share", 0.5), ("coverage_threshold", 0.8)):
        answer = hq.put(f"/api/v1/kpi/settings/{key}", json={"value": value, "valid_from": "2026-11-01"})
        assert answer.status_code == 204, answer.text
    assert hq.put("/api/v1/kpi/settings/mood", json={"value": 1, "valid_from": "2026-11-01"}).status_code == 422
    with chain.db.read() as conn:
        assert conn.execute("SELECT count(*) FROM kpi_setting").fetchone() == (3,)


def test_an_earlier_answer_over_the_api(chain: Services, sign_in: SignIn) -> None:
    chain.kpi.recompute("S01", date(2026, 11, 16))
    asked = {"from": "2026-11-16", "to": "2026-11-16", "group_by": "store", "kpi": "entries,net_sales"}
    hq = sign_in("hq")
    told = hq.get("/api/v1/kpi", params={**asked, "as_of": "2026-11-20T04:00:00Z"}).json()
    stores = {row["key"]: row["values"] for row in told["rows"]}
    assert stores["S01"]["net_sales"]["withheld"] == "no_receipts"
    # Of the others nothing was answered by then.
    assert {key: values["net_sales"]["withheld"] for key, values in stores.items() if key != "S01"} == {
        "S02": "no_data",
        "B01": "no_data",
    }
    assert told["as_of"] == "2026-11-20T04:00:00Z"
    earlier = hq.get("/api/v1/kpi", params={**asked, "as_of": "2026-11-19T04:00:00Z"}).json()
    assert earlier["rows"][0]["values"]["net_sales"]["withheld"] == "no_data"
    assert earlier["missing"] == len(earlier["rows"])
    assert hq.get("/api/v1/kpi", params={**asked, "as_of": "2026-11-20T04:00:00"}).status_code == 422


@pytest.fixture
def run(db_dsn: str) -> CliRunner:
    return CliRunner(env={"DOORLINE_DSN": db_dsn, "COLUMNS": "220"})


@pytest.mark.usefixtures("chain")
def test_from_the_command_line(run: CliRunner) -> None:
    made = run.invoke(app, ["correct", "staff-rate", "S01", "1.5", "--from", "2026-11-16", "--why", "watched"])
    assert made.output == "Made correction 1 of S01: staff rate 1.5, from 2026-11-16.\n"
    made = run.invoke(app, ["correct", "group-factor", "all", "1.6", "--from", "2026-11-16", "--why", "survey"])
    assert made.output == "Made correction 2 of the whole chain: group factor 1.6, from 2026-11-16.\n"
    audit = ["--counted", "338", "--missed", "9", "--invented", "2", "--from", "2026-11-16", "--to", "2026-11-30"]
    made = run.invoke(app, ["correct", "accuracy", "S01", *audit, "--why", "audit"])
    assert made.output == "Made correction 3 of S01: accuracy 1.02071, from 2026-11-16 to 2026-11-30.\n"
    interval = ["2026-11-16T10:05+08:00", "2026-11-16T10:20+08:00"]
    made = run.invoke(app, ["correct", "exclude", "S01", *interval, "--why", "delivery"])
    assert made.output == "Made correction 4 of S01: excluded, 2026-11-16 02:00 to 2026-11-16 02:30 UTC.\n"
    assert run.invoke(app, ["correct", "withdraw", "1", "--why", "too high"]).output.startswith("Withdrew correction 1")
    listed = run.invoke(app, ["correct", "list", "--store", "S01"]).output
    assert "group factor 1.6" in listed
    assert "staff rate" not in listed
    assert "too high" in run.invoke(app, ["correct", "list", "--withdrawn"]).output


@pytest.mark.usefixtures("chain")
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["staff-rate", "S01", "often", "--from", "2026-11-16", "--why", "x"], "'often' is no number"),
        (["staff-rate", "S99", "1", "--from", "2026-11-16", "--why", "x"], "no store 'S99'"),
        (["exclude", "S01", "2026-11-16T10:00", "2026-11-16T11:00", "--why", "x"], "no offset from UTC"),
        (["withdraw", "7", "--why", "x"], "no correction 7"),
    ],
)
def test_a_mistake_is_one_clear_line(run: CliRunner, words: list[str], told: str) -> None:
    refused = run.invoke(app, ["correct", *words])
    assert refused.exit_code == 2, refused.output
    assert told in refused.output
