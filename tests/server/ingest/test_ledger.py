"""The gap ledger over a real database: batches, statuses, losses and dead letters as they come."""

import json
import tracemalloc
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from cli.main import app
from server.access.models import Scope
from server.errors import Forbidden, InvalidInput, NotFound
from server.ingest.ledger import Ledger
from server.ingest.letters import DeadLetters
from server.ingest.models import Incoming
from server.services import Services
from tests.server.conftest import SYSTEM, TurnedClock
from tests.server.ingest.devices import Sender, coverage, crossing, rows, tell
from wire.messages import Ack, CoverageSum, Record, Status, Tally, encode

DAY = date(2026, 11, 20)
#: S01 opens at ten in Shanghai.
OPENS = datetime(2026, 11, 20, 2, 0, tzinfo=UTC)


@pytest.fixture
def shop(chain: Services, clock: TurnedClock) -> Services:
    """S01 with a camera, a line and a box; it is a second before opening."""
    chain.stores.add_camera(SYSTEM, "S01", "S01-C1", installed_at=OPENS - timedelta(days=60), lines=["S01-L1"])
    chain.stores.add_device(SYSTEM, "S01", "door-1")
    clock.now = OPENS - timedelta(seconds=1)
    return chain


def at(minute: float) -> datetime:
    return OPENS + timedelta(minutes=minute)


def minutes(first_seq: int, start: int, number: int, **more: Any) -> list[Record]:
    return [coverage(first_seq + index, minute=at(start + index), **more) for index in range(number)]


def send(services: Services, sender: Sender, records: list[Record], *, now: datetime, oldest: int = 1) -> None:
    incoming = sender.batch(records, oldest=oldest, sent_at=now)
    [answer] = services.ingest.take([incoming])
    assert answer.reply == Ack(epoch=sender.epoch, seq=records[-1].seq)


def say(services: Services, now: datetime, *, online: bool = True, lost: int = 0, will: bool = False) -> None:
    word = Status(device="door-1", online=online, at=None if will else now, lost=lost)
    services.ingest.note_status("door-1", encode(word), now)


def ledger(services: Services, clock: TurnedClock, minute: float) -> Ledger:
    clock.now = at(minute)
    return services.gaps.ledger(SYSTEM, "S01", DAY, DAY)


def seconds(found: Ledger) -> list[tuple[float, float, float]]:
    return [(row.measured, row.late, row.missing) for row in found.quarters]


def test_what_is_watched_late_or_not_at_all(shop: Services, clock: TurnedClock) -> None:
    door = Sender()
    send(shop, door, minutes(1, 0, 15), now=at(16))
    send(shop, door, [*minutes(16, 15, 10), crossing(26, at=at(24))], now=at(40))
    found = ledger(shop, clock, 45)
    # 15 to 24 ended at 16 to 25: what came at 40 came late for the first nine of them, and not for the tenth.
    assert seconds(found) == [(900, 0, 0), (60, 540, 300), (0, 0, 780)]
    assert [row.reasons for row in found.quarters] == [(), ("not_reported", "backlog"), ("not_reported",)]
    assert (found.total.due, found.total.measured, found.total.missing) == (2580, 960, 1080)
    assert found.cameras[0].seconds == found.total
    assert found.timezone == "Asia/Shanghai"


def test_a_tally_is_late_as_what_it_stands_for(shop: Services, clock: TurnedClock) -> None:
    whole = CoverageSum(camera="S01-C1", start=at(0), span=900, seconds=850, frames=1)
    send(shop, Sender(), [Tally(from_seq=1, seq=40, coverage=(whole,))], now=at(200))
    found = ledger(shop, clock, 30 + 1.5)
    assert seconds(found) == [(0, 850, 50), (0, 0, 900)]
    assert found.quarters[1].reasons == ("not_reported",)  # which is not never: what was folded was said, too


def test_late_seconds_add_up_in_any_order_and_are_capped(shop: Services, clock: TurnedClock) -> None:
    one, other = Sender(), Sender()
    for sender, now in ((one, at(300)), (other, at(5)), (Sender(), at(300))):
        send(shop, sender, minutes(1, 0, 15, seconds=40), now=now)
    assert rows(shop.db, "SELECT seconds, late_seconds FROM coverage_15m") == [(900, 900)]


