"""The pages of imports beside each other, each for whom it is."""

from typing import Final

from dashboards.i18n import N_, translations
from dashboards.render import Link
from dashboards.viewer import STORE_READERS, Viewer
from server.access.models import Role

#: Who may bring in files of receipts.
IMPORTERS: Final[tuple[Role, ...]] = ("admin", "hq", "manager")
HEADQUARTERS: Final[tuple[Role, ...]] = ("admin", "hq")
_TABS: Final[tuple[tuple[str, str, tuple[Role, ...]], ...]] = (
    ("/imports", N_("Receipts"), IMPORTERS),
    ("/imports/members", N_("Members"), HEADQUARTERS),
    ("/imports/conflicts", N_("Conflicts"), STORE_READERS),
    ("/imports/rates", N_("Exchange rates"), STORE_READERS),
)


def import_tabs(viewer: Viewer, current: str) -> list[Link]:
    """Links to the pages of imports that this viewer may open."""
    gettext = translations(viewer.locale).gettext
    return [
        Link(href, gettext(label), href == current) for href, label, roles in _TABS if viewer.scope.has_role(*roles)
    ]
