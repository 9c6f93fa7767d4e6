"""Three stores over two weeks: every KPI as worked out in the spreadsheet beside this test, by the API, to the cent."""

import ast
import csv
import json
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import pytest
from fastapi.testclient import TestClient

from server.app import create_app
from server.kpi.figures.registry import KPIS
from server.services import Services
from server.stores.models import NewStore, every_day
from tests.server.conftest import PASSWORD, SYSTEM, TurnedClock

HERE = Path(__file__).parent / "by_hand"
FIRST, LAST = date(2026, 10, 19), date(2026, 11, 1)
DAYS = [FIRST + timedelta(days=number) for number in range(14)]
HISTORY = [date(2026, 10, 5), date(2026, 10, 12)]
STORES = {"A01": ("Asia/Shanghai", "east"), "B01": ("Europe/Berlin", "west"), "C01": ("Asia/Kathmandu", "west")}
QUARTER = timedelta(minutes=15)
PLACES = {"ratio": 6, "CNY": 2, "units": 3, "minutes": 2, "per_hour": 2, "count": 0, "hours": 0}
Row = dict[str, str]


def table(name: str) -> list[Row]:
    with (HERE / name).open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


WORKED_OUT = table("worked_out.csv")


def days_of(text: str) -> list[date]:
    if text == "weekdays":
        return [day for day in DAYS if day.weekday() < 5]
    if text == "weekends":
        return [day for day in DAYS if day.weekday() >= 5]
    if text == "mondays":
        return [day for day in DAYS if day.weekday() == 0]
    if text.startswith("every day"):
        _, _, without = text.partition(" but ")
        return [day for day in DAYS if day.isoformat() != without]
    return [date.fromisoformat(text)]


@pytest.fixture
def shops(services: Services, clock: TurnedClock) -> Iterator[TestClient]:
    """The three stores with all that happened, seen by HQ."""
    clock.now = datetime(2026, 11, 30, tzinfo=UTC)
    services.access.create_user(SYSTEM, "hq", PASSWORD, "总部", "hq", locale="en")
    for store, (zone, region) in STORES.items():
        hours = every_day(time(10), time(12))
        services.stores.add_store(SYSTEM, NewStore(store, store, timezone=zone, region=region, hours=hours))
        installed = datetime(2026, 10, 1, tzinfo=UTC)
        services.stores.add_camera(SYSTEM, store, f"{store}-C1", installed_at=installed, lines=[f"{store}-L1"])
    services.stores.add_camera(SYSTEM, "A01", "A01-C2", installed_at=installed)
    services.stores.add_line(SYSTEM, "A01-C2", "A01-L2", kind="street")
    happen(services)
    with TestClient(create_app(services), raise_server_exceptions=False) as browser:
        answer = browser.post("/api/v1/session", json={"username": "hq", "password": PASSWORD})
        browser.headers["X-CSRF-Token"] = answer.json()["csrf_token"]
        correct(browser)
        for store in STORES:
            for day in DAYS:
                services.kpi.recompute(store, day)
        with services.db.transaction() as conn:
            conn.execute("DELETE FROM dirty_mark")
        yield browser


def happen(services: Services) -> None:
    """Put all of `what_happened.csv` where ingest and the tills would."""
    calendars = services.stores.calendars(SYSTEM)
    crossings: dict[tuple[str, datetime, str, str, str], list[int]] = defaultdict(lambda: [0, 0])
    unwatched: set[tuple[str, datetime]] = set()
    receipts: list[tuple[Any, ...]] = []
    for row in table("what_happened.csv"):
        store, what = row["store"], row["what"]
        for day in days_of(row["days"]):
            if what == "staff hours":
                shifts = services.corrections.spread(SYSTEM, store, day, Decimal(row["amount"]))
                services.corrections.set_roster(SYSTEM, store, day, shifts)
                continue
            at = datetime.combine(day, time.fromisoformat(row["at"]), calendars[store].zone_on(day)).astimezone(UTC)
            quarter = at - timedelta(minutes=at.minute % 15)
            if what == "not watched":
                unwatched.add((store, quarter))
            elif what == "passed":
                crossings[(store, quarter, f"{store}-L2", "in", "adult")][0] += int(row["people"])
            elif what.endswith(("came", "left")):
                direction = "in" if what.endswith("came") else "out"
                who = "staff" if what.startswith("staff") else "adult"
                sums = crossings[(store, quarter, f"{store}-L1", direction, who)]
                sums[0] += int(row["people"])
                sums[1] += int(row["groups"] or 0)
            else:
                receipts.append((len(receipts), store, at, what, row))
    watched = [
        (store, camera, quarter)
        for store in STORES
        for camera in [f"{store}-C1", *(["A01-C2"] if store == "A01" else [])]
        for day in [*DAYS, *(HISTORY if store == "C01" else [])]
        for quarter in calendars[store].open_quarters(day)
        if (store, quarter) not in unwatched
    ]
    with services.db.transaction() as conn, conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO traffic_15m (store_id, quarter, line_id, direction, class, count, groups)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s)",
            [(store, quarter, *rest, *sums) for (store, quarter, *rest), sums in crossings.items()],
        )
        cursor.executemany(
            "INSERT INTO coverage_15m (store_id, camera_id, quarter, minute_seconds, seconds)"
            " VALUES (%s, %s, %s, array_fill(60, ARRAY[15])::numeric[], 900)",
            watched,
        )
        cursor.executemany(
            "INSERT INTO receipt (store_id, receipt_no, kind, channel, at, currency, gross, units, member_id,"
            " voided_at, content_hash, received_at) VALUES (%s, %s, %s, %s, %s, 'CNY', %s, %s, %s, %s, '', %s)",
            [
                (
                    store,
                    f"R{number}",
                    "refund" if what == "refund" else "sale",
                    what if what in ("online", "pickup") else "till",
                    at,
                    Decimal(row["amount"]),
                    int(row["units"]),
                    uuid5(UUID(int=0), row["member"]) if row["member"] else None,
                    at if what == "void" else None,
                    at,
                )
                for number, store, at, what, row in receipts
            ],
        )


