"""Regions, formats and tags of stores, each from a day on: what reports choose then, and go on choosing before."""

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from fastapi.testclient import TestClient

from server.access.models import Scope
from server.errors import Forbidden, InvalidInput, NotFound
from server.kpi.models import Report
from server.services import Services
from server.stores.labels import LabelsService
from server.stores.models import EVER, NewFact
from tests.server.kpi.chain import SYSTEM, Chain

HQ = Scope("u1", "hq", None, name="hanna")
MONDAY, TUESDAY, WEDNESDAY = date(2026, 11, 16), date(2026, 11, 17), date(2026, 11, 18)


@pytest.fixture
def labels(shops: Chain) -> LabelsService:
    """Two stores, 1 person on Monday, 10 on Tuesday and 100 on Wednesday in each."""
    for store in ("S01", "S02"):
        shops.store(store)
        for day, came in ((MONDAY, 1), (TUESDAY, 10), (WEDNESDAY, 100)):
            shops.cross(store, f"{day} 10:05", came)
            shops.kpi.recompute(store, day)
    shops.forget_marks()
    return LabelsService(shops.db, shops.clock)


def asked(shops: Chain, group_by: str = "chain", **changes: Any) -> Report:
    given: dict[str, Any] = {"day_from": MONDAY, "day_to": WEDNESDAY} | changes
    return shops.kpi.report(SYSTEM, kpis=["entries"], group_by=group_by, **given)


def entries(shops: Chain, **changes: Any) -> object:
    return asked(shops, **changes).total.values["entries"].value


def test_a_report_over_days_before_a_change_does_not_move(shops: Chain, labels: LabelsService) -> None:
    labels.set_labels(HQ, "S01", MONDAY, store_format="outlet", tags=["mall"])
    assert entries(shops, formats=["outlet"]) == 111
    labels.set_labels(HQ, "S01", TUESDAY, store_format="flagship")
    assert entries(shops, formats=["outlet"]) == 1
    assert entries(shops, formats=["flagship"]) == 110
    assert entries(shops, formats=["flagship", "outlet"]) == 111
    assert entries(shops, tags=["mall"]) == 111, "what was not named stays as it was"
    assert entries(shops, formats=["outlet"], day_to=MONDAY) == 1
    assert [row.key for row in asked(shops, "store", formats=["flagship"], day_to=MONDAY).rows] == []
    assert [row.key for row in asked(shops, "store", formats=["flagship"]).rows] == ["S01"]


def test_marked_days_and_comparisons_are_chosen_alike(shops: Chain, labels: LabelsService) -> None:
    labels.set_labels(HQ, "S01", TUESDAY, store_format="flagship")
    shops.cross("S01", "2026-11-16 10:05", 1000)
    shops.cross("S01", "2026-11-17 10:05", 2000)
    assert entries(shops, formats=["flagship"]) == 2110
    report = asked(shops, formats=["flagship"], day_from=WEDNESDAY, compare="previous_period")
    assert report.total.compare is not None
    assert (report.total.values["entries"].value, report.total.compare["entries"].value) == (100, 2010)
    before = asked(shops, formats=["flagship"], day_from=TUESDAY, day_to=TUESDAY, compare="previous_period")
    assert before.total.compare is not None
    assert before.total.compare["entries"].value is None


def test_a_filter_by_quarter_hours_leaves_the_same_days_out(shops: Chain, labels: LabelsService) -> None:
    labels.set_labels(HQ, "S01", WEDNESDAY, tags=["metro"])
    assert asked(shops, "quarter", tags=["metro"]).total.values["entries"].value == 100


def moved_west(labels: LabelsService) -> None:
    """S01 was in the east until Monday, and is in the west since Tuesday."""
    labels.set_labels(HQ, "S01", TUESDAY, region="west")


