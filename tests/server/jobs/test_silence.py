"""Boxes and cameras gone silent: on record, told once, resolved by themselves, and seen by those they concern."""

from collections.abc import Callable
from datetime import timedelta
from threading import Event
from typing import Any

import pytest
from fastapi.testclient import TestClient
from psycopg.types.json import Jsonb

from server.access.models import Scope
from server.errors import Forbidden
from server.jobs.process import JobsProcess, standard_jobs
from server.jobs.reconcile import Reconcile, RollUpsDiffer
from server.jobs.silence import Silences
from server.services import Services
from tests.server.kpi.chain import SYSTEM, Chain

NOW = Event()


@pytest.fixture
def silences(shops: Chain) -> Silences:
    """Store S01 with one camera and one box, which has never said anything."""
    shops.store("S01")
    shops.stores.add_device(SYSTEM, "S01", "door-1")
    return Silences(shops.db, shops.clock)


def says(shops: Chain, *, online: bool = True, **cameras: str) -> None:
    """The box says how it and its cameras do."""
    reports = [{"camera": camera.replace("_", "-"), "state": state} for camera, state in cameras.items()]
    status: dict[str, Any] = {"online": online, "cameras": reports}
    with shops.db.transaction() as conn:
        conn.execute("UPDATE device SET status = %s, status_at = %s", (Jsonb(status), shops.now))


def open_now(silences: Silences) -> list[tuple[str, str, str]]:
    return [(each.device_id, each.camera_id, each.state) for each in silences.silences(SYSTEM)]


def test_a_box_gone_silent_is_noticed_once_and_resolved_by_itself(shops: Chain, silences: Silences) -> None:
    says(shops, S01_C1="ok")
    assert silences.look(NOW) is None
    shops.now += timedelta(minutes=11)
    # The box takes its camera with it in one line.
    assert silences.look(NOW) == "silent: door-1"
    # Another process, or the same after a restart, knows of it.
    assert Silences(shops.db, shops.clock).look(NOW) is None
    assert open_now(silences) == [("door-1", "", "silent")]
    shops.now += timedelta(minutes=1)
    says(shops, S01_C1="ok")
    assert silences.look(NOW) == "back: door-1"
    assert open_now(silences) == []
    (ended,) = silences.silences(SYSTEM, past=True)
    assert ended.resolved_at == shops.now
    says(shops, online=False)
    assert silences.look(NOW) == "silent: door-1"


def test_a_camera_that_is_not_counted_while_its_box_is_well(shops: Chain, silences: Silences) -> None:
    says(shops, S01_C1="dark")
    assert silences.look(NOW) == "silent: S01-C1"
    assert open_now(silences) == [("door-1", "S01-C1", "dark")]
    says(shops, S01_C1="covered")
    assert silences.look(NOW) == "silent: S01-C1; back: S01-C1"
    says(shops, S01_C1="ok")
    assert silences.look(NOW) == "back: S01-C1"


def test_a_camera_nobody_ever_reported(shops: Chain, silences: Silences) -> None:
    says(shops)
    assert silences.look(NOW) == "silent: S01-C1"
    assert open_now(silences) == [("", "S01-C1", "never_seen")]


def test_a_box_is_given_time_for_its_first_word(shops: Chain, silences: Silences) -> None:
    assert silences.look(NOW) is None
    (waiting,) = shops.stores.camera_health(SYSTEM, "S01")
    assert (waiting.state, waiting.device_id) == ("never_seen", "door-1")
    assert "还没有收到盒子 door-1 的消息" in waiting.message
    shops.now += timedelta(minutes=11)
    # One line for the box, which would have named its camera.
    assert silences.look(NOW) == "silent: door-1"
    says(shops)
    assert silences.look(NOW) == "silent: S01-C1; back: door-1"


def test_what_is_ended_is_silent_no_more(shops: Chain, silences: Silences) -> None:
    says(shops, online=False)
    assert silences.look(NOW) == "silent: door-1"
    shops.stores.revoke_device(SYSTEM, "door-1")
    assert silences.look(NOW) == "silent: S01-C1; back: door-1"
    shops.stores.add_device(SYSTEM, "S01", "door-2")
    assert silences.look(NOW) == "back: S01-C1"
    shops.now += timedelta(minutes=11)
    assert silences.look(NOW) == "silent: door-2"
    shops.stores.revoke_device(SYSTEM, "door-2")
    shops.stores.remove_camera(SYSTEM, "S01-C1", shops.now - timedelta(minutes=1))
    assert silences.look(NOW) == "back: door-2"


def test_everybody_sees_those_of_their_stores(shops: Chain, silences: Silences) -> None:
    shops.store("S02")
    silences.look(NOW)
    manager = Scope(user_id="u", role="manager", stores=frozenset({"S02"}))
    assert {each.store_id for each in silences.silences(manager)} == {"S02"}
    with pytest.raises(Forbidden):
        silences.silences(manager, "S01")


# -- every night


def test_roll_ups_are_held_against_raw_rows(shops: Chain) -> None:
    shops.store("S01")
    shops.now = shops.at("S01", "2026-11-18 12:00")
    shops.cross("S01", "2026-11-17 10:00", 5)
    reconcile = Reconcile(shops.db, shops.clock)
    assert reconcile.run(NOW) == "no differences, 2026-11-17 to 2026-11-17 UTC"
    with shops.db.transaction() as conn:
        conn.execute("UPDATE traffic_15m SET count = 6")
    with pytest.raises(RollUpsDiffer, match=r"1 roll-ups differ .*doorline db check"):
        reconcile.run(NOW)


def test_nights_on_which_nobody_worked_are_made_up_for(shops: Chain) -> None:
    shops.store("S01")
    shops.now = shops.at("S01", "2026-11-18 12:00")
    with shops.db.transaction() as conn:
        conn.execute(
            "INSERT INTO job_run (job, started_at, finished_at, outcome) VALUES ('reconcile', %(at)s, %(at)s, 'done')",
            {"at": shops.now - timedelta(days=3)},
        )
    assert Reconcile(shops.db, shops.clock).run(NOW) == "no differences, 2026-11-15 to 2026-11-17 UTC"
    shops.now += timedelta(days=90)
    assert Reconcile(shops.db, shops.clock).run(NOW) == "no differences, 2027-02-09 to 2027-02-15 UTC"


# -- seen


def test_runs_and_silences_over_the_api(chain: Services, sign_in: Callable[[str], TestClient]) -> None:
    chain.stores.add_device(SYSTEM, "S02", "door-2")
    with chain.db.transaction() as conn:
        conn.execute("UPDATE device SET created_at = created_at - interval '1 hour'")
    jobs = standard_jobs(chain.settings, chain.db, chain.stores, chain.kpi, chain.access)
    assert JobsProcess(chain.db, jobs).run_once(NOW)
    hq = sign_in("hq")
    runs = hq.get("/api/v1/jobs/runs").json()
    assert {run["job"] for run in runs} == {job.name for job in jobs}
    assert {run["outcome"] for run in runs} <= {"done", "idle"}
    (silence,) = hq.get("/api/v1/silences").json()
    assert (silence["store_id"], silence["device_id"], silence["state"]) == ("S02", "door-2", "silent")
    manager = sign_in("manager")
    assert manager.get("/api/v1/silences").json() == []
    assert manager.get("/api/v1/silences", params={"store": "S02"}).status_code == 403
    assert manager.get("/api/v1/jobs/runs").status_code == 403
