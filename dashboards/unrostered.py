"""Days on which staff should be taken off the count and are not, because nobody entered who was on the floor.

Where a staff rate holds, the same forty entries are thirty-two visitors on a day with a roster and forty on one
without: a difference that is nobody's but the roster's, and that has to be said beside the number.
"""

from collections.abc import Sequence
from datetime import date
from typing import Any

from server.access.models import Scope
from server.kpi.corrections.in_force import in_force


def unrostered(services: Any, scope: Scope, store_id: str, days: Sequence[date]) -> list[date]:
    """Of some days of a store those with a staff rate above nought and no roster.

    Rosters are asked for only where a rate holds on any of the days.

    Raises:
        Forbidden: when the store isn't the caller's.
    """
    calendar = services.stores.calendar(scope, store_id)
    made = services.corrections.corrections(scope, store_id)
    rated = [day for day in days if in_force(made, store_id, day, calendar.bounds(day)).staff_rate]
    if not rated:
        return []
    held = services.corrections.rosters(scope, store_id, rated)
    return [day for day in rated if held[day] is None and calendar.open_spans(day)]
