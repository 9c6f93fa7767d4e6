"""Headquarters' pages beside each other."""

from typing import Final

from dashboards.i18n import N_, translations
from dashboards.render import Link
from server.access.models import Locale

_TABS: Final = (("/hq", N_("Branches")), ("/hq/change", N_("Why sales moved")))


def tabs(current: str, locale: Locale) -> list[Link]:
    """Links to them; `current` is the path of the one that is open."""
    gettext = translations(locale).gettext
    return [Link(path, gettext(label), path == current) for path, label in _TABS]
