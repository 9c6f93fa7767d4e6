"""A file and a till's posts are two ways to the same books: the same rows, events, conflicts, marks and refusals."""

import csv
import io
import json
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.membership.models import NewMember
from server.membership.wording import standard_consents
from server.sales.decoding import decode_batch
from server.sales.models import PostResult
from server.services import Services
from tests.server.conftest import SYSTEM, TurnedClock

PHONE = "13800138000"
LINE = ("sku", "description", "group", "quantity", "unit_price", "discount", "cost", "line_tax")
HEAD = ("receipt_no", "at", "kind", "channel", "gross", "units", "currency", "tender", "cashier", "refers_to")
COLUMNS = (*HEAD, "tax", "tax_included", "member_card", "member_phone", *LINE)


@dataclass(frozen=True)
class Said:
    """A receipt as a till would say it: texts by column, empty where nothing is said."""

    head: dict[str, str]
    lines: list[dict[str, str]] = field(default_factory=list)

    def rows(self) -> list[dict[str, str]]:
        return [self.head | line for line in self.lines] or [self.head]

    def posted(self, store: str) -> dict[str, Any]:
        """The same as a body."""
        whole: dict[str, Any] = {name: text for name, text in self.head.items() if text and name in (*HEAD, "tax")}
        whole["store_id"] = store
        whole["at"] = self.head["at"].replace(" ", "T") + "+08:00"
        if self.head["tax_included"]:
            whole["tax_included"] = self.head["tax_included"] == "yes"
        member = {name: self.head[f"member_{name}"] for name in ("card", "phone") if self.head[f"member_{name}"]}
        if member:
            whole["member"] = member
        if self.lines:
            whole["lines"] = [
                {("tax" if name == "line_tax" else name): text for name, text in line.items() if text or name == "sku"}
                for line in self.lines
            ]
        return whole


_MONEY = st.sampled_from(["1.00", "19.90", "7.33", "100", "0.50", "3.999", "-2.00"])
_LINES = st.lists(
    st.fixed_dictionaries(
        {
            "sku": st.sampled_from(["A", "B\\2", "茶 100", '"q"', ""]),
            "description": st.sampled_from(["", "Oolong, 100 g", "=1+1", "\\N"]),
            "group": st.sampled_from(["", "tea"]),
            "quantity": st.sampled_from(["1", "2", "0.333", "-1", "0", "1.2345"]),
            "unit_price": _MONEY,
            "discount": st.sampled_from(["", "0.10"]),
            "cost": st.sampled_from(["", "0.40"]),
            "line_tax": st.sampled_from(["", "", "", "0.05"]),
        }
    ),
    max_size=4,
)


@st.composite
def _files(draw: st.DrawFn) -> list[Said]:
    said = []
    for number in range(draw(st.integers(1, 7))):
        kind = draw(st.sampled_from(["sale", "sale", "sale", "refund", "void"]))
        lines = [] if kind == "void" else draw(_LINES)
        other = draw(st.sampled_from(["", f"R{draw(st.integers(0, 7))}"]))
        head = {
            "receipt_no": f"R{number}",
            "at": draw(st.sampled_from(["2026-11-19 09:59:59", "2026-11-20 10:15:00", "2030-01-01 00:00:00"])),
            "kind": kind,
            "channel": draw(st.sampled_from(["till", "online"])),
            "gross": "" if lines or kind == "void" else draw(_MONEY),
            "units": draw(st.sampled_from(["", "", "3"])),
            "currency": draw(st.sampled_from(["", "", "CNY", "EUR"])),
            "tender": draw(st.sampled_from(["cash", "we\\chat", ""])),
            "cashier": draw(st.sampled_from(["07", ""])),
            "refers_to": other if kind != "sale" else "",
            "tax": draw(st.sampled_from(["", "", "0.10"])),
            "tax_included": draw(st.sampled_from(["", "yes", "no"])),
            "member_card": draw(st.sampled_from(["", "", "CARD", "nobody's"])),
            "member_phone": "",
        }
        if not head["member_card"]:
            head["member_phone"] = draw(st.sampled_from(["", PHONE, "12"]))
        said.append(Said(head, lines))
    return said


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(first=_files(), again=_files(), data=st.data())
def test_a_file_and_the_same_receipts_posted_leave_the_same_behind(
    chain: Services, clock: TurnedClock, first: list[Said], again: list[Said], data: st.DataObject
) -> None:
    """S01 gets files and S02 posts: some receipts, then those that come again, changed or not, with later ones."""
    repeated = [each for each in first if data.draw(st.booleans())]
    later = [replace(each, head=each.head | {"receipt_no": f"{each.head['receipt_no']}b"}) for each in again]
    changed = [each for each in again if each.head["receipt_no"] not in {one.head["receipt_no"] for one in repeated}]
    card = _emptied(chain)
    for batch in (first, [*repeated, *changed, *later]):
        said = [replace(each, head=_named(each.head, card)) for each in batch]
        assert _imported(chain, said) == _posted(chain, said)
        clock.now += timedelta(minutes=1)
    left, right = (_left_behind(chain, store) for store in ("S01", "S02"))
    assert left == right


