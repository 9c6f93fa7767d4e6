"""A file of members as a job, and a row of it that was not taken."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

ImportState = Literal["waiting", "running", "done", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class MemberImportJob:
    """A file that is or was brought in. Times are aware and in UTC.

    Attributes:
        rows: data rows read so far.
        enrolled: new members, or with `dry_run` those who would be.
        known: rows that came with an earlier import.
        opened: opening balances booked.
        tiers_left: tiers not given again, since the members have moved.
        duplicate_count: rows whose number somebody has.
        reason: why it failed, or was cancelled.
        seen_at: when whoever works on it last gave a sign of life.
        is_workbook: whether it came as XLSX, and its rows to correct go back so.
    """

    import_id: UUID
    store_id: str
    file_name: str
    state: ImportState
    dry_run: bool
    started_by: str
    started_at: datetime
    seen_at: datetime
    rows: int = 0
    enrolled: int = 0
    known: int = 0
    opened: int = 0
    tiers_left: int = 0
    duplicate_count: int = 0
    error_count: int = 0
    reason: str = ""
    cancel_asked: bool = False
    finished_at: datetime | None = None
    is_workbook: bool = False


@dataclass(frozen=True, slots=True)
class RefusedMember:
    """A row that was not taken; `cells` is what stood in it."""

    line: int
    field: str | None
    reason: str
    remedy: str
    cells: list[str]


@dataclass(frozen=True, slots=True)
class SealedRow:
    """A row that was not taken, its cells encrypted."""

    line: int
    field: str | None
    reason: str
    remedy: str
    cells: bytes
