"""Receipts tell what they sold, to which member, and what they void; and their tax is stated and never guessed."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from server import events
from server.events import Event
from server.membership.models import NewMember
from server.membership.wording import standard_consents
from server.sales.models import MemberOf, NewLine, NewReceipt
from server.services import Services
from tests.fixtures.wait import wait_until
from tests.server.conftest import SYSTEM

AT = datetime(2026, 11, 20, 3, 15, tzinfo=UTC)
KINDS = ("receipt.recorded", "receipt.member_attached")


def receipt(number: str, **more: Any) -> NewReceipt:
    fields: dict[str, Any] = {"store_id": "S01", "receipt_no": number, "at": AT, "gross": Decimal(100), **more}
    return NewReceipt(**fields)


def post(services: Services, *receipts: NewReceipt) -> list[str]:
    """Post; what was rejected, by field."""
    return [str(problem.field) for problem in services.sales.post_receipts(SYSTEM, receipts).rejected]


def told(services: Services, count: int) -> list[Event]:
    came: list[Event] = []

    def enough() -> bool:
        with services.db.transaction() as conn:
            came.extend(events.take(conn, "tests", KINDS, 100))
        return len(came) >= count

    wait_until(enough, what=f"{count} events")
    assert len(came) == count
    return came


def enrol(services: Services) -> tuple[str, str]:
    consents = standard_consents("zh", marketing=False)
    member = services.membership.enrol(SYSTEM, NewMember("张伟", "13800138000", "S01", consents))
    return member.card_no, str(member.member_id)


def test_a_receipt_tells_all_that_acting_on_it_takes(chain: Services) -> None:
    card, member_id = enrol(chain)
    line = NewLine(
        sku="A\\1", unit_price=Decimal("19.90"), quantity=Decimal(2), cost=Decimal("9.5"), group="tea", description="x"
    )
    sale = receipt(
        "R1",
        gross=None,
        lines=[line],
        member=MemberOf(card=card),
        tender="wechat",
        cashier="C7",
        tax=Decimal("4.58"),
        tax_included=True,
    )
    assert post(chain, sale) == []
    (event,) = told(chain, 1)
    assert (event.kind, event.store_id, event.subject) == ("receipt.recorded", "S01", "S01/R1")
    assert event.body == {
        "receipt_no": "R1",
        "kind": "sale",
        "channel": "till",
        "at": "2026-11-20T03:15:00+00:00",
        "currency": "CNY",
        "gross": "39.80",
        "units": "2.000",
        "tax": "4.58",
        "tax_included": True,
        "net": "35.22",
        "refers_to": None,
        "voids": None,
        "voided": False,
        "member_id": member_id,
        "tender": "wechat",
        "cashier": "C7",
        "lines": [
            {"line_no": 1, "sku": "A\\1", "group": "tea", "quantity": "2.000", "amount": "39.80", "cost": "9.50"}
        ],
    }


def test_a_repetition_and_a_conflict_tell_nothing(chain: Services) -> None:
    post(chain, receipt("R1"))
    post(chain, receipt("R1"), receipt("R1", gross=Decimal(99)), receipt("R2"))
    assert [event.subject for event in told(chain, 2)] == ["S01/R1", "S01/R2"]


def test_a_void_says_what_it_voids_and_a_sale_that_came_after_its_void_that_it_is_void(chain: Services) -> None:
    post(chain, receipt("R1"))
    post(chain, receipt("V1", kind="void", gross=None, refers_to="R1"))
    post(chain, receipt("V2", kind="void", gross=None, refers_to="R2"))
    post(chain, receipt("R2"))
    said = [(event.body["receipt_no"], event.body["voids"], event.body["voided"]) for event in told(chain, 4)]
    assert said == [("R1", None, False), ("V1", "R1", False), ("V2", "R2", False), ("R2", None, True)]


def test_a_refund_says_which_sale_it_is_about(chain: Services) -> None:
    post(chain, receipt("R1"), receipt("B1", kind="refund", gross=Decimal(10), refers_to="R1"))
    sale, refund = told(chain, 2)
    assert (sale.body["refers_to"], refund.body["kind"], refund.body["refers_to"]) == (None, "refund", "R1")


def test_a_member_that_comes_later_is_told_apart(chain: Services) -> None:
    post(chain, receipt("R1", member=MemberOf(phone="13800138000")))
    _, member_id = enrol(chain)
    post(chain, receipt("R1", member=MemberOf(phone="13800138000")))
    first, second = told(chain, 2)
    assert (first.kind, first.body["member_id"]) == ("receipt.recorded", None)
    assert (second.kind, second.body["member_id"], second.body["gross"]) == (
        "receipt.member_attached",
        member_id,
        "100.00",
    )
    assert "13800138000" not in str(first.body) + str(second.body)


def test_tax_is_in_the_price_or_on_top_and_net_is_what_is_left(chain: Services) -> None:
    lines = [NewLine(sku="A", unit_price=Decimal(50), tax=Decimal("4.00"))] * 2
    assert not post(
        chain,
        receipt("in", tax=Decimal(8), tax_included=True),
        receipt("top", tax=Decimal(8), tax_included=False),
        receipt("lines", gross=None, lines=lines, tax_included=True),
        receipt("unknown"),
        receipt("said", tax_included=True),
    )
    kept = {each.receipt_no: (each.gross, each.tax, each.net) for each in chain.sales.recent(SYSTEM, "S01")}
    hundred, eight = Decimal(100), Decimal(8)
    assert kept == {
        "in": (hundred, eight, Decimal(92)),
        "top": (hundred, eight, hundred),
        "lines": (hundred, eight, Decimal(92)),
        "unknown": (hundred, None, None),
        "said": (hundred, None, None),
    }


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"tax": Decimal(8)}, "tax_included"),
        ({"tax": Decimal(-8), "tax_included": True}, "tax"),
        ({"tax": Decimal(101), "tax_included": True}, "tax"),
        ({"tax": Decimal("8.001"), "tax_included": True}, "tax"),
        ({"tax": Decimal("NaN"), "tax_included": True}, "tax"),
        (
            {
                "lines": [
                    NewLine(sku="A", unit_price=Decimal(50), tax=Decimal(4)),
                    NewLine(sku="B", unit_price=Decimal(50)),
                ],
                "tax_included": True,
            },
            "lines",
        ),
        (
            {
                "lines": [NewLine(sku="A", unit_price=Decimal(100), tax=Decimal(4))],
                "tax": Decimal(8),
                "tax_included": True,
            },
            "tax",
        ),
    ],
)
def test_a_tax_that_cannot_be_is_rejected_by_its_field(chain: Services, more: dict[str, Any], field: str) -> None:
    assert post(chain, receipt("R1", **more)) == [field]


def test_a_receipt_known_from_before_taxes_were_kept_is_still_the_same(chain: Services) -> None:
    """The hash of one without tax and groups may not change: every till would be in conflict with itself."""
    post(chain, receipt("R1", lines=[NewLine(sku="A", unit_price=Decimal(100))]))
    post(chain, receipt("V1", kind="void", gross=None, refers_to="R9"))
    with chain.db.read() as conn:
        found = conn.execute("SELECT encode(content_hash, 'hex') FROM receipt ORDER BY receipt_no").fetchall()
    assert [digest for (digest,) in found] == [
        "9205965ad4c00e6c74e8746332b2dc9d5c4d6c38c9647ff933c55df927c1f26c",
        "27d2bf6f90b81da83b395a47c2a82cf80fbc90a0589469d6b265f2faa126cb93",
    ]


def test_a_conflict_that_was_looked_into_is_open_no_more(chain: Services) -> None:
    post(chain, receipt("R1"))
    post(chain, receipt("R1", gross=Decimal(99)))
    (conflict,) = chain.sales.open_conflicts(SYSTEM)
    chain.sales.resolve_conflict(SYSTEM, conflict.conflict_id, "the till was set back")
    assert chain.sales.open_conflicts(SYSTEM) == []
    assert chain.access.audit_trail(SYSTEM, 1)[0].action == "receipt.conflict_resolved"
