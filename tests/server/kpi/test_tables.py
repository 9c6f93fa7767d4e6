"""Promotions, events, weather and rosters: one by one, out of files, by API and from the command line."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from io import BytesIO
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from cli.main import app
from server.access.models import Scope
from server.errors import Forbidden, InvalidInput, NotFound
from server.kpi.correction_service import Shift
from server.services import Services
from server.stores.models import NewFact
from tests.server.conftest import SYSTEM

MONDAY = date(2026, 11, 16)
SUNDAY = date(2026, 11, 22)
ScopeOf = Callable[[str], Scope]
SignIn = Callable[[str], TestClient]


def promotion(title: str, **of: str) -> NewFact:
    return NewFact("promotion", MONDAY, MONDAY, title, **of)  # type: ignore[arg-type]  # store_id or region


def titles(chain: Services, scope: Scope, *stores: str) -> list[str]:
    return [fact.title for fact in chain.facts.of_stores(scope, MONDAY, SUNDAY, list(stores) or None)]


def test_a_store_has_its_own_its_region_s_and_the_chain_s(chain: Services, scope_of: ScopeOf) -> None:
    """S01 is in 华东, S02 in 华北, B01 in EU."""
    for fact in (
        promotion("all"),
        promotion("east", region="华东"),
        promotion("north", region="华北"),
        promotion("one", store_id="S01"),
        promotion("two", store_id="S02"),
    ):
        chain.facts.add(SYSTEM, fact)
    assert titles(chain, SYSTEM) == ["all", "east", "north", "one", "two"]
    assert titles(chain, SYSTEM, "S01") == ["all", "east", "one"]
    assert titles(chain, SYSTEM, "S01", "B01") == ["all", "east", "one"]
    assert titles(chain, scope_of("manager")) == ["all", "east", "one"]
    assert titles(chain, scope_of("manager"), "S02") == ["all"]
    assert [fact.title for fact in chain.facts.of_store(SYSTEM, "S02", MONDAY, MONDAY)] == ["all", "north", "two"]
    assert chain.facts.of_store(SYSTEM, "S02", SUNDAY, SUNDAY) == []


def test_noted_twice_it_is_there_once_with_the_new_detail(chain: Services) -> None:
    first = chain.facts.add(SYSTEM, promotion("all"))
    again = chain.facts.add(SYSTEM, NewFact("promotion", MONDAY, MONDAY, " all ", "two for one"))
    assert (again.fact_id, again.detail) == (first.fact_id, "two for one")
    assert titles(chain, SYSTEM) == ["all"]


def test_who_may_note_and_remove(chain: Services, scope_of: ScopeOf) -> None:
    manager = scope_of("manager")
    own = chain.facts.add(manager, promotion("one", store_id="S01"))
    for refused in (promotion("all"), promotion("east", region="华东"), promotion("two", store_id="S02")):
        with pytest.raises(Forbidden):
            chain.facts.add(manager, refused)
    whole = chain.facts.add(SYSTEM, promotion("all"))
    other = chain.facts.add(SYSTEM, promotion("two", store_id="S02"))
    chain.facts.remove(manager, own.fact_id)
    with pytest.raises(Forbidden):
        chain.facts.remove(manager, whole.fact_id)
    with pytest.raises(NotFound):
        chain.facts.remove(manager, other.fact_id)
    assert titles(chain, SYSTEM) == ["all", "two"]


@pytest.mark.parametrize(
    ("fact", "field"),
    [
        (NewFact("weather", MONDAY, MONDAY, "hot", temperature_c=Decimal(99)), "temperature_c"),
        (NewFact("weather", MONDAY, MONDAY, "dry", rain_mm=Decimal(-1)), "rain_mm"),
        (NewFact("event", MONDAY, MONDAY, " "), "title"),
        (NewFact("event", SUNDAY, MONDAY, "fair"), "day_to"),
        (NewFact("event", MONDAY, date(2999, 1, 1), "fair"), "day_to"),
        (NewFact("event", MONDAY, MONDAY, "fair", store_id="S01", region="华东"), "region"),
        (NewFact("mood", MONDAY, MONDAY, "good"), "kind"),  # type: ignore[arg-type]
    ],
)
def test_what_explains_nothing_is_refused(chain: Services, fact: NewFact, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        chain.facts.add(SYSTEM, fact)
    assert refused.value.field == field


@pytest.mark.parametrize("fact", [promotion("x", store_id="S99"), promotion("x", region="Mars")])
def test_it_is_of_a_store_or_region_there_is(chain: Services, fact: NewFact) -> None:
    with pytest.raises(NotFound):
        chain.facts.add(SYSTEM, fact)


# -- files


WEATHER = """kind,from,to,title,store,region,temperature,rain
weather,2026-11-16,,Rain,S01,,"8,5",12
promotion,2026/11/20,2026/11/22,Two for one,,华东,,
event,2026-11-18,,City run,,,,

