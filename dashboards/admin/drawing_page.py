"""A camera's picture with what is counted on it: drawn by dragging, tried on the last minute, and set.

The page asks the box over the API, as any program would: for a picture nobody can be recognised in, for where people
walked, for what a line would have counted. What is set becomes a revision like any other, whose fate the page shows.
The trap is the box's own file, which the centre never sees: a camera that goes by it looks empty here, and what is
drawn replaces all of it; so the page says so.
"""

from typing import Annotated, Any, Final
from urllib.parse import quote

import msgspec
from fastapi import Depends, Request, Response
from fastapi import Form as Sent
from fastapi.responses import JSONResponse, RedirectResponse

from dashboards.account_page import moments
from dashboards.admin import drawn as drawings
from dashboards.admin.device_words import FATES
from dashboards.admin.drawing_words import PROBLEMS, TROUBLE, WORDS
from dashboards.admin.drawn import Drawn
from dashboards.admin.frame import page
from dashboards.i18n import N_, translations
from dashboards.pages import page_router
from dashboards.viewer import Viewer, posting, unasked, viewer_with
from server.configs import checking
from server.configs.models import Revision, Standing
from server.configs.writing import to_toml
from server.errors import Conflict, DoorlineError, InvalidInput, NotFound
from server.provisioning.models import EnrolledDevice
from server.services import Services
from server.stores.changing import LINE_NAME, check_line_name
from server.stores.models import Camera
from wire.config import CameraConfig

router = page_router()

#: What a page sends of a drawing, at most.
_MOST: Final = 200_000
_OWN_FILE: Final = WORDS["own_file"]
_NOTES: Final = {
    "set": N_("Sent to the box. It tries it now; what becomes of it stands beside the picture."),
    "named": N_("The new name holds here and in every report, for earlier days too. The box was told nothing."),
}
Admin = Annotated[Viewer, Depends(viewer_with("admin"))]
Poster = Annotated[Viewer, Depends(posting("admin"))]


def camera_href(store_id: str, camera_id: str) -> str:
    """The address of a camera's page."""
    return f"/admin/cameras/{quote(store_id, safe='')}/{quote(camera_id, safe='')}"


@router.get("/admin/cameras/{store_id}/{camera_id}")
def drawing(request: Request, store_id: str, camera_id: str, viewer: Admin, note: str = "") -> Response:
    """The picture and what is drawn on it."""
    return _page(request, viewer, store_id, camera_id, note=note)


@router.get("/admin/cameras/{store_id}/{camera_id}/fate")
@unasked
def fate_now(request: Request, store_id: str, camera_id: str, viewer: Admin) -> Response:
    """What became of the newest revision, for the page that waits for it."""
    services: Services = request.app.state.services
    camera = _camera(services, viewer, store_id, camera_id)
    device = _device(services, viewer, camera)
    return JSONResponse(_fate(request, viewer, device), headers={"Cache-Control": "no-store"})


@router.post("/admin/cameras/{store_id}/{camera_id}")
def save(
    request: Request,
    store_id: str,
    camera_id: str,
    viewer: Poster,
    drawn: Annotated[str, Sent(max_length=_MOST)] = "",
    note: Annotated[str, Sent(max_length=200)] = "",
) -> Response:
    """Make what was drawn what the box is to count by."""
    services: Services = request.app.state.services
    camera = _camera(services, viewer, store_id, camera_id)
    device = _device(services, viewer, camera)
    if device is None:
        return _page(request, viewer, store_id, camera_id, problem="no_box", why=note, status=409)
    sent: Drawn | None = None
    try:
        sent = drawings.read(drawn)
        done = _set(services, viewer, camera, device.device_id, sent, note.strip())
    except Conflict as error:
        problem = "taken" if error.field else "same"
        return _page(request, viewer, store_id, camera_id, sent=sent, problem=problem, why=note, status=409)
    except (InvalidInput, NotFound) as error:
        return _page(
            request, viewer, store_id, camera_id, sent=sent, problem=_problem(error), told=error, why=note, status=422
        )
    return RedirectResponse(f"{camera_href(store_id, camera_id)}?note={done}", status_code=303)