def test_a_box_that_is_gone_explains_what_is_missing_until_it_is_sent(shop: Services, clock: TurnedClock) -> None:
    door = Sender()
    say(shop, at(0))
    send(shop, door, minutes(1, 0, 15), now=at(16))
    say(shop, at(16), online=False, will=True)
    found = ledger(shop, clock, 46.5)
    assert [(row.missing, row.reasons) for row in found.quarters] == [
        (0, ()),
        (900, ("box_offline",)),
        (900, ("box_offline",)),
    ]
    say(shop, at(50))
    send(shop, door, minutes(16, 15, 30), now=at(51))
    found = ledger(shop, clock, 61.5)
    assert [(row.measured, row.late, row.missing, row.reasons) for row in found.quarters] == [
        (900, 0, 0, ()),
        (0, 900, 0, ("box_offline",)),
        (600, 300, 0, ("box_offline",)),
        (0, 0, 900, ("box_offline",)),
    ]


def test_a_box_nobody_heard_of_was_gone_though_nobody_said_so(shop: Services, clock: TurnedClock) -> None:
    door = Sender()
    say(shop, at(0))
    send(shop, door, minutes(1, 0, 15), now=at(14))
    assert ledger(shop, clock, 31.5).quarters[1].reasons == ("box_offline",)
    say(shop, at(40))
    events = rows(shop.db, "SELECT at, online FROM device_event ORDER BY event_id")
    assert events == [(at(0), True), (at(0), False), (at(40), True)]
    assert ledger(shop, clock, 46.5).quarters[1].reasons == ("box_offline",)


def test_a_box_that_was_ended_was_not_connected_from_then_on(shop: Services, clock: TurnedClock) -> None:
    """One that posts over HTTPS has no will that a broker could speak."""
    say(shop, at(0))
    send(shop, Sender(), minutes(1, 0, 15), now=at(15))
    say(shop, at(15))
    shop.stores.revoke_device(SYSTEM, "door-1")
    assert [row.reasons for row in ledger(shop, clock, 46.5).quarters] == [(), ("box_offline",), ("box_offline",)]


def test_statuses_that_say_nothing_new_leave_no_trace(shop: Services) -> None:
    for minute in (0, 5, 10, 10, 15):
        say(shop, at(minute))
    assert len(rows(shop.db, "SELECT * FROM device_event")) == 1


def test_lost_numbers_stand_in_the_ledger_between_what_came_before_and_after(
    shop: Services, clock: TurnedClock
) -> None:
    door = Sender()
    send(shop, door, minutes(1, 0, 15), now=at(16))
    send(shop, door, minutes(46, 45, 15), now=at(61), oldest=46)
    found = ledger(shop, clock, 61.5)
    [lost] = found.lost
    assert (lost.device_id, lost.epoch, lost.from_seq, lost.to_seq, lost.records) == ("door-1", door.epoch, 16, 45, 30)
    assert (lost.starts_at, lost.ends_at) == (at(14), at(45))
    assert [row.reasons for row in found.quarters] == [(), ("lost",), ("lost",), ()]
    # An epoch that begins with a loss: it lies behind what came last in any other.
    anew = Sender()
    send(shop, anew, minutes(5, 75, 15), now=at(91), oldest=5)
    assert [(each.records, each.starts_at, each.ends_at) for each in ledger(shop, clock, 91.5).lost] == [
        (30, at(14), at(45)),
        (4, at(59), at(75)),
    ]


def test_what_a_box_says_it_lost_stands_there_to_the_number(shop: Services, clock: TurnedClock) -> None:
    say(shop, at(0), lost=2)
    say(shop, at(5), lost=2, online=False, will=True)
    say(shop, at(6), lost=2)
    say(shop, at(20), lost=9)
    say(shop, at(21), online=False, will=True)
    say(shop, at(22), lost=4)
    found = ledger(shop, clock, 46.5)
    assert [(each.records, each.epoch, each.starts_at, each.ends_at) for each in found.lost] == [
        (2, None, None, at(0)),
        (7, None, at(6), at(20)),
        (-5, None, at(21), at(22)),
    ]
    assert sum(each.records for each in found.lost) == 4
    assert [row.reasons for row in found.quarters][1] == ("lost", "box_offline", "never_reported")


