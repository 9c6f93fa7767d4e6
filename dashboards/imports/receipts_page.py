"""Files of receipts: chosen, looked at with their columns put right by hand, tried, brought in.

The file stays in the browser until it is brought in: each look sends it (or its beginning) again, and nothing of it is
kept here in between, so any process can answer and nothing has to be cleaned up.
"""

from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from fastapi import Depends, Request, Response
from fastapi.responses import RedirectResponse

from dashboards.entry.forms import Form
from dashboards.formats import Formats
from dashboards.i18n import N_, translations
from dashboards.imports.jobs import job_line, what_is_wrong
from dashboards.imports.mapped import Mapped, explicit, mapped
from dashboards.imports.tabs import IMPORTERS, import_tabs
from dashboards.imports.upload import Upload, upload_of
from dashboards.pages import page_router, renderer_of
from dashboards.viewer import Viewer, posting, viewer_with
from server.errors import DoorlineError, InvalidInput, NotFound, TooLarge
from server.sales.csv_format import HEADERS, recognised
from server.sales.formats import TillFormat
from server.sales.models import Preview

router = page_router()

#: Our columns, as people call them.
COLUMNS: Final = {
    "receipt_no": N_("Receipt number"),
    "at": N_("Date and time"),
    "date": N_("Date"),
    "time": N_("Time"),
    "kind": N_("Sale, refund or void"),
    "channel": N_("Channel"),
    "sku": N_("Article number"),
    "description": N_("Article"),
    "group": N_("Group of goods"),
    "quantity": N_("Quantity"),
    "unit_price": N_("Price of one"),
    "discount": N_("Discount on the line"),
    "cost": N_("Cost of the line"),
    "line_tax": N_("Tax of the line"),
    "gross": N_("Total of the receipt"),
    "tax": N_("Tax of the receipt"),
    "tax_included": N_("Tax included?"),
    "units": N_("Pieces of the receipt"),
    "currency": N_("Currency"),
    "member_card": N_("Member's card"),
    "member_phone": N_("Member's phone"),
    "member_id": N_("Member's id"),
    "tender": N_("Paid by"),
    "cashier": N_("Cashier"),
    "refers_to": N_("Receipt referred to"),
}
_KINDS: Final = {"sale": N_("sale"), "refund": N_("refund"), "void": N_("void")}
_CHANNELS: Final = {"till": N_("till"), "online": N_("online"), "pickup": N_("pick-up")}
_ORDERS: Final = (("ymd", N_("year first")), ("dmy", N_("day, month, year")), ("mdy", N_("month, day, year")))
_TRUTHS: Final = (("", N_("not said")), ("yes", N_("yes")), ("no", N_("no")))
_TRUTH: Final = {"": None, "yes": True, "no": False}
_NO_FILE: Final = N_("Choose a file.")
_NOT_READ: Final = N_("The file can't be read: save it as CSV or as .xlsx and try again.")
_NOT_WHOLE: Final = N_(
    "A needed column isn't found: a receipt needs its number, date and time, and its total or the article and price."
)
_NAME: Final = N_("Give it a name of letters, digits, - and _.")
_NOTES: Final = {"saved": N_("The columns are saved"), "forgotten": N_("Forgotten")}
Importer = Annotated[Viewer, Depends(viewer_with(*IMPORTERS))]
Sent = Annotated[Upload, Depends(upload_of(*IMPORTERS))]
Headquarters = Annotated[Viewer, Depends(posting("admin", "hq"))]


@router.get("/imports")
def choose(request: Request, viewer: Importer, store: str = "", till: str = "", note: str = "") -> Response:
    """Where a file is chosen, and the latest files."""
    return _page(request, viewer, Form({"store_id": store, "till": till}), note=note)


@router.post("/imports/receipts/preview")
def preview(request: Request, upload: Sent) -> Response:
    """How the file would be read; nothing is kept, and what is missing is no failure yet."""
    upload.viewer.scope.require(upload.form.text("store_id"))
    answer = _looked_at(request, upload)
    answer.status_code = 200
    return answer


@router.post("/imports/receipts")
def start(request: Request, upload: Sent) -> Response:
    """Bring the file in, or try it."""
    services, scope = request.app.state.services, upload.viewer.scope
    scope.require(upload.form.text("store_id"))
    if upload.file is None:
        return _page(request, upload.viewer, upload.form, problem=_NO_FILE, status=422)
    try:
        job = services.imports.start(
            scope,
            upload.form.text("store_id"),
            upload.file,
            _format(request, upload),
            name=upload.name,
            dry_run=upload.form.text("dry_run") == "1",
        )
    except (InvalidInput, TooLarge):
        return _looked_at(request, upload, status=422)
    return RedirectResponse(f"/imports/receipts/{job.import_id}", status_code=303)


@router.post("/imports/receipts/formats")
def save(request: Request, upload: Annotated[Upload, Depends(upload_of("admin", "hq"))]) -> Response:
    """Keep the columns as they are said, under a name."""
    name = upload.form.text("name")
    try:
        request.app.state.services.formats.save(upload.viewer.scope, name, _format(request, upload))
    except InvalidInput:
        upload.form.problems["name"] = _NAME
        return _looked_at(request, upload, status=422)
    values = {**upload.form.values, "till": name}
    return _looked_at(request, _with(upload, Form(values)), note="saved")


@router.post("/imports/receipts/formats/{name}/removal")
def forget(request: Request, name: str, viewer: Headquarters) -> Response:
    """Forget how a kind of till's files are read."""
    request.app.state.services.formats.delete(viewer.scope, name)
    return RedirectResponse("/imports?note=forgotten", status_code=303)


