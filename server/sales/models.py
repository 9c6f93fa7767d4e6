"""A receipt as a till sends it, as it is kept, and what became of a batch.

What comes in is decoded by msgspec and not by the web framework, because ``json.loads`` makes a float of 19.99 before
anyone can object; msgspec reads a Decimal from the digits themselves. None of these refers to itself, so the collector
of garbage need not look at them: with a file's worth in memory that took a third of the time.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

Kind = Literal["sale", "refund", "void"]
Channel = Literal["till", "online", "pickup"]
Aware = Annotated[datetime, Meta(tz=True)]


class NewLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """One line of a receipt; its amount is quantity x unit_price - discount.

    Attributes:
        discount: on the whole line, not per unit.
        cost: of the whole line, without tax, for margins; None when the till doesn't know.
        group: of goods, such as ``tea``: rules of points and coupons go by it.
        tax: of the whole line; on all of a receipt's lines or on none.
    """

    sku: str
    unit_price: Decimal
    quantity: Decimal = Decimal(1)
    discount: Decimal = Decimal(0)
    cost: Decimal | None = None
    description: str = ""
    group: str = ""
    tax: Decimal | None = None


class MemberOf(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """The member who bought, named by one of: card number, phone number, id."""

    card: str | None = None
    phone: str | None = None
    id: str | None = None


class NewReceipt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """A receipt as a till sends it.

    Attributes:
        receipt_no: the till's own number, unique in the store.
        kind: a refund gives money back, on its own day; a void takes back the receipt it refers to, as if it had
            never been.
        channel: only the till's receipts count for conversion.
        at: when it was printed; with an offset.
        currency: the store's when left out, and it must be the store's.
        gross: the total, never negative; worked out from the lines when left out, checked against them when given.
        units: pieces sold; from the lines when left out.
        tax: of the whole receipt; from the lines when left out and they have it. None: the till doesn't know.
        tax_included: whether prices and gross have the tax in them; must be said where a tax is.
        refers_to: number of the sale a refund or void is about.
    """

    store_id: str
    receipt_no: str
    at: Aware
    kind: Kind = "sale"
    channel: Channel = "till"
    lines: Sequence[NewLine] = ()
    gross: Decimal | None = None
    currency: str | None = None
    units: Decimal | None = None
    member: MemberOf | None = None
    tender: str = ""
    cashier: str = ""
    refers_to: str | None = None
    tax: Decimal | None = None
    tax_included: bool | None = None


class LineRow(msgspec.Struct, frozen=True, gc=False):
    """A line as kept, but for its number, which is its place; made by `lines.line_row`. A struct, as the receipt around
    it: a million of them are made in one go.

    Attributes:
        said: what of it goes into the receipt's hash: JSON.
        said_besides: what goes there only where one of the lines has it: JSON.
        has_besides: whether it has it.
        kept: its cells for COPY, from the SKU on.
        told: what of it goes into the event: the inside of a JSON object, but for its number.
    """

    sku: str
    description: str
    quantity: Decimal
    unit_price: Decimal
    discount: Decimal
    amount: Decimal
    cost: Decimal | None
    group: str
    tax: Decimal | None
    said: bytes
    said_besides: bytes
    has_besides: bool
    kept: str
    told: str


class ReceiptRow(msgspec.Struct, frozen=True, gc=False):
    """A checked receipt, ready to be kept.

    Attributes:
        net: what is left of gross without tax; None when the till didn't say enough.
    """

    store_id: str
    receipt_no: str
    kind: Kind
    channel: Channel
    at: datetime
    currency: str
    gross: Decimal
    units: Decimal
    member_id: UUID | None
    cashier: str
    tender: str
    refers_to: str | None
    content_hash: bytes
    lines: tuple[LineRow, ...]
    tax: Decimal | None = None
    tax_included: bool | None = None
    net: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """A receipt as kept, in a list."""

    store_id: str
    receipt_no: str
    kind: Kind
    channel: Channel
    at: datetime
    currency: str
    gross: Decimal
    units: Decimal
    member_id: UUID | None
    cashier: str
    tender: str
    refers_to: str | None
    voided_at: datetime | None
    tax: Decimal | None
    tax_included: bool | None
    net: Decimal | None


@dataclass(frozen=True, slots=True)
class Problem:
    """What was wrong with one receipt of a batch.

    Attributes:
        index: its place in the batch, from 0.
        field: the field to blame, such as ``lines[2].quantity``; None when it is the receipt as a whole.
        remedy: what to do.
    """

    index: int
    receipt_no: str | None
    field: str | None
    reason: str
    remedy: str


@dataclass(frozen=True, slots=True)
class PostResult:
    """What became of a batch; ``accepted + repeated + len(conflicts) + len(rejected)`` is its size.

    Attributes:
        accepted: kept now.
        repeated: known already with the same content; nothing was done.
        conflicts: known already with other content; the first stays, the other is put aside for a person.
        rejected: not kept; correct and send again.
        notes: kept, but something is worth knowing, such as an unknown member.
    """

    accepted: int = 0
    repeated: int = 0
    conflicts: list[Problem] = field(default_factory=list)
    rejected: list[Problem] = field(default_factory=list)
    notes: list[Problem] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class OpenConflict:
    """A receipt that came again with other content and waits for a person."""

    conflict_id: int
    store_id: str
    receipt_no: str
    payload: dict[str, object]
    received_at: datetime


@dataclass(frozen=True, slots=True)
class RowError:
    """What was wrong with a row of a file; lines are counted from 1 and the header is line 1."""

    line: int
    receipt_no: str | None
    field: str | None
    reason: str
    remedy: str


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What became of a file.

    Attributes:
        import_id: under which its progress and its rows that were not taken are kept.
        rows: data rows read.
        receipts: receipts they make up.
        rejected: receipts not taken because of their rows.
        errors: the first of them by line; `error_count` is how many there are.
        notes: taken, but worth knowing.
        dry_run: nothing was kept; the numbers say what would be.
    """

    import_id: UUID
    rows: int
    receipts: int
    accepted: int
    repeated: int
    conflicts: int
    rejected: int
    error_count: int
    errors: list[RowError]
    notes: list[RowError]
    dry_run: bool
    encoding: str


