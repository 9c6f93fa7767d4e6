"""A receipt as others are told of it: what it sold and to which member, by id. Pure.

Points, coupons and other companies' programs act on it, so it says all they need without asking back, amounts as
strings of the digits the till sent, and nothing that names a person but the cashier the till itself named.
"""

from uuid import UUID

import msgspec

from server.events import JSON, NewEvent
from server.sales.lines import instant
from server.sales.models import ReceiptRow

RECORDED = "receipt.recorded"
ATTACHED = "receipt.member_attached"


def recorded(row: ReceiptRow, *, is_voided: bool) -> NewEvent:
    """That a receipt is there.

    Args:
        is_voided: a void that takes it back came before it, or with it.
    """
    return NewEvent(RECORDED, row.store_id, f"{row.store_id}/{row.receipt_no}", _body(row, row.member_id, is_voided))


def attached(row: ReceiptRow, member_id: UUID, *, is_voided: bool) -> NewEvent:
    """That a receipt which was nobody's is now somebody's."""
    return NewEvent(ATTACHED, row.store_id, f"{row.store_id}/{row.receipt_no}", _body(row, member_id, is_voided))


def head(row: ReceiptRow, member_id: UUID | None) -> dict[str, JSON]:
    """What there is to be said of a receipt as a whole. A member stands as an id."""
    return {
        "receipt_no": row.receipt_no,
        "kind": row.kind,
        "channel": row.channel,
        "at": instant(row.at),
        "currency": row.currency,
        "gross": str(row.gross),
        "units": str(row.units),
        "tax": None if row.tax is None else str(row.tax),
        "tax_included": row.tax_included,
        "refers_to": row.refers_to,
        "member_id": None if member_id is None else str(member_id),
        "tender": row.tender,
        "cashier": row.cashier,
    }


def _body(row: ReceiptRow, member_id: UUID | None, is_voided: bool) -> dict[str, JSON]:
    body = head(row, member_id)
    body["net"] = None if row.net is None else str(row.net)
    body["voids"] = row.refers_to if row.kind == "void" else None
    body["voided"] = is_voided
    lines = [f'{{"line_no":{number},{line.told}}}' for number, line in enumerate(row.lines, start=1)]
    body["lines"] = msgspec.Raw(f"[{','.join(lines)}]".encode())
    return body
