"""How far the chain's numbers can be trusted: who was watched too little, and which cameras need a look now.

Only the stores with the least coverage are asked about their cameras: what is said of two hundred nobody reads.
"""

from typing import Any, Final

from dashboards.formats import Formats
from dashboards.i18n import translations
from dashboards.reasons import reason
from server.access.models import Locale, Scope
from server.kpi import models
from server.kpi.models import Report
from server.stores.models import Store

_ASKED: Final = 12
#: Why nothing is known of a store's visitors, where that is no good news.
_UNSEEN: Final = frozenset({models.NO_DATA, models.NO_CAMERAS})


def chain_health(services: Any, scope: Scope, stores: list[Store], report: Report, locale: Locale) -> dict[str, Any]:
    """What to say about the data of a range, and of the cameras now."""
    texts, fmt = translations(locale), Formats(locale)
    names = {store.store_id: store.name for store in stores}
    watched = sorted(
        (row for row in report.rows if row.labels["store"] in names),
        key=lambda row: -1.0 if row.coverage is None else row.coverage,
    )
    low = []
    for row in watched:
        threshold = row.values["conversion"].threshold
        if row.coverage is not None and threshold is not None and row.coverage < threshold:
            low.append({"name": names[row.labels["store"]], "share": fmt.percent(row.coverage)})
    unseen = [
        {"name": names[row.labels["store"]], "text": texts.gettext(why.long), "badge": texts.gettext(why.short)}
        for row in watched
        if row.coverage is None and row.values["visitors"].withheld in _UNSEEN
        for why in [reason(row.values["visitors"].withheld)]
    ]
    troubled = []
    asked = [row.labels["store"] for row in watched[:_ASKED]]
    for store_id, cameras in services.stores.cameras_health(scope, asked).items():
        troubled += [
            {
                "store": names[store_id],
                "href": f"/stores/{store_id}",
                "camera": camera.name,
                "text": camera.message,
            }
            for camera in cameras
            if not camera.online
        ]
    if not (low or unseen or troubled):
        title, kind, icon = texts.gettext("Every store was watched well enough"), "good", "ok"
    else:
        count = len({each["name"] for each in low + unseen} | {each["store"] for each in troubled})
        title = texts.ngettext("%(num)d store needs a look", "%(num)d stores need a look", count) % {"num": count}
        kind, icon = "warn", "gap"
    return {"title": title, "kind": kind, "icon": icon, "low": low, "unseen": unseen, "troubled": troubled}
