"""What members are worth: asked for by HQ and the desk, made anew every night.

The trap is a number that everybody believes and nobody can take apart. So a value is told with what it is made of: the
margin that is known, the sales whose margin isn't, what serving cost, and under which version of the grading.
"""

from collections.abc import Sequence
from contextlib import closing
from datetime import date, timedelta
from decimal import Decimal
from threading import Event
from typing import Final, get_args
from uuid import UUID

import structlog
from msgspec.structs import replace

from server.access import audit
from server.access.models import Role, Scope
from server.clock import Clock, utc_now
from server.errors import InvalidInput, NotFound
from server.membership.value import night_repository, repository, trial_repository
from server.membership.value.models import (
    Band,
    Grading,
    GradingTrial,
    MemberCost,
    MemberValue,
    Occasion,
    SavedGrading,
    ServingCost,
    Stage,
    StageCount,
    Standing,
)
from server.storage.pool import Database, connect

_HEADQUARTERS: Final[tuple[Role, ...]] = ("admin", "hq")
_READERS: Final[tuple[Role, ...]] = ("admin", "hq", "region", "manager", "desk")
_MOST_COSTS: Final = 1_000
_MOST_DAYS: Final = 1_100
_LARGEST: Final = Decimal(1_000_000)
_log = structlog.get_logger(__name__)


