"""What the chain owes in points, and the proof that balances, ledger and lots say the same.

A balance is kept beside the ledger so that no desk waits for a sum over years; what is kept beside has to be proved,
and `check` does, from the ledger's first entry on. It repairs nothing: a difference is a fault of ours to be
understood first.
"""

from datetime import datetime
from decimal import Decimal
from typing import Final

from server.access.models import Scope
from server.clock import Clock, utc_now
from server.errors import InvalidInput
from server.membership.points import report_repository
from server.membership.points.models import Difference, Liability, LiabilityRow
from server.membership.points.service import RULERS, rules_at
from server.storage.pool import Readable

_CENT: Final = Decimal("0.01")


class PointsReports:
    """Reports over every member's points.

    Args:
        reading: where reports are read.
    """

    def __init__(self, reading: Readable, clock: Clock = utc_now) -> None:
        self._reading = reading
        self._clock = clock

    def liability(self, scope: Scope, currency: str, at: datetime | None = None) -> Liability:
        """Points outstanding in money, by the age of their lots and the month they expire in.

        Args:
            currency: in which points have a value by the rules.
            at: a moment that is over (aware), for the books; now if left out.

        Raises:
            Forbidden: unless HQ or an admin asks, for the whole chain.
            InvalidInput: a moment to come, or the rules give no value in this currency.
        """
        scope.require_role(*RULERS)
        scope.require_whole_chain()
        now = self._clock()
        moment = now if at is None else at
        if moment > now:
            raise InvalidInput("what will be owed is not known", field="at", remedy="give a moment that is over")
        with self._reading.read() as conn:
            value = rules_at(conn, moment).value.get(currency)
            if value is None:
                raise InvalidInput(
                    f"the rules in force give points no value in {currency}",
                    field="currency",
                    remedy="choose a currency that the rules have under `value`, or save rules that do",
                )
            if at is None:
                found, owed = report_repository.outstanding(conn, moment), report_repository.owed(conn)
            else:
                found, owed = report_repository.outstanding_at(conn, moment), report_repository.owed_at(conn, moment)
        rows = [
            LiabilityRow(age, expires, is_pending, members, points, (value * points).quantize(_CENT))
            for age, expires, is_pending, members, points in found
        ]
        total = sum(row.points for row in rows)
        return Liability(
            at=moment,
            currency=currency,
            value=value,
            points=total,
            pending=sum(row.points for row in rows if row.is_pending),
            owed=owed,
            worth=(value * total).quantize(_CENT),
            rows=rows,
        )

    def check(self, scope: Scope, limit: int = 100) -> list[Difference]:
        """Whatever does not add up, at most `limit` of each kind; empty when all does.

        Raises:
            Forbidden: unless HQ or an admin asks, for the whole chain.
        """
        scope.require_role(*RULERS)
        scope.require_whole_chain()
        with self._reading.read() as conn:
            return [
                difference
                for find in (
                    report_repository.balances_off,
                    report_repository.lots_off,
                    report_repository.movements_off,
                    report_repository.running_off,
                    report_repository.receipts_off,
                )
                for difference in find(conn, limit)
            ]
