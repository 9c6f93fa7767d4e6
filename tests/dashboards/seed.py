"""A small chain for tests of pages: three shops or more, some weeks of history, one outage, members, five people.

Everything follows from the seed of one random generator and from the moment that counts as now, so a page shows the
same figures in every run.
"""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from psycopg.types.json import Jsonb

from server.access.models import Scope
from server.membership.models import NewMember
from server.membership.wording import standard_consents
from server.services import Services
from server.stores.models import NewFact, NewStore, every_day
from wire.messages import CameraStatus, Status, to_builtins

ZONE = ZoneInfo("Asia/Shanghai")
#: A Saturday afternoon in Shanghai.
NOW = datetime(2026, 11, 21, 15, 40, 20, tzinfo=ZONE).astimezone(UTC)
TODAY = date(2026, 11, 21)
PASSWORD = "counting-doors-2026"
ADMIN = Scope.system("tests")

_STORES = (
    ("S01", "上海静安旗舰店", "华东", 62),
    ("S02", "上海徐汇店", "华东", 38),
    ("S03", "北京三里屯店", "华北", 51),
    ("S04", "广州天河店", "华南", 44),
    ("S05", "成都太古里店", "西南", 33),
)
_PEOPLE = ("王小明", "李婷", "张伟", "陈思思", "刘洋", "赵敏", "欧阳娜娜", "Grace Chen", "孙浩", "周静")
#: Share of the busiest hour, by hour of the clock from 10 to 21.
_SHAPE = (0.25, 0.4, 0.62, 0.7, 0.66, 0.74, 0.83, 0.9, 1.0, 0.95, 0.6, 0.3)
_WEEK = (0.72, 0.7, 0.75, 0.8, 1.0, 1.35, 1.25)


@dataclass(frozen=True)
class Chain:
    """What was made."""

    store_ids: tuple[str, ...]
    members: tuple[UUID, ...]
    box: str = "box-S01"


def seed(services: Services, *, stores: int = 3, days: int = 16, now: datetime = NOW) -> Chain:
    """Fill an empty database.

    Args:
        stores: how many of the five.
        days: business days of history before today.
        now: the moment up to which there are facts (UTC).
    """
    chosen = _STORES[:stores]
    today = now.astimezone(ZONE).date()
    installed = now - timedelta(days=400)
    hours = every_day(time(10), time(22))
    for store_id, name, region, _ in chosen:
        services.stores.add_store(ADMIN, NewStore(store_id, name, region=region, hours=hours))
        services.stores.add_camera(ADMIN, store_id, f"{store_id}-C1", "大门", installed)
        services.stores.add_line(ADMIN, f"{store_id}-C1", f"{store_id}-L1", "门线")
        services.stores.add_device(ADMIN, store_id, f"box-{store_id}")
    people(services, [store_id for store_id, *_ in chosen])
    _facts(services, today, chosen[0][0])
    members = _members(services, [store_id for store_id, *_ in chosen])
    _history(services, chosen, days, now, members)
    statuses(services, {f"box-{store_id}": f"{store_id}-C1" for store_id, *_ in chosen}, now)
    for store_id, *_ in chosen:
        for back in range(days + 1):
            services.kpi.recompute(store_id, today - timedelta(days=back))
    with services.db.transaction() as conn:
        conn.execute("DELETE FROM dirty_mark")
    return Chain(tuple(store_id for store_id, *_ in chosen), tuple(members))


def people(services: Services, store_ids: list[str]) -> None:
    """Somebody of each role."""
    make = services.access.create_user
    make(ADMIN, "manager", PASSWORD, "陈店长", "manager", [store_ids[0]])
    make(ADMIN, "other", PASSWORD, "林店长", "manager", [store_ids[1]])
    make(ADMIN, "hq", PASSWORD, "总部分析", "hq")
    make(ADMIN, "desk", PASSWORD, "会员服务台", "desk", [store_ids[0]])
    make(ADMIN, "admin", PASSWORD, "管理员", "admin")


def _facts(services: Services, today: date, first_store: str) -> None:
    day = timedelta(days=1)
    add = services.facts.add
    add(ADMIN, NewFact("promotion", today - 2 * day, today + 2 * day, "周年庆满减", "满 300 减 50"))
    add(ADMIN, NewFact("weather", today - 9 * day, today - 7 * day, "连续降雨"))
    add(ADMIN, NewFact("weather", today, today, "小雨", "8–12 °C", first_store))


