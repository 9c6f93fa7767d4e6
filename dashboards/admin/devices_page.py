"""Every box with how it does; boxes made, given other certificates and ended.

What a box signs in with is in the answer to the form and at no address: shown once, in a page no cache keeps. What ends
something asks for the box's name again, since a name mistaken for its neighbour's is a shop that is not counted.
"""

import base64
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Final
from urllib.parse import quote

from fastapi import Depends, Request, Response
from fastapi import Form as Sent
from fastapi.responses import RedirectResponse

from dashboards.account_page import moments
from dashboards.admin.device_words import FATES, certificate, clock, connection, fate, remarks
from dashboards.admin.frame import page, refuse
from dashboards.entry.forms import Form
from dashboards.formats import NOTHING, Formats
from dashboards.i18n import N_, translations
from dashboards.pages import page_router
from dashboards.viewer import Viewer, posting, viewer_with
from server.configs.models import Revision, Standing
from server.errors import Conflict, InvalidInput, NotFound
from server.provisioning.issuing import Carried, Told
from server.provisioning.models import EnrolledDevice
from server.provisioning.service import newest_of

router = page_router()

_TOLD: Final[dict[Told, tuple[str, str]]] = {
    "unchanged": ("", ""),
    "told": ("good", N_("The broker goes by it already.")),
    "by_hand": (
        "warn",
        N_("The broker does not know of it yet: run doorline pki crl on the server, or reload the broker there."),
    ),
    "unknown": ("warn", N_("Whether the broker goes by it is not known: run doorline pki check on the server.")),
}
_ENDED: Final = {
    "unchanged": N_("The box is ended: nothing of it is taken any more."),
    "told": N_("The box is ended, and the broker refuses it already."),
    "by_hand": N_(
        "The box is ended: nothing of it is taken any more. The broker still lets it in until doorline pki crl was run "
        "on the server."
    ),
    "unknown": N_(
        "The box is ended: nothing of it is taken any more. Whether the broker refuses it already is not known."
    ),
}
_NOT_THE_NAME: Final = N_("This is not the box's name. Type it as it stands above.")
_NO_STORE: Final = N_("Choose the store it stands in.")
_NO_PASSWORDS: Final = N_(
    "The broker lets in boxes with a certificate alone. Make it where the authority is: docker compose run --rm "
    "operator device add --store S01 --name door-1 --out boxes/door-1.enrol"
)
_MADE_ALREADY: Final = N_(
    "A file was made for this box since this page was opened; nothing was made now. If that file got lost, make "
    "another that ends the old ones now."
)
_SHOWN_REVISIONS: Final = 8
Reader = Annotated[Viewer, Depends(viewer_with("admin", "hq"))]
Admin = Annotated[Viewer, Depends(viewer_with("admin"))]
Poster = Annotated[Viewer, Depends(posting("admin"))]
Text = Annotated[str, Sent(max_length=300)]


@router.get("/admin/devices")
def devices(request: Request, viewer: Reader, q: str = "", ended: bool = False) -> Response:
    """Every box."""
    services, scope = request.app.state.services, viewer.scope
    names = {store.store_id: store.name for store in services.stores.stores(scope)}
    found: list[EnrolledDevice] = services.provisioning.devices(scope)
    standings: dict[str, Standing] = services.configs.standings(scope)
    asked = q.casefold().split()
    wanted = [
        each
        for each in found
        if (ended or each.revoked_at is None)
        and all(part in f"{each.device_id} {each.store_id} {names.get(each.store_id)}".casefold() for part in asked)
    ]
    return page(
        request,
        viewer,
        "devices",
        tab="/admin/devices",
        stores=services.stores.stores(scope),
        q=q,
        ended=ended,
        total=sum(each.revoked_at is None for each in found),
        has_ended=any(each.revoked_at is not None for each in found),
        rows=[_row(request, viewer, each, standings.get(each.device_id), names) for each in wanted],
    )


@router.get("/admin/devices/new")
def new_device(request: Request, viewer: Admin, store: str = "") -> Response:
    """The form for a new box."""
    return _form(request, viewer, Form({"store": store}))


@router.post("/admin/devices/new")
def add(request: Request, viewer: Poster, store: Text = "", device: Text = "", passphrase: Text = "") -> Response:
    """Make a box; what it signs in with is in the answer."""
    services = request.app.state.services
    form = Form({"store": store, "device": device, "passphrase": passphrase})
    try:
        services.issuing.require_passwords()
    except InvalidInput:
        form.problems["device"] = _NO_PASSWORDS
        return _form(request, viewer, form, status=422)
    try:
        if services.issuing.signing == "none":
            made = services.stores.add_device(viewer.scope, form.text("store"), form.text("device"))
            return _once(request, viewer, made.device_id, made.store_id, password=made.password)
        carried = services.issuing.add(viewer.scope, form.text("store"), form.text("device"), passphrase)
    except NotFound:
        form.problems["store"] = _NO_STORE
    except (InvalidInput, Conflict) as error:
        refuse(form, error, name="device")
    else:
        return _once(request, viewer, carried.made.device_id, carried.made.store_id, carried=carried)
    return _form(request, viewer, form, status=422)


@router.get("/admin/devices/{name}")
def device_page(request: Request, name: str, viewer: Reader, note: str = "") -> Response:
    """One box."""
    return _page(request, viewer, name, note=note)


