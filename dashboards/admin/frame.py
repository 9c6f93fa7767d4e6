"""What the pages of setting up share: their tabs by role, and what to say of a field that a service refused."""

from typing import Any, Final

from fastapi import Request, Response

from dashboards.entry.forms import Form
from dashboards.i18n import N_, translations
from dashboards.pages import renderer_of
from dashboards.render import Link
from dashboards.viewer import Viewer
from server.access.models import Role
from server.errors import DoorlineError

#: Address, words, and who may open it.
_TABS: Final[tuple[tuple[str, str, tuple[Role, ...]], ...]] = (
    ("/admin/stores", N_("Stores"), ("admin", "hq")),
    ("/admin/devices", N_("Boxes"), ("admin", "hq")),
    ("/admin/users", N_("Users"), ("admin",)),
    ("/admin/keys", N_("API keys"), ("admin",)),
    ("/admin/settings", N_("Settings"), ("admin", "hq")),
    ("/jobs", N_("Jobs"), ("admin", "hq")),
    ("/admin/audit", N_("Audit trail"), ("admin",)),
    ("/setup", N_("First hour"), ("admin",)),
)
#: What is wrong with a field, by the field that a service refused and, before it, by the error's code.
_WORDS: Final = {
    "conflict store_id": N_("There is a store of this number already."),
    "twice store_id": N_("This number stands in the file twice."),
    "store_id": N_("Use 1 to 32 letters, digits, - or _, such as S001."),
    "name": N_("Give the name people know it by."),
    "timezone": N_("Choose a time zone, such as Asia/Shanghai."),
    "country": N_("Use two letters, such as CN."),
    "subdivision": N_("Use up to three letters or digits, such as BY, or leave it empty."),
    "currency": N_("Use three letters, such as CNY."),
    "format": N_("Use up to 32 letters, digits, spaces, - or _."),
    "tags": N_("Use words of up to 32 letters each, with commas between them."),
    "day_starts": N_("Use a time on the quarter hour, such as 04:00."),
    "holidays hours": N_(
        "That holidays are closed can't be said here. Leave it out; then name the days on the store's page, under "
        "“Days with hours of their own”."
    ),
    "hours": N_("Use times on the quarter hour, such as 10:00-22:00, that don't overlap."),
    "opens": N_("Use times on the quarter hour, such as 10:00-22:00, that don't overlap."),
    "closes": N_("Use times on the quarter hour, such as 10:00-22:00, that don't overlap."),
    "valid_from": N_("Enter a date, such as 2026-11-16."),
    "value": N_("Enter a number within the bounds beside it."),
    "conflict camera_id": N_("There is a camera of this name already."),
    "camera_id": N_("Use up to 64 letters, digits, '.', '-' or '_', beginning with a letter or digit."),
    "conflict line_id": N_("There is a line of this name already."),
    "line_id": N_("Use up to 64 letters, digits, '.', '-' or '_', beginning with a letter or digit."),
    "conflict device": N_("There is, or was, a box of this name. Choose another one."),
    "device": N_("Use up to 64 letters, digits, '.', '-' or '_', beginning with a letter or digit."),
    "passphrase": N_("This passphrase does not open the authority's key."),
    "file": N_("The file can't be read, lacks a column, or has too many rows."),
}
_ANY: Final = N_("This can't be taken as it is.")


def say(error: DoorlineError, field: str | None = None) -> str:
    """Words of the catalogue for what a service refused; to be translated where they are shown."""
    return words_of((error.detail or {}).get("why", error.code), field or error.field or "")


def words_of(code: str, field: str) -> str:
    """Words for a refused field, by the kind of refusal where there are words of its own for that."""
    return _WORDS.get(f"{code} {field}") or _WORDS.get(field, _ANY)


def refuse(form: Form, error: DoorlineError, **fields: str) -> None:
    """Note beside its field what a service refused; `fields` says what the form calls it."""
    refused = error.field or ""
    own = fields.get(refused, refused)
    form.problems[own] = say(error, own)


def tabs(viewer: Viewer, current: str) -> list[Link]:
    """Links to the pages of setting up that this viewer may open."""
    gettext = translations(viewer.locale).gettext
    return [
        Link(address, gettext(words), address == current)
        for address, words, roles in _TABS
        if viewer.scope.has_role(*roles)
    ]


def page(request: Request, viewer: Viewer, template: str, *, tab: str, status: int = 200, **values: Any) -> Response:
    """One of these pages, under its tab."""
    return renderer_of(request).page(
        request, f"admin/{template}.html", viewer, status=status, tabs=tabs(viewer, tab), **values
    )
