"""Files of members from an old system: chosen, looked at with their columns put right by hand, tried, enrolled.

Nobody's consent is guessed: the page asks on what basis these people are members, and those words stand on record with
each of them.
"""

from typing import Annotated, Final

from fastapi import Depends, Request, Response
from fastapi.responses import RedirectResponse

from dashboards.entry.forms import Form
from dashboards.i18n import N_, translations
from dashboards.imports.jobs import job_line
from dashboards.imports.mapped import Mapped, explicit, mapped
from dashboards.imports.tabs import HEADQUARTERS, import_tabs
from dashboards.imports.upload import Upload, upload_of
from dashboards.pages import page_router, renderer_of
from dashboards.viewer import Viewer, posting, viewer_with
from server.errors import DoorlineError, InvalidInput, TooLarge
from server.membership.import_rows import COLUMNS as OURS
from server.membership.import_rows import recognised

router = page_router()

_COLUMNS: Final = {
    "name": N_("Name"),
    "phone": N_("Phone"),
    "birthday": N_("Birthday"),
    "external_no": N_("Number in the old system"),
    "store": N_("Home store"),
    "enrolled_at": N_("Member since"),
    "points": N_("Points"),
    "points_expire": N_("Points expire on"),
    "principal": N_("Stored value: paid for"),
    "bonus": N_("Stored value: bonus"),
    "tier": N_("Tier"),
    "marketing": N_("Agrees to marketing?"),
    "staff": N_("Won by"),
    "advisor": N_("Advisor"),
    "campaign": N_("Campaign"),
    "tags": N_("Tags"),
}
_NO_FILE: Final = N_("Choose a file.")
_NOT_READ: Final = N_("The file can't be read: save it as CSV or as .xlsx and try again.")
_NOT_WHOLE: Final = N_("A needed column isn't found: a member needs a name and a phone number.")
_BASIS: Final = N_("Say what these people agreed to, where and since when, in ten letters or more.")
_NAME: Final = N_("Give it a name of letters, digits, - and _.")
_NOTES: Final = {"saved": N_("The columns are saved"), "forgotten": N_("Forgotten")}
Headquarters = Annotated[Viewer, Depends(viewer_with(*HEADQUARTERS))]
Poster = Annotated[Viewer, Depends(posting(*HEADQUARTERS))]
Sent = Annotated[Upload, Depends(upload_of(*HEADQUARTERS))]


@router.get("/imports/members")
def choose(request: Request, viewer: Headquarters, note: str = "") -> Response:
    """Where a file is chosen, and the latest files."""
    return _page(request, viewer, Form(), note=note)


@router.post("/imports/members/preview")
def preview(request: Request, upload: Sent) -> Response:
    """How the file would be read; nothing is kept, and what is missing is no failure yet."""
    answer = _looked_at(request, upload)
    answer.status_code = 200
    return answer


@router.post("/imports/members")
def start(request: Request, upload: Sent) -> Response:
    """Enrol them, or try it."""
    services, scope, form = request.app.state.services, upload.viewer.scope, upload.form
    if upload.file is None:
        return _page(request, upload.viewer, form, problem=_NO_FILE, status=422)
    try:
        job = services.member_imports.start(
            scope,
            form.text("store_id"),
            upload.file,
            form.text("basis"),
            _mapping(request, upload),
            name=upload.name,
            dry_run=form.text("dry_run") == "1",
        )
    except (InvalidInput, TooLarge) as error:
        if error.field == "basis":
            form.problems["basis"] = _BASIS
        return _looked_at(request, upload, status=422)
    return RedirectResponse(f"/imports/members/{job.import_id}", status_code=303)


@router.post("/imports/members/formats")
def save(request: Request, upload: Sent) -> Response:
    """Keep the columns as they are said, under a name."""
    name = upload.form.text("name")
    try:
        request.app.state.services.member_imports.save_format(upload.viewer.scope, name, _mapping(request, upload))
    except InvalidInput:
        upload.form.problems["name"] = _NAME
        return _looked_at(request, upload, status=422)
    form = Form({**upload.form.values, "system": name})
    sent = Upload(upload.viewer, upload.file, upload.name, form, upload.headers, upload.chosen)
    return _looked_at(request, sent, note="saved")


@router.post("/imports/members/formats/{name}/removal")
def forget(request: Request, name: str, viewer: Poster) -> Response:
    """Forget how an old system's files are read."""
    request.app.state.services.member_imports.delete_format(viewer.scope, name)
    return RedirectResponse("/imports/members?note=forgotten", status_code=303)


def _mapping(request: Request, upload: Upload) -> dict[str, str]:
    """Our columns to the file's: what was said by hand, else as saved under the name."""
    if upload.headers:
        return explicit(upload.said, upload.headers, recognised)
    saved: dict[str, dict[str, str]] = request.app.state.services.member_imports.formats(upload.viewer.scope)
    return saved.get(upload.form.text("system"), {})


def _looked_at(request: Request, upload: Upload, *, status: int = 200, note: str = "") -> Response:
    viewer, form = upload.viewer, upload.form
    if upload.file is None:
        problem = "" if note else _NO_FILE
        return _page(request, viewer, form, problem=problem, note=note, status=status if note else 422)
    try:
        columns = mapped(upload.file, _mapping(request, upload), recognised)
    except DoorlineError:
        return _page(request, viewer, form, problem=_NOT_READ, status=422)
    is_whole = {"name", "phone"} <= {column.ours for column in columns.columns}
    return _page(
        request,
        viewer,
        form,
        problem="" if is_whole else _NOT_WHOLE,
        note=note,
        status=status if is_whole else 422,
        columns=columns,
        is_whole=is_whole,
    )


def _page(
    request: Request,
    viewer: Viewer,
    form: Form,
    *,
    problem: str = "",
    note: str = "",
    status: int = 200,
    columns: Mapped | None = None,
    is_whole: bool = False,
) -> Response:
    services, scope = request.app.state.services, viewer.scope
    gettext = translations(viewer.locale).gettext
    stores = services.stores.stores(scope)
    formats = services.member_imports.formats(scope)
    own = [each for each in services.members.form.fields(scope) if each.retired_at is None]
    jobs = services.member_imports.jobs(scope)
    return renderer_of(request).page(
        request,
        "imports/members.html",
        viewer,
        status=status,
        stores=stores,
        address="/imports/members",
        tabs=import_tabs(viewer, "/imports/members"),
        form=form,
        problem=problem,
        note=_NOTES.get(note, ""),
        choices=[(store.store_id, f"{store.name} · {store.store_id}") for store in stores],
        systems=[("", gettext(N_("Recognise the columns"))), *((name, name) for name in sorted(formats))],
        formats=[
            {"name": name, "columns": " · ".join(f"{ours}: {header}" for ours, header in columns_.items() if header)}
            for name, columns_ in sorted(formats.items())
        ],
        columns=columns,
        is_whole=is_whole,
        ours=[
            ("", gettext(N_("— not used —"))),
            *((name, gettext(_COLUMNS[name])) for name in OURS),
            *((f"custom.{each.field}", each.labels[viewer.locale]) for each in own),
        ],
        files=[job_line(job, stores, viewer.locale, base="/imports/members") for job in jobs],
    )
