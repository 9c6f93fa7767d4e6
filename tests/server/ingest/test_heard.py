"""What a box says of itself: its clock, and its latest status."""

import json
from datetime import timedelta
from pathlib import Path

from server.ingest.booking import PAST
from server.ingest.models import Incoming
from server.ingest.service import IngestService
from server.storage.pool import Database
from tests.server.ingest.devices import (
    NOW,
    Sender,
    crossing,
    rows,
    scalar,
    tell,
)

ROOT = Path(__file__).resolve().parents[3]


def test_the_skew_of_a_devices_clock_is_recorded(db: Database, service: IngestService) -> None:
    batch = Sender().batch([crossing(1)])
    tell(service, Incoming("door-1", batch.payload, NOW - timedelta(seconds=90)))
    assert scalar(db, "SELECT skew_ms FROM device WHERE device_id = 'door-1'") == 90_000


def test_a_status_is_kept_unless_a_later_one_is_known(db: Database, service: IngestService) -> None:
    def word(pending: int) -> bytes:
        at = NOW.isoformat()
        said = {"v": 1, "device": "door-1", "online": True, "pending": pending, "problem": "a\0b", "at": at}
        return json.dumps(said).encode()

    service.note_status("door-1", word(5), NOW + timedelta(seconds=5))
    service.note_status("door-1", word(3), NOW + timedelta(seconds=3))
    service.note_status("door-1", word(9), NOW + timedelta(seconds=90), retained=True)
    service.note_status("door-2", word(1), NOW)
    assert rows(db, "SELECT status->'pending', status_at FROM device WHERE status IS NOT NULL") == [
        (5, NOW + timedelta(seconds=5))
    ]


def test_a_retained_status_from_before_our_time_is_dated_within_it(db: Database, service: IngestService) -> None:
    """A year that no page could show again would take the store's page down with it."""
    said = {"v": 1, "device": "door-1", "online": True, "at": "0001-01-01T00:00:00+14:00"}
    service.note_status("door-1", json.dumps(said).encode(), NOW, retained=True)
    assert rows(db, "SELECT status_at FROM device WHERE status IS NOT NULL") == [(PAST,)]
