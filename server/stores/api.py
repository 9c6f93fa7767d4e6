"""Routes of stores, cameras, lines, devices and facts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import Annotated, Protocol, cast

from fastapi import APIRouter, Depends, Query, Request
from pydantic import Field

from server.access.api import CurrentScope, require_role
from server.access.models import Scope
from server.inputs import Input
from server.stores.calendar import DEFAULT_DAY_STARTS, OpeningSpan
from server.stores.facts import FactsService
from server.stores.label_repository import Label
from server.stores.labels import LabelsService
from server.stores.models import (
    Camera,
    CameraHealth,
    Device,
    Fact,
    FactKind,
    Line,
    LineKind,
    NewFact,
    NewStore,
    Store,
)
from server.stores.service import StoresService

router = APIRouter(prefix="/api/v1", tags=["stores"])

#: Whoever sets stores up.
Keeper = Annotated[Scope, Depends(require_role("admin", "hq"))]
Admin = Annotated[Scope, Depends(require_role("admin"))]
#: Everyone who works with stores; a till posts its receipts and sees nothing.
Reader = Annotated[Scope, Depends(require_role("admin", "hq", "region", "manager", "desk"))]


class _Issuing(Protocol):
    def require_passwords(self) -> None: ...


class _State(Protocol):
    issuing: _Issuing
    stores: StoresService
    labels: LabelsService
    facts: FactsService


def _service(request: Request) -> StoresService:
    return cast("_State", request.app.state.services).stores


def _labels(request: Request) -> LabelsService:
    return cast("_State", request.app.state.services).labels


def _facts(request: Request) -> FactsService:
    return cast("_State", request.app.state.services).facts


class SpanInput(Input):
    """Opening hours on a weekday (0 = Monday, 7 = public holidays); `closes` at or before `opens` is past midnight."""

    weekday: int = Field(ge=0, le=7)
    opens: time
    closes: time


class StoreInput(Input):
    """A store to be added."""

    store_id: str = Field(max_length=32, examples=["S01"])
    name: str = Field(max_length=200)
    timezone: str = Field("Asia/Shanghai", max_length=64, description="IANA name.")
    region: str = Field("", max_length=100)
    country: str = Field("CN", max_length=2, description="ISO 3166; of phone numbers without a country code.")
    subdivision: str = Field("", max_length=3, description="ISO 3166-2 without the country, such as BY; for holidays.")
    currency: str = Field("CNY", max_length=3, description="ISO 4217.")
    format: str = Field("", max_length=32, description="How it is run, such as outlet; reports choose stores by it.")
    tags: list[str] = Field(default_factory=list, max_length=20, description="Whatever else reports choose stores by.")
    day_starts: time = Field(DEFAULT_DAY_STARTS, description="When the business day begins, local time.")
    hours: list[SpanInput] = Field(default_factory=list, max_length=70)


class HoursInput(Input):
    """A whole week's opening hours."""

    valid_from: date = Field(description="First business day they hold on.")
    hours: list[SpanInput] = Field(min_length=1, max_length=70)


class LabelsInput(Input):
    """Region, format or tags from a business day on; what is left out stays as it was."""

    valid_from: date = Field(description="First business day they hold on; reports over days before it do not move.")
    format: str | None = Field(None, max_length=32, description="How it is run, such as outlet; '' takes it away.")
    tags: list[str] | None = Field(None, max_length=20, description="All of them.")
    region: str | None = Field(None, max_length=100, description="For roll-ups and facts; '' takes it away.")


class CameraInput(Input):
    """A camera to be registered."""

    camera_id: str = Field(max_length=64)
    name: str = Field("", max_length=200)
    installed_at: datetime | None = Field(None, description="Coverage is due from then on; now when left out.")


class LineInput(Input):
    """A counting line to be added."""

    line_id: str = Field(max_length=64)
    name: str = Field("", max_length=200)
    kind: LineKind = "door"


class DeviceInput(Input):
    """A box to be added."""

    name: str = Field(max_length=64, description="Its broker user name, unique in the chain.")


class FactInput(Input):
    """What explains a number on some days: of a store, of a region, or, without either, of the whole chain."""

    kind: FactKind
    day_from: date
    day_to: date
    title: str = Field(max_length=200)
    detail: str = Field("", max_length=2000)
    store_id: str | None = Field(None, max_length=32)
    region: str | None = Field(None, min_length=1, max_length=100)
    temperature_c: Decimal | None = Field(None, description="Of weather: the day's mean.")
    rain_mm: Decimal | None = Field(None, description="Of weather: what fell.")


@dataclass(frozen=True, slots=True)
class NewDevice:
    """A new box's name and password; the password can't be had again."""

    device_id: str
    store_id: str
    password: str


@router.get("/stores", summary="Stores")
def list_stores(request: Request, scope: Reader) -> list[Store]:
    """Your stores, by id."""
    return _service(request).stores(scope)


@router.post("/stores", status_code=201, summary="Add a store")
def add_store(body: StoreInput, request: Request, scope: Keeper) -> Store:
    """Add a store with its calendar and opening hours."""
    fields = body.model_dump(exclude={"hours"})
    return _service(request).add_store(scope, NewStore(**fields, hours=_spans(body.hours)))


