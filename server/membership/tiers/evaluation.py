"""Members go up as soon as what they bought is posted, and down when their period ends.

What somebody spent is read from what points remember of receipts, so tiers follow points: their postings are events,
and those are the ones taken here. The nightly run finds the others: whose period is over, and who is higher under
rules that were saved since.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from threading import Event as Flag
from typing import Final
from uuid import UUID

from server import events
from server.clock import Clock, utc_now
from server.events import Event, NewEvent
from server.membership.points.earning import Standing as Earning
from server.membership.tiers import repository
from server.membership.tiers.repository import Change
from server.membership.tiers.rules import Activity, TierRules, in_force
from server.membership.tiers.standing import Standing, Why, decide, window_start
from server.storage.pool import Connection, Database

CONSUMER: Final = "tiers"
KINDS: Final = ("points.posted", "member.merged", "member.unmerged")
ACTOR: Final = "rules"
#: Members looked at in one transaction.
BATCH: Final = 2_000


def post(db: Database, clock: Clock = utc_now, limit: int = 50) -> int:
    """Take the next events and move whoever earned it; how many events there were.

    Raises:
        Unavailable: the database is away; nothing was taken.
    """
    with db.transaction() as conn:
        taken = events.take(conn, CONSUMER, KINDS, limit)
        now = clock()
        members = {UUID(member) for event in taken for member in event.body.get("members", ())}
        for event in taken:
            if event.kind == "member.merged":
                _inherit(conn, event, now)
                members.add(UUID(event.body["kept"]))
            elif event.kind == "member.unmerged":
                # What each bought is looked at when points have parted it, too, and tell so.
                _part(conn, event, now)
        if members:
            evaluate(conn, members, now)
    return len(taken)


def evaluate(conn: Connection, members: Iterable[UUID], now: datetime) -> int:
    """Let members stand where they belong by now; how many went up or down."""
    version, rules = in_force(repository.rules_versions(conn), now)
    held = repository.hold(conn, members)
    done = repository.activity(conn, list(held), window_start(rules, now), now, rules.all_rates())
    after = {member: decide(before, done.get(member, Activity()), rules, now) for member, before in held.items()}
    moved = {member: standing for member, standing in after.items() if standing != held[member]}
    if not moved:
        return 0
    changes = [
        Change(member, held[member].tier, standing, _why(held[member], standing, rules), version)
        for member, standing in sorted(moved.items())
        if standing.tier != held[member].tier
    ]
    change(conn, moved, changes, rules, version, now, ACTOR)
    return len(changes)


def change(
    conn: Connection,
    standings: dict[UUID, Standing],
    changes: Sequence[Change],
    rules: TierRules,
    version: int,
    now: datetime,
    actor: str,
) -> None:
    """Write where members stand, what changed, and tell of it: from where, to where, why, and whether that is up."""
    repository.keep(conn, standings, version)
    if changes:
        repository.insert_changes(conn, changes, now, actor)
        events.record_all(
            conn,
            [
                NewEvent(
                    "tier.changed",
                    None,
                    str(each.member_id),
                    {
                        "from": each.from_tier,
                        "to": each.standing.tier,
                        "why": each.why,
                        "is_up": rules.rank(each.standing.tier) > rules.rank(each.from_tier),
                    },
                )
                for each in changes
            ],
        )


def _why(before: Standing, after: Standing, rules: TierRules) -> Why:
    return "earned" if rules.rank(after.tier) > rules.rank(before.tier) else "period"


def _inherit(conn: Connection, event: Event, now: datetime) -> None:
    """Who is kept in a merge keeps the higher tier of the two."""
    version, rules = in_force(repository.rules_versions(conn), now)
    kept = UUID(event.body["kept"])
    gone = repository.standing_of_any(conn, UUID(event.body["gone"]))
    held = repository.hold(conn, [kept]).get(kept)
    if held is None or gone is None or rules.rank(gone.tier) <= rules.rank(held.tier):
        return
    changes = [Change(kept, held.tier, gone, "merged", version, before=held)]
    change(conn, {kept: gone}, changes, rules, version, now, ACTOR)


def _part(conn: Connection, event: Event, now: datetime) -> None:
    """Who has another's tier since a merge stands where they stood, once it is undone, if nothing came since.

    Whoever is merged into them still may have a higher one, which they keep.
    """
    version, rules = in_force(repository.rules_versions(conn), now)
    kept = UUID(event.body["kept"])
    held = repository.hold(conn, [kept]).get(kept)
    back = repository.before_merge(conn, kept)
    if held is None or back is None:
        return
    family = [repository.standing_of_any(conn, member) for member in repository.merged_into(conn, kept)]
    back = max((back, *(each for each in family if each is not None)), key=lambda each: rules.rank(each.tier))
    if back.tier != held.tier:
        change(conn, {kept: back}, [Change(kept, held.tier, back, "parted", version)], rules, version, now, ACTOR)


def standings(conn: Connection, wanted: Sequence[tuple[UUID, datetime]]) -> Sequence[Earning]:
    """Tier and multiplier of members at moments, for points; see `points.posting.Standings`."""
    if not wanted:
        return []
    versions = repository.rules_versions(conn)
    tiers = repository.tiers_at(conn, wanted)
    return [Earning(tier, _multiplier(versions, tier, at)) for tier, (_, at) in zip(tiers, wanted, strict=True)]


def _multiplier(versions: Sequence[tuple[datetime, int, TierRules]], tier: str, at: datetime) -> Decimal:
    return in_force(versions, at)[1].level(tier).benefits.multiplier


class TierRun:
    """What the jobs do: follow postings all day, and look at everybody who is due at night."""

    def __init__(self, db: Database, clock: Clock = utc_now, batch: int = BATCH) -> None:
        self._db = db
        self._clock = clock
        self._batch = batch

    def follow(self, stop: Flag) -> str | None:
        """Move whoever earned it until nothing is left or told to stop; what was done, None if nothing."""
        taken = 0
        while not stop.is_set() and (some := post(self._db, self._clock)):
            taken += some
        return f"{taken} events followed" if taken else None

    def run(self, stop: Flag) -> str | None:
        """Look at whoever is due, and at whoever is higher under today's rules; what was done, None if nothing."""
        now = self._clock()
        moved = looked = 0
        after: UUID | None = None
        while not stop.is_set():
            with self._db.transaction() as conn:
                due = repository.due(conn, now, self._batch, after)
                moved += evaluate(conn, due, now)
            looked += len(due)
            if len(due) < self._batch:
                break
            after = due[-1]
        for part in repository.slices():
            if stop.is_set():
                break
            with self._db.read() as conn:
                _, rules = in_force(repository.rules_versions(conn), now)
                risen = repository.risen(conn, rules, window_start(rules, now), now, part)
            for start in range(0, len(risen), self._batch):
                with self._db.transaction() as conn:
                    moved += evaluate(conn, risen[start : start + self._batch], now)
        return f"{looked} were due, {moved} went up or down" if moved else None
