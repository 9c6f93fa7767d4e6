"""The pages of one store beside each other: its day, what explains and corrects it, who works and when it opens."""

from typing import Final
from urllib.parse import quote

from dashboards.i18n import N_, translations
from dashboards.render import Link
from server.access.models import Locale

_TABS: Final = (
    ("", N_("Today")),
    ("/facts", N_("What explains the day")),
    ("/roster", N_("Roster")),
    ("/opening", N_("Opening hours")),
    ("/corrections", N_("Corrections")),
    ("/silences", N_("Silent devices")),
)


def store_tabs(store_id: str, current: str, locale: Locale) -> list[Link]:
    """Links to a store's pages; `current` is the last part of the one that is open."""
    gettext = translations(locale).gettext
    base = f"/stores/{quote(store_id, safe='')}"
    return [Link(base + path, gettext(label), path == current) for path, label in _TABS]
