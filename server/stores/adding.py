"""A new store within a transaction: alone, or as one of two hundred out of a spreadsheet that are added together."""

from datetime import datetime

from server.access import audit
from server.access.models import Scope
from server.errors import Conflict
from server.storage.pool import Connection
from server.stores import checks, label_repository, repository
from server.stores.calendar import DayRule, StoreCalendar, WeeklyHours
from server.stores.label_repository import Label
from server.stores.models import EVER, NewStore


def check(new: NewStore) -> DayRule:
    """What a new store says of itself, and the first rule of its calendar.

    Raises:
        InvalidInput: naming the field.
    """
    checks.check_store(new)
    rule = DayRule(EVER, new.timezone, new.day_starts)
    StoreCalendar([rule], [WeeklyHours(EVER, checks.checked_spans(new.hours))])
    return rule


def insert(conn: Connection, scope: Scope, new: NewStore, now: datetime) -> None:
    """Add a checked store with the first version of its calendar, its opening hours and its labels.

    Raises:
        InvalidInput: as `check`.
        Conflict: the id is taken.
    """
    rule = check(new)
    if not repository.insert_store(conn, new, now):
        raise Conflict(f"there is a store {new.store_id!r} already", field="store_id", remedy="choose another id")
    repository.put_rule(conn, new.store_id, rule)
    repository.replace_hours(conn, scope, new.store_id, EVER, new.hours)
    if new.format or new.tags or new.region:
        label = Label(new.store_id, EVER, new.format, new.tags, new.region)
        label_repository.put(conn, label, scope.actor, now)
    audit.record(conn, now, scope.actor, "store.add", subject=new.store_id, store_id=new.store_id)