"""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_a_file_of_facts(chain: Services, encoding: str) -> None:
    result = chain.tables.facts(SYSTEM, BytesIO(WEATHER.encode(encoding)))
    assert (result.rows, result.kept, result.errors) == (3, 3, ())
    found = chain.facts.of_store(SYSTEM, "S01", MONDAY, SUNDAY)
    assert [(each.kind, each.day_from, each.day_to, each.title, each.region) for each in found] == [
        ("weather", MONDAY, MONDAY, "Rain", None),
        ("event", date(2026, 11, 18), date(2026, 11, 18), "City run", None),
        ("promotion", date(2026, 11, 20), SUNDAY, "Two for one", "华东"),
    ]
    assert (found[0].temperature_c, found[0].rain_mm) == (Decimal("8.5"), Decimal(12))
    chain.tables.facts(SYSTEM, BytesIO(WEATHER.encode(encoding)))
    assert len(chain.facts.of_store(SYSTEM, "S01", MONDAY, SUNDAY)) == 3


def test_a_file_in_chinese(chain: Services) -> None:
    table = "类型;开始日期;结束日期;标题;门店\n促销;2026-11-20;2026-11-22;买一送一;S01\n".encode("gb18030")
    assert chain.tables.facts(SYSTEM, BytesIO(table)).kept == 1
    assert titles(chain, SYSTEM) == ["买一送一"]


def test_with_a_mistake_nothing_of_a_file_is_taken(chain: Services) -> None:
    table = (
        "kind,from,title,rain\nevent,2026-11-18,Fair,\nmood,2026-11-18,Good,\nevent,18.11.,Fair,\nevent,2026-11-18,,\n"
    )
    table += "weather,2026-11-18,Rain,wet\n"
    result = chain.tables.facts(SYSTEM, BytesIO(table.encode()))
    assert (result.rows, result.kept, result.error_count) == (5, 0, 4)
    assert [(error.line, error.field) for error in result.errors] == [
        (3, "kind"),
        (4, "from"),
        (5, "title"),
        (6, "rain"),
    ]
    assert all(error.reason and error.remedy for error in result.errors)
    assert titles(chain, SYSTEM) == []


@pytest.mark.parametrize(
    ("table", "told"),
    [(b"kind,title\n", "no column 'from'"), (b"", "no column 'kind'"), (b"\xff\xfe\x00", "encoding")],
)
def test_a_file_that_is_none(chain: Services, table: bytes, told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        chain.tables.facts(SYSTEM, BytesIO(table))


def test_a_roster_of_shifts_and_of_hours(chain: Services) -> None:
    """S01 is open from 10:00 to 22:00; a shift after midnight is of the evening before."""
    table = (
        "store,day,from,to,people,note\n"
        "S01,2026-11-16,9:30,18:00,2,early\n"
        "S01,2026-11-16,18:00,01:00,1.5,late\n"
        "S01,2026-11-16,01:00,02:00,,cleaning\n"
    )
    assert chain.tables.rosters(SYSTEM, BytesIO(table.encode())).kept == 1
    at = datetime(2026, 11, 16, 1, 30, tzinfo=UTC)
    assert chain.corrections.roster(SYSTEM, "S01", MONDAY) == [
        Shift(at, at + timedelta(hours=8.5), Decimal(2), "early"),
        Shift(at + timedelta(hours=8.5), at + timedelta(hours=15.5), Decimal("1.5"), "late"),
        Shift(at + timedelta(hours=15.5), at + timedelta(hours=16.5), Decimal(1), "cleaning"),
    ]
    hours = "门店,日期,工时\nS01,2026-11-16,36\nS02,2026-11-16,0\n"
    assert chain.tables.rosters(SYSTEM, BytesIO(hours.encode())).kept == 2
    assert [shift.people for shift in chain.corrections.roster(SYSTEM, "S01", MONDAY) or ()] == [Decimal(3)]
    assert chain.corrections.roster(SYSTEM, "S02", MONDAY) == []


def test_mistakes_of_a_roster_are_told_by_line(chain: Services) -> None:
    table = (
        "store,day,from,to,people,hours\n"
        "S01,2026-11-16,10:00,18:00,2,\n"
        "S99,2026-11-16,10:00,18:00,2,\n"
        "S01,2026-11-16,ten,18:00,2,\n"
        "S01,2026-11-16,10:00,18:00,0,\n"
        "S01,2026-11-16,10:00,18:00,,8\n"
        "S01,2026-11-16,,,,\n"
        "S01,2026-11-16,22:00,09:00,1,\n"
    )
    result = chain.tables.rosters(SYSTEM, BytesIO(table.encode()))
    assert (result.kept, result.error_count) == (0, 6)
    assert [(error.line, error.field) for error in result.errors] == [
        (3, "store"),
        (4, "from"),
        (5, "people"),
        (6, "hours"),
        (7, "hours"),
        (8, "shifts"),
    ]
    assert chain.corrections.roster(SYSTEM, "S01", MONDAY) is None


def test_a_file_with_another_s_store_is_refused(chain: Services, scope_of: ScopeOf) -> None:
    with pytest.raises(Forbidden):
        chain.tables.rosters(scope_of("manager"), BytesIO(b"store,day,hours\nS02,2026-11-16,8\n"))
    with pytest.raises(Forbidden):
        chain.tables.facts(scope_of("manager"), BytesIO(b"kind,from,title\nevent,2026-11-16,Fair\n"))


def test_over_the_api(sign_in: SignIn) -> None:
    hq = sign_in("hq")
    days = {"from": "2026-11-16", "to": "2026-11-22"}
    sent = hq.post("/api/v1/facts/csv", content=WEATHER.encode(), headers={"Content-Type": "text/csv; charset=utf-8"})
    assert (sent.status_code, sent.json()["kept"]) == (200, 3), sent.text
    listed = hq.get("/api/v1/facts", params=days).json()
    assert [each["title"] for each in listed] == ["Rain", "City run", "Two for one"]
    assert hq.get("/api/v1/stores/S01/facts", params=days).json()[0]["temperature_c"] == "8.5"
    assert hq.delete(f"/api/v1/facts/{listed[0]['fact_id']}").status_code == 204
    assert hq.delete(f"/api/v1/facts/{listed[0]['fact_id']}").status_code == 404
    roster = b"store,day,hours\nS01,2026-11-16,24\n"
    assert hq.post("/api/v1/roster/csv", content=roster, headers={"Content-Type": "text/csv"}).json()["kept"] == 1
    refused = hq.post("/api/v1/roster/csv", content=b"{}", headers={"Content-Type": "application/json"})
    assert refused.status_code == 422


@pytest.mark.usefixtures("chain")
def test_from_the_command_line(db_dsn: str, tmp_path: Path) -> None:
    run = CliRunner(env={"DOORLINE_DSN": db_dsn, "COLUMNS": "160"})
    (tmp_path / "weather.csv").write_text(WEATHER, encoding="utf-8")
    (tmp_path / "roster.csv").write_text("store,day,hours\nS01,2026-11-16,24\n")
    (tmp_path / "wrong.csv").write_text("store,day,hours\nS01,someday,24\n")
    taken = run.invoke(app, ["facts", "import", str(tmp_path / "weather.csv")])
    assert taken.output == "3 rows (utf-8-sig): 3 noted\n"
    taken = run.invoke(app, ["facts", "roster", str(tmp_path / "roster.csv")])
    assert taken.output == "1 rows (utf-8-sig): 1 days set\n"
    refused = run.invoke(app, ["facts", "roster", str(tmp_path / "wrong.csv")])
    assert refused.exit_code == 1
    assert "line 2, day: 'someday' is no date" in refused.output
    assert run.invoke(app, ["facts", "roster", str(tmp_path / "none.csv")]).exit_code == 2
    noted = run.invoke(app, ["facts", "add", "event", "Fair", "--from", "2026-11-16", "--region", "华东"])
    assert noted.output == "Noted 4: event Fair, 2026-11-16 to 2026-11-16.\n"
    listed = run.invoke(app, ["facts", "list", "--from", "2026-11-16", "--store", "S01"]).output
    assert "Fair" in listed
    assert "Rain" in listed
    assert run.invoke(app, ["facts", "remove", "4"]).output == "Removed 4.\n"
    assert run.invoke(app, ["facts", "remove", "4"]).exit_code == 2
