"""Coupons' part in a member's rights: a copy of all; once erased they have no code, and what was used stays counted."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from server.access.models import Scope
from server.events.models import JSON
from server.membership.coupons import repository
from server.membership.rights import Erased, Kept, Section, Words
from server.storage.pool import Connection

_TITLE: Words = {"zh": "优惠券", "en": "Coupons"}
_COLUMNS: Mapping[str, Words] = {
    "coupon": {"zh": "券号", "en": "coupon"},
    "definition": {"zh": "券种", "en": "definition"},
    "state": {"zh": "状态", "en": "state"},
    "issued_at": {"zh": "发放时间", "en": "issued at"},
    "issued_for": {"zh": "发放原因", "en": "issued for"},
    "valid_from": {"zh": "生效时间", "en": "valid from"},
    "valid_until": {"zh": "失效时间", "en": "valid until"},
}


class CouponRights:
    """See `server.membership.rights.RightsPart`."""

    @property
    def name(self) -> str:
        """In receipts of erasure."""
        return "coupons"

    def export(self, conn: Connection, scope: Scope, members: Sequence[UUID]) -> Sequence[Section]:
        """Every coupon the member ever had."""
        rows: list[Mapping[str, JSON]] = [
            {
                "coupon": each.code or "",
                "definition": each.definition_id,
                "state": each.state,
                "issued_at": each.issued_at.isoformat(),
                "issued_for": each.issue_key.partition(":")[0],
                "valid_from": each.valid_from.isoformat(),
                "valid_until": each.valid_until.isoformat(),
            }
            for each in repository.coupons_of_members(conn, scope, members)
        ]
        return [Section("coupons", _TITLE, _COLUMNS, rows)]

    def holds(self, _conn: Connection, _scope: Scope, _members: Sequence[UUID]) -> Sequence[str]:
        """Nothing stands in the way: a coupon is no money of the member's."""
        return []

    def balances(self, conn: Connection, scope: Scope, members: Sequence[UUID]) -> Mapping[str, str]:
        """How many there were, and how many were used: reports of the past must not change."""
        found = repository.coupons_of_members(conn, scope, members)
        return {"coupons": str(len(found)), "redeemed": str(sum(each.state == "redeemed" for each in found))}

    def erase(self, conn: Connection, scope: Scope, members: Sequence[UUID], _at: datetime) -> Erased:
        """Take the codes; what was open is void with it."""
        codes = repository.erase_codes(conn, scope, members)
        kept = len(repository.coupons_of_members(conn, scope, members))
        why = "what was promised and used is counted; it names the member by number alone"
        return Erased({"codes": codes}, {"coupons": Kept(kept, why)} if kept else {})

    def left(self, conn: Connection, scope: Scope, members: Sequence[UUID]) -> Mapping[str, int]:
        """Codes that are there still."""
        found = repository.coupons_of_members(conn, scope, members)
        return {"codes": sum(each.code is not None for each in found)}
