"""Routes of corrections, rosters and the settings that bear on KPIs."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, BinaryIO, Protocol, cast

from fastapi import APIRouter, Body, Depends, Query, Request
from pydantic import AwareDatetime, Field

from server.access.api import CurrentScope, require_role
from server.access.models import Scope
from server.errors import InvalidInput
from server.inputs import Input
from server.kpi.correction_service import CorrectionsService, Shift
from server.kpi.corrections.in_force import Audit, Correction, CorrectionKind, NewCorrection
from server.kpi.service import KpiService, Setting
from server.kpi.tables import TableImport, TableResult

router = APIRouter(prefix="/api/v1", tags=["kpi"])

Reader = Annotated[Scope, Depends(require_role("admin", "hq", "region", "manager"))]


Csv = Annotated[bytes, Body(media_type="text/csv")]


class _State(Protocol):
    corrections: CorrectionsService
    tables: TableImport
    kpi: KpiService


def _file(request: Request, body: bytes) -> BinaryIO:
    if request.headers.get("content-type", "").partition(";")[0].strip() != "text/csv":
        raise InvalidInput("the body is not said to be a CSV file", field="content-type", remedy="send it as text/csv")
    return io.BytesIO(body)


def _state(request: Request) -> _State:
    return cast("_State", request.app.state.services)


class AuditInput(Input):
    """A hand count beside the counter's."""

    counted: int = Field(ge=1, le=10_000_000, description="Crossings the counter counted.")
    missed: int = Field(ge=0, le=10_000_000, description="Crossings there were that it did not count.")
    invented: int = Field(ge=0, le=10_000_000, description="Of those it counted, those there were not.")


class CorrectionInput(Input):
    """A correction; which fields it has depends on its kind."""

    kind: CorrectionKind
    reason: str = Field(max_length=500)
    store_id: str | None = Field(None, max_length=32, description="Left out: the chain's default.")
    day_from: date | None = Field(None, description="First business day it holds on.")
    day_to: date | None = Field(None, description="The last; left out: until further notice.")
    value: Decimal | None = Field(
        None, description="staff_rate: entries an hour for each member of staff; group_factor: visitors to a group."
    )
    line_id: str | None = Field(None, max_length=64, description="accuracy, excluded; left out: all lines.")
    audit: AuditInput | None = Field(None, description="accuracy.")
    starts_at: AwareDatetime | None = Field(None, description="excluded; widened to its quarter hour.")
    ends_at: AwareDatetime | None = None


class WithdrawalInput(Input):
    """Why a correction no longer holds."""

    reason: str = Field(max_length=500)


class SettingInput(Input):
    """A setting from a business day on, of one store or of the chain's default."""

    value: Decimal = Field(ge=0, le=1)
    valid_from: date
    store_id: str | None = Field(None, max_length=32)


class ShiftInput(Input):
    """People on the floor from one instant to another."""

    starts_at: AwareDatetime
    ends_at: AwareDatetime
    people: Decimal = Field(gt=0, lt=1000, decimal_places=6)
    note: str = Field("", max_length=200)


class RosterInput(Input):
    """A business day's whole roster: shifts, or hours that are spread evenly over its opening hours."""

    shifts: list[ShiftInput] | None = Field(None, max_length=500)
    hours: Decimal | None = Field(None, ge=0, le=100_000)


@dataclass(frozen=True, slots=True)
class RosterAnswer:
    """A business day's roster; not known is not the same as nobody working."""

    is_known: bool
    shifts: Sequence[Shift]


@router.post("/corrections", status_code=201, summary="Correct what is counted")
def make_correction(body: CorrectionInput, request: Request, scope: CurrentScope) -> Correction:
    """Make a correction; days of its validity are computed anew, and what was answered before is kept."""
    fields = body.model_dump(exclude={"audit"})
    audit = Audit(**body.audit.model_dump()) if body.audit else None
    return _state(request).corrections.make(scope, NewCorrection(**fields, audit=audit))


@router.get("/corrections", summary="Corrections")
def list_corrections(
    request: Request,
    scope: Reader,
    store: Annotated[
        str | None, Query(max_length=32, description="With the chain's own; all of yours if left out.")
    ] = None,
    at: Annotated[datetime | None, Query(description="Those that stood at this moment.")] = None,
    withdrawn: Annotated[bool, Query(description="Also those that were withdrawn.")] = False,
) -> list[Correction]:
    """Corrections with who made them, when and why; the latest first."""
    return _state(request).corrections.corrections(scope, store, at=at, withdrawn=withdrawn)


@router.post("/corrections/{correction_id}/withdrawal", summary="Withdraw a correction")
def withdraw_correction(correction_id: int, body: WithdrawalInput, request: Request, scope: CurrentScope) -> Correction:
    """End a correction; it is kept, and days it held for are computed anew."""
    return _state(request).corrections.withdraw(scope, correction_id, body.reason)


@router.put("/kpi/settings/{key}", status_code=204, summary="Set what KPIs are made with")
def set_setting(key: Setting, body: SettingInput, request: Request, scope: CurrentScope) -> None:
    """The least coverage, the share that power hours hold, or whether a store takes check-ins (1 or 0)."""
    _state(request).kpi.set_setting(scope, key, body.value, body.valid_from, body.store_id)


@router.get("/stores/{store_id}/roster/{day}", summary="Who is on the floor")
def read_roster(store_id: str, day: date, request: Request, scope: Reader) -> RosterAnswer:
    """A business day's roster."""
    found = _state(request).corrections.roster(scope, store_id, day)
    return RosterAnswer(found is not None, found or [])


@router.put("/stores/{store_id}/roster/{day}", status_code=204, summary="Enter who is on the floor")
def set_roster(store_id: str, day: date, body: RosterInput, request: Request, scope: CurrentScope) -> None:
    """Put a business day's whole roster in place of the one it had."""
    corrections = _state(request).corrections
    if (body.hours is None) == (body.shifts is None):
        raise InvalidInput("a roster is either shifts or hours", field="shifts", remedy="give one of the two")
    if body.hours is not None:
        shifts = corrections.spread(scope, store_id, day, body.hours)
    else:
        shifts = [Shift(each.starts_at, each.ends_at, each.people, each.note) for each in body.shifts or []]
    corrections.set_roster(scope, store_id, day, shifts)


@router.post("/roster/csv", summary="Bring in rosters from a CSV file")
def import_rosters(request: Request, scope: CurrentScope, body: Csv) -> TableResult:
    """Columns store, day, from, to, people; or store, day, hours. All of the file, or, with errors, nothing of it."""
    return _state(request).tables.rosters(scope, _file(request, body))


@router.post("/facts/csv", summary="Bring in promotions, events and weather from a CSV file")
def import_facts(request: Request, scope: CurrentScope, body: Csv) -> TableResult:
    """Columns kind, from, title; to, detail, store, region, temperature, rain. All of the file, or nothing of it."""
    return _state(request).tables.facts(scope, _file(request, body))
