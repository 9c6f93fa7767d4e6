"""Asking a box: who may, what comes of it, how long it is kept, and what stands in the audit trail."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from msgspec.structs import replace

from server.access.models import Scope
from server.errors import Forbidden, NotFound, TooManyRequests
from server.ingest.repository import set_status
from server.requests import repository
from server.requests.exchange import Heard
from server.requests.forgetting import Forgetting
from server.requests.service import KEEP, MOST_OF_A_BOX, RequestService
from server.services import Services
from tests.fixtures.wait import wait_until
from tests.server.conftest import SYSTEM, TurnedClock
from wire.asking import AskPaths, AskSnapshot, Given, LineTest, Path, Paths, Request, Snapshot, TriedCrossing, Unable
from wire.messages import Status

AT = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)
JPEG = b"\xff\xd8\xff a picture"
SNAPSHOT = Snapshot(camera="C1", at=AT, width=960, height=540, people=2, jpeg=JPEG)
PATHS = Paths(camera="C1", at=AT, seconds=60, anchor="feet", paths=(Path(track=7, points=((0.1, 0.2, 3.0),)),))
TRIED = LineTest(
    camera="C1",
    line="L1",
    at=AT,
    seconds=60,
    people=3,
    entries=1,
    exits=0,
    crossings=(TriedCrossing(track=7, direction="in", ago=3.0),),
)
ASK_SNAPSHOT = {"kind": "snapshot", "camera": "C1"}


class Way:
    """The way to boxes in a test's hand: each question waits until it is told what came of it."""

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self.heard = Heard("answered", SNAPSHOT)
        self.open = threading.Event()
        self.open.set()

    def ask(self, request: Request, stop: threading.Event) -> Heard:
        self.asked.append(request)
        while not self.open.wait(0.02) and not stop.is_set():
            pass
        return self.heard


@pytest.fixture
def way() -> Way:
    return Way()


@pytest.fixture
def requests(chain: Services, way: Way, clock: TurnedClock) -> Iterator[RequestService]:
    """In the place of the process's own, over the same database."""
    for store in ("S01", "S02"):
        chain.stores.add_device(SYSTEM, store, f"door-{store}")
    made = RequestService(chain.db, way, clock)
    object.__setattr__(chain, "requests", made)
    yield made
    made.close()


def done(requests: RequestService, request_id: str) -> Given:
    wait_until(lambda: requests.read(SYSTEM, request_id).given, what="an answer")
    found = requests.read(SYSTEM, request_id).given
    assert found is not None
    return found


def audited(services: Services) -> list[tuple[Any, ...]]:
    with services.db.read() as conn:
        return conn.execute(
            "SELECT actor, action, subject, store_id, detail->>'kind', detail->>'camera' FROM audit"
            " WHERE action LIKE 'device.%%' AND action <> 'device.add' ORDER BY audit_id"
        ).fetchall()


def asked(browser: TestClient, body: dict[str, Any], device: str = "door-S01") -> dict[str, Any]:
    """Ask, and wait for what comes of it."""
    answer = browser.post(f"/api/v1/devices/{device}/requests", json=body)
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/api/v1/requests/{answer.json()['request_id']}"
    where = answer.headers["location"]
    found: dict[str, Any] = wait_until(lambda: (got := browser.get(where).json())["state"] != "waiting" and got)
    return found


# -- over HTTP


@pytest.mark.usefixtures("requests")
def test_a_snapshot_is_asked_for_seen_and_on_record(
    chain: Services, way: Way, sign_in: Callable[[str], TestClient]
) -> None:
    browser = sign_in("hq")
    found = asked(browser, {**ASK_SNAPSHOT, "width": 640})
    assert (found["state"], found["kind"], found["asked_by"], found["store_id"]) == (
        "answered",
        "snapshot",
        "hq",
        "S01",
    )
    assert found["snapshot"]["people"] == 2
    assert "jpeg" not in str(found)
    [request] = way.asked
    assert (request.device, request.id, request.ask) == (
        "door-S01",
        found["request_id"],
        AskSnapshot(camera="C1", width=640),
    )
    picture = browser.get(found["snapshot"]["url"])
    assert (picture.status_code, picture.content) == (200, JPEG)
    assert picture.headers["content-type"] == "image/jpeg"
    assert picture.headers["cache-control"] == "no-store"
    assert audited(chain) == [
        ("hq", "device.ask", "door-S01", "S01", "snapshot", "C1"),
        ("hq", "device.snapshot", "door-S01", "S01", "snapshot", "C1"),
    ]