@router.post("/admin/cameras/{store_id}/{camera_id}/names")
def rename(
    request: Request,
    store_id: str,
    camera_id: str,
    viewer: Poster,
    line: Annotated[list[str], Sent()],
    name: Annotated[list[str], Sent()],
) -> Response:
    """Call lines otherwise that a box counts by its own file, where nothing is drawn that could be called anything."""
    services: Services = request.app.state.services
    _camera(services, viewer, store_id, camera_id)
    try:
        services.store_changes.rename_lines(viewer.scope, camera_id, dict(zip(line, name, strict=False)))
    except InvalidInput as error:
        return _page(request, viewer, store_id, camera_id, problem="name", told=error, status=422)
    return RedirectResponse(f"{camera_href(store_id, camera_id)}?note=named", status_code=303)


def _set(services: Services, viewer: Viewer, camera: Camera, device: str, drawn: Drawn, note: str) -> str:
    """Register what is new and counts, set the revision, and call lines what they are to be called.

    A name is no business of the box's: where nothing else is new, nothing is sent.

    Returns:
        what to say of it, of `_NOTES`.

    Raises:
        InvalidInput: naming what can't be counted by, or called so.
        Conflict: the box is to have just that already, or a line's id (its `field`) is taken elsewhere.
    """
    scope = viewer.scope
    newest = services.configs.revision(scope, device)
    kept = () if newest is None else newest.camera
    before = next((each for each in kept if each.id == camera.camera_id), None)
    mine = drawings.camera_of(drawn, camera.camera_id, before)
    others = [each for each in kept if each.id != camera.camera_id]
    text = to_toml([*others, mine])
    checking.parse(text)
    known = {line.line_id: line.name for line in services.stores.lines(scope, camera.store_id)}
    names = {shape: name for shape, name, _ in drawings.counting(drawn) if name is not None}
    for line, name in names.items():
        check_line_name(line, name)
    for shape, label, kind in drawings.counting(drawn):
        if shape not in known:
            services.stores.add_line(scope, camera.camera_id, shape, label or "", kind)
    done = "set"
    try:
        services.configs.put(scope, device, text, note)
    except Conflict:
        if all(name == known.get(shape, name) for shape, name in names.items()):
            raise
        done = "named"
    services.store_changes.rename_lines(scope, camera.camera_id, names)
    return done


def _problem(error: DoorlineError) -> str:
    """Which words say what was refused, by the key that was."""
    field = error.field or ""
    if field.endswith(".id"):
        return "taken"
    if field == LINE_NAME:
        return "name"
    for part, problem in (("points", "shape"), ("kind", "kind"), ("line_id", "taken"), ("tag", "rule")):
        if part in field:
            return problem
    return "no_line" if field.endswith(".line") else "shape" if ".line[" in field else "unread"


def _camera(services: Services, viewer: Viewer, store_id: str, camera_id: str) -> Camera:
    services.stores.store(viewer.scope, store_id)
    found = next(
        (each for each in services.stores.cameras(viewer.scope, store_id) if each.camera_id == camera_id), None
    )
    if found is None:
        raise NotFound(f"store {store_id!r} has no camera {camera_id!r}")
    return found


def _device(services: Services, viewer: Viewer, camera: Camera) -> EnrolledDevice | None:
    """The box that watches a camera: the one that reports it, else the one that was told of it, else the only one."""
    live = [each for each in services.provisioning.devices(viewer.scope, camera.store_id) if each.revoked_at is None]
    for each in live:
        if camera.camera_id in each.cameras:
            return each
    for each in live:
        newest = services.configs.revision(viewer.scope, each.device_id)
        if newest is not None and any(own.id == camera.camera_id for own in newest.camera):
            return each
    return live[0] if len(live) == 1 else None