ImportState = Literal["waiting", "running", "done", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class ImportJob:
    """A file that is or was brought in.

    Attributes:
        size: bytes; `done` of them are read, about. Of a workbook nobody knows until the end.
        rows: data rows read so far.
        note_count: receipts taken although something was worth saying, such as an unknown member.
        reason: why it failed, or was cancelled.
        seen_at: when whoever works on it last gave a sign of life (UTC).
        is_workbook: whether it came as XLSX, and its rows to correct go back so.
    """

    import_id: UUID
    store_id: str
    file_name: str
    state: ImportState
    dry_run: bool
    size: int
    started_by: str
    started_at: datetime
    seen_at: datetime
    done: int = 0
    rows: int = 0
    receipts: int = 0
    accepted: int = 0
    repeated: int = 0
    conflicts: int = 0
    rejected: int = 0
    error_count: int = 0
    note_count: int = 0
    reason: str = ""
    cancel_asked: bool = False
    finished_at: datetime | None = None
    is_workbook: bool = False


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A row of a file that was not taken.

    Attributes:
        reason: empty where it is another row of the same receipt that is to blame.
        cells: what stood in it.
    """

    line: int
    receipt_no: str | None
    field: str | None
    reason: str
    remedy: str
    cells: list[str]


@dataclass(frozen=True, slots=True)
class PreviewColumn:
    """A column of a file, and which of ours it is taken for."""

    header: str
    ours: str | None


@dataclass(frozen=True, slots=True)
class PreviewReceipt:
    """A receipt as it would be taken; `gross` None: from its lines."""

    receipt_no: str
    at: datetime
    kind: Kind
    channel: Channel
    lines: int
    gross: Decimal | None
    tax_included: bool | None


@dataclass(frozen=True, slots=True)
class Preview:
    """How a file would be read.

    Attributes:
        receipts: the first of them.
        errors: of the rows looked at.
    """

    encoding: str
    delimiter: str
    columns: list[PreviewColumn]
    rows: list[list[str]]
    receipts: list[PreviewReceipt]
    errors: list[RowError]