@pytest.mark.usefixtures("requests")
def test_paths_and_a_line_tried_are_told_in_fractions_of_the_frame(
    way: Way, sign_in: Callable[[str], TestClient]
) -> None:
    browser = sign_in("admin")
    way.heard = Heard("answered", PATHS)
    found = asked(browser, {"kind": "paths", "camera": "C1", "seconds": 30})
    assert found["paths"]["paths"] == [{"track": 7, "points": [[0.1, 0.2, 3.0]]}]
    assert way.asked[-1].ask == AskPaths(camera="C1", seconds=30)
    way.heard = Heard("answered", TRIED)
    line = {"id": "L1", "start": [0.1, 0.5], "end": [0.9, 0.5], "inside": [0.5, 0.9]}
    found = asked(browser, {"kind": "line_test", "camera": "C1", "line": line})
    assert (found["line_test"]["entries"], found["line_test"]["exits"], found["line_test"]["people"]) == (1, 0, 3)
    assert found["line_test"]["crossings"] == [{"track": 7, "direction": "in", "ago": 3.0}]
    assert found["snapshot"] is None
    assert browser.get(f"/api/v1/requests/{found['request_id']}/picture").status_code == 404


@pytest.mark.usefixtures("requests")
def test_what_can_not_be_meant_is_refused_with_the_field(way: Way, sign_in: Callable[[str], TestClient]) -> None:
    browser = sign_in("admin")
    line = {"id": "L1", "start": [0.1, 0.5], "end": [0.9, 0.5], "inside": [0.5, 0.9]}
    for body, field in (
        ({"kind": "film", "camera": "C1"}, None),
        ({**ASK_SNAPSHOT, "width": 10_000}, "width"),
        ({**ASK_SNAPSHOT, "camera": "../C1"}, "camera"),
        ({"kind": "paths", "camera": "C1", "seconds": 3600}, "seconds"),
        ({"kind": "line_test", "camera": "C1", "line": {**line, "start": [1.5, 0.5]}}, "start"),
        ({"kind": "line_test", "camera": "C1", "line": {**line, "id": "L 1"}}, "id"),
    ):
        answer = browser.post("/api/v1/devices/door-S01/requests", json=body)
        assert answer.status_code == 422, answer.text
        assert field is None or field in answer.json()["error"]["field"]
    assert way.asked == []


@pytest.mark.usefixtures("requests")
@pytest.mark.parametrize("name", ["manager", "region", "desk"])
def test_only_admin_and_headquarters_may(way: Way, sign_in: Callable[[str], TestClient], name: str) -> None:
    browser = sign_in(name)
    assert browser.post("/api/v1/devices/door-S01/requests", json=ASK_SNAPSHOT).status_code == 403
    for where in ("", "/picture"):
        assert browser.get(f"/api/v1/requests/{'0' * 32}{where}").status_code == 403
    assert way.asked == []


# -- within the scope


def test_whoever_works_for_some_stores_asks_their_boxes_only(requests: RequestService, scope_of: Any) -> None:
    there = Scope("key:1", "hq", frozenset({"S02"}), name="a key")
    with pytest.raises(NotFound, match="no live device"):
        requests.ask(there, "door-S01", AskSnapshot(camera="C1"))
    other = requests.ask(scope_of("hq"), "door-S01", AskSnapshot(camera="C1"))
    assert done(requests, other.request_id) == SNAPSHOT
    for look in (requests.read, requests.picture):
        with pytest.raises(NotFound):
            look(there, other.request_id)
    own = requests.ask(there, "door-S02", AskSnapshot(camera="C1"))
    assert done(requests, own.request_id) == SNAPSHOT
    assert requests.picture(there, own.request_id) == SNAPSHOT
    for refused in (
        lambda: requests.ask(scope_of("manager"), "door-S01", AskSnapshot(camera="C1")),
        lambda: requests.read(scope_of("manager"), other.request_id),
        lambda: requests.picture(scope_of("manager"), other.request_id),
    ):
        with pytest.raises(Forbidden):
            refused()


def test_an_ended_box_is_not_asked(requests: RequestService, chain: Services, way: Way) -> None:
    chain.stores.revoke_device(SYSTEM, "door-S01")
    for name in ("door-S01", "nobody"):
        with pytest.raises(NotFound):
            requests.ask(SYSTEM, name, AskSnapshot(camera="C1"))
    assert way.asked == []


# -- what comes of it


@pytest.mark.parametrize(
    ("heard", "code"),
    [
        (Heard("answered", Unable(code="no_picture", reason="dark")), "no_picture"),
        (Heard("answered", PATHS), "failed"),
        (Heard("answered", replace(SNAPSHOT, camera="C2")), "failed"),
        (Heard("answered", replace(SNAPSHOT, jpeg=b"<script>alert(1)</script>")), "failed"),
        (Heard("absent"), "absent"),
        (Heard("silent", said_at=AT), "no_answer"),
        (Heard("no_broker", reason="connection refused"), "no_broker"),
    ],
)
def test_what_can_not_be_had_says_why(requests: RequestService, way: Way, heard: Heard, code: str) -> None:
    way.heard = heard
    request = requests.ask(SYSTEM, "door-S01", AskSnapshot(camera="C1"))
    given = done(requests, request.request_id)
    assert isinstance(given, Unable)
    assert given.code == code
    assert given.reason
    assert requests.state(requests.read(SYSTEM, request.request_id)) == "failed"
    with pytest.raises(NotFound):
        requests.picture(SYSTEM, request.request_id)


