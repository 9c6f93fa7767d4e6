"""HQ's pages for members beside each other, each for whom it is."""

from typing import Final

from dashboards.i18n import N_, translations
from dashboards.render import Link
from dashboards.viewer import STORE_READERS, Viewer
from server.access.models import Role

HEADQUARTERS: Final[tuple[Role, ...]] = ("admin", "hq")
#: Who may adjust points, and be the second person of somebody who did.
ADJUSTERS: Final[tuple[Role, ...]] = ("admin", "hq", "manager")
_TABS: Final[tuple[tuple[str, str, tuple[Role, ...]], ...]] = (
    ("/members/value", N_("Customer value"), STORE_READERS),
    ("/members/people", N_("Persons"), STORE_READERS),
    ("/members/tiers", N_("Tiers"), HEADQUARTERS),
    ("/members/points", N_("Points"), HEADQUARTERS),
    ("/members/requests", N_("Requests"), ADJUSTERS),
    ("/members/coupons", N_("Coupons"), HEADQUARTERS),
    ("/members/stored-value", N_("Stored value"), STORE_READERS),
    ("/members/form", N_("Form and retention"), HEADQUARTERS),
)


def member_tabs(viewer: Viewer, current: str) -> list[Link]:
    """Links to the pages that this viewer may open."""
    gettext = translations(viewer.locale).gettext
    return [
        Link(href, gettext(label), href == current) for href, label, roles in _TABS if viewer.scope.has_role(*roles)
    ]
