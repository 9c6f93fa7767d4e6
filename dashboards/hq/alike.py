"""Like for like: which stores were open and watched in both periods, and why the others are left out.

The same rule as where a change in sales is taken apart, so that two pages never compare different stores.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from dashboards.i18n import N_, translations
from dashboards.periods import Choice
from dashboards.reasons import reason
from dashboards.viewer import Viewer
from server.kpi.answers.decomposition import OPEN_PARTLY, Decomposition, LeftOut
from server.kpi.answers.question import StoreFilter
from server.stores.models import Store

_PARTLY: Final = N_("It was open on too few of the days.")
_PERIODS: Final = {
    "before": N_("in the period before"),
    "now": N_("in this period"),
    "both": N_("in both periods"),
}


@dataclass(frozen=True, slots=True)
class Unlike:
    """A store that is left out, and why."""

    store_id: str
    name: str
    why: str


def sorted_out(
    services: Any, viewer: Viewer, choice: Choice, where: StoreFilter, stores: Sequence[Store]
) -> tuple[list[str], tuple[Unlike, ...]]:
    """Ids of the stores that can be compared over a range, and those that can't."""
    todays = services.stores.todays(viewer.scope, services.clock())
    last = min(todays.values()) - timedelta(days=choice.back)
    found: Decomposition = services.kpi.decomposition(
        viewer.scope,
        day_from=last - timedelta(days=choice.days - 1),
        day_to=last,
        compare=choice.compare,
        where=where,
    )
    return [each.store_id for each in found.stores], unlike_of(found.left_out, stores, viewer)


def unlike_of(left_out: Sequence[LeftOut], stores: Sequence[Store], viewer: Viewer) -> tuple[Unlike, ...]:
    """The stores left out, in words."""
    gettext = translations(viewer.locale).gettext
    names = {store.store_id: store.name for store in stores}
    return tuple(
        Unlike(
            each.store_id,
            names.get(each.store_id, each.store_id),
            " · ".join(
                (
                    gettext(_PERIODS[each.period]),
                    gettext(_PARTLY if each.reason == OPEN_PARTLY else reason(each.reason).long),
                )
            ),
        )
        for each in left_out
    )
