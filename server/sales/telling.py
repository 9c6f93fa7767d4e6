"""A receipt as others are told of it: what it sold and to which member, by id. Pure.

Points, coupons and other companies' programs act on it, so it says all they need without asking back, amounts as
strings of the digits the till sent, and nothing that names a person but the cashier the till itself named.
"""

from uuid import UUID

from server.events import JSON, NewEvent
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


def _body(row: ReceiptRow, member_id: UUID | None, is_voided: bool) -> dict[str, JSON]:
    return {
        "receipt_no": row.receipt_no,
        "kind": row.kind,
        "channel": row.channel,
        "at": row.at.isoformat(),
        "currency": row.currency,
        "gross": str(row.gross),
        "units": str(row.units),
        "tax": None if row.tax is None else str(row.tax),
        "tax_included": row.tax_included,
        "net": None if row.net is None else str(row.net),
        "refers_to": row.refers_to,
        "voids": row.refers_to if row.kind == "void" else None,
        "voided": is_voided,
        "member_id": None if member_id is None else str(member_id),
        "tender": row.tender,
        "cashier": row.cashier,
        "lines": [
            {
                "line_no": number,
                "sku": line.sku,
                "group": line.group,
                "quantity": str(line.quantity),
                "amount": str(line.amount),
                "cost": None if line.cost is None else str(line.cost),
            }
            for number, line in enumerate(row.lines, start=1)
        ],
    }