class ValueService:
    """Customer value.

    Args:
        reporting: the chain's currency.
    """

    def __init__(self, db: Database, reporting: str, clock: Clock = utc_now) -> None:
        self._db = db
        self.reporting: Final = reporting
        self._clock = clock

    def grading(self, scope: Scope) -> SavedGrading | None:
        """The version in force; None before the first night, when the defaults are.

        Raises:
            Forbidden: unless HQ asks.
        """
        return next(iter(self.gradings(scope, 1)), None)

    def gradings(self, scope: Scope, limit: int = 50) -> list[SavedGrading]:
        """Versions, the one in force first."""
        scope.require_role(*_HEADQUARTERS)
        with self._db.read() as conn:
            return repository.gradings(conn, limit)

    def save_grading(self, scope: Scope, rules: Grading, reason: str) -> SavedGrading:
        """Change how members are graded, from the next night on.

        Raises:
            Forbidden: unless HQ asks.
            InvalidInput: cuts out of order, or no reason.
        """
        scope.require_role(*_HEADQUARTERS)
        scope.require_whole_chain()
        rules.check()
        if not reason.strip():
            raise InvalidInput("why?", field="reason", remedy="say why grades change; it is kept with the version")
        now = self._clock()
        with self._db.transaction() as conn:
            saved = repository.save_grading(conn, rules, scope.actor, now, reason.strip())
            audit.record(
                conn, now, scope.actor, "value.grading", subject=str(saved.version), detail={"reason": saved.reason}
            )
        return saved

    def serving_costs(self, scope: Scope) -> list[ServingCost]:
        """What occasions cost, and cost before."""
        scope.require_role(*_HEADQUARTERS)
        with self._db.read() as conn:
            return repository.serving_costs(conn)

    def put_serving_costs(self, scope: Scope, costs: Sequence[ServingCost]) -> None:
        """Enter what occasions cost, each from a day on.

        Raises:
            Forbidden: unless HQ asks.
            InvalidInput: an amount that is none, or an occasion that is unknown.
        """
        scope.require_role(*_HEADQUARTERS)
        scope.require_whole_chain()
        for place, cost in enumerate(costs):
            if cost.occasion not in get_args(Occasion):
                raise InvalidInput(
                    f"{cost.occasion!r} is no occasion",
                    field=f"costs[{place}].occasion",
                    remedy=f"one of {', '.join(get_args(Occasion))}",
                )
            if not cost.amount.is_finite() or not 0 <= cost.amount <= _LARGEST:
                raise InvalidInput(f"{cost.amount} is no cost", field=f"costs[{place}].amount", remedy="send 0 or more")
        now = self._clock()
        with self._db.transaction() as conn:
            repository.put_serving_costs(conn, costs, scope.actor, now)
            audit.record(
                conn,
                now,
                scope.actor,
                "value.serving_costs",
                detail={"costs": [f"{cost.occasion} {cost.amount} from {cost.valid_from}" for cost in costs]},
            )

    def put_member_costs(self, scope: Scope, costs: Sequence[MemberCost]) -> int:
        """Enter what was spent on single members; an id that is known already changes nothing. How many are new.

        Raises:
            Forbidden: unless HQ, a region or a manager asks.
            InvalidInput: by field, of the first that is wrong; nothing is kept then.
        """
        scope.require_role(*_HEADQUARTERS, "region", "manager")
        if len(costs) > _MOST_COSTS:
            raise InvalidInput("too many at once", field="costs", remedy=f"send up to {_MOST_COSTS} at a time")
        today = self._clock().date()
        with self._db.transaction() as conn:
            known = repository.known_members(conn, scope, [cost.member_id for cost in costs])
            for place, cost in enumerate(costs):
                _check(place, cost, known, today)
            kept = repository.put_member_costs(conn, scope, costs, self._clock())
            audit.record(conn, self._clock(), scope.actor, "value.member_costs", detail={"entries": kept})
        return kept

    def value(self, scope: Scope, member_id: UUID) -> MemberValue:
        """What a member of the caller's stores was worth last night.

        Raises:
            NotFound: there is no such member of theirs, or no night has passed since they enrolled.
        """
        scope.require_role(*_READERS)
        with self._db.read() as conn:
            found = repository.value(conn, scope, member_id)
        if found is None:
            raise NotFound(
                f"nothing is known of the value of {member_id}",
                field="member_id",
                remedy="values are made every night; ask tomorrow for a member who enrolled today",
            )
        return found

    def values(
        self,
        scope: Scope,
        *,
        stage: Stage | None = None,
        grades: str | None = None,
        high: bool | None = None,
        band: Band | None = None,
        store_id: str | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> list[MemberValue]:
        """Members of the caller's stores, the most valuable first; of the bottom the least valuable.

        Args:
            band: of the chain's buyers, the top 20% or the bottom 30% by value.
            grades: three digits of R, F and M, `-` for any: ``5-1``.

        Raises:
            InvalidInput: grades that are none.
        """
        scope.require_role(*_HEADQUARTERS, "region", "manager")
        if store_id is not None:
            scope.require(store_id)
        if grades is not None and not (len(grades) == 3 and set(grades) <= set("12345-")):
            raise InvalidInput(f"{grades!r} are no grades", field="grades", remedy="send R, F and M, such as 5-1")
        with self._db.read() as conn:
            return repository.values(
                conn,
                scope,
                stage=stage,
                grades=None if grades is None else grades.replace("-", "_"),
                high=high,
                band=band,
                store_id=store_id,
                limit=limit,
                offset=offset,
            )

    def standings(self, scope: Scope, day_from: date, day_to: date) -> list[Standing]:
        """How the chain stood, night by night: the trend of its members of high value.

        Raises:
            Forbidden: unless someone asks who sees the whole chain.
            InvalidInput: days in the wrong order, or too many.
        """
        scope.require_role(*_HEADQUARTERS)
        if not 0 <= (day_to - day_from).days <= _MOST_DAYS:
            raise InvalidInput("the days are in the wrong order, or too many", field="to", remedy="ask for three years")
        with self._db.read() as conn:
            return repository.standings(conn, scope, day_from, day_to)

    def grid(self, scope: Scope, store_id: str | None = None) -> list[tuple[int, int, int, Decimal]]:
        """Grade of recency, grade of frequency, members, value: the map that shows where members are."""
        scope.require_role(*_HEADQUARTERS, "region", "manager")
        if store_id is not None:
            scope.require(store_id)
        with self._db.read() as conn:
            return repository.grid(conn, scope, store_id)

    def stages(self, scope: Scope, store_id: str | None = None) -> list[StageCount]:
        """How many members of the caller's stores, or of one of them, are in which stage of life."""
        scope.require_role(*_HEADQUARTERS, "region", "manager")
        if store_id is not None:
            scope.require(store_id)
        with self._db.read() as conn:
            return trial_repository.stages(conn, scope, store_id)

    def try_grading(self, scope: Scope, rules: Grading) -> GradingTrial:
        """What other cuts would do to those who bought, by last night's figures; nothing is saved.

        Raises:
            Forbidden: unless HQ asks.
            InvalidInput: cuts out of order.
        """
        scope.require_role(*_HEADQUARTERS)
        rules.check()
        with self._db.read() as conn:
            return trial_repository.trial(conn, scope, rules)

    def make(self, scope: Scope, day: date | None = None) -> Standing:
        """Make everybody's value anew, with receipts up to a day; left out, the latest that is over in every store.

        A night in UTC is long after the day's end in the east of Asia: there it is today's date in UTC that is over.

        Raises:
            Forbidden: unless HQ or a job asks.
        """
        scope.require_role(*_HEADQUARTERS)
        now = self._clock()
        # A night's work takes minutes at a million members: no statement of it is cut off.
        with closing(connect(self._db.dsn, statement_seconds=0)) as conn, conn.transaction():
            saved = next(iter(repository.gradings(conn, 1)), None) or repository.save_grading(
                conn, Grading(), scope.actor, now, "the defaults"
            )
            upto = day or night_repository.latest_over(conn, scope, now) or (now - timedelta(days=1)).date()
            high_from = night_repository.compute(conn, scope, saved.rules, saved.version, self.reporting, upto, now)
            if saved.rules.high_from is None and high_from is not None:
                # From the first night on it is an amount, or the share of high value could never change.
                repository.save_grading(
                    conn, replace(saved.rules, high_from=high_from), scope.actor, now, "high value of the first night"
                )
            standing = repository.standings(conn, scope, upto, upto)[0]
        if standing.left_out:
            _log.warning(
                "receipts without an exchange rate are in nobody's value",
                receipts=standing.left_out,
                remedy="enter rates: doorline sales rates",
            )
        return standing


class ValueNight:
    """The job that makes values every night."""

    def __init__(self, values: ValueService) -> None:
        self._values = values

    def run(self, _stop: Event) -> str | None:
        """One night's work; what came of it."""
        made = self._values.make(Scope.system("jobs"))
        return f"{made.members} members as of {made.day}: {made.buyers} bought, {made.high} of high value"


def _check(place: int, cost: MemberCost, known: set[UUID], today: date) -> None:
    where = f"costs[{place}]"
    if cost.member_id not in known:
        raise InvalidInput(f"there is no member {cost.member_id} in your stores", field=f"{where}.member_id")
    if not cost.amount.is_finite() or cost.amount == 0 or abs(cost.amount) > _LARGEST:
        raise InvalidInput(f"{cost.amount} is no cost", field=f"{where}.amount", remedy="send any amount but 0")
    if cost.amount != cost.amount.quantize(Decimal("0.01")):
        raise InvalidInput(f"{cost.amount} has parts of a cent", field=f"{where}.amount", remedy="round it")
    if not cost.what.strip() or len(cost.what) > 200:
        raise InvalidInput("what was it spent on?", field=f"{where}.what", remedy="say it in up to 200 characters")
    if cost.day > today:
        raise InvalidInput(f"{cost.day} is in the future", field=f"{where}.day")