def _with(upload: Upload, form: Form) -> Upload:
    return Upload(upload.viewer, upload.file, upload.name, form, upload.headers, upload.chosen)


def _format(request: Request, upload: Upload) -> TillFormat:
    """How the file is to be read: as a till's saved format has it, and what was said by hand over that."""
    form, till = upload.form, upload.form.text("till")
    saved = request.app.state.services.formats.named(upload.viewer.scope, till) if till else TillFormat()
    if not upload.headers:
        return saved
    row = form.text("header_row")
    order = form.text("date_order")
    return msgspec.structs.replace(
        saved,
        columns=explicit(upload.said, upload.headers, recognised),
        header_row=int(row) if row.isdecimal() and 1 <= int(row) <= 1000 else 1,
        sheet=form.text("sheet")[:200],
        date_order=order if order in {"dmy", "mdy"} else "ymd",
        decimal_comma=_TRUTH.get(form.text("decimal_comma")),
        tax_included=_TRUTH.get(form.text("tax_included")),
    )


def _looked_at(request: Request, upload: Upload, *, status: int = 200, note: str = "") -> Response:
    """The page with the file's columns, and the receipts they make."""
    services, viewer, form = request.app.state.services, upload.viewer, upload.form
    if upload.file is None:
        problem = "" if note else _NO_FILE
        return _page(request, viewer, form, problem=problem, note=note, status=status if note else 422)
    try:
        till = _format(request, upload)
    except NotFound:
        return _page(request, viewer, form, problem=N_("This till system is not known any more."), status=422)
    try:
        columns = mapped(
            upload.file,
            till.columns,
            recognised,
            header_row=till.header_row,
            sheet=till.sheet,
            decimal_comma=till.decimal_comma,
        )
    except DoorlineError:
        return _page(request, viewer, form, problem=_NOT_READ, status=422)
    found, problem = None, ""
    try:
        found = services.imports.preview(viewer.scope, form.text("store_id"), upload.file, till)
    except InvalidInput as error:
        problem, status = _NOT_WHOLE if error.field == "mapping" else _NOT_READ, 422
    return _page(
        request, viewer, form, problem=problem, status=status, note=note, till=till, columns=columns, preview=found
    )


def _page(
    request: Request,
    viewer: Viewer,
    form: Form,
    *,
    problem: str = "",
    note: str = "",
    status: int = 200,
    till: TillFormat | None = None,
    columns: Mapped | None = None,
    preview: Preview | None = None,
) -> Response:
    services, scope = request.app.state.services, viewer.scope
    gettext = translations(viewer.locale).gettext
    stores = services.stores.stores(scope)
    zones = {store.store_id: store.timezone for store in stores}
    formats = services.formats.all(scope)
    return renderer_of(request).page(
        request,
        "imports/receipts.html",
        viewer,
        status=status,
        stores=stores,
        address="/imports",
        tabs=import_tabs(viewer, "/imports"),
        form=form,
        problem=problem,
        note=_NOTES.get(note, ""),
        choices=[(store.store_id, f"{store.name} · {store.store_id}") for store in stores],
        tills=[("", gettext(N_("Recognise the columns"))), *((name, name) for name in formats)],
        formats=[{"name": name, "columns": _columns_told(each, gettext)} for name, each in formats.items()],
        may_save=scope.has_role("admin", "hq"),
        columns=columns,
        ours=[("", gettext(N_("— not used —"))), *((name, gettext(COLUMNS[name])) for name in HEADERS)],
        till=till,
        options=_options(till, gettext),
        receipts=_receipts(preview, viewer, zones.get(form.text("store_id"), "UTC")),
        wrong=[
            {"line": error.line, "what": what_is_wrong(error.field), "exact": f"{error.reason}; {error.remedy}"}
            for error in (preview.errors[:10] if preview else ())
        ],
        is_whole=preview is not None,
        files=[job_line(job, stores, viewer.locale, base="/imports/receipts") for job in services.imports.jobs(scope)],
    )


def _columns_told(till: TillFormat, gettext: Any) -> str:
    said = [
        f"{gettext(COLUMNS[ours])}: {header}" for ours, header in till.columns.items() if header and ours in COLUMNS
    ]
    return " · ".join(said) or gettext(N_("all columns are recognised"))


def _options(till: TillFormat | None, gettext: Any) -> dict[str, Any]:
    """How the file is written, as fields of the form."""
    form = till or TillFormat()
    words = {None: "", True: "yes", False: "no"}
    values = {
        "header_row": str(form.header_row),
        "sheet": form.sheet,
        "date_order": form.date_order,
        "decimal_comma": words[form.decimal_comma],
        "tax_included": words[form.tax_included],
    }
    return {
        "form": Form(values),
        "orders": [(value, gettext(label)) for value, label in _ORDERS],
        "truths": [(value, gettext(label)) for value, label in _TRUTHS],
    }


def _receipts(preview: Preview | None, viewer: Viewer, zone: str) -> list[dict[str, str]]:
    gettext, fmt = translations(viewer.locale).gettext, Formats(viewer.locale)

    def moment(at: datetime) -> str:
        return f"{fmt.local_day(at, zone)} {fmt.clock(at, zone)}"

    return [
        {
            "number": each.receipt_no,
            "at": moment(each.at),
            "kind": gettext(_KINDS[each.kind]),
            "channel": gettext(_CHANNELS[each.channel]),
            "lines": fmt.number(each.lines),
            "gross": gettext(N_("from its lines")) if each.gross is None else fmt.number(each.gross, 2),
        }
        for each in (preview.receipts[:10] if preview else ())
    ]
