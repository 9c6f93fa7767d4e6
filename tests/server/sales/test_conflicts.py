"""Two contents under one number: shown side by side, and the other taken without a receipt being overwritten."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from server.access.models import Scope
from server.errors import Forbidden, InvalidInput, NotFound
from server.membership.models import NewMember
from server.membership.wording import standard_consents
from server.sales.models import MemberOf, NewLine, NewReceipt
from server.services import Services
from tests.server.conftest import SYSTEM

AT = datetime(2026, 11, 20, 3, 15, tzinfo=UTC)


def sold(price: str, member: str = "", **more: object) -> NewReceipt:
    line = NewLine(sku="TEA", unit_price=Decimal(price), cost=Decimal(4), group="tea", tax=Decimal(1))
    given: dict[str, object] = {"store_id": "S01", "receipt_no": "R1", "at": AT, "lines": [line], "tax_included": True}
    return NewReceipt(**{**given, **more}, member=MemberOf(id=member) if member else None)  # type: ignore[arg-type]


def books(chain: Services) -> list[tuple[object, ...]]:
    with chain.db.read() as conn:
        return conn.execute(
            "SELECT receipt_no, kind, gross, voided_at IS NOT NULL FROM receipt ORDER BY receipt_no"
        ).fetchall()


def test_the_other_content_is_kept_under_a_number_of_its_own_with_all_it_said(
    chain: Services, scope_of: Callable[[str], Scope]
) -> None:
    who = NewMember("张伟", "13800138000", "S01", standard_consents("zh", marketing=False))
    member = str(chain.membership.enrol(SYSTEM, who).member_id)
    chain.sales.post_receipts(SYSTEM, [sold("20")])
    chain.sales.post_receipts(SYSTEM, [sold("25", member, cashier="李雷")])
    manager = scope_of("manager")
    (conflict,) = chain.sales.open_conflicts(manager)
    pair = chain.conflicts.pair(manager, conflict.conflict_id)
    assert pair.kept is not None
    assert (pair.kept.gross, pair.lines[0]["group"], pair.conflict.payload["gross"]) == (Decimal(20), "tea", "25.00")
    number = chain.conflicts.take_other(manager, conflict.conflict_id, "the till was set wrong")
    assert number == f"R1~{conflict.conflict_id}"
    assert books(chain) == [
        ("R1", "sale", 20, True),
        (number, "sale", 25, False),
        (f"{number}~void", "void", 0, False),
    ]
    with chain.db.read() as conn:
        row = conn.execute(
            "SELECT r.member_id::text, r.cashier, r.tax, l.sku_group, l.cost FROM receipt r"
            " JOIN receipt_line l USING (store_id, receipt_no) WHERE receipt_no = %s",
            (number,),
        ).fetchone()
    assert row == (member, "李雷", 1, "tea", 4)
    with pytest.raises(NotFound):
        chain.conflicts.take_other(manager, conflict.conflict_id, "again")
    assert len(books(chain)) == 3


def test_who_may_not_decide_decides_nothing_and_a_void_is_not_taken_back(
    chain: Services, scope_of: Callable[[str], Scope]
) -> None:
    chain.sales.post_receipts(SYSTEM, [sold("20")])
    void = NewReceipt(store_id="S01", receipt_no="R1", kind="void", at=AT, refers_to="R0")
    chain.sales.post_receipts(SYSTEM, [void, sold("20", receipt_no="R2", store_id="S02")])
    chain.sales.post_receipts(SYSTEM, [sold("21", receipt_no="R2", store_id="S02")])
    first, second = chain.sales.open_conflicts(SYSTEM)
    with pytest.raises(Forbidden):
        chain.conflicts.take_other(scope_of("region"), first.conflict_id, "why")
    with pytest.raises(InvalidInput):
        chain.conflicts.take_other(scope_of("hq"), first.conflict_id, "why")
    with pytest.raises(NotFound):
        chain.conflicts.pair(scope_of("manager"), second.conflict_id)
    assert len(chain.sales.open_conflicts(SYSTEM)) == 2
