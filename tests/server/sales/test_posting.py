"""Receipts by batch: once each, in any order, nothing overwritten."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.access.models import Scope
from server.errors import Forbidden, TooLarge
from server.membership.models import NewMember
from server.membership.wording import standard_consents
from server.sales.models import MemberOf, NewLine, NewReceipt, PostResult
from server.services import Services
from tests.server.conftest import SYSTEM

TWENTY = Decimal(20)
NOTHING = Decimal(0)
AT = datetime(2026, 11, 20, 3, 15, tzinfo=UTC)


def sale(number: str, gross: str | None = "100", **more: object) -> NewReceipt:
    total = None if gross is None else Decimal(gross)
    fields: dict[str, object] = {"store_id": "S01", "receipt_no": number, "at": AT, "gross": total, **more}
    return NewReceipt(**fields)  # type: ignore[arg-type]


def sums(services: Services) -> list[tuple[object, ...]]:
    with services.db.read() as conn:
        return conn.execute(
            """
            SELECT store_id, kind, count(*), sum(gross), sum(units), count(voided_at), count(member_id)
            FROM receipt GROUP BY store_id, kind ORDER BY store_id, kind
            """
        ).fetchall()


def dirty_hours(services: Services) -> list[tuple[str, datetime]]:
    with services.db.transaction() as conn:
        rows = conn.execute("DELETE FROM dirty_mark RETURNING store_id, hour").fetchall()
    return sorted(set(rows))


def outcome(result: PostResult) -> tuple[int, int, int, int]:
    return result.accepted, result.repeated, len(result.conflicts), len(result.rejected)


def enrol(services: Services, phone: str = "13800138000") -> str:
    consents = standard_consents("zh", marketing=False)
    return services.membership.enrol(SYSTEM, NewMember("张伟", phone, "S01", consents)).card_no


def test_a_receipt_is_kept_with_its_lines_and_marks_its_hour(chain: Services) -> None:
    lines = [
        NewLine(
            sku="A1", unit_price=Decimal("19.90"), quantity=Decimal(2), discount=Decimal("1.80"), cost=Decimal("20")
        ),
        NewLine(sku="B2", unit_price=Decimal("7.33"), quantity=Decimal("0.333")),
    ]
    result = chain.sales.post_receipts(SYSTEM, [sale("1", lines=lines, gross=None, tender="alipay", cashier="07")])
    assert outcome(result) == (1, 0, 0, 0)
    (kept,) = chain.sales.recent(SYSTEM, "S01")
    # 2 x 19.90 - 1.80 = 38.00; 0.333 x 7.33 = 2.44089, to the cent 2.44.
    assert (kept.gross, kept.units, kept.currency) == (Decimal("40.44"), Decimal("2.333"), "CNY")
    with chain.db.read() as conn:
        stored = conn.execute("SELECT line_no, sku, amount, cost FROM receipt_line ORDER BY line_no").fetchall()
    assert stored == [(1, "A1", Decimal("38.00"), Decimal("20.00")), (2, "B2", Decimal("2.44"), None)]
    assert dirty_hours(chain) == [("S01", AT.replace(minute=0))]


def test_sending_again_repeats_and_other_content_is_a_conflict_kept_once(chain: Services) -> None:
    chain.sales.post_receipts(SYSTEM, [sale("1"), sale("2", "50.00")])
    dirty_hours(chain)
    same = sale("2", "50", at=AT.astimezone())
    other = sale("1", "101", member=MemberOf(phone="13912345678"))
    for _ in range(2):
        result = chain.sales.post_receipts(SYSTEM, [same, other])
        assert outcome(result) == (0, 1, 1, 0)
        assert result.conflicts[0].index == 1
        assert result.conflicts[0].remedy
    assert sums(chain) == [("S01", "sale", 2, Decimal("150.00"), Decimal(0), 0, 0)]
    assert dirty_hours(chain) == []
    (waiting,) = chain.sales.open_conflicts(SYSTEM)
    assert (waiting.receipt_no, waiting.payload["gross"]) == ("1", "101.00")
    assert "139" not in str(waiting.payload)


def test_the_first_of_a_number_within_a_batch_is_kept(chain: Services) -> None:
    result = chain.sales.post_receipts(SYSTEM, [sale("1"), sale("1"), sale("1", "99")])
    assert outcome(result) == (1, 1, 1, 0)
    assert result.conflicts[0].index == 2


def test_a_refund_is_a_receipt_of_its_own_that_refers_to_a_sale(chain: Services) -> None:
    refund = sale("R1", "30", kind="refund", refers_to="1")
    assert outcome(chain.sales.post_receipts(SYSTEM, [sale("1"), refund])) == (2, 0, 0, 0)
    assert sums(chain) == [
        ("S01", "refund", 1, Decimal("30.00"), Decimal(0), 0, 0),
        ("S01", "sale", 1, Decimal("100.00"), Decimal(0), 0, 0),
    ]


@pytest.mark.parametrize("void_first", [True, False])
def test_a_void_takes_its_sale_back_whichever_comes_first(chain: Services, void_first: bool) -> None:
    void = sale("V1", kind="void", gross=None, refers_to="1", at=AT + timedelta(minutes=50))
    order = [void, sale("1")] if void_first else [sale("1"), void]
    chain.sales.post_receipts(SYSTEM, order[:1])
    dirty_hours(chain)
    chain.sales.post_receipts(SYSTEM, order[1:])
    (voided,) = [receipt for receipt in chain.sales.recent(SYSTEM, "S01") if receipt.kind == "sale"]
    assert voided.voided_at == AT + timedelta(minutes=50)
    assert ("S01", AT.replace(minute=0)) in dirty_hours(chain)
    assert outcome(chain.sales.post_receipts(SYSTEM, order)) == (0, 2, 0, 0)


def test_a_void_under_the_sales_own_number_is_understood(chain: Services) -> None:
    void = sale("1", kind="void", gross=None, at=AT + timedelta(minutes=5))
    assert outcome(chain.sales.post_receipts(SYSTEM, [sale("1"), void, void])) == (2, 1, 0, 0)
    assert sums(chain)[0][5] == 1


def test_a_member_is_known_by_card_phone_or_id_and_an_unknown_one_is_noted(chain: Services) -> None:
    card = enrol(chain)
    found = chain.membership.find_by_card(SYSTEM, card)
    assert found is not None
    refs = [
        MemberOf(card=card),
        MemberOf(phone="+86 138-0013-8000"),
        MemberOf(id=str(found.member_id)),
        MemberOf(phone="13900000000"),
        MemberOf(id="nonsense"),
        None,
    ]
    result = chain.sales.post_receipts(SYSTEM, [sale(str(n), member=ref) for n, ref in enumerate(refs)])
    assert outcome(result) == (6, 0, 0, 0)
    assert [(note.index, note.field) for note in result.notes] == [(3, "member"), (4, "member")]
    kept = {receipt.receipt_no: receipt.member_id for receipt in chain.sales.recent(SYSTEM, "S01")}
    assert [kept[str(n)] == found.member_id for n in range(6)] == [True, True, True, False, False, False]


def test_sending_again_after_enrolment_gives_the_receipt_its_member(chain: Services) -> None:
    receipt = sale("1", member=MemberOf(phone="13800138000"))
    chain.sales.post_receipts(SYSTEM, [receipt])
    enrol(chain)
    dirty_hours(chain)
    assert outcome(chain.sales.post_receipts(SYSTEM, [receipt])) == (0, 1, 0, 0)
    assert sums(chain)[0][6] == 1
    assert dirty_hours(chain) == [("S01", AT.replace(minute=0))]
    # Another member on the same receipt contradicts it.
    other = enrol(chain, "13900139000")
    assert outcome(chain.sales.post_receipts(SYSTEM, [sale("1", member=MemberOf(card=other))])) == (0, 0, 1, 0)


def test_what_is_wrong_is_rejected_by_field_and_holds_up_nobody(chain: Services) -> None:
    line = NewLine(sku="A", unit_price=Decimal(10))
    cases: list[tuple[NewReceipt, str]] = [
        (sale(""), "receipt_no"),
        (sale("n" * 65), "receipt_no"),
        (sale("a\x00b"), "receipt_no"),
        (sale("x", at=AT.replace(tzinfo=None)), "at"),
        (sale("x", at=AT + timedelta(hours=3)), "at"),
        (sale("x", at=datetime(1970, 1, 1, tzinfo=UTC)), "at"),
        # Neither has a time in UTC that a computer here could write down.
        (sale("x", at=datetime.fromisoformat("0001-01-01T00:00:00+14:00")), "at"),
        (sale("x", at=datetime.fromisoformat("9999-12-31T23:59:59-14:00")), "at"),
        (sale("x", member=MemberOf(card="12\x0034")), "member.card"),
        (sale("x", kind="gift"), "kind"),
        (sale("x", channel="phone"), "channel"),
        (sale("x", currency="USD"), "currency"),
        (sale("x", store_id="S99"), "store_id"),
        (sale("x", store_id="S\x00"), "store_id"),
        (sale("x", gross=None), "gross"),
        (sale("x", "-1"), "gross"),
        (sale("x", "NaN"), "gross"),
        (sale("x", "Infinity"), "gross"),
        (sale("x", "1e999999"), "gross"),
        (sale("x", "1.001"), "gross"),
        (sale("x", "1.0000000000000000000000000000001"), "gross"),
        (sale("x", "1000000000000"), "gross"),
        (sale("x", "11", lines=[line]), "gross"),
        (sale("x", "10", lines=[NewLine(sku="", unit_price=Decimal(10))]), "lines[0].sku"),
        (
            sale("x", "10", lines=[line, NewLine(sku="B", unit_price=Decimal(1), quantity=Decimal(0))]),
            "lines[1].quantity",
        ),
        (sale("x", "10", lines=[NewLine(sku="B", unit_price=Decimal(-1))]), "lines[0].unit_price"),
        (sale("x", gross=None, lines=[NewLine(sku="B", unit_price=Decimal(1), quantity=Decimal(-1))]), "lines"),
        (sale("x", refers_to="1"), "refers_to"),
        (sale("x", kind="void", refers_to="1"), "lines"),
    ]
    batch = [receipt for receipt, _ in cases] + [sale("good")]
    result = chain.sales.post_receipts(SYSTEM, batch)
    assert [(each.index, each.field) for each in result.rejected] == [(n, field) for n, (_, field) in enumerate(cases)]
    assert all(each.reason and each.remedy for each in result.rejected)
    assert result.accepted == 1


def test_a_cent_a_line_is_rounding_and_more_is_not(chain: Services) -> None:
    lines = [NewLine(sku="A", unit_price=Decimal("0.33"), quantity=Decimal("1.5")) for _ in range(2)]
    result = chain.sales.post_receipts(
        SYSTEM, [sale("1", "0.99", lines=lines), sale("2", "0.98", lines=lines), sale("3", "0.97", lines=lines)]
    )
    assert outcome(result) == (2, 0, 0, 1)
    assert [receipt.gross for receipt in chain.sales.recent(SYSTEM, "S01")] == [Decimal("0.99"), Decimal("0.98")]


def test_a_batch_with_somebody_elses_store_is_refused_whole(chain: Services, scope_of: Callable[[str], Scope]) -> None:
    till = chain.access.api_key(chain.access.create_api_key(SYSTEM, "till", "till", ["S01"]))
    for scope in (till, scope_of("manager")):
        with pytest.raises(Forbidden):
            chain.sales.post_receipts(scope, [sale("1"), sale("2", store_id="S02")])
    for role in ("desk", "region"):
        with pytest.raises(Forbidden):
            chain.sales.post_receipts(scope_of(role), [sale("1")])
    assert sums(chain) == []
    assert chain.sales.post_receipts(till, [sale("1")]).accepted == 1
    with pytest.raises(Forbidden):
        chain.sales.recent(till, "S01")
    with pytest.raises(Forbidden):
        chain.sales.recent(scope_of("manager"), "S02")


def test_five_thousand_are_taken_and_not_one_more(chain: Services) -> None:
    batch = [sale(str(n), lines=[NewLine(sku="A", unit_price=Decimal(100))]) for n in range(5000)]
    assert outcome(chain.sales.post_receipts(SYSTEM, batch)) == (5000, 0, 0, 0)
    assert outcome(chain.sales.post_receipts(SYSTEM, batch)) == (0, 5000, 0, 0)
    with pytest.raises(TooLarge):
        chain.sales.post_receipts(SYSTEM, [*batch, sale("x")])


def test_tills_that_send_the_same_at_once_make_each_receipt_once(chain: Services) -> None:
    """A sale and its void in different batches at the same moment must see each other, and nobody may wait forever."""
    sales = [sale(str(n), store_id=store) for n in range(40) for store in ("S01", "S02")]
    voids = [
        sale(f"V{n}", store_id=store, kind="void", gross=None, refers_to=str(n))
        for n in range(40)
        for store in ("S02", "S01")
    ]
    results: list[PostResult] = []

    def post(batch: list[NewReceipt]) -> None:
        results.append(chain.sales.post_receipts(SYSTEM, batch))

    batches = [sales, sales[::-1], voids, voids[::-1]]
    tills = [threading.Thread(target=post, args=(batch,)) for batch in batches]
    for till in tills:
        till.start()
    for till in tills:
        till.join()
    assert sum(result.accepted for result in results) == 160
    assert sum(result.repeated for result in results) == 160
    assert [row[5] for row in sums(chain) if row[1] == "sale"] == [40, 40]


_POOL = [
    sale("1", "10.01"),
    sale("2", "20.02", store_id="S02"),
    sale("3", "30.03", at=AT - timedelta(days=30)),
    sale("4", "40.04", lines=[NewLine(sku="A", unit_price=Decimal("20.02"), quantity=Decimal(2))]),
    sale("R1", "5", kind="refund", refers_to="1"),
    sale("V3", gross=None, kind="void", refers_to="3"),
    sale("V9", gross=None, kind="void", refers_to="not yet there"),
    sale("1", gross=None, kind="void"),
]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    st.permutations(_POOL),
    st.lists(st.sampled_from(_POOL), max_size=8),
    st.lists(st.integers(1, 5), min_size=1, max_size=8),
)
def test_any_order_any_cut_and_any_repetition_give_the_same_sums(
    chain: Services, order: list[NewReceipt], again: list[NewReceipt], cuts: list[int]
) -> None:
    with chain.db.transaction() as conn:
        conn.execute("TRUNCATE receipt, receipt_line, receipt_conflict")
    stream = [*order, *again]
    total = PostResult()
    for size in cuts:
        total = _added(total, chain.sales.post_receipts(SYSTEM, stream[:size]))
        stream = stream[size:]
    total = _added(total, chain.sales.post_receipts(SYSTEM, stream))
    assert outcome(total) == (len(_POOL), len(again), 0, 0)
    assert sums(chain) == [
        # Of a sale that is void: void with it, whichever came first.
        ("S01", "refund", 1, Decimal("5.00"), Decimal(0), 1, 0),
        ("S01", "sale", 3, Decimal("80.08"), Decimal(2), 2, 0),
        ("S01", "void", 3, Decimal("0.00"), Decimal(0), 0, 0),
        ("S02", "sale", 1, Decimal("20.02"), Decimal(0), 0, 0),
    ]


def _added(one: PostResult, other: PostResult) -> PostResult:
    return PostResult(
        one.accepted + other.accepted,
        one.repeated + other.repeated,
        one.conflicts + other.conflicts,
        one.rejected + other.rejected,
        one.notes + other.notes,
    )
