"""Ingest over an empty database with the tests' stores in it."""

import pytest

from server.ingest.service import IngestService
from server.storage.pool import Database
from tests.server.ingest.devices import NOW, add_stores


@pytest.fixture
def service(db: Database) -> IngestService:
    add_stores(db)
    return IngestService(db, lambda: NOW)