def correct(hq: TestClient) -> None:
    """What people say of the fortnight, over the API."""
    held = {"day_from": "2026-10-19", "reason": "by hand", "store_id": "B01"}
    for correction in (
        {"kind": "staff_rate", "value": "1.5", **held},
        {"kind": "group_factor", "value": "1.5", **held},
        {"kind": "accuracy", "audit": {"counted": 100, "missed": 5, "invented": 2}, **held},
        {
            "kind": "excluded",
            "reason": "delivery",
            "store_id": "C01",
            "starts_at": "2026-10-20T11:00:00+05:45",
            "ends_at": "2026-10-20T11:10:00+05:45",
        },
    ):
        answer = hq.post("/api/v1/corrections", json=correction)
        assert answer.status_code == 201, answer.text
    for key, store, value in (("takes_check_ins", "A01", "1"), ("power_share", "B01", "0.5")):
        setting = {"value": value, "valid_from": "2026-10-19", "store_id": store}
        assert hq.put(f"/api/v1/kpi/settings/{key}", json=setting).status_code == 204


def computed(formula: str) -> Fraction:
    """What a spreadsheet makes of a formula of numbers."""

    def value(node: ast.expr) -> Fraction:
        match node:
            case ast.Constant(value=int(number)):
                return Fraction(number)
            case ast.Constant(value=float(number)):
                return Fraction(repr(number))
            case ast.BinOp(left, ast.Add(), right):
                return value(left) + value(right)
            case ast.BinOp(left, ast.Sub(), right):
                return value(left) - value(right)
            case ast.BinOp(left, ast.Mult(), right):
                return value(left) * value(right)
            case ast.BinOp(left, ast.Div(), right):
                return value(left) / value(right)
        raise AssertionError(f"not a plain formula: {formula}")

    return value(ast.parse(formula.removeprefix("="), mode="eval").body)


def test_the_spreadsheet_s_formulas_give_its_values() -> None:
    for row in WORKED_OUT:
        if row["withheld"]:
            assert row["worked_out"] == row["value"] == ""
            continue
        exact = computed(row["worked_out"])
        rounded = (Decimal(exact.numerator) / exact.denominator).quantize(
            Decimal(1).scaleb(-PLACES[row["unit"]]), ROUND_HALF_UP
        )
        assert Decimal(row["value"]) == rounded, row


def test_the_spreadsheet_has_every_kpi_of_every_store() -> None:
    listed = {(row["key"], row["kpi"]) for row in WORKED_OUT if row["group_by"] == "store"}
    # Who is inside is of a moment, not of a fortnight: see `test_by_hand`.
    assert listed == {(store, slug) for store in STORES for slug in KPIS if slug != "occupancy"}


def test_the_api_answers_as_worked_out(shops: TestClient) -> None:
    wanted: dict[str, dict[tuple[str, str], Row]] = defaultdict(dict)
    for row in WORKED_OUT:
        wanted[row["group_by"]][(row["key"], row["kpi"])] = row
    wrong = []
    for group_by, rows in wanted.items():
        slugs = sorted({slug for _, slug in rows})
        answer = shops.get(
            "/api/v1/kpi",
            params={"from": str(FIRST), "to": str(LAST), "group_by": group_by, "kpi": ",".join(slugs)},
        )
        assert answer.status_code == 200, answer.text
        report = json.loads(answer.text, parse_float=Decimal)
        assert report["pending"] == 0
        told = {row["key"]: row["values"] for row in report["rows"]}
        for (key, slug), row in rows.items():
            got = told[key][slug]
            value = None if got["value"] is None else Decimal(got["value"])
            expected = Decimal(row["value"]) if row["value"] else None
            if (value, got["withheld"], got["unit"]) != (expected, row["withheld"] or None, row["unit"]):
                wrong.append(f"{group_by} {key} {slug}: {value} {got['unit']} {got['withheld']}; by hand {row}")
    assert not wrong, "\n".join(wrong)
    # Six are expected in the quarter hour in which nobody was seen; none of them is among the visitors.
    answer = shops.get(
        "/api/v1/kpi",
        params={"from": "2026-10-26", "to": "2026-10-26", "group_by": "store", "kpi": "visitors,imputed_visitors"},
    )
    (apart,) = [row["values"] for row in answer.json()["rows"] if row["key"] == "C01"]
    assert (apart["visitors"]["value"], apart["visitors"]["detail"]) == (28, {"imputed": "6"})
    assert apart["imputed_visitors"]["value"] == 6