@router.post("/admin/devices/{name}/rotate")
def rotate(
    request: Request,
    name: str,
    viewer: Poster,
    when: Text = "",
    confirm: Text = "",
    passphrase: Text = "",
    after: Text = "",
) -> Response:
    """Give it another certificate: beside the old one until it was seen, or in place of it at once.

    The form names the newest certificate it was made for, so that a reload of the answer makes no second one.
    """
    form = Form({"when": when, "confirm": confirm, "passphrase": passphrase})
    at_once = when == "now"
    if at_once and form.text("confirm") != name:
        form.problems["confirm"] = _NOT_THE_NAME
        return _page(request, viewer, name, rotating=form, status=422)
    try:
        carried = request.app.state.services.issuing.rotate(
            viewer.scope, name, at_once=at_once, passphrase=passphrase, after=after
        )
    except Conflict:
        form.problems["after"] = _MADE_ALREADY
        return _page(request, viewer, name, rotating=form, status=409)
    except InvalidInput as error:
        refuse(form, error)
        return _page(request, viewer, name, rotating=form, status=422)
    return _once(request, viewer, name, carried.made.store_id, carried=carried, is_new=False)


@router.post("/admin/devices/{name}/end")
def end(request: Request, name: str, viewer: Poster, confirm: Text = "", passphrase: Text = "") -> Response:
    """End it: nothing of it is taken any more."""
    form = Form({"confirm": confirm, "passphrase": passphrase})
    if form.text("confirm") != name:
        form.problems["confirm"] = _NOT_THE_NAME
        return _page(request, viewer, name, ending=form, status=422)
    ended = request.app.state.services.issuing.end(viewer.scope, name, passphrase)
    return RedirectResponse(f"{device_href(name)}?note={ended.told}", status_code=303)


def device_href(name: str) -> str:
    """The address of a box's page."""
    return f"/admin/devices/{quote(name, safe='')}"


def _row(
    request: Request, viewer: Viewer, device: EnrolledDevice, standing: Standing | None, names: dict[str, str]
) -> dict[str, Any]:
    gettext, fmt = translations(viewer.locale).gettext, Formats(viewer.locale)
    now: datetime = request.app.state.services.clock()
    return {
        "device": device,
        "href": device_href(device.device_id),
        "store": names.get(device.store_id, device.store_id),
        "connection": connection(device, now, gettext),
        "version": device.version or NOTHING,
        "clock": clock(device, gettext, fmt),
        "pending": fmt.number(device.pending),
        "certificate": certificate(device, now, gettext, fmt),
        "fate": fate(standing, gettext),
        "reason": standing.reason if standing else "",
        "used": standing.used if standing else 0,
        "remarks": remarks(device, now, gettext, fmt),
    }


def _page(
    request: Request,
    viewer: Viewer,
    name: str,
    *,
    note: str = "",
    rotating: Form | None = None,
    ending: Form | None = None,
    status: int = 200,
) -> Response:
    services, scope = request.app.state.services, viewer.scope
    stores = services.stores.stores(scope)
    names = {store.store_id: store.name for store in stores}
    device = next((each for each in services.provisioning.devices(scope) if each.device_id == name), None)
    if device is None:
        raise NotFound(f"there is no box {name!r}")
    moment = moments(request, viewer)
    standing = services.configs.standings(scope, [name]).get(name)
    history: list[Revision] = services.configs.history(scope, name, _SHOWN_REVISIONS) if _is_admin(viewer) else []
    return page(
        request,
        viewer,
        "device",
        tab="/admin/devices",
        status=status,
        address=device_href(name),
        stores=stores,
        row=_row(request, viewer, device, standing, names),
        device=device,
        note=_ENDED.get(note, ""),
        is_admin=_is_admin(viewer),
        signing=services.issuing.signing,
        heard=moment(device.status_at) if device.status_at else "",
        newest=newest_of(device.certificates),
        certificates=[
            {
                "fingerprint": each.fingerprint[:16],
                "ends": moment(each.not_after),
                "seen": moment(each.last_seen_at) if each.last_seen_at else "",
            }
            for each in device.certificates
        ],
        history=_history(history, moment, viewer),
        rotating=rotating or Form({"when": "later"}),
        ending=ending or Form(),
    )


def _history(found: Sequence[Revision], moment: Any, viewer: Viewer) -> list[dict[str, Any]]:
    gettext = translations(viewer.locale).gettext
    return [
        {
            "number": each.revision,
            "cameras": [camera.id for camera in each.camera],
            "by": each.author,
            "at": moment(each.created_at),
            "note": each.note,
            "state": gettext(FATES[each.state][0]),
            "kind": FATES[each.state][1],
            "reason": each.reason,
        }
        for each in found
    ]


def _form(request: Request, viewer: Viewer, form: Form, *, status: int = 200) -> Response:
    services = request.app.state.services
    stores = services.stores.stores(viewer.scope)
    return page(
        request,
        viewer,
        "device_new",
        tab="/admin/devices",
        status=status,
        address="/admin/devices/new",
        stores=stores,
        form=form,
        signing=services.issuing.signing,
        choices=[("", "—"), *((store.store_id, f"{store.store_id} · {store.name}") for store in stores)],
    )


def _once(
    request: Request,
    viewer: Viewer,
    name: str,
    store_id: str,
    *,
    password: str = "",
    carried: Carried | None = None,
    is_new: bool = True,
) -> Response:
    """The one answer that holds what a box signs in with."""
    moment = moments(request, viewer)
    told = _TOLD[carried.told] if carried else ("", "")
    return page(
        request,
        viewer,
        "device_once",
        tab="/admin/devices",
        address=device_href(name),
        name=name,
        store_id=store_id,
        password=password,
        is_new=is_new,
        file=carried.name if carried else "",
        content=base64.b64encode(carried.content).decode() if carried else "",
        until=moment(carried.made.not_after) if carried else "",
        taken_back=carried.made.taken_back if carried else False,
        told=told,
        href=device_href(name),
    )


def _is_admin(viewer: Viewer) -> bool:
    return viewer.scope.has_role("admin")
