"""What other currencies are worth in the chain's own: entered one by one or from a file, each from a day on."""

from typing import Annotated, Final

from fastapi import Depends, File, Request, Response, UploadFile
from fastapi import Form as Sent
from fastapi.responses import RedirectResponse

from dashboards.entry.forms import Form
from dashboards.formats import Formats
from dashboards.i18n import N_
from dashboards.imports.tabs import HEADQUARTERS, import_tabs
from dashboards.pages import page_router, renderer_of
from dashboards.viewer import STORE_READERS, Viewer, posting, viewer_with
from server.errors import InvalidInput, TooLarge
from server.sales.rates import NewRate

router = page_router()

_MOST_BYTES: Final = 900_000
_EXAMPLE: Final = "currency,valid_from,rate\nHKD,2026-11-01,0.9210\nEUR,2026-11-01,8.2431\n"
_WRONG: Final = {
    "currency": N_("Give three letters such as EUR, and not the chain's own currency."),
    "rate": N_("Give a number above nought, with at most ten decimals."),
    "valid_from": N_("Enter a date, such as 2026-11-16."),
}
_NOT_READ: Final = N_("The file can't be read: it needs the columns currency, valid_from and rate, and a rate a line.")
_TOO_LARGE: Final = N_("The file is too large for this page; send it in parts.")
_NO_FILE: Final = N_("Choose a file.")
_NOTES: Final = {"entered": N_("The rate is entered"), "read": N_("The rates are entered")}
Reader = Annotated[Viewer, Depends(viewer_with(*STORE_READERS))]
Poster = Annotated[Viewer, Depends(posting(*HEADQUARTERS))]
Text = Annotated[str, Sent(max_length=100)]


@router.get("/imports/rates")
def rates(request: Request, viewer: Reader, note: str = "") -> Response:
    """All rates, the latest first."""
    return _page(request, viewer, Form(), note=note)


@router.post("/imports/rates")
def enter(request: Request, viewer: Poster, currency: Text = "", valid_from: Text = "", rate: Text = "") -> Response:
    """Enter a rate; one for the same day is replaced."""
    form = Form({"currency": currency, "valid_from": valid_from, "rate": rate})
    day, value = form.day("valid_from"), form.number("rate", optional=False)
    if day is not None and value is not None:
        try:
            request.app.state.services.rates.put(viewer.scope, [NewRate(form.text("currency"), day, value)])
        except InvalidInput as error:
            field = (error.field or "").rpartition(".")[2]
            form.problems[field] = _WRONG.get(field, _WRONG["rate"])
        else:
            return RedirectResponse("/imports/rates?note=entered", status_code=303)
    return _page(request, viewer, form, status=422)


@router.post("/imports/rates/file")
def read(request: Request, viewer: Poster, file: Annotated[UploadFile | None, File()] = None) -> Response:
    """Enter the rates of a file; all or none."""
    data = file.file.read(_MOST_BYTES + 1) if file is not None else b""
    form = Form()
    if not data or len(data) > _MOST_BYTES:
        form.problems["file"] = _TOO_LARGE if data else _NO_FILE
        return _page(request, viewer, form, status=422)
    try:
        request.app.state.services.rates.import_csv(viewer.scope, data.decode("utf-8-sig"))
    except (InvalidInput, TooLarge, UnicodeDecodeError):
        form.problems["file"] = _NOT_READ
        return _page(request, viewer, form, status=422)
    return RedirectResponse("/imports/rates?note=read", status_code=303)


def _page(request: Request, viewer: Viewer, form: Form, *, note: str = "", status: int = 200) -> Response:
    services, scope = request.app.state.services, viewer.scope
    fmt = Formats(viewer.locale)
    return renderer_of(request).page(
        request,
        "imports/rates.html",
        viewer,
        status=status,
        stores=services.stores.stores(scope),
        address="/imports/rates",
        tabs=import_tabs(viewer, "/imports/rates"),
        form=form,
        note=_NOTES.get(note, ""),
        reporting=services.rates.reporting,
        may_enter=scope.has_role(*HEADQUARTERS),
        example=_EXAMPLE,
        rates=[
            {
                "currency": each.currency,
                "from": fmt.plain_day(each.valid_from),
                "rate": format(each.rate.normalize(), "f"),
                "by": each.entered_by,
                "at": fmt.plain_day(each.entered_at.date()),
            }
            for each in services.rates.rates(scope)
        ],
    )
