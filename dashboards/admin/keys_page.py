"""API keys of tills and BI tools: made, replaced with an overlap, and ended.

A key stands in the answer to its form and at no address, so that no history or log ever holds it. A reload of that
answer must not make another one that nobody hands over: the form says how many keys it knew of.
"""

from datetime import datetime, timedelta
from typing import Annotated, Any, Final, cast
from urllib.parse import quote

from fastapi import Depends, Request, Response
from fastapi import Form as Sent
from fastapi.responses import RedirectResponse

from dashboards.account_page import moments
from dashboards.admin.frame import page
from dashboards.entry.forms import Form
from dashboards.i18n import N_, translations
from dashboards.pages import page_router
from dashboards.viewer import Viewer, posting, viewer_with
from server.access.models import ApiKey, KeyRole
from server.access.service import AccessService
from server.errors import Conflict, InvalidInput, NotFound

router = page_router()

_ROLES: Final[dict[KeyRole, str]] = {
    "till": N_("Till"),
    "hq": N_("Head office"),
    "admin": N_("Administrator"),
}
#: What keys are mostly for, each with the rights it takes; anything else is typed.
_USES: Final = {
    "receipts:write": N_("Send receipts"),
    "points:write": N_("Show and spend points"),
    "coupons:read coupons:write": N_("Quote and take coupons"),
    "stored-value:read stored-value:write": N_("Take stored value"),
    "kpi:read": N_("Read figures"),
}
#: Days until a key ends, by what is chosen; nothing: it stays until somebody ends it.
_DAYS: Final = {"30": 30, "90": 90, "365": 365, "730": 730, "": None}
_OVERLAPS: Final = {
    "24": N_("a day"),
    "72": N_("3 days"),
    "168": N_("7 days"),
    "720": N_("30 days"),
    "0": N_("not at all"),
}
#: From when on a key that will end is said to end soon.
_SOON: Final = timedelta(days=30)
_PROBLEMS: Final = {
    "name": N_("Say which till or tool will use it, in at most 100 letters."),
    "role": N_("Choose a role."),
    "stores": N_("A till's key needs its store: choose one or more."),
    "rights": N_("Use the first part of an address and read or write, such as members:read."),
    "expires_at": N_("Choose when it ends."),
    "overlap_hours": N_("Choose for how long the old key is still taken."),
}
_MADE_ALREADY: Final = N_(
    "A key was made since this page was opened; nothing was made now. If that one got lost, end it and make another."
)
_NOT_THE_NAME: Final = N_("This is not the key's name. Type it as it stands above.")
Reader = Annotated[Viewer, Depends(viewer_with("admin"))]
Poster = Annotated[Viewer, Depends(posting("admin"))]
Text = Annotated[str, Sent(max_length=300)]
Texts = Annotated[list[str] | None, Sent()]


@router.get("/admin/keys")
def keys(request: Request, viewer: Reader, ended: bool = False, note: str = "") -> Response:
    """Every key that is taken; those that ended, too, where they are asked for."""
    found = _access(request).api_keys(viewer.scope)
    rows = [_row(request, viewer, each) for each in sorted(found, key=lambda each: (each.name, each.created_at))]
    return page(
        request,
        viewer,
        "keys",
        tab="/admin/keys",
        rows=[row for row in rows if ended or row["is_live"]],
        total=len(rows),
        ended=ended,
        has_ended=any(not row["is_live"] for row in rows),
        note=N_("The key is ended: it is not taken any more.") if note == "ended" else "",
    )


@router.get("/admin/keys/new")
def new_key(request: Request, viewer: Reader, store: str = "") -> Response:
    """The form for a new key; a till's, unless something else is chosen."""
    form = Form({"role": "till", "days": "365"})
    return _form(request, viewer, form, stores={store}, uses={"receipts:write"})


@router.post("/admin/keys/new")
def make(
    request: Request,
    viewer: Poster,
    name: Text = "",
    role: Text = "",
    store: Texts = None,
    use: Texts = None,
    rights: Text = "",
    days: Text = "",
    after: Text = "",
) -> Response:
    """Make a key; it is in the answer and nowhere else."""
    access = _access(request)
    form = Form({"name": name, "role": role, "rights": rights, "days": days})
    stores, uses = set(store or ()), set(use or ())
    wanted = {right for each in uses for right in each.split()} | set(rights.replace(",", " ").split())
    if after != _known(access.api_keys(viewer.scope)):
        form.problems["after"] = _MADE_ALREADY
        return _form(request, viewer, form, stores=stores, uses=uses, status=409)
    if len(name.strip()) > 100:
        form.problems["name"] = _PROBLEMS["name"]
    if days not in _DAYS:
        form.problems["days"] = _PROBLEMS["expires_at"]
    if form.problems:
        return _form(request, viewer, form, stores=stores, uses=uses, status=422)
    lasts = _DAYS[days]
    ends = None if lasts is None else _now(request) + timedelta(days=lasts)
    try:
        made = access.create_api_key(viewer.scope, name, cast("KeyRole", role), stores, ends, wanted)
    except InvalidInput as error:
        _refuse(form, error)
        return _form(request, viewer, form, stores=stores, uses=uses, status=422)
    return _once(request, viewer, made)


@router.get("/admin/keys/{key_id}")
def one_key(request: Request, viewer: Reader, key_id: str) -> Response:
    """One key: what it may do, when it was used, and what can be done with it."""
    return _page(request, viewer, key_id)


