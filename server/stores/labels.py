"""How stores are sorted: their region, format and tags, each from a business day on.

A report chooses stores by them, and adds them up by region. A store that was an outlet until June and is a flagship
since counts as an outlet in last year's report, whenever that is asked for. So what is chosen is store-days, and a
change names its first day.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date

from server.access import audit
from server.access.models import Scope
from server.clock import Clock, utc_now
from server.errors import NotFound
from server.storage.pool import Connection, Database
from server.stores import checks, label_repository
from server.stores.calendar import ONE_DAY
from server.stores.label_repository import Label

StoreDay = tuple[str, date]


class LabelsService:
    """Regions, formats and tags of stores."""

    def __init__(self, db: Database, clock: Clock = utc_now) -> None:
        self._db = db
        self._clock = clock

    def set_labels(
        self,
        scope: Scope,
        store_id: str,
        valid_from: date,
        *,
        store_format: str | None = None,
        tags: Sequence[str] | None = None,
        region: str | None = None,
    ) -> Label:
        """Set a store's region, format or tags from a business day on; what is None stays as it was that day.

        Reports over days before it do not move. A version that begins on a later day stays, whole.

        Raises:
            Forbidden: unless admin or HQ asks.
            NotFound: no such store.
            InvalidInput: naming the field.
        """
        scope.require_role("admin", "hq")
        scope.require(store_id)
        checks.check_day(valid_from, "valid_from")
        checks.check_labels(store_format or "", tags or (), region or "")
        now = self._clock()
        with self._db.transaction() as conn:
            if not label_repository.lock_store(conn, scope, store_id):
                raise NotFound(f"there is no store {store_id!r}", field="store_id", remedy="add it, or check the id")
            held = label_repository.labels(conn, scope, [store_id])
            stood = in_force(held, valid_from) or Label(store_id, valid_from, "", [])
            new = Label(
                store_id,
                valid_from,
                stood.format if store_format is None else store_format.strip(),
                stood.tags if tags is None else sorted(set(tags)),
                stood.region if region is None else region.strip(),
            )
            label_repository.put(conn, new, scope.actor, now)
            said = {
                "valid_from": str(valid_from),
                "region": new.region,
                "format": new.format,
                "tags": ",".join(new.tags),
            }
            audit.record(conn, now, scope.actor, "store.labels", subject=store_id, store_id=store_id, detail=dict(said))
        return new

    def labels(self, scope: Scope, store_id: str) -> list[Label]:
        """A store's regions, formats and tags, by the day from which they hold.

        Raises:
            Forbidden: when it isn't the caller's.
        """
        scope.require(store_id)
        with self._db.read() as conn:
            return label_repository.labels(conn, scope, [store_id])


def in_force(labels: Sequence[Label], day: date) -> Label | None:
    """What is in force on a day, of one store's versions in order; None: nobody ever said."""
    return next((label for label in reversed(labels) if label.valid_from <= day), None)


def regions_of(conn: Connection, scope: Scope, store_ids: Sequence[str] | None) -> dict[str, list[tuple[date, str]]]:
    """By store, its regions in order of the day from which each holds; a store that never was in one is not there."""
    found: dict[str, list[tuple[date, str]]] = defaultdict(list)
    for label in label_repository.labels(conn, scope, store_ids):
        found[label.store_id].append((label.valid_from, label.region))
    return found


def region_on(regions: Sequence[tuple[date, str]], day: date) -> str:
    """The region in force on a day, of one store's in order; '' without any."""
    return next((region for valid_from, region in reversed(regions) if valid_from <= day), "")


def chosen_days(
    conn: Connection,
    scope: Scope,
    store_ids: Sequence[str],
    periods: Iterable[tuple[date, date]],
    *,
    regions: Sequence[str] | None,
    formats: Sequence[str] | None,
    tags: Sequence[str],
) -> tuple[set[str], set[StoreDay]]:
    """Which stores a filter chooses on some day of the periods, and on which of their days it does not.

    Args:
        periods: first and last days, the last included.
        regions: one of them, '' is none; `formats` likewise; None asks for none.
        tags: a store must have all.
    """
    by_store: dict[str, list[Label]] = defaultdict(list)
    for label in label_repository.labels(conn, scope, store_ids):
        by_store[label.store_id].append(label)
    days = sorted({first + n * ONE_DAY for first, last in periods for n in range((last - first).days + 1)})
    kept: set[str] = set()
    left_out: set[StoreDay] = set()
    for store_id in store_ids:
        own = by_store[store_id]
        without = {day for day in days if not _fits(in_force(own, day), regions, formats, tags)}
        if len(without) < len(days):
            kept.add(store_id)
            left_out |= {(store_id, day) for day in without}
    return kept, left_out


def _fits(
    label: Label | None, regions: Sequence[str] | None, formats: Sequence[str] | None, tags: Sequence[str]
) -> bool:
    if regions is not None and (label.region if label else "") not in regions:
        return False
    if formats is not None and (label.format if label else "") not in formats:
        return False
    return set(tags) <= set(label.tags if label else ())