@pytest.mark.parametrize("outcome", ["absent", "silent"])
@pytest.mark.parametrize(
    ("said", "left", "minutes", "expected"),
    [
        (AT, None, 1, "over_https"),
        (AT, AT - timedelta(hours=1), 1, "over_https"),
        (AT, AT, 1, None),  # its last word is the one it left with the broker
        (AT, None, 60, None),  # it said nothing for an hour
    ],
)
def test_a_box_that_comes_over_https_is_said_to_be_well_and_out_of_reach(
    requests: RequestService,
    chain: Services,
    way: Way,
    clock: TurnedClock,
    outcome: Any,
    said: datetime,
    left: datetime | None,
    minutes: int,
    expected: str | None,
) -> None:
    with chain.db.transaction() as conn:
        set_status(conn, Status(device="door-S01", online=True, at=said), clock.now - timedelta(minutes=minutes))
    way.heard = Heard(outcome, said_at=left)
    request = requests.ask(SYSTEM, "door-S01", AskSnapshot(camera="C1"))
    given = done(requests, request.request_id)
    assert isinstance(given, Unable)
    assert given.code == (expected or {"absent": "absent", "silent": "no_answer"}[outcome])


def test_an_answer_is_kept_once_and_for_minutes(
    requests: RequestService, chain: Services, way: Way, clock: TurnedClock
) -> None:
    request = requests.ask(SYSTEM, "door-S01", AskSnapshot(camera="C1"))
    assert done(requests, request.request_id) == SNAPSHOT
    with chain.db.transaction() as conn:
        assert not repository.keep_answer(conn, SYSTEM, request.request_id, PATHS, clock.now)
    clock.turn(seconds=KEEP.total_seconds() - 1)
    assert Forgetting(chain.db, clock).run(threading.Event()) is None
    assert requests.picture(SYSTEM, request.request_id) == SNAPSHOT
    clock.turn(seconds=1)
    for look in (requests.read, requests.picture):
        with pytest.raises(NotFound, match="nothing under"):
            look(SYSTEM, request.request_id)
    assert Forgetting(chain.db, clock).run(threading.Event()) == "1 answers of boxes forgotten"
    with chain.db.read() as conn:
        assert conn.execute("SELECT count(*) FROM device_request").fetchone() == (0,)
    assert [row[1] for row in audited(chain)] == ["device.ask", "device.snapshot"], "the record stays"


def test_the_next_question_forgets_what_is_over(requests: RequestService, chain: Services, clock: TurnedClock) -> None:
    first = requests.ask(SYSTEM, "door-S01", AskSnapshot(camera="C1"))
    done(requests, first.request_id)
    clock.turn(seconds=KEEP.total_seconds())
    requests.ask(SYSTEM, "door-S02", AskSnapshot(camera="C1"))
    with chain.db.read() as conn:
        assert conn.execute("SELECT count(*) FROM device_request").fetchone() == (1,)


def test_an_answer_whose_time_is_over_is_dropped(
    requests: RequestService, chain: Services, way: Way, clock: TurnedClock
) -> None:
    way.open.clear()
    requests.ask(SYSTEM, "door-S01", AskSnapshot(camera="C1"))
    clock.turn(seconds=KEEP.total_seconds())
    way.open.set()
    requests.close()
    with chain.db.read() as conn:
        assert conn.execute("SELECT given FROM device_request").fetchall() == [(None,)]


def test_a_process_that_died_while_it_waited_leaves_a_request_that_failed(
    requests: RequestService, way: Way, clock: TurnedClock
) -> None:
    way.open.clear()
    request = requests.ask(SYSTEM, "door-S01", AskSnapshot(camera="C1"))
    assert requests.state(requests.read(SYSTEM, request.request_id)) == "waiting"
    clock.now = request.waits_until
    assert requests.state(requests.read(SYSTEM, request.request_id)) == "failed"


def test_a_box_is_not_asked_more_than_it_can_answer(requests: RequestService, way: Way, clock: TurnedClock) -> None:
    way.open.clear()
    for _ in range(MOST_OF_A_BOX):
        requests.ask(SYSTEM, "door-S01", AskSnapshot(camera="C1"))
    with pytest.raises(TooManyRequests):
        requests.ask(SYSTEM, "door-S01", AskSnapshot(camera="C1"))
    requests.ask(SYSTEM, "door-S02", AskSnapshot(camera="C1"))
    way.open.set()
    wait_until(lambda: len(way.asked) == MOST_OF_A_BOX + 1, what="all to be passed on")
    clock.turn(minutes=1)
    assert requests.ask(SYSTEM, "door-S01", AskSnapshot(camera="C1"))


def test_no_log_no_backup_and_no_replica_gets_a_picture(chain: Services) -> None:
    """The table is not logged, nor is what PostgreSQL keeps beside it for large values."""
    with chain.db.read() as conn:
        found = conn.execute(
            "SELECT t.relpersistence, toast.relpersistence FROM pg_class AS t"
            " JOIN pg_class AS toast ON toast.oid = t.reltoastrelid WHERE t.relname = 'device_request'"
        ).fetchall()
    assert found == [("u", "u")]