@router.get("/stores/{store_id}", summary="A store")
def read_store(store_id: str, request: Request, scope: Reader) -> Store:
    """One store."""
    return _service(request).store(scope, store_id)


@router.put("/stores/{store_id}/hours", status_code=204, summary="Set opening hours")
def set_hours(store_id: str, body: HoursInput, request: Request, scope: CurrentScope) -> None:
    """Set the whole week's opening hours from a day on; what was answered for days since is computed anew."""
    _service(request).set_hours(scope, store_id, body.valid_from, _spans(body.hours))


@router.get("/stores/{store_id}/cameras", summary="Cameras")
def list_cameras(store_id: str, request: Request, scope: Reader) -> list[Camera]:
    """All cameras a store ever had."""
    return _service(request).cameras(scope, store_id)


@router.post("/stores/{store_id}/cameras", status_code=201, summary="Register a camera")
def add_camera(store_id: str, body: CameraInput, request: Request, scope: Keeper) -> Camera:
    """Register a camera: coverage is due from it from then on."""
    return _service(request).add_camera(scope, store_id, body.camera_id, body.name, body.installed_at)


@router.get("/stores/{store_id}/labels", summary="Format and tags of a store")
def list_labels(store_id: str, request: Request, scope: Reader) -> list[Label]:
    """By the business day from which they hold."""
    return _labels(request).labels(scope, store_id)


@router.put("/stores/{store_id}/labels", summary="Change format and tags of a store")
def set_labels(store_id: str, body: LabelsInput, request: Request, scope: Keeper) -> Label:
    """From a business day on: what reports choose stores by, day by day."""
    return _labels(request).set_labels(
        scope, store_id, body.valid_from, store_format=body.format, tags=body.tags, region=body.region
    )


@router.get("/stores/{store_id}/camera-health", summary="How the cameras do")
def camera_health(store_id: str, request: Request, scope: Reader) -> list[CameraHealth]:
    """The state of each camera in service, with what to do about it in your language."""
    return _service(request).camera_health(scope, store_id)


@router.get("/stores/{store_id}/lines", summary="Counting lines")
def list_lines(store_id: str, request: Request, scope: Reader) -> list[Line]:
    """A store's counting lines."""
    return _service(request).lines(scope, store_id)


@router.post("/cameras/{camera_id}/lines", status_code=201, summary="Add a counting line")
def add_line(camera_id: str, body: LineInput, request: Request, scope: Keeper) -> Line:
    """Add a counting line to a camera."""
    return _service(request).add_line(scope, camera_id, body.line_id, body.name, body.kind)


@router.get("/stores/{store_id}/devices", summary="Boxes")
def list_devices(store_id: str, request: Request, scope: Reader) -> list[Device]:
    """A store's boxes with their last word about themselves."""
    return _service(request).devices(scope, store_id)


@router.post("/stores/{store_id}/devices", status_code=201, summary="Add a box")
def add_device(store_id: str, body: DeviceInput, request: Request, scope: Admin) -> NewDevice:
    """Add a box that signs in with a password, which is in this answer and nowhere else. Refused where the broker lets
    in boxes with a certificate alone."""
    cast("_State", request.app.state.services).issuing.require_passwords()
    made = _service(request).add_device(scope, store_id, body.name)
    return NewDevice(made.device_id, made.store_id, made.password)


@router.delete("/devices/{name}", status_code=204, summary="End a box")
def revoke_device(name: str, request: Request, scope: Admin) -> None:
    """End a box: what it sends is refused from then on."""
    _service(request).revoke_device(scope, name)


@router.get("/stores/{store_id}/facts", summary="Promotions, weather, events")
def list_facts(
    store_id: str,
    request: Request,
    scope: Reader,
    day_from: Annotated[date, Query(alias="from")],
    day_to: Annotated[date, Query(alias="to")],
) -> list[Fact]:
    """What holds for a store on any of the days, its region's and the chain's own included."""
    return _facts(request).of_store(scope, store_id, day_from, day_to)


@router.get("/facts", summary="Promotions, weather, events of all your stores")
def list_all_facts(
    request: Request,
    scope: Reader,
    day_from: Annotated[date, Query(alias="from")],
    day_to: Annotated[date, Query(alias="to")],
) -> list[Fact]:
    """Each once, by day; the regions' and the chain's own included."""
    return _facts(request).of_stores(scope, day_from, day_to)


@router.post("/facts", status_code=201, summary="Note a promotion, weather or an event")
def add_fact(body: FactInput, request: Request, scope: CurrentScope) -> Fact:
    """Note what explains a number, for a store or (admin and HQ) for a region or the whole chain."""
    return _facts(request).add(scope, NewFact(**body.model_dump()))


@router.delete("/facts/{fact_id}", status_code=204, summary="Take a promotion, weather or an event away")
def remove_fact(fact_id: int, request: Request, scope: CurrentScope) -> None:
    """Take it away."""
    _facts(request).remove(scope, fact_id)


def _spans(hours: Sequence[SpanInput]) -> tuple[OpeningSpan, ...]:
    return tuple(OpeningSpan(span.weekday, span.opens, span.closes) for span in hours)