@pytest.mark.parametrize("is_marked", [False, True], ids=["kept", "on the spot"])
def test_a_store_that_moves_keeps_its_past_in_the_old_region(
    shops: Chain, labels: LabelsService, *, is_marked: bool
) -> None:
    moved_west(labels)
    if is_marked:
        with shops.db.transaction() as conn:
            conn.execute("INSERT INTO dirty_mark (store_id, hour, reason) SELECT store_id, hour, '' FROM store_hour")
            conn.execute("UPDATE store_day SET entries = 0")
            conn.execute("UPDATE store_hour SET entries = 0")

    def by(group_by: str, **where: Any) -> dict[str, object]:
        return {row.key: row.values["entries"].value for row in asked(shops, group_by, **where).rows}

    assert by("region") == {"east": 1 + 111, "west": 110}
    assert by("region,day") == {
        f"east/{MONDAY}": 2,
        f"east/{TUESDAY}": 10,
        f"east/{WEDNESDAY}": 100,
        f"west/{TUESDAY}": 10,
        f"west/{WEDNESDAY}": 100,
    }
    assert by("region,hour_of_day") == {"east/10": 112, "west/10": 110, "east/11": 0, "west/11": 0}
    assert by("region,quarter", day_from=TUESDAY, day_to=TUESDAY)["west/2026-11-17T02:00Z"] == 10
    assert by("store", regions=["west"]) == {"S01": 110}
    assert by("store", regions=["east"]) == {"S01": 1, "S02": 111}
    assert by("store", regions=["west"], day_to=MONDAY) == {}
    report = asked(shops, "region", day_from=TUESDAY, day_to=TUESDAY, compare="previous_period")
    assert {row.key: row.compare and row.compare["entries"].value for row in report.rows} == {"east": 2, "west": None}


def test_what_explains_and_what_others_read_know_the_region_of_the_day(shops: Chain, labels: LabelsService) -> None:
    moved_west(labels)
    facts = shops.facts
    for region in ("east", "west"):
        facts.add(SYSTEM, NewFact("event", MONDAY, WEDNESDAY, f"fair in the {region}", region=region))
    told = {
        day: {fact.title for fact in facts.of_store(SYSTEM, "S01", day, day)} for day in (MONDAY, TUESDAY, WEDNESDAY)
    }
    assert told == {MONDAY: {"fair in the east"}, TUESDAY: {"fair in the west"}, WEDNESDAY: {"fair in the west"}}
    explained = [shops.kpi.explain(SYSTEM, "entries", "S01", day).region for day in (MONDAY, TUESDAY)]
    assert explained == ["east", "west"]
    with shops.db.read() as conn:
        days = conn.execute("SELECT day, region FROM bi.store_days WHERE store_id = 'S01' ORDER BY day").fetchall()
        hours = conn.execute(
            "SELECT DISTINCT day, region FROM bi.store_hours WHERE store_id = 'S01' ORDER BY 1"
        ).fetchall()
    assert days == hours == [(MONDAY, "east"), (TUESDAY, "west"), (WEDNESDAY, "west")]
    assert shops.stores.store(SYSTEM, "S01").region == "west"


def test_who_may_and_what_may_be(shops: Chain, labels: LabelsService) -> None:
    with pytest.raises(Forbidden):
        labels.set_labels(Scope("m", "manager", frozenset({"S01"})), "S01", MONDAY, store_format="outlet")
    with pytest.raises(NotFound):
        labels.set_labels(HQ, "S99", MONDAY, store_format="outlet")
    wrongs: list[dict[str, Any]] = [
        {"store_format": "a,b"},
        {"tags": ["mall", ""]},
        {"region": "north,east"},
        {"region": "x" * 101},
    ]
    for wrong in wrongs:
        with pytest.raises(InvalidInput):
            labels.set_labels(HQ, "S01", MONDAY, **wrong)
    labels.set_labels(HQ, "S01", MONDAY, tags=["mall", "mall", "air"])
    labels.set_labels(HQ, "S01", TUESDAY, tags=[])
    assert [(each.valid_from, list(each.tags)) for each in labels.labels(HQ, "S01")] == [
        (EVER, []),
        (MONDAY, ["air", "mall"]),
        (TUESDAY, []),
    ]
    with shops.db.read() as conn:
        rows = conn.execute("SELECT actor, subject FROM audit WHERE action = 'store.labels'").fetchall()
    assert rows == [("hanna", "S01")] * 2


def test_over_the_api(chain: Services, sign_in: Callable[[str], TestClient]) -> None:
    hq, place = sign_in("hq"), "/api/v1/stores/S01/labels"
    said = {"valid_from": "2026-11-01", "format": "flagship", "tags": ["metro"]}
    assert hq.put(place, json=said).json() == {"store_id": "S01", "region": "华东", **said}
    assert hq.put(place, json={"valid_from": "2026-12-01", "tags": []}).json()["format"] == "flagship"
    assert [each["tags"] for each in hq.get(place).json()] == [[], ["metro"], []]
    assert hq.put(place, json={"valid_from": "2026-12-01", "format": "a,b"}).json()["error"]["field"] == "format"
    assert sign_in("manager").put(place, json=said).status_code == 403
    asked = {"from": "2026-11-16", "to": "2026-11-16", "group_by": "store"}
    rows = hq.get("/api/v1/kpi", params={**asked, "store_format": "flagship"}).json()["rows"]
    assert [row["key"] for row in rows] == ["S01"]
