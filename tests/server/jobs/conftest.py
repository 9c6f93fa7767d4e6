import pytest

from server.storage.pool import Database
from tests.server.kpi.chain import Chain


@pytest.fixture
def shops(db: Database) -> Chain:
    """No stores yet; it is 30 November 2026, midnight UTC, until the test says otherwise."""
    return Chain(db)
