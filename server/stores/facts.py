"""What explains a number: promotions, events and weather of a store, of a region or of the whole chain.

They change no number, so nothing is computed anew for them; they stand beside it. The trap is the file that is read
twice: what is the same place, kind, days and title is the same fact.
"""

from collections.abc import Sequence
from datetime import date

from server.access import audit
from server.access.models import Scope
from server.clock import Clock, utc_now
from server.errors import NotFound
from server.storage.pool import Database
from server.stores import checks, repository
from server.stores.labels import regions_of
from server.stores.models import Fact, NewFact
from server.stores.service import no_store


class FactsService:
    """Facts of stores, regions and the chain."""

    def __init__(self, db: Database, clock: Clock = utc_now) -> None:
        self._db = db
        self._clock = clock

    def add(self, scope: Scope, fact: NewFact) -> Fact:
        """Note a promotion, a spell of weather or an event, for a store or (admin and HQ) a region or the chain.

        One noted before, of the same place, kind, days and title, gets the new detail.

        Raises:
            Forbidden: not theirs to note.
            NotFound: no such store or region.
            InvalidInput: naming the field.
        """
        return self.add_all(scope, [fact])[0]

    def add_all(self, scope: Scope, facts: Sequence[NewFact]) -> list[Fact]:
        """The same for many, all of them or none."""
        scope.require_role("admin", "hq", "region", "manager")
        for fact in facts:
            self.check(fact)
            if fact.store_id is not None:
                scope.require(fact.store_id)
            else:
                scope.require_role("admin", "hq")
                scope.require_whole_chain()
        now = self._clock()
        with self._db.transaction() as conn:
            stores = {store.store_id for store in repository.stores(conn, scope)}
            regions = {region for own in regions_of(conn, scope, None).values() for _, region in own}
            noted = []
            for fact in facts:
                if fact.store_id is not None and fact.store_id not in stores:
                    raise no_store(fact.store_id)
                if fact.region is not None and fact.region not in regions:
                    raise NotFound(f"no store is in region {fact.region!r}", field="region", remedy="check its name")
                noted.append(repository.put_fact(conn, fact, scope.actor, now))
            audit.record(conn, now, scope.actor, "fact.add", detail={"facts": [each.fact_id for each in noted]})
        return noted

    @staticmethod
    def check(fact: NewFact) -> None:
        """What a promotion, an event or weather must be, whoever notes it.

        Raises:
            InvalidInput: naming the field.
        """
        checks.check_fact(fact)

    def remove(self, scope: Scope, fact_id: int) -> None:
        """Take one away.

        Raises:
            Forbidden: not theirs: a store's is its manager's, too; the others are admin's and HQ's.
            NotFound: there is none.
        """
        scope.require_role("admin", "hq", "region", "manager")
        now = self._clock()
        with self._db.transaction() as conn:
            stands = repository.fact(conn, scope, fact_id)
            if stands is None:
                raise NotFound(f"there is no fact {fact_id}", field="fact_id", remedy="see the list")
            if stands.store_id is None:
                scope.require_role("admin", "hq")
                scope.require_whole_chain()
            repository.delete_fact(conn, scope, fact_id)
            audit.record(
                conn,
                now,
                scope.actor,
                "fact.remove",
                subject=str(fact_id),
                store_id=stands.store_id,
                detail={"kind": stands.kind, "title": stands.title, "from": stands.day_from.isoformat()},
            )

    def of_store(self, scope: Scope, store_id: str, day_from: date, day_to: date) -> list[Fact]:
        """What holds for a store on any of the days, its region's and the chain's own included."""
        scope.require(store_id)
        return self.of_stores(scope, day_from, day_to, [store_id])

    def of_stores(
        self, scope: Scope, day_from: date, day_to: date, store_ids: Sequence[str] | None = None
    ) -> list[Fact]:
        """What holds on any of the days for any store of the scope, or for some: each once, by day.

        Args:
            store_ids: those of them outside the scope have no part.
        """
        with self._db.read() as conn:
            return repository.facts(conn, scope, store_ids, day_from, day_to)
