"""A box with all that is its own against the real ingest on a real database: nothing lost, nothing twice.

The machine, with what it does and what must be true, is the box's own (`tests/edge/outbox/shop.py`); here the centre is
real, asked by two workers at once at times, losing commits, and set back to what it held before.
"""

import threading
from collections.abc import Sequence
from datetime import timedelta

import pytest
from hypothesis.stateful import run_state_machine_as_test

from server.errors import Unavailable
from server.ingest.models import Incoming
from server.ingest.service import IngestService
from server.storage.pool import Database
from tests.chaos.verdict import Found
from tests.edge.outbox.centre import Fate
from tests.edge.outbox.shop import DEVICE, STORES, Shop
from tests.fixtures.edge_time import NOON
from tests.fixtures.searching import searched
from tests.server.ingest.devices import add_stores, assert_roll_ups_equal_raw
from tests.server.ingest.test_exactly_once import LosesCommits
from wire.messages import Reply

#: All that ingest writes of what boxes send.
TABLES = (
    *("ingest_cursor", "crossing", "coverage", "tally", "dead_letter", "lost_range"),
    *("traffic_15m", "coverage_15m", "dirty_mark"),
)
#: Long after everything that happens in the shop.
NOW = NOON + timedelta(days=30)


class Centre:
    """Two workers on one database, and a third that loses what it does just before its commit."""

    def __init__(self, db: Database, losing: LosesCommits) -> None:
        self._db = db
        self._workers = [IngestService(db, lambda: NOW) for _ in range(2)]
        self._losing = IngestService(losing, lambda: NOW)
        add_stores(db)
        with db.transaction() as connection:
            for store in STORES:
                connection.execute(
                    "INSERT INTO line (line_id, camera_id, store_id, name) VALUES (%s, %s, %s, 'undated')",
                    (f"{store}-U", f"{store}-C1", store),
                )
            connection.execute("CREATE SCHEMA saved")
            for table in TABLES:
                connection.execute(f"CREATE TABLE saved.{table} AS TABLE {table}".encode())

    def begin(self) -> None:
        self._run("DELETE FROM {0}; DELETE FROM saved.{0}")
        self.move(STORES[0])

    def take(self, payloads: Sequence[bytes], fate: Fate) -> list[Reply]:
        group = [Incoming(DEVICE, payload, NOW) for payload in payloads]
        if fate == "not committed":
            with pytest.raises(Unavailable):
                self._losing.take(group)
            return []
        if fate == "committed":
            return [answer.reply for answer in self._workers[0].take(group)]
        return self._at_once(group)

    def _at_once(self, group: list[Incoming]) -> list[Reply]:
        """The same batches to both workers, as when one copy comes over HTTPS."""
        together, replies = threading.Barrier(2), list[Reply]()

        def work(service: IngestService) -> None:
            together.wait(10)
            replies.extend(answer.reply for answer in service.take(group))

        threads = [threading.Thread(target=work, args=(service,)) for service in self._workers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert len(replies) == 2 * len(group)
        return replies

    def back_up(self) -> None:
        self._run("DELETE FROM saved.{0}; INSERT INTO saved.{0} SELECT * FROM {0}")

    def restore(self) -> None:
        self._run("DELETE FROM {0}; INSERT INTO {0} OVERRIDING SYSTEM VALUE SELECT * FROM saved.{0}")

    def move(self, store: str) -> None:
        with self._db.transaction() as connection:
            connection.execute("UPDATE device SET store_id = %s WHERE device_id = %s", (store, DEVICE))

    def books(self) -> Found:
        found = Found(self._db, DEVICE)
        assert found.strangers_only, "a dead letter that has nothing to do with another store"
        assert_roll_ups_equal_raw(self._db)
        return found

    def _run(self, each: str) -> None:
        with self._db.transaction() as connection:
            connection.execute("; ".join(each.format(table) for table in TABLES).encode())


# The pool's threads draw random numbers for their jitter, which hypothesis takes for ours.
@pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")
def test_whatever_happens_what_reached_the_disk_is_booked_once_or_said_to_be_lost(db: Database) -> None:
    with LosesCommits(db.dsn, size=1) as losing:

        class Real(Shop):
            centre = Centre(db, losing)

        run_state_machine_as_test(Real, settings=searched(25, 30))
