"""Two contents under one number: shown side by side, and the other taken without a receipt being overwritten."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from server.access.models import Scope
from server.errors import Conflict, Forbidden, InvalidInput, NotFound
from server.membership.models import NewMember
from server.membership.wording import standard_consents
from server.sales.models import MemberOf, NewLine, NewReceipt
from server.services import Services
from tests.fixtures.wait import wait_until
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
    number = chain.conflicts.decide(manager, conflict.conflict_id, "other", "the till was set wrong")
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
        chain.conflicts.decide(manager, conflict.conflict_id, "other", "again")
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
        chain.conflicts.decide(scope_of("region"), first.conflict_id, "other", "why")
    for choice in ("other", "both"):
        with pytest.raises(InvalidInput):
            chain.conflicts.decide(scope_of("hq"), first.conflict_id, choice, "why")
    with pytest.raises(NotFound):
        chain.conflicts.pair(scope_of("manager"), second.conflict_id)
    assert len(chain.sales.open_conflicts(SYSTEM)) == 2


def choices(chain: Services) -> list[object]:
    with chain.db.read() as conn:
        found = conn.execute("SELECT detail FROM audit WHERE action = 'receipt.conflict_resolved' ORDER BY audit_id")
        return [detail["choice"] for (detail,) in found]


def test_both_are_kept_where_a_till_began_its_numbers_anew(chain: Services, scope_of: Callable[[str], Scope]) -> None:
    chain.sales.post_receipts(SYSTEM, [sold("20")])
    chain.sales.post_receipts(SYSTEM, [sold("25")])
    (conflict,) = chain.sales.open_conflicts(SYSTEM)
    number = chain.conflicts.decide(scope_of("manager"), conflict.conflict_id, "both", "began at one again")
    assert books(chain) == [("R1", "sale", 20, False), (number, "sale", 25, False)]
    assert chain.sales.open_conflicts(SYSTEM) == []
    chain.sales.post_receipts(SYSTEM, [sold("30")])
    (conflict,) = chain.sales.open_conflicts(SYSTEM)
    assert chain.conflicts.decide(scope_of("hq"), conflict.conflict_id, "kept", "typed twice") is None
    assert choices(chain) == ["both", "kept"]
    assert len(books(chain)) == 2


@pytest.mark.parametrize("letters", [57, 64])
def test_a_number_as_long_as_can_be_is_decided_as_a_whole(chain: Services, letters: int) -> None:
    long = "L" * letters
    for price in ("20", "25"):
        chain.sales.post_receipts(SYSTEM, [sold(price, receipt_no=long)])
    (conflict,) = chain.sales.open_conflicts(SYSTEM)
    number = chain.conflicts.decide(SYSTEM, conflict.conflict_id, "other", "set wrong")
    assert number is not None
    assert len(number) <= 64
    assert [(gross, voided) for _, kind, gross, voided in books(chain) if kind == "sale"] in (
        [(20, True), (25, False)],
        [(25, False), (20, True)],
    )


def test_what_is_refused_in_part_is_not_done_at_all(chain: Services) -> None:
    """Somebody keyed the very number in that the other would get: the void alone would lose a sale."""
    for price in ("20", "25"):
        chain.sales.post_receipts(SYSTEM, [sold(price)])
    (conflict,) = chain.sales.open_conflicts(SYSTEM)
    chain.sales.post_receipts(SYSTEM, [sold("1", receipt_no=f"R1~{conflict.conflict_id}")])
    before = books(chain)
    for choice in ("other", "both"):
        with pytest.raises(Conflict):
            chain.conflicts.decide(SYSTEM, conflict.conflict_id, choice, "set wrong")
    assert books(chain) == before
    assert [each.conflict_id for each in chain.sales.open_conflicts(SYSTEM)] == [conflict.conflict_id]
    assert choices(chain) == []


def test_of_two_who_decide_at_once_one_does(chain: Services) -> None:
    """One let the kept stand, the other took the other content: whoever is second finds nothing to decide."""
    for price in ("20", "25"):
        chain.sales.post_receipts(SYSTEM, [sold(price)])
    (conflict,) = chain.sales.open_conflicts(SYSTEM)
    with ThreadPoolExecutor(2) as pool:
        with chain.db.transaction() as conn:
            chain.sales.resolve_within(conn, SYSTEM, conflict.conflict_id, "typed twice", "kept")
            second = pool.submit(chain.conflicts.decide, SYSTEM, conflict.conflict_id, "other", "set wrong")
            wait_until(lambda: _is_waited_for(chain))
        with pytest.raises(NotFound):
            second.result(30)
    assert books(chain) == [("R1", "sale", 20, False)]
    assert choices(chain) == ["kept"]


def _is_waited_for(chain: Services) -> bool:
    with chain.db.read() as conn:
        row = conn.execute(
            "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        ).fetchone()
    return row is not None