@router.post("/admin/keys/{key_id}/rotate")
def rotate(request: Request, viewer: Poster, key_id: str, overlap: Text = "", after: Text = "") -> Response:
    """Another key for the same; the old one is taken for a while yet, so that no till stands still."""
    access = _access(request)
    form = Form({"overlap": overlap})
    if after != _known(access.api_keys(viewer.scope)):
        form.problems["after"] = _MADE_ALREADY
        return _page(request, viewer, key_id, rotating=form, status=409)
    if overlap not in _OVERLAPS:
        form.problems["overlap"] = _PROBLEMS["overlap_hours"]
        return _page(request, viewer, key_id, rotating=form, status=422)
    try:
        made = access.rotate_api_key(viewer.scope, key_id, timedelta(hours=int(overlap)))
    except Conflict:
        form.problems["after"] = _MADE_ALREADY
        return _page(request, viewer, key_id, rotating=form, status=409)
    return _once(request, viewer, made)


@router.post("/admin/keys/{key_id}/end")
def end(request: Request, viewer: Poster, key_id: str, confirm: Text = "") -> Response:
    """End a key at once. Its name is typed again: a key mistaken for its neighbour's is a till that stands still."""
    key = _key(request, viewer, key_id)
    form = Form({"confirm": confirm})
    if form.text("confirm") != key.name:
        form.problems["confirm"] = _NOT_THE_NAME
        return _page(request, viewer, key_id, ending=form, status=422)
    _access(request).revoke_api_key(viewer.scope, key_id)
    return RedirectResponse("/admin/keys?note=ended", status_code=303)


def _access(request: Request) -> AccessService:
    access: AccessService = request.app.state.services.access
    return access


def _now(request: Request) -> datetime:
    now: datetime = request.app.state.services.clock()
    return now


def _known(found: list[ApiKey]) -> str:
    """What a form says of the keys there were; none is ever deleted, so it says whether one was made since."""
    return str(len(found))


def _key(request: Request, viewer: Viewer, key_id: str) -> ApiKey:
    """A key by its id.

    Raises:
        NotFound: there is none.
    """
    for each in _access(request).api_keys(viewer.scope):
        if each.key_id == key_id:
            return each
    raise NotFound(f"there is no key {key_id!r}", field="key_id")


def _refuse(form: Form, error: InvalidInput) -> None:
    refused = error.field or ""
    # Stores that are not there are refused with their place in the list.
    field = refused.partition("[")[0]
    form.problems[{"expires_at": "days"}.get(field, field)] = _PROBLEMS.get(field, _PROBLEMS["name"])


def _row(request: Request, viewer: Viewer, key: ApiKey) -> dict[str, Any]:
    gettext, moment, now = translations(viewer.locale).gettext, moments(request, viewer), _now(request)
    kind, words = _state(key, now)
    return {
        "key": key,
        "href": f"/admin/keys/{quote(key.key_id, safe='')}",
        "role": gettext(_ROLES[key.role]),
        "stores": ", ".join(key.store_ids),
        "rights": ", ".join(key.rights),
        "kind": kind,
        "state": gettext(words),
        "is_live": kind != "",
        "made": moment(key.created_at),
        "ends": moment(key.expires_at) if key.expires_at else "",
        "ended": moment(key.revoked_at) if key.revoked_at else "",
        "used": moment(key.last_used_at) if key.last_used_at else "",
    }


def _state(key: ApiKey, now: datetime) -> tuple[str, str]:
    """A badge and its words; no badge for a key that is not taken any more."""
    if key.revoked_at is not None:
        return "", N_("ended by hand")
    if key.expires_at is not None and now >= key.expires_at:
        return "", N_("its time was over")
    if key.expires_at is not None and key.expires_at - now < _SOON:
        return "warn", N_("ends soon")
    return "good", N_("in force")


def _form(
    request: Request, viewer: Viewer, form: Form, *, stores: set[str], uses: set[str], status: int = 200
) -> Response:
    gettext = translations(viewer.locale).gettext

    def lasting(days: int | None) -> str:
        return gettext("in %(days)s days") % {"days": days} if days else gettext("when somebody ends it")

    return page(
        request,
        viewer,
        "key_new",
        tab="/admin/keys",
        status=status,
        form=form,
        roles=[(role, gettext(name)) for role, name in _ROLES.items()],
        all_stores=request.app.state.services.stores.stores(viewer.scope),
        chosen=stores,
        uses=[(rights, gettext(name), rights in uses) for rights, name in _USES.items()],
        lasting=[(value, lasting(days)) for value, days in _DAYS.items()],
        known=_known(_access(request).api_keys(viewer.scope)),
    )


def _page(
    request: Request,
    viewer: Viewer,
    key_id: str,
    *,
    rotating: Form | None = None,
    ending: Form | None = None,
    status: int = 200,
) -> Response:
    gettext = translations(viewer.locale).gettext
    key, found = _key(request, viewer, key_id), _access(request).api_keys(viewer.scope)
    return page(
        request,
        viewer,
        "key",
        tab="/admin/keys",
        address=f"/admin/keys/{quote(key_id, safe='')}",
        status=status,
        row=_row(request, viewer, key),
        before=[_row(request, viewer, each) for each in found if each.key_id == key.follows],
        then=[_row(request, viewer, each) for each in found if each.follows == key_id],
        rotating=rotating or Form({"overlap": "72"}),
        ending=ending or Form(),
        overlaps=[(hours, gettext(words)) for hours, words in _OVERLAPS.items()],
        known=_known(found),
    )


def _once(request: Request, viewer: Viewer, made: str) -> Response:
    key = _key(request, viewer, made.split("_")[1])
    address = f"/admin/keys/{quote(key.key_id, safe='')}"
    return page(
        request, viewer, "key_once", tab="/admin/keys", address=address, row=_row(request, viewer, key), made=made
    )
