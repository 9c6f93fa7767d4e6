"""What nobody needs any more goes by itself: members who never came back, old notes, numbers of before, idle pages.

Data is kept for as long as it is needed and no longer (PIPL 19, GDPR 5). Headquarters sets for how many days; without a
rule a thing is kept until somebody asks. A member who was silent for that long is erased like one who asked to be, with
a receipt each, unless something is in the way, such as money on a card: that one is passed over and counted. Each
member, and each batch of the rest, is a transaction of its own, so a night that is cut short has lost nothing.
"""

from dataclasses import dataclass
from datetime import timedelta
from threading import Event
from typing import Final, get_args
from uuid import UUID

import structlog

from server.access import audit
from server.access.models import Scope
from server.clock import Clock, utc_now
from server.errors import Conflict, InvalidInput
from server.membership import retention_repository as repository
from server.membership.codes import OneTimeCodes
from server.membership.erasing import Erasures
from server.membership.reading import HEADQUARTERS
from server.membership.retention_repository import Rule, RuleName
from server.storage.pool import Database

_log = structlog.get_logger(__name__)
LEAST: Final = 30
MOST: Final = 20_000
_BATCH: Final = 500
_FIRST: Final = UUID(int=0)
_REASON: Final = "not seen for {days} days"


@dataclass(frozen=True, slots=True)
class Preview:
    """What a rule would do: `members` who were not seen for so many days."""

    days: int
    members: int


class MemberRetention:
    """Keeps the rules and carries them out."""

    def __init__(self, db: Database, erasures: Erasures, codes: OneTimeCodes, clock: Clock = utc_now) -> None:
        self._db = db
        self._erasures = erasures
        self._codes = codes
        self._clock = clock

    def rules(self, scope: Scope) -> list[Rule]:
        """Every rule there is."""
        scope.require_role(*HEADQUARTERS)
        with self._db.read() as conn:
            return repository.rules(conn)

    def set_rule(self, scope: Scope, rule: RuleName, days: int | None) -> list[Rule]:
        """Keep something for so many days, or (None) until somebody asks. For headquarters.

        Raises:
            InvalidInput: an unknown rule, or days out of bounds.
        """
        scope.require_role(*HEADQUARTERS)
        scope.require_whole_chain()
        if rule not in get_args(RuleName):
            raise InvalidInput(
                f"there is no rule {rule!r}", field="rule", remedy=f"use one of {', '.join(get_args(RuleName))}"
            )
        if days is not None and not LEAST <= days <= MOST:
            raise InvalidInput(f"{days} days can't be", field="days", remedy=f"use {LEAST} to {MOST}")
        now = self._clock()
        with self._db.transaction() as conn:
            repository.save(conn, rule, days, scope.actor, now)
            audit.record(conn, now, scope.actor, "member.set_rule", subject=rule, detail={"days": days})
            return repository.rules(conn)

    def preview(self, scope: Scope, days: int) -> Preview:
        """How many members a rule for the silent would erase today, before it is set."""
        scope.require_role(*HEADQUARTERS)
        if not LEAST <= days <= MOST:
            raise InvalidInput(f"{days} days can't be", field="days", remedy=f"use {LEAST} to {MOST}")
        with self._db.read() as conn:
            return Preview(days, repository.count_silent(conn, scope, self._clock() - timedelta(days=days)))

    def run(self, stop: Event) -> str | None:
        """Carry the rules out until done or told to stop; what was done, None if nothing. For the jobs process."""
        codes = self._codes.purge()
        with self._db.read() as conn:
            rules = repository.rules(conn)
        done = [f"{codes} codes"] if codes else []
        for rule in rules:
            if rule.rule == "inactive":
                erased, passed = self._erase_silent(rule.days, stop)
                done += [f"{erased} members erased"] if erased else []
                done += [f"{passed} silent members can't be erased yet"] if passed else []
            elif deleted := self._delete(rule, stop):
                done.append(f"{deleted} {rule.rule} deleted")
        return ", ".join(done) or None

    def _delete(self, rule: Rule, stop: Event) -> int:
        before = self._clock() - timedelta(days=rule.days)
        deleted, gone = 0, _BATCH
        while gone == _BATCH and not stop.is_set():
            with self._db.transaction() as conn:
                gone = repository.delete_older(conn, rule.rule, before, _BATCH)
            deleted += gone
        return deleted

    def _erase_silent(self, days: int, stop: Event) -> tuple[int, int]:
        """How many were erased, and how many something was in the way of."""
        scope = Scope.system("retention")
        before = self._clock() - timedelta(days=days)
        erased, passed, after = 0, 0, _FIRST
        while not stop.is_set():
            with self._db.read() as conn:
                members = repository.silent(conn, scope, before, after, _BATCH)
            if not members:
                break
            for member in members:
                if stop.is_set():
                    break
                after = member.member_id
                try:
                    with self._db.transaction() as conn:
                        self._erasures.erase_within(
                            conn, scope, member.member_id, member.home_store, _REASON.format(days=days)
                        )
                    erased += 1
                except Conflict as hold:
                    _log.info("a silent member is kept", member=str(member.member_id), reason=hold.message)
                    passed += 1
        return erased, passed