def _members(services: Services, store_ids: list[str]) -> list[UUID]:
    made = []
    for number, name in enumerate(_PEOPLE):
        member = services.membership.enrol(
            ADMIN,
            NewMember(
                name=name,
                phone=f"1380013{8000 + number}",
                home_store=store_ids[number % len(store_ids)],
                consents=standard_consents("zh", marketing=number % 2 == 0),
                birthday=date(1990, 1 + number, 3 + number),
            ),
        )
        made.append(member.member_id)
    return made


def is_out(store_id: str, day: date, today: date) -> bool:
    """Whether the store's camera was dead on a day: the second shop's, for two days last week."""
    return store_id == "S02" and timedelta(days=4) <= today - day <= timedelta(days=5)


def _history(
    services: Services,
    chosen: tuple[tuple[str, str, str, int], ...],
    days: int,
    now: datetime,
    members: list[UUID],
) -> None:
    today = now.astimezone(ZONE).date()
    chance = random.Random(20261121)
    traffic: list[tuple[object, ...]] = []
    coverage: list[tuple[object, ...]] = []
    receipts: list[tuple[object, ...]] = []
    for store_id, _, _, busy in chosen:
        for back in range(days, -1, -1):
            day = today - timedelta(days=back)
            out = is_out(store_id, day, today)
            trend = 1 + 0.06 * math.sin(back / 9) + (0.12 if 0 <= back <= 2 else 0) - (0.2 if 7 <= back <= 9 else 0)
            number = 0
            for quarter in _quarters(day, now):
                expected = busy / 4 * _SHAPE[quarter.astimezone(ZONE).hour - 10] * _WEEK[day.weekday()] * trend
                came = max(0, round(chance.gauss(expected, math.sqrt(expected + 0.1))))
                watched = _watched(out, quarter, now)
                seen = round(came * sum(watched) / 900)
                line = f"{store_id}-L1"
                if seen:
                    traffic.append((store_id, quarter, line, "in", "adult", seen, max(1, round(seen * 0.7))))
                    left = max(0, seen - chance.randint(0, 1))
                    traffic.append((store_id, quarter, line, "out", "adult", left, left))
                coverage.append((store_id, f"{store_id}-C1", quarter, watched, sum(watched), "ok"))
                for _ in range(sum(chance.random() < 0.21 for _ in range(came))):
                    at = quarter + timedelta(seconds=chance.randint(0, 890))
                    if at > now:
                        continue
                    number += 1
                    buyer = chance.choice(members) if chance.random() < 0.34 else None
                    gross = Decimal(chance.randint(4900, 68000)) / 100
                    label = f"{day:%y%m%d}-{number:04d}"
                    receipts.append((store_id, label, "sale", "till", at, "CNY", gross, 1, buyer, b"", at))
    with services.db.transaction() as conn, conn.cursor() as cursor:
        quarters = "coverage_15m (store_id, camera_id, quarter, minute_seconds, seconds, state)"
        for table, rows in (("traffic_15m", traffic), (quarters, coverage)):
            with cursor.copy(f"COPY {table} FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
        columns = (
            "store_id, receipt_no, kind, channel, at, currency, gross, units, member_id, content_hash, received_at"
        )
        with cursor.copy(f"COPY receipt ({columns}) FROM STDIN") as copy:
            for row in receipts:
                copy.write_row(row)


def _quarters(day: date, now: datetime) -> Iterator[datetime]:
    start = datetime.combine(day, time(10), ZONE).astimezone(UTC)
    for index in range(48):
        at = start + timedelta(minutes=15 * index)
        if at < now:
            yield at


def _watched(out: bool, quarter: datetime, now: datetime) -> list[float]:
    minutes = [quarter + timedelta(minutes=minute) for minute in range(15)]
    return [0.0 if out or minute + timedelta(minutes=1) > now else 60.0 for minute in minutes]


def statuses(services: Services, cameras: dict[str, str], now: datetime) -> None:
    """What boxes said last of their cameras: all is well, but for the third shop's."""
    with services.db.transaction() as conn:
        for box, camera in cameras.items():
            state: Literal["ok", "dark"] = "dark" if camera.startswith("S03") else "ok"
            status = Status(
                device=box,
                online=True,
                at=now,
                version="0.1.0",
                cameras=(CameraStatus(camera=camera, state=state, fps=24.0),),
            )
            conn.execute(
                "UPDATE device SET status = %s, status_at = %s WHERE device_id = %s",
                (Jsonb(to_builtins(status)), now - timedelta(seconds=20), box),
            )