def _fate(request: Request, viewer: Viewer, device: EnrolledDevice | None) -> dict[str, Any]:
    """How the box stands to what it was told, in words."""
    gettext = translations(viewer.locale).gettext
    if device is None:
        return {"revision": 0, "words": "", "kind": "", "reason": "", "settled": True}
    services: Services = request.app.state.services
    standing: Standing | None = services.configs.standings(viewer.scope, [device.device_id]).get(device.device_id)
    if standing is None or not standing.desired:
        return {"revision": 0, "words": gettext(_OWN_FILE), "kind": "", "reason": "", "settled": True}
    words, kind = FATES[standing.state]
    return {
        "revision": standing.desired,
        "words": gettext(words),
        "kind": kind,
        "reason": standing.reason,
        "settled": standing.state in {"applied", "failed"},
    }


def _page(
    request: Request,
    viewer: Viewer,
    store_id: str,
    camera_id: str,
    *,
    note: str = "",
    sent: Drawn | None = None,
    problem: str = "",
    told: DoorlineError | None = None,
    why: str = "",
    status: int = 200,
) -> Response:
    services: Services = request.app.state.services
    scope, gettext = viewer.scope, translations(viewer.locale).gettext
    camera = _camera(services, viewer, store_id, camera_id)
    lines = [line for line in services.stores.lines(scope, store_id) if line.camera_id == camera_id]
    device = _device(services, viewer, camera)
    newest = services.configs.revision(scope, device.device_id) if device else None
    config = _of(newest, camera_id)
    health = next(
        (each for each in services.stores.camera_health(scope, store_id) if each.camera_id == camera_id), None
    )
    shapes = drawings.shapes_of(config, lines) if sent is None else _again(sent)
    moment = moments(request, viewer)
    return page(
        request,
        viewer,
        "camera",
        tab="/admin/stores",
        status=status,
        address=camera_href(store_id, camera_id),
        stores=services.stores.stores(scope),
        store=services.stores.store(scope, store_id),
        camera=camera,
        device=device,
        health=health,
        # A box watches no camera on which nothing is drawn; that is no fault of the camera's.
        is_idle=config is None and not lines,
        note=_NOTES.get(note, ""),
        problem=PROBLEMS.get(problem, ""),
        told="" if told is None else told.message,
        why=why,
        fate=_fate(request, viewer, device),
        set_by="" if newest is None else f"{newest.author} · {moment(newest.created_at)}",
        own_file=config is None,
        undrawn=[line for line in lines if line.line_id not in {shape["id"] for shape in shapes}],
        data={
            "camera": camera_id,
            "device": device.device_id if device else "",
            "csrf": viewer.session.csrf,
            "address": camera_href(store_id, camera_id),
            "locale": viewer.locale,
            "shapes": shapes,
            "dirty": sent is not None,
            "settings": _settings(sent or config),
            "registered": [{"id": line.line_id, "name": line.name, "kind": line.kind} for line in lines],
            "taken": sorted({line.line_id for line in services.stores.lines(scope, store_id)}),
            "words": {key: gettext(words) for key, words in WORDS.items()},
            "trouble": {key: gettext(words) for key, words in TROUBLE.items()},
        },
    )


def _of(revision: Revision | None, camera_id: str) -> CameraConfig | None:
    return next((each for each in revision.camera if each.id == camera_id), None) if revision else None


def _settings(found: Drawn | CameraConfig | None) -> dict[str, Any]:
    usual = found or Drawn(())
    return {"mounting": usual.mounting, "rotate": usual.rotate, "target_fps": usual.target_fps}


def _again(sent: Drawn) -> list[dict[str, Any]]:
    """What was sent and refused, as the page draws it."""
    return [{**msgspec.to_builtins(shape), "name": shape.name or shape.id} for shape in sent.shapes]