def _named(head: dict[str, str], card: str) -> dict[str, str]:
    return head | {"member_card": card} if head["member_card"] == "CARD" else head


def _emptied(chain: Services) -> str:
    """Books without receipts; the card of the one member there is."""
    with chain.db.transaction() as conn:
        conn.execute("TRUNCATE receipt, receipt_line, receipt_conflict, event, dirty_mark")
        found = conn.execute("SELECT card_no FROM member").fetchone()
    if found is not None:
        return str(found[0])
    consents = standard_consents("zh", marketing=False)
    return chain.membership.enrol(SYSTEM, NewMember("张伟", PHONE, "S01", consents)).card_no


def _imported(chain: Services, said: list[Said]) -> tuple[object, ...]:
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, restval="")
    writer.writeheader()
    for each in said:
        writer.writerows(each.rows())
    result = chain.imports.run(SYSTEM, "S01", io.BytesIO(out.getvalue().encode()))
    wrong = sorted((error.receipt_no or "", error.field or "", error.reason, error.remedy) for error in result.errors)
    notes = sorted((note.receipt_no or "", note.reason) for note in result.notes)
    return result.accepted, result.repeated, result.conflicts, result.rejected, wrong, notes


def _posted(chain: Services, said: list[Said]) -> tuple[object, ...]:
    body = json.dumps({"receipts": [each.posted("S02") for each in said]}).encode()
    receipts, problems = decode_batch(body)
    assert problems == []
    result: PostResult = chain.sales.post_indexed(SYSTEM, receipts)
    wrong = sorted(
        (problem.receipt_no or "", problem.field or "", problem.reason, problem.remedy)
        for problem in (*result.rejected, *result.conflicts)
    )
    notes = sorted((note.receipt_no or "", note.reason) for note in result.notes)
    return result.accepted, result.repeated, len(result.conflicts), len(result.rejected), wrong, notes


def _left_behind(chain: Services, store: str) -> list[object]:
    """Everything a store's receipts left in the database, but for the store's own name."""
    with chain.db.read() as conn:
        return [
            conn.execute(statement, (store,)).fetchall()
            for statement in (
                "SELECT to_jsonb(r) - 'store_id' FROM receipt r WHERE store_id = %s ORDER BY receipt_no",
                "SELECT to_jsonb(l) - 'store_id' FROM receipt_line l WHERE store_id = %s ORDER BY receipt_no, line_no",
                (
                    "SELECT receipt_no, encode(content_hash, 'hex'), payload - 'store_id' FROM receipt_conflict"
                    " WHERE store_id = %s ORDER BY 1, 2"
                ),
                (
                    "SELECT kind, split_part(subject, '/', 2), body FROM event"
                    " WHERE store_id = %s AND kind LIKE 'receipt.%%' ORDER BY life, xid, event_id"
                ),
                "SELECT hour, reason FROM dirty_mark WHERE store_id = %s ORDER BY 1, 2",
            )
        ]
