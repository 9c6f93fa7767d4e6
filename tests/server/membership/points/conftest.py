"""A database with stores and rules, and a till that tells of receipts."""

import pytest

from server.storage.pool import Database
from tests.server.conftest import TurnedClock
from tests.server.membership.points.counter import CNY, Till, add_stores, rule


@pytest.fixture
def till(db: Database, clock: TurnedClock) -> Till:
    """A till of S01, where one yuan earns one point."""
    add_stores(db)
    rule(db, clock, CNY)
    return Till(db, clock)