def test_dead_letters_stand_in_the_ledger_until_they_are_settled(shop: Services, clock: TurnedClock) -> None:
    door = Sender()
    bad = CoverageSum(camera="S01-C1", start=at(30), span=900, seconds=900, frames=1)
    odd = CoverageSum(camera="S01-C7", start=at(15), span=60, seconds=60, frames=1)
    send(
        shop,
        door,
        [
            *minutes(1, 0, 15),
            crossing(16, at=at(14), line="NEW"),
            Tally(from_seq=17, seq=30, coverage=(bad, odd)),
            coverage(31, minute=at(20) + timedelta(seconds=1)),
        ],
        now=at(16),
    )
    found = ledger(shop, clock, 46.5)
    # A line not registered, a minute that begins within a minute, and a quarter hour dated ahead of its time.
    assert [(row.dead_letters, row.missing, row.reasons) for row in found.quarters] == [
        (1, 0, ("dead_letter",)),
        (1, 900, ("dead_letter",)),
        (1, 900, ("dead_letter",)),
    ]
    assert found.dead_letters == 3
    shop.stores.add_line(SYSTEM, "S01-C1", "NEW")
    letters = DeadLetters(shop.db, clock)
    outcomes = [each.outcome for each in letters.retry(SYSTEM, [each.dead_letter_id for each in letters.list(SYSTEM)])]
    assert outcomes == ["booked", "in_part", "still_bad"]
    found = ledger(shop, clock, 46.5)
    assert [(row.dead_letters, row.measured, row.late, row.missing) for row in found.quarters] == [
        (0, 900, 0, 0),
        (1, 0, 0, 900),
        (0, 900, 0, 0),
    ]
    letters.drop(SYSTEM, [each.dead_letter_id for each in letters.list(SYSTEM)], "not ours")
    assert ledger(shop, clock, 46.5).dead_letters == 0
    assert ledger(shop, clock, 46.5).quarters[1].reasons == ("not_reported",)


def test_a_record_of_another_year_stands_in_the_ledger_of_the_day_it_came(shop: Services, clock: TurnedClock) -> None:
    """Nobody would look for it in the year it says."""
    wrong = [crossing(16, at=at(0) + timedelta(days=4000)), crossing(17, at=datetime(1999, 1, 1, tzinfo=UTC))]
    send(shop, Sender(), [*minutes(1, 0, 15), *wrong], now=at(16))
    found = ledger(shop, clock, 16.5)
    assert found.dead_letters == 2
    assert [(row.measured, row.dead_letters) for row in found.quarters] == [(900, 0)]


def test_letters_are_read_a_few_at_a_time(shop: Services, clock: TurnedClock) -> None:
    """Each may hold megabytes; a ledger wants to know of each only what it speaks of."""
    big = json.dumps({"type": "crossing", "seq": 1, "junk": "x" * 900_000}).encode()
    for _ in range(60):
        payload = json.loads(Sender().batch([crossing(1, at=at(0))], sent_at=at(1)).payload)
        raw = json.dumps(payload).encode().replace(json.dumps(payload["records"][0]).encode(), big)
        assert isinstance(tell(shop.ingest, Incoming("door-1", raw, at(1)))[0], Ack)
    tracemalloc.start()
    try:
        found = ledger(shop, clock, 46.5)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.dead_letters == 60
    assert peak < 30 * 900_000


