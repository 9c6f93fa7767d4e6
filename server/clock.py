"""The time as something passed in: who needs the time now takes a `Clock`, so that a test decides what time it is."""

from collections.abc import Callable
from datetime import UTC, datetime

#: Answers with the time now, aware, in UTC.
Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The time now, aware, in UTC."""
    return datetime.now(UTC)
