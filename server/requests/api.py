"""Routes of asking a box: `POST` asks, `GET` shows what came of it, for those who set stores up.

A picture is a resource of its own, so that looking whether it is there yet does not carry it each time, and that each
look at it is one line of the audit trail.
"""

from datetime import datetime
from typing import Annotated, Literal, Protocol, cast

import msgspec
from fastapi import APIRouter, Depends, Request, Response
from fastapi import Path as FromPath
from pydantic import BaseModel, Field

from server.access.api import require_role
from server.access.models import Scope
from server.errors import InvalidInput
from server.inputs import Input
from server.requests.models import DeviceRequest, Kind, State
from server.requests.service import RequestService
from wire.asking import MAX_WIDTH, REMEMBERED_S, Ask, LineTest, Paths, Snapshot, Unable

router = APIRouter(prefix="/api/v1", tags=["requests"])

Keeper = Annotated[Scope, Depends(require_role("admin", "hq"))]
RequestNumber = Annotated[str, FromPath(pattern="^[0-9a-f]{32}$")]
Fraction = Annotated[float, Field(ge=0, le=1)]
Point = tuple[Fraction, Fraction]


class _State(Protocol):
    requests: RequestService


def _service(request: Request) -> RequestService:
    return cast("_State", request.app.state.services).requests


class SnapshotInput(Input):
    """What a camera sees now, with nobody recognisable in it."""

    kind: Literal["snapshot"]
    camera: str = Field(max_length=64)
    width: int = Field(960, ge=160, le=MAX_WIDTH, description="Of the picture at most (pixels).")


class PathsInput(Input):
    """Where people walked before a camera of late."""

    kind: Literal["paths"]
    camera: str = Field(max_length=64)
    seconds: float = Field(REMEMBERED_S, gt=0, le=REMEMBERED_S, description="How far back.")


class LineInput(Input):
    """A line in fractions of the frame: either `start` and `end`, or `points`."""

    id: str = Field(max_length=64)
    start: Point | None = None
    end: Point | None = None
    points: list[Point] = Field(default_factory=list, max_length=64)
    inside: Point = Field(description="Any point on its inner side.")
    kind: Literal["door", "street", "interior"] = "door"
    anchor: Literal["feet", "centre", "head"] | None = None
    settle: Literal["immediate", "on_exit"] = "immediate"


class LineTestInput(Input):
    """What a line would have counted of late; nothing is counted by it."""

    kind: Literal["line_test"]
    camera: str = Field(max_length=64)
    line: LineInput
    seconds: float = Field(REMEMBERED_S, gt=0, le=REMEMBERED_S, description="How far back.")


AskInput = Annotated[SnapshotInput | PathsInput | LineTestInput, Field(discriminator="kind")]


class PictureView(BaseModel):
    """A picture that was taken; the picture itself is under `url`.

    `veiled`: the box can't tell people from the scene yet, so all of the picture is only shapes and `people` may be too
    few; ask again in some seconds.
    """

    at: datetime | None
    width: int
    height: int
    people: int
    veiled: bool
    url: str


class PathView(BaseModel):
    """One person's way: x and y as fractions of the frame, and seconds before `at`."""

    track: int
    points: list[tuple[float, float, float]]


class PathsView(BaseModel):
    """Where people walked."""

    at: datetime | None
    seconds: float
    anchor: str
    paths: list[PathView]


class TriedCrossingView(BaseModel):
    """A crossing that the line would have counted, seconds before `at`."""

    track: int
    direction: Literal["in", "out"]
    ago: float


class LineTestView(BaseModel):
    """What the line would have counted among so many people."""

    line: str
    at: datetime | None
    seconds: float
    people: int
    entries: int
    exits: int
    crossings: list[TriedCrossingView]


class RequestView(BaseModel):
    """What was asked and what came of it.

    `state` is `waiting`, `answered` (then one of `snapshot`, `paths` and `line_test` is there) or `failed` (then `code`
    and `reason` say why). Forgotten after `keep_until`.
    """

    request_id: str
    device_id: str
    store_id: str
    camera_id: str
    kind: Kind
    asked_by: str
    asked_at: datetime
    waits_until: datetime
    keep_until: datetime
    answered_at: datetime | None
    state: State
    code: str | None = None
    reason: str | None = None
    snapshot: PictureView | None = None
    paths: PathsView | None = None
    line_test: LineTestView | None = None


@router.post("/devices/{name}/requests", status_code=202, summary="Ask a box something")
def ask(
    name: Annotated[str, FromPath(max_length=64)], body: AskInput, request: Request, response: Response, scope: Keeper
) -> RequestView:
    """Ask a box for a snapshot, for recent paths, or what a line would have counted in the last minute.

    Answered at once with a number; what came of it is under `GET /api/v1/requests/{request_id}` within forty seconds. A
    box that reaches us over HTTPS only can't be asked, and a request says so. Who asked is in the audit trail."""
    service = _service(request)
    asked = service.ask(scope, name, _ask(body))
    response.headers["Location"] = f"/api/v1/requests/{asked.request_id}"
    return _view(service, asked)


@router.get("/requests/{request_id}", summary="What a box answered")
def read_request(request_id: RequestNumber, request: Request, response: Response, scope: Keeper) -> RequestView:
    """How a request stands, and its answer, for some minutes."""
    service = _service(request)
    response.headers["Cache-Control"] = "no-store"
    return _view(service, service.read(scope, request_id))


@router.get(
    "/requests/{request_id}/picture",
    summary="The picture a box answered with",
    response_class=Response,
    responses={200: {"description": "JPEG, in which nobody can be recognised.", "content": {"image/jpeg": {}}}},
)
def read_picture(request_id: RequestNumber, request: Request, scope: Keeper) -> Response:
    """The picture, for some minutes. Every look at it is in the audit trail."""
    found = _service(request).picture(scope, request_id)
    return Response(found.jpeg, media_type="image/jpeg", headers={"Cache-Control": "no-store"})


def _ask(body: SnapshotInput | PathsInput | LineTestInput) -> Ask:
    try:
        asked: Ask = msgspec.convert(body.model_dump(), Ask)
    except msgspec.ValidationError as error:
        reason, _, place = str(error).partition(" - at `$")
        field = place.rstrip("`").removeprefix(".") or None
        raise InvalidInput(
            f"{field or 'the request'}: {reason}", field=field, remedy="see docs/asyncapi.yaml"
        ) from error
    return asked


def _view(service: RequestService, found: DeviceRequest) -> RequestView:
    view = RequestView(
        request_id=found.request_id,
        device_id=found.device_id,
        store_id=found.store_id,
        camera_id=found.camera_id,
        kind=found.kind,
        asked_by=found.asked_by,
        asked_at=found.asked_at,
        waits_until=found.waits_until,
        keep_until=found.keep_until,
        answered_at=found.answered_at,
        state=service.state(found),
    )
    match found.given:
        case None if view.state == "failed":
            view.code, view.reason = "no_answer", "nothing came of it in time; ask again"
        case Unable(code=code, reason=reason):
            view.code, view.reason = code, reason
        case Snapshot() as taken:
            view.snapshot = PictureView(
                at=taken.at,
                width=taken.width,
                height=taken.height,
                people=taken.people,
                veiled=taken.veiled,
                url=f"/api/v1/requests/{found.request_id}/picture",
            )
        case Paths() as walked:
            view.paths = PathsView.model_validate(msgspec.to_builtins(walked))
        case LineTest() as tried:
            view.line_test = LineTestView.model_validate(msgspec.to_builtins(tried))
    return view
