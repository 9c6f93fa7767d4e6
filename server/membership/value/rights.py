"""What customer value brings to a member's rights: grades and costs are told, and go with the person."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from server.access.models import Scope
from server.membership.rights import Erased, Kept, Section, Words
from server.membership.value import repository
from server.storage.pool import Connection

_VALUE: Final[Words] = {"zh": "客户价值", "en": "Customer value"}
_VALUE_COLUMNS: Final[Mapping[str, Words]] = {
    "day": {"zh": "截至", "en": "As of"},
    "stage": {"zh": "阶段", "en": "Stage"},
    "grades": {"zh": "RFM 等级", "en": "RFM grades"},
    "value": {"zh": "价值", "en": "Value"},
}
_COSTS: Final[Words] = {"zh": "服务支出", "en": "Spent on the member"}
_COST_COLUMNS: Final[Mapping[str, Words]] = {
    "day": {"zh": "日期", "en": "Day"},
    "amount": {"zh": "金额", "en": "Amount"},
    "what": {"zh": "内容", "en": "What for"},
}


class ValueRights:
    """See `server.membership.rights.RightsPart`."""

    name: Final = "value"

    def export(self, conn: Connection, scope: Scope, members: Sequence[UUID]) -> Sequence[Section]:
        """The grades the member was given, and what was spent on them."""
        found = [value for member in members if (value := repository.value(conn, scope, member)) is not None]
        graded = [
            {
                "day": value.day.isoformat(),
                "stage": value.stage,
                "grades": f"{value.r or '-'}{value.f or '-'}{value.m or '-'}",
                "value": str(value.value),
            }
            for value in {value.member_id: value for value in found}.values()
        ]
        spent = [
            {"day": cost.day.isoformat(), "amount": str(cost.amount), "what": cost.what}
            for cost in repository.member_costs(conn, scope, members)
        ]
        return [Section("value", _VALUE, _VALUE_COLUMNS, graded), Section("costs", _COSTS, _COST_COLUMNS, spent)]

    def holds(self, _conn: Connection, _scope: Scope, _members: Sequence[UUID]) -> Sequence[str]:
        """Nothing stands in the way."""
        return []

    def balances(self, conn: Connection, scope: Scope, members: Sequence[UUID]) -> Mapping[str, str]:
        """What was spent stays spent."""
        costs = repository.member_costs(conn, scope, members)
        return {"costs": str(sum((cost.amount for cost in costs), Decimal(0)))}

    def erase(self, conn: Connection, scope: Scope, members: Sequence[UUID], _at: datetime) -> Erased:
        """Grades are dropped; of what was spent, the amounts stay and the words go."""
        gone = repository.forget(conn, scope, members)
        kept = len(repository.member_costs(conn, scope, members))
        repository.blank_costs(conn, members)
        return Erased({"value": gone}, {"costs": Kept(kept, "amounts that were spent are in the books")})

    def left(self, conn: Connection, scope: Scope, members: Sequence[UUID]) -> Mapping[str, int]:
        """Grades, and words of costs."""
        words = sum(cost.what != "-" for cost in repository.member_costs(conn, scope, members))
        graded = sum(repository.value(conn, scope, member) is not None for member in members)
        return {"value": graded, "words of costs": words}
