"""Receipts that came twice with different contents: both side by side, and a person chooses.

What differs is marked, because two receipts of twelve lines that differ in one price look alike to anybody at the end
of a day.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Final, cast, get_args

from fastapi import Depends, Request, Response
from fastapi import Form as Sent
from fastapi.responses import RedirectResponse

from dashboards.entry.forms import Form, Gettext
from dashboards.formats import NOTHING, Formats
from dashboards.i18n import N_, translations
from dashboards.imports.tabs import IMPORTERS, import_tabs
from dashboards.pages import page_router, renderer_of
from dashboards.viewer import STORE_READERS, Viewer, posting, viewer_with
from server.errors import Conflict, InvalidInput
from server.sales.conflicts import Choice, Pair

router = page_router()

_KINDS: Final = {"sale": N_("sale"), "refund": N_("refund"), "void": N_("void")}
_CHANNELS: Final = {"till": N_("till"), "online": N_("online"), "pickup": N_("pick-up")}
_FIELDS: Final = (
    ("at", N_("Date and time")),
    ("kind", N_("Kind")),
    ("channel", N_("Channel")),
    ("gross", N_("Total")),
    ("units", N_("Pieces")),
    ("tax", N_("Tax")),
    ("member", N_("Bought by")),
    ("tender", N_("Paid by")),
    ("cashier", N_("Cashier")),
    ("refers_to", N_("Receipt referred to")),
)
_LONGEST: Final = 500
_NOTES: Final = {
    "kept": N_("Decided: the kept receipt stays"),
    "other": N_("Decided: the other content is kept now, under a number of its own"),
    "both": N_("Decided: both are kept, the other under a number of its own"),
}
Reader = Annotated[Viewer, Depends(viewer_with(*STORE_READERS))]
Decider = Annotated[Viewer, Depends(posting(*IMPORTERS))]


@router.get("/imports/conflicts")
def conflicts(request: Request, viewer: Reader, note: str = "") -> Response:
    """What waits for a person, oldest first."""
    return _list(request, viewer, note)


@router.get("/imports/conflicts/{conflict_id}")
def conflict(request: Request, conflict_id: int, viewer: Reader) -> Response:
    """Both contents."""
    return _one(request, viewer, conflict_id, Form())


@router.post("/imports/conflicts/{conflict_id}")
def decide(
    request: Request,
    conflict_id: int,
    viewer: Decider,
    choice: Annotated[str, Sent(max_length=10)] = "",
    why: Annotated[str, Sent(max_length=2000)] = "",
) -> Response:
    """Let the kept one stand, take the other, or keep both."""
    services, form = request.app.state.services, Form({"why": why, "choice": choice})
    if not 1 <= len(form.text("why")) <= _LONGEST:
        form.problems["why"] = N_("Say why, in at most 500 letters.")
    if choice not in get_args(Choice):
        form.problems["choice"] = N_("Choose what is right.")
    if form.problems:
        return _one(request, viewer, conflict_id, form, status=422)
    try:
        services.conflicts.decide(viewer.scope, conflict_id, cast("Choice", choice), form.text("why"))
    except (InvalidInput, Conflict):
        form.problems["choice"] = N_("The other content can't be taken: send what is right from the till, then decide.")
        return _one(request, viewer, conflict_id, form, status=422)
    return RedirectResponse(f"/imports/conflicts?note={choice}", status_code=303)


def _list(request: Request, viewer: Viewer, note: str) -> Response:
    services, scope = request.app.state.services, viewer.scope
    fmt, gettext = Formats(viewer.locale), translations(viewer.locale).gettext
    stores = services.stores.stores(scope)
    by_id = {store.store_id: store for store in stores}

    def zone(store_id: str) -> str:
        return by_id[store_id].timezone if store_id in by_id else "UTC"

    return renderer_of(request).page(
        request,
        "imports/conflicts.html",
        viewer,
        stores=stores,
        tabs=import_tabs(viewer, "/imports/conflicts"),
        note=_NOTES.get(note, ""),
        waiting=[
            {
                "href": f"/imports/conflicts/{each.conflict_id}",
                "number": each.receipt_no,
                "store": by_id[each.store_id].name if each.store_id in by_id else each.store_id,
                "kind": gettext(_KINDS.get(str(each.payload.get("kind")), NOTHING)),
                "gross": fmt.money(Decimal(str(each.payload.get("gross") or 0)), str(each.payload.get("currency")), 2),
                "came": _moment(each.received_at, fmt, zone(each.store_id)),
            }
            for each in services.sales.open_conflicts(scope)
        ],
    )


def _one(request: Request, viewer: Viewer, conflict_id: int, form: Form, *, status: int = 200) -> Response:
    services, scope = request.app.state.services, viewer.scope
    fmt, gettext = Formats(viewer.locale), translations(viewer.locale).gettext
    pair: Pair = services.conflicts.pair(scope, conflict_id)
    stores = services.stores.stores(scope)
    store = services.stores.store(scope, pair.conflict.store_id)
    left = _said(_of_kept(pair), fmt, gettext, store.timezone)
    right = _said(pair.conflict.payload, fmt, gettext, store.timezone)
    lines = _lines(pair, fmt, store.currency)
    return renderer_of(request).page(
        request,
        "imports/conflict.html",
        viewer,
        status=status,
        stores=stores,
        address=f"/imports/conflicts/{conflict_id}",
        tabs=import_tabs(viewer, "/imports/conflicts"),
        store=store,
        number=pair.conflict.receipt_no,
        came=_moment(pair.conflict.received_at, fmt, store.timezone),
        is_gone=pair.kept is None,
        is_voided=pair.kept is not None and pair.kept.voided_at is not None,
        fields=[
            {"label": gettext(label), "kept": left[name], "other": right[name], "differs": left[name] != right[name]}
            for name, label in _FIELDS
        ],
        lines=lines,
        form=form,
        conflict_id=conflict_id,
        may_decide=scope.has_role(*IMPORTERS),
    )


def _of_kept(pair: Pair) -> dict[str, object]:
    kept = pair.kept
    if kept is None:
        return {}
    return {
        "at": kept.at.isoformat(),
        "kind": kept.kind,
        "channel": kept.channel,
        "gross": str(kept.gross),
        "currency": kept.currency,
        "units": str(kept.units),
        "tax": None if kept.tax is None else str(kept.tax),
        "member_id": kept.member_id,
        "tender": kept.tender,
        "cashier": kept.cashier,
        "refers_to": kept.refers_to,
    }


def _said(content: Mapping[str, object], fmt: Formats, gettext: Gettext, zone: str) -> dict[str, str]:
    """A receipt's fields in a reader's words, so that what is alike reads alike."""
    currency = str(content.get("currency") or "")

    def money(name: str) -> str:
        value = content.get(name)
        return NOTHING if value is None else fmt.money(Decimal(str(value)), currency, 2)

    at, units = content.get("at"), content.get("units")
    return {
        "at": NOTHING if at is None else _moment(datetime.fromisoformat(str(at)), fmt, zone, seconds=True),
        "kind": gettext(_KINDS.get(str(content.get("kind")), NOTHING)),
        "channel": gettext(_CHANNELS.get(str(content.get("channel")), NOTHING)),
        "gross": money("gross"),
        "units": NOTHING if units is None else _plain(Decimal(str(units)), fmt),
        "tax": money("tax"),
        "member": gettext(N_("a member")) + f" …{str(content['member_id'])[-6:]}"
        if content.get("member_id")
        else NOTHING,
        "tender": str(content.get("tender") or NOTHING),
        "cashier": str(content.get("cashier") or NOTHING),
        "refers_to": str(content.get("refers_to") or NOTHING),
    }


def _lines(pair: Pair, fmt: Formats, currency: str) -> list[dict[str, Any]]:
    """Lines beside each other by their place."""
    given = pair.conflict.payload.get("lines")
    others: list[Mapping[str, object]] = list(given) if isinstance(given, list) else []
    rows = []
    for place in range(max(len(pair.lines), len(others))):
        left = _line(pair.lines[place], fmt, currency) if place < len(pair.lines) else NOTHING
        right = _line(others[place], fmt, currency) if place < len(others) else NOTHING
        rows.append({"kept": left, "other": right, "differs": left != right})
    return rows


def _line(line: Mapping[str, object], fmt: Formats, currency: str) -> str:
    name = f"{line['sku']} {line.get('description') or ''}".strip()
    discount = Decimal(str(line.get("discount") or 0))
    price = fmt.money(Decimal(str(line["unit_price"])), currency, 2)
    less = f" − {fmt.money(discount, currency, 2)}" if discount else ""
    return f"{name}: {_plain(Decimal(str(line['quantity'])), fmt)} × {price}{less}"


def _plain(number: Decimal, fmt: Formats) -> str:
    return fmt.number(number, 0 if number == number.to_integral_value() else 3)


def _moment(at: datetime, fmt: Formats, zone: str, *, seconds: bool = False) -> str:
    return f"{fmt.local_day(at, zone)} {fmt.clock(at, zone, seconds=seconds)}"