def test_other_weeks_tell_what_to_expect(shop: Services, clock: TurnedClock) -> None:
    for week in (1, 3):
        ago = timedelta(days=7 * week)
        records: list[Record] = [coverage(n + 1, minute=at(n) - ago) for n in range(15)]
        records += [crossing(16 + n, at=at(n) - ago, direction="out" if n % 3 else "in") for n in range(9)]
        send(shop, Sender(), records, now=at(16) - ago)
    found = ledger(shop, clock, 31.5)
    assert [(row.imputed, row.missing, row.estimated_in, row.estimated_out) for row in found.quarters] == [
        (900, 0, 3, 6),
        (0, 900, 0, 0),
    ]
    # What was excluded from the numbers of one of the two weeks tells nothing; withdrawn, it does again.
    with shop.db.transaction() as connection:
        connection.execute(
            "INSERT INTO correction (store_id, kind, line_id, starts_at, ends_at, reason, made_by, made_at)"
            " VALUES ('S01', 'excluded', 'S01-L1', %s, %s, 'stocktaking', 'hq', now())",
            (OPENS - timedelta(days=7), OPENS - timedelta(days=7) + timedelta(minutes=15)),
        )
    assert [row.imputed for row in ledger(shop, clock, 31.5).quarters] == [0, 0]
    with shop.db.transaction() as connection:
        connection.execute("UPDATE correction SET withdrawn_at = now(), withdrawn_by = 'hq', withdrawn_reason = 'x'")
    assert [row.imputed for row in ledger(shop, clock, 31.5).quarters] == [900, 0]


def test_what_may_not_be_asked(shop: Services, scope_of: Callable[[str], Scope]) -> None:
    with pytest.raises(Forbidden):
        shop.gaps.ledger(scope_of("desk2"), "S01", DAY, DAY)
    with pytest.raises(NotFound):
        shop.gaps.ledger(SYSTEM, "S99", DAY, DAY)
    for first, last in ((DAY, DAY - timedelta(days=1)), (DAY - timedelta(days=62), DAY)):
        with pytest.raises(InvalidInput):
            shop.gaps.ledger(SYSTEM, "S01", first, last)


def test_the_route(shop: Services, clock: TurnedClock, sign_in: Callable[[str], TestClient]) -> None:
    send(shop, Sender(), minutes(1, 0, 15), now=at(16))
    clock.now = at(31.5)
    browser = sign_in("manager")
    query = {"store": "S01", "from": "2026-11-20", "to": "2026-11-20"}
    answer = browser.get("/api/v1/coverage", params=query)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["total"] == {"due": 1800, "measured": 900, "late": 0, "imputed": 0, "missing": 900}
    assert [row["missing"] for row in body["quarters"]] == [0, 900]
    assert body["quarters"][1]["reasons"] == ["not_reported"]
    only = browser.get("/api/v1/coverage", params={**query, "gaps_only": "true"}).json()
    assert [row["quarter"] for row in only["quarters"]] == ["2026-11-20T02:15:00Z"]
    assert browser.get("/api/v1/coverage", params={**query, "store": "S02"}).status_code == 403
    assert browser.get("/api/v1/coverage", params={**query, "to": "2026-11-19"}).status_code == 422
    assert sign_in("desk").get("/api/v1/coverage", params=query).status_code == 403


def test_the_command(shop: Services, clock: TurnedClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    say(shop, at(0), lost=0)
    say(shop, at(16), online=False, will=True)
    door = Sender()
    payload = json.loads(door.batch(minutes(31, 0, 15), oldest=31, sent_at=at(16)).payload)
    shop.ingest.take([Incoming("door-1", json.dumps(payload).encode(), at(16))])
    shown = CliRunner().invoke(
        app,
        ["gaps", "--store", "S01", "--from", "2026-11-20", "--to", "2026-11-20"],
        env={"DOORLINE_DSN": shop.db.dsn, "COLUMNS": "160", "TERM": "dumb"},
    )
    assert shown.exit_code == 0, shown.output
    assert "the box was not connected" in shown.stdout
    assert "10:15" in shown.stdout
    assert "22:00" in shown.stdout
    assert "S01-C1: 2.1% of 12:00 due was watched; late -, imputed -, missing 11:45" in shown.stdout
    assert f"door-1: 30 records are lost (epoch {door.epoch[:8]}, 1 to 30)" in shown.stdout
