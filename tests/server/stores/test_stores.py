"""Setting up stores, their calendars, cameras, boxes and facts, over a real database."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta

import pytest
from psycopg.types.json import Jsonb

from server.access.models import Scope
from server.errors import Conflict, Forbidden, InvalidInput, NotFound
from server.ingest.repository import set_status
from server.services import Services
from server.stores.calendar import DayRule, OpeningSpan
from server.stores.models import NewFact, NewStore, every_day
from tests.server.conftest import SYSTEM, TurnedClock
from wire.messages import CameraStatus, Status


def test_a_store_has_its_calendar_from_the_start_of_time(chain: Services) -> None:
    store = chain.stores.store(SYSTEM, "B01")
    assert (store.timezone, store.currency, store.country, store.day_starts) == ("Europe/Berlin", "EUR", "DE", time(4))
    calendar = chain.stores.calendar(SYSTEM, "B01")
    assert calendar.day_of(datetime(2010, 7, 1, 2, 0, tzinfo=UTC)) == date(2010, 7, 1)
    (span,) = calendar.open_spans(date(2026, 7, 1))
    assert span == (datetime(2026, 7, 1, 8, tzinfo=UTC), datetime(2026, 7, 1, 20, tzinfo=UTC))
    assert chain.stores.calendars(SYSTEM).keys() == {"S01", "S02", "B01"}


def test_a_store_is_sorted_by_format_and_tags(chain: Services) -> None:
    chain.stores.add_store(SYSTEM, NewStore("S77", "奥莱店", format="outlet", tags=("metro", "new 2026")))
    store = chain.stores.store(SYSTEM, "S77")
    assert (store.format, list(store.tags)) == ("outlet", ["metro", "new 2026"])
    for wrong, field in ((NewStore("S78", "x", format="a,b"), "format"), (NewStore("S78", "x", tags=("",)), "tags")):
        with pytest.raises(InvalidInput) as refused:
            chain.stores.add_store(SYSTEM, wrong)
        assert refused.value.field == field


def test_everyone_sees_their_own_stores(chain: Services, scope_of: Callable[[str], Scope]) -> None:
    def seen(name: str) -> list[str]:
        return [store.store_id for store in chain.stores.stores(scope_of(name))]

    assert seen("hq") == ["B01", "S01", "S02"]
    assert seen("region") == ["S01", "S02"]
    assert seen("manager") == ["S01"]
    assert chain.stores.calendars(scope_of("manager")).keys() == {"S01"}
    manager = scope_of("manager")
    for refused in (
        lambda: chain.stores.store(manager, "S02"),
        lambda: chain.stores.calendar(manager, "S02"),
        lambda: chain.stores.cameras(manager, "S02"),
        lambda: chain.stores.lines(manager, "S02"),
        lambda: chain.stores.devices(manager, "S02"),
        lambda: chain.stores.camera_health(manager, "S02"),
        lambda: chain.facts.of_store(manager, "S02", date(2026, 1, 1), date(2026, 1, 2)),
        lambda: chain.stores.set_hours(manager, "S02", date(2026, 1, 1), every_day(time(9), time(18))),
        # Whether it exists is not told.
        lambda: chain.stores.store(manager, "S99"),
    ):
        with pytest.raises(Forbidden):
            refused()
    with pytest.raises(NotFound):
        chain.stores.store(SYSTEM, "S99")
    with pytest.raises(NotFound):
        chain.stores.calendar(SYSTEM, "S99")


def test_only_those_who_may_set_up(chain: Services, scope_of: Callable[[str], Scope]) -> None:
    for name in ("region", "manager", "desk"):
        scope = scope_of(name)
        for refused in (
            lambda scope=scope: chain.stores.add_store(scope, NewStore("S09", "x")),
            lambda scope=scope: chain.stores.add_camera(scope, "S01", "S01-C9"),
            lambda scope=scope: chain.stores.add_device(scope, "S01", "box"),
            lambda scope=scope: chain.facts.add(
                scope, NewFact("event", date(2026, 1, 1), date(2026, 1, 1), "whole chain")
            ),
        ):
            with pytest.raises(Forbidden):
                refused()
    with pytest.raises(Forbidden):
        chain.stores.add_device(scope_of("hq"), "S01", "box")


def test_a_store_that_makes_no_sense_is_refused_by_field(chain: Services) -> None:
    odd = (OpeningSpan(0, time(10, 5), time(22)),)
    cases: list[tuple[NewStore, str]] = [
        (NewStore("", "x"), "store_id"),
        (NewStore("S 9", "x"), "store_id"),
        (NewStore("S09", " "), "name"),
        (NewStore("S09", "x", timezone="Mars/Olympus"), "timezone"),
        (NewStore("S09", "x", timezone="../etc/passwd"), "timezone"),
        (NewStore("S09", "x", country="cn"), "country"),
        (NewStore("S09", "x", currency="¥"), "currency"),
        (NewStore("S09", "x", day_starts=time(4, 10)), "day_starts"),
        (NewStore("S09", "x", hours=odd), "opens"),
        (NewStore("S09", "x", hours=(OpeningSpan(8, time(10), time(22)),)), "hours"),
        (NewStore("S09", "x", hours=every_day(time(10), time(12)) * 2), "hours"),
    ]
    for new, field in cases:
        with pytest.raises(InvalidInput) as refused:
            chain.stores.add_store(SYSTEM, new)
        assert (refused.value.field, bool(refused.value.remedy)) == (field, True), new
    with pytest.raises(Conflict):
        chain.stores.add_store(SYSTEM, NewStore("S01", "x"))
    assert len(chain.stores.stores(SYSTEM)) == 3


def test_new_hours_hold_from_their_day_on_and_make_computed_days_stale(
    chain: Services, scope_of: Callable[[str], Scope]
) -> None:
    for day in (9, 10, 11):
        chain.kpi.recompute("S01", date(2026, 11, day))
    with chain.db.transaction() as conn:
        conn.execute("DELETE FROM dirty_mark")
    chain.stores.set_hours(scope_of("manager"), "S01", date(2026, 11, 10), every_day(time(18), time(2)))
    calendar = chain.stores.calendar(SYSTEM, "S01")
    assert calendar.open_spans(date(2026, 11, 9))[0][0] == datetime(2026, 11, 9, 2, tzinfo=UTC)
    assert calendar.open_spans(date(2026, 11, 10)) == [
        (datetime(2026, 11, 10, 10, tzinfo=UTC), datetime(2026, 11, 10, 18, tzinfo=UTC))
    ]
    with chain.db.read() as conn:
        marks = conn.execute("SELECT hour FROM dirty_mark WHERE store_id = 'S01' ORDER BY hour").fetchall()
    # The 9th too: its last hours are on the 10th by the wall calendar.
    assert [calendar.day_of(hour) for (hour,) in marks] == [date(2026, 11, day) for day in (9, 10, 11)]
    with pytest.raises(InvalidInput):
        chain.stores.set_hours(SYSTEM, "S01", date(2026, 11, 10), ())
    with pytest.raises(InvalidInput):
        chain.stores.set_hours(SYSTEM, "S01", date(2026, 11, 10), every_day(time(9, 1), time(18)))
    with pytest.raises(InvalidInput, match="offset"):
        chain.stores.set_hours(SYSTEM, "S01", date(2026, 11, 10), every_day(time(9, tzinfo=UTC), time(18, tzinfo=UTC)))
    assert chain.stores.calendar(SYSTEM, "S01").open_spans(date(2026, 11, 10)) != []


def test_a_moved_timezone_holds_from_its_day_on(chain: Services) -> None:
    chain.stores.set_calendar(SYSTEM, "S01", DayRule(date(2026, 12, 1), "Asia/Urumqi", time(6)))
    calendar = chain.stores.calendar(SYSTEM, "S01")
    assert str(calendar.zone_on(date(2026, 11, 30))) == "Asia/Shanghai"
    assert str(calendar.zone_on(date(2026, 12, 1))) == "Asia/Urumqi"
    assert chain.stores.store(SYSTEM, "S01").timezone == "Asia/Urumqi"


def stale_days(chain: Services, change: Callable[[], object]) -> list[int]:
    """The days of S01 from 9 to 12 November 2026, all computed before, that a change marks."""
    for day in (9, 10, 11, 12):
        chain.kpi.recompute("S01", date(2026, 11, day))
    with chain.db.transaction() as conn:
        conn.execute("DELETE FROM dirty_mark")
    change()
    with chain.db.read() as conn:
        hours = conn.execute("SELECT hour FROM dirty_mark WHERE store_id = 'S01' ORDER BY hour").fetchall()
    calendar = chain.stores.calendar(SYSTEM, "S01")
    # A day that begins within a marked hour is meant by it.
    return sorted({calendar.day_of(hour + timedelta(minutes=45)).day for (hour,) in hours})


def test_a_camera_or_line_of_earlier_makes_computed_days_stale(chain: Services) -> None:
    earlier = datetime(2026, 11, 11, 4, tzinfo=UTC)
    add, line = chain.stores.add_camera, chain.stores.add_line
    assert stale_days(chain, lambda: add(SYSTEM, "S01", "S01-C1", installed_at=earlier)) == [10, 11, 12]
    assert stale_days(chain, lambda: line(SYSTEM, "S01-C1", "S01-L1")) == [10, 11, 12]
    gone = earlier + timedelta(days=1)
    assert stale_days(chain, lambda: chain.stores.remove_camera(SYSTEM, "S01-C1", gone)) == [11, 12]
    # What begins now is in no answer yet.
    assert stale_days(chain, lambda: add(SYSTEM, "S01", "S01-C2")) == []


def test_a_camera_comes_with_its_lines_or_not_at_all(chain: Services) -> None:
    add = chain.stores.add_camera
    add(SYSTEM, "S01", "S01-C1", lines=["S01-L1"])
    with pytest.raises(Conflict):
        add(SYSTEM, "S02", "S02-C1", lines=["S02-L1", "S01-L1"])
    with pytest.raises(InvalidInput):
        add(SYSTEM, "S02", "S02-C1", lines=["S02-L1", "a/b"])
    assert chain.stores.cameras(SYSTEM, "S02") == []
    assert chain.stores.lines(SYSTEM, "S02") == []
    # So the same again, put right, is no conflict.
    add(SYSTEM, "S02", "S02-C1", lines=["S02-L1", "S02-L2"])
    assert [line.line_id for line in chain.stores.lines(SYSTEM, "S02")] == ["S02-L1", "S02-L2"]
    with pytest.raises(Conflict):
        chain.stores.add_lines(SYSTEM, "S02", "S02-C1", ["S02-L3", "S02-L1"])
    with pytest.raises(NotFound):
        chain.stores.add_lines(SYSTEM, "S01", "S02-C1", ["S02-L3"])
    assert len(chain.stores.lines(SYSTEM, "S02")) == 2


def test_a_moved_business_day_makes_the_day_before_stale_which_ends_there(chain: Services) -> None:
    rule = DayRule(date(2026, 11, 11), "Asia/Shanghai", time(6))
    assert stale_days(chain, lambda: chain.stores.set_calendar(SYSTEM, "S01", rule)) == [10, 11, 12]


def test_a_time_that_could_not_be_read_again_is_refused(chain: Services) -> None:
    """PostgreSQL keeps the year before the first; Python has none, and every page listing the camera would break."""
    edge = datetime.fromisoformat("0001-01-01T00:00:00+14:00")
    with pytest.raises(InvalidInput) as refused:
        chain.stores.add_camera(SYSTEM, "S01", "S01-C1", installed_at=edge)
    assert refused.value.field == "installed_at"
    assert chain.stores.cameras(SYSTEM, "S01") == []
    chain.stores.add_camera(SYSTEM, "S01", "S01-C1")
    for at in (edge, datetime(2026, 11, 19), datetime(2026, 11, 1, tzinfo=UTC)):  # noqa: DTZ001 - naive on purpose
        with pytest.raises(InvalidInput):
            chain.stores.remove_camera(SYSTEM, "S01-C1", at)
    assert chain.stores.cameras(SYSTEM, "S01")[0].removed_at is None
    with pytest.raises(InvalidInput):
        chain.stores.set_hours(SYSTEM, "S01", date(1, 1, 1), every_day(time(9), time(18)))


def test_cameras_and_lines_have_ids_of_their_own(chain: Services, clock: TurnedClock) -> None:
    camera = chain.stores.add_camera(SYSTEM, "S01", "S01-C1", "大门")
    assert camera.installed_at == clock.now
    line = chain.stores.add_line(SYSTEM, "S01-C1", "S01-L1", kind="street")
    assert (line.store_id, line.kind) == ("S01", "street")
    assert chain.stores.lines(SYSTEM, "S01") == [line]
    with pytest.raises(Conflict):
        chain.stores.add_camera(SYSTEM, "S02", "S01-C1")
    with pytest.raises(Conflict):
        chain.stores.add_line(SYSTEM, "S01-C1", "S01-L1")
    with pytest.raises(NotFound):
        chain.stores.add_line(SYSTEM, "S01-C9", "S01-L2")
    with pytest.raises(NotFound):
        chain.stores.add_camera(SYSTEM, "S99", "S99-C1")
    for bad in ("", "a/b", "a+b", "#", "x" * 65):
        with pytest.raises(InvalidInput) as refused:
            chain.stores.add_camera(SYSTEM, "S01", bad)
        assert refused.value.field == "camera_id"
    with pytest.raises(InvalidInput):
        chain.stores.add_camera(SYSTEM, "S01", "S01-C2", installed_at=datetime(2026, 1, 1))  # noqa: DTZ001
    clock.turn(days=1)
    chain.stores.remove_camera(SYSTEM, "S01-C1")
    assert chain.stores.cameras(SYSTEM, "S01")[0].removed_at == clock.now
    assert chain.stores.camera_health(SYSTEM, "S01") == []
    with pytest.raises(NotFound):
        chain.stores.remove_camera(SYSTEM, "S01-C1")


def test_a_boxs_password_is_shown_once_and_stored_as_a_hash(chain: Services) -> None:
    made = chain.stores.add_device(SYSTEM, "S01", "box-1")
    assert made.password not in repr(made)
    assert chain.stores.check_device(SYSTEM, "box-1", made.password)
    assert not chain.stores.check_device(SYSTEM, "box-1", made.password[:-1])
    assert not chain.stores.check_device(SYSTEM, "box-2", "")
    with chain.db.read() as conn:
        assert made.password not in str(conn.execute("SELECT * FROM device").fetchall())
    with pytest.raises(Conflict):
        chain.stores.add_device(SYSTEM, "S02", "box-1")
    chain.stores.revoke_device(SYSTEM, "box-1")
    assert not chain.stores.check_device(SYSTEM, "box-1", made.password)
    actions = [entry.action for entry in chain.access.audit_trail(SYSTEM, 2)]
    assert actions == ["device.revoke", "device.add"]


def test_camera_health_says_what_to_do_in_the_readers_language(
    chain: Services, scope_of: Callable[[str], Scope], clock: TurnedClock
) -> None:
    for number in (1, 2, 3):
        chain.stores.add_camera(SYSTEM, "S01", f"S01-C{number}")
    chain.stores.add_device(SYSTEM, "S01", "box-1")

    def say(at: datetime, *, online: bool) -> None:
        cameras = [{"camera": "S01-C1", "state": "ok"}, {"camera": "S01-C2", "state": "frozen"}]
        with chain.db.transaction() as conn:
            conn.execute(
                "UPDATE device SET status = %s, status_at = %s WHERE device_id = 'box-1'",
                (Jsonb({"online": online, "cameras": cameras}), at),
            )

    def health(name: str) -> list[tuple[str, bool]]:
        return [(each.state, each.online) for each in chain.stores.camera_health(scope_of(name), "S01")]

    assert health("hq") == [("never_seen", False)] * 3
    say(clock.now, online=True)
    assert health("hq") == [("ok", True), ("frozen", False), ("never_seen", False)]
    english = chain.stores.camera_health(scope_of("hq"), "S01")
    assert (english[0].message, english[1].message) == ("", "The picture stands still. Restart the camera.")
    assert (english[0].last_seen, english[0].device_id) == (clock.now, "box-1")
    assert "重启" in chain.stores.camera_health(scope_of("manager"), "S01")[1].message
    with chain.db.transaction() as conn:
        refused = CameraStatus(camera="S01-C1", state="offline", fps=0.0, message="no", refused=True)
        set_status(conn, Status(device="box-1", online=True, cameras=(refused,)), clock.now)
    assert (
        "the right ones into its address in edge.toml" in chain.stores.camera_health(scope_of("hq"), "S01")[0].message
    )
    assert "用户名或密码" in chain.stores.camera_health(scope_of("manager"), "S01")[0].message
    say(clock.now, online=False)
    assert health("hq")[0] == ("offline", False)
    with chain.db.transaction() as conn:
        # What a broker says for a box that was cut off.
        will = Status(device="box-1", online=False, problem="connection lost")
        set_status(conn, will, clock.now)
    assert health("hq") == [("offline", False)] * 3
    say(clock.now, online=True)
    clock.turn(minutes=11)
    assert health("hq")[0] == ("offline", False)
    assert "box-1" in chain.stores.camera_health(scope_of("hq"), "S01")[0].message


def test_facts_hold_for_a_store_or_the_chain(chain: Services, scope_of: Callable[[str], Scope]) -> None:
    day = date(2026, 11, 20)
    add = chain.facts.add
    chainwide = add(scope_of("hq"), NewFact("promotion", day, day + timedelta(days=2), "周年庆"))
    own = add(scope_of("manager"), NewFact("weather", day, day, "小雨", store_id="S01"))
    add(SYSTEM, NewFact("event", day, day, "elsewhere", store_id="S02"))
    assert chain.facts.of_store(scope_of("manager"), "S01", day, day) == [chainwide, own]
    assert chain.facts.of_store(scope_of("manager"), "S01", day + timedelta(days=1), day + timedelta(days=9)) == [
        chainwide
    ]
    for bad, field in (
        (NewFact("event", day, day - timedelta(days=1), "x"), "day_to"),
        (NewFact("event", day, day, " "), "title"),
        (NewFact("sale", day, day, "x"), "kind"),  # type: ignore[arg-type]
    ):
        with pytest.raises(InvalidInput) as refused:
            add(SYSTEM, bad)
        assert refused.value.field == field
    with pytest.raises(Forbidden):
        add(scope_of("manager"), NewFact("event", day, day, "x", store_id="S02"))
    limited = chain.access.api_key(chain.access.create_api_key(SYSTEM, "branch", "hq", ["S01"]))
    with pytest.raises(Forbidden):
        add(limited, NewFact("event", day, day, "for all"))
    assert add(limited, NewFact("event", day, day, "for one", store_id="S01")).store_id == "S01"
