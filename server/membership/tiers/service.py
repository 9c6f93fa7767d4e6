"""What people ask of tiers: where a member stands and what that gives, a tier by hand, the rules."""

from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from server.access import audit
from server.access.models import Role, Scope
from server.clock import Clock, utc_now
from server.errors import InvalidInput, NotFound
from server.membership import rulebook
from server.membership.rulebook_repository import RulesRow
from server.membership.tiers import evaluation, repository
from server.membership.tiers.models import MemberTier, SavedTierRules, TierAtTill
from server.membership.tiers.repository import Change
from server.membership.tiers.rules import Activity, TierRules, check, in_force, stored, written
from server.membership.tiers.standing import given, window_start
from server.storage.pool import Database

READERS: Final[tuple[Role, ...]] = ("desk", "manager", "region", "hq", "admin")
#: Who serves a member at a counter.
SERVERS: Final[tuple[Role, ...]] = (*READERS, "till")
GIVERS: Final[tuple[Role, ...]] = ("manager", "hq", "admin")
RULERS: Final[tuple[Role, ...]] = ("hq", "admin")


class TiersService:
    """Tiers of members, and their rules."""

    def __init__(self, db: Database, clock: Clock = utc_now) -> None:
        self._db = db
        self._clock = clock

    def tier(self, scope: Scope, member_id: UUID) -> MemberTier:
        """Where a member of one's own stores stands, what that gives, and how far the next tier is.

        Raises:
            NotFound: there is no such member in the caller's stores.
        """
        scope.require_role(*READERS)
        now = self._clock()
        with self._db.read() as conn:
            found = repository.standing(conn, scope, member_id)
            if found is None:
                raise _no_member(member_id)
            root, standing = found
            _, rules = in_force(repository.rules_versions(conn), now)
            since = window_start(rules, now)
            done = repository.activity(conn, [root], since, now, rules.all_rates()).get(root, Activity())
            history = repository.history(conn, [root])
        higher = rules.levels[rules.rank(standing.tier) + 1 :]
        ahead = next((level for level in higher if level.asks_for_something), None)
        to_go = None
        if ahead is not None:
            to_go = Activity(
                max(Decimal(0), (ahead.spend or Decimal(0)) - done.spend),
                max(0, (ahead.visits or 0) - done.visits),
                max(0, (ahead.points or 0) - done.points),
            )
        return MemberTier(
            member_id=root,
            tier=standing.tier,
            since=standing.since,
            period_end=standing.period_end,
            grace_until=standing.grace_until,
            benefits=rules.level(standing.tier).benefits,
            done=done,
            next_tier=None if ahead is None else ahead.slug,
            to_go=to_go,
            history=history,
        )

    def at_till(self, scope: Scope, member_id: UUID) -> TierAtTill:
        """What the tier of a member gives who stands at a counter, of whatever store; nothing of what they did.

        Args:
            member_id: whom a card or a whole number led to.

        Raises:
            NotFound: there is no such member.
        """
        scope.require_role(*SERVERS)
        now = self._clock()
        with self._db.read() as conn:
            standing = repository.standing_of_any(conn, member_id)
            if standing is None:
                raise _no_member(member_id)
            _, rules = in_force(repository.rules_versions(conn), now)
        level = rules.level(standing.tier)
        return TierAtTill(standing.tier, dict(level.names) if level.slug == standing.tier else {}, level.benefits)

    def give(self, scope: Scope, member_id: UUID, tier: str, reason: str, until: datetime | None = None) -> MemberTier:
        """Give a member of one's own stores a tier by hand.

        Args:
            until: how long it is kept at least (aware); a period of the rules if left out.

        Raises:
            NotFound: there is no such member in the caller's stores.
            InvalidInput: the rules in force don't know the tier, there is no reason, or the time is past.
        """
        scope.require_role(*GIVERS)
        reason = _reason(reason)
        now = self._clock()
        if until is not None and until <= now:
            raise InvalidInput("that time is past", field="until", remedy="give a time to come, or leave it out")
        with self._db.transaction() as conn:
            found = repository.standing(conn, scope, member_id)
            if found is None:
                raise _no_member(member_id)
            root, _ = found
            version, rules = in_force(repository.rules_versions(conn), now)
            if rules.levels[rules.rank(tier)].slug != tier:
                known = ", ".join(level.slug for level in rules.levels)
                raise InvalidInput(f"there is no tier {tier!r}", field="tier", remedy=f"use one of {known}")
            before = repository.hold(conn, [root])[root]
            standing = given(rules, tier, now, until)
            changes = [Change(root, before.tier, standing, "given", version, reason)] if tier != before.tier else []
            evaluation.change(conn, {root: standing}, changes, rules, version, now, scope.actor)
            audit.record(
                conn,
                now,
                scope.actor,
                "tier.given",
                subject=str(root),
                detail={
                    "from": before.tier,
                    "to": tier,
                    "until": None if standing.period_end is None else standing.period_end.isoformat(),
                },
            )
        return self.tier(scope, member_id)

    def known(self, scope: Scope) -> frozenset[str]:
        """The tiers that the rules in force have."""
        return frozenset(level.slug for level in self.rules(scope)[1].levels)

    def rules(self, scope: Scope) -> tuple[SavedTierRules, TierRules]:
        """The rules in force, and who saved them."""
        scope.require_role(*READERS)
        now = self._clock()
        with self._db.read() as conn:
            rows = repository.rules_rows(conn)
            version, rules = in_force([(row.valid_from, row.version, stored(row.body)) for row in rows], now)
        return next(_saved(row) for row in rows if row.version == version), rules

    def rules_history(self, scope: Scope) -> list[tuple[SavedTierRules, TierRules]]:
        """All versions, newest first, those to come too."""
        scope.require_role(*RULERS)
        with self._db.read() as conn:
            return [(_saved(row), stored(row.body)) for row in repository.rules_rows(conn)]

    def save_rules(
        self, scope: Scope, rules: TierRules, reason: str, valid_from: datetime | None = None
    ) -> SavedTierRules:
        """Keep a new version.

        Whoever is higher by it goes up in the night after it begins; nobody goes down before their period ends.

        Args:
            valid_from: aware; now if left out, and never in the past.

        Raises:
            Forbidden: unless HQ or an admin asks, for the whole chain.
            InvalidInput: for a rule that can't be, or a time in the past.
            Conflict: somebody else saved one at this moment.
        """
        scope.require_role(*RULERS)
        scope.require_whole_chain()
        check(rules)
        reason = _reason(reason)
        row = rulebook.save(self._db, scope, "tier_rules", written(rules), reason, self._clock(), valid_from)
        return _saved(row)


def _reason(reason: str) -> str:
    reason = reason.strip()
    if not 1 <= len(reason) <= 500:
        raise InvalidInput("a reason is needed, in 500 characters at the most", field="reason", remedy="say why")
    return reason


def _no_member(member_id: UUID) -> NotFound:
    return NotFound(
        f"there is no member {member_id} in your stores",
        field="member_id",
        remedy="search by the whole phone number or the card",
    )


def _saved(row: RulesRow) -> SavedTierRules:
    return SavedTierRules(row.version, row.valid_from, row.made_by, row.made_at, row.reason)
