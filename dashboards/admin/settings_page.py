"""The settings that numbers are made with: what each means, what holds, since when, and who said so.

A setting has a time of validity like everything that bears on a number, and a store may have its own; so it is set from
a day on, and what was said before stays to be seen.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Final, cast

from fastapi import Depends, Request, Response
from fastapi import Form as Sent
from fastapi.responses import RedirectResponse

from dashboards.account_page import moments
from dashboards.admin.frame import page, refuse
from dashboards.entry.forms import Form
from dashboards.formats import Formats
from dashboards.i18n import N_, translations
from dashboards.pages import page_router
from dashboards.viewer import Viewer, posting, viewer_with
from server.errors import Forbidden, InvalidInput, NotFound
from server.kpi.service import Setting
from server.kpi.setting_list import DEFAULTS
from server.kpi.setting_repository import SettingVersion
from server.services import Services

router = page_router()


@dataclass(frozen=True, slots=True)
class SettingWords:
    """What a setting is called, what it does, and how it is typed.

    Attributes:
        is_switch: yes or no; otherwise a share, typed in per cent.
    """

    name: str
    means: str
    is_switch: bool = False


SETTINGS: Final = {
    "coverage_threshold": SettingWords(
        N_("Least coverage"),
        N_(
            "Below this share of watched time a quarter hour counts as not observed, and conversion is withheld. "
            "Higher is stricter: fewer numbers, surer ones."
        ),
    ),
    "power_share": SettingWords(
        N_("Share of power hours"),
        N_("Power hours are a store's fewest hours of the week that hold this share of its visitors."),
    ),
    "takes_check_ins": SettingWords(
        N_("Members check in"),
        N_(
            "Whether members are noted when they come, and not only when they buy. Without it member conversion is "
            "withheld."
        ),
        is_switch=True,
    ),
}
_YES, _NO = N_("yes"), N_("no")
_SHARE: Final = N_("Enter per cent, from 0 to 100.")
Reader = Annotated[Viewer, Depends(viewer_with("admin", "hq"))]
Poster = Annotated[Viewer, Depends(posting("admin", "hq"))]
Text = Annotated[str, Sent(max_length=100)]


@router.get("/admin/settings")
def settings(request: Request, viewer: Reader, note: str = "") -> Response:
    """What holds, and the forms to say otherwise."""
    return _page(request, viewer, note=note)


@router.post("/admin/settings/{key}")
def set_one(
    request: Request, key: str, viewer: Poster, value: Text = "", valid_from: Text = "", store: Text = ""
) -> Response:
    """Set one from a day on, of a store or of the chain's default."""
    words = SETTINGS.get(key)
    if words is None:
        raise NotFound(f"there is no setting {key!r}")
    form = Form({"value": value, "valid_from": valid_from, "store": store})
    day = form.day("valid_from")
    amount = form.number("value", optional=False)
    if amount is not None and not words.is_switch:
        amount /= 100
        if not 0 <= amount <= 1:
            form.problems["value"] = _SHARE
    if day is not None and amount is not None and not form.problems:
        try:
            request.app.state.services.kpi.set_setting(
                viewer.scope, cast("Setting", key), amount, day, form.text("store") or None
            )
        except (InvalidInput, NotFound, Forbidden) as error:
            refuse(form, error, store_id="store")
        else:
            return RedirectResponse("/admin/settings?note=set", status_code=303)
    return _page(request, viewer, forms={key: form}, status=422)


def _page(
    request: Request,
    viewer: Viewer,
    *,
    note: str = "",
    forms: dict[str, Form] | None = None,
    status: int = 200,
) -> Response:
    services: Services = request.app.state.services
    stores = services.stores.stores(viewer.scope)
    gettext, fmt = translations(viewer.locale).gettext, Formats(viewer.locale)
    now = services.clock()
    # The stores' own day, which is not UTC's; of a chain over several time zones the latest.
    today = max(services.stores.todays(viewer.scope, now).values(), default=now.date())
    versions = services.setting_list.versions(viewer.scope)
    names = {store.store_id: store.name for store in stores}
    moment = moments(request, viewer)

    def written(key: str, value: Decimal) -> str:
        if SETTINGS[key].is_switch:
            return gettext(_YES if value > 0 else _NO)
        return fmt.percent(value, 0 if value * 100 % 1 == 0 else 1)

    def line(each: SettingVersion) -> dict[str, Any]:
        return {
            "where": names.get(each.store_id, each.store_id) if each.store_id else gettext(N_("The whole chain")),
            "value": written(each.key, each.value),
            "from": fmt.plain_day(each.valid_from),
            "by": each.changed_by,
            "at": moment(each.changed_at),
        }

    def held(key: str) -> Decimal:
        own = [each for each in versions if each.key == key and not each.store_id and each.valid_from <= today]
        return own[0].value if own else DEFAULTS[key]

    return page(
        request,
        viewer,
        "settings",
        tab="/admin/settings",
        status=status,
        address="/admin/settings",
        stores=stores,
        note=note,
        first_store=stores[0].store_id if stores else "",
        is_admin=viewer.scope.has_role("admin"),
        choices=[("", gettext(N_("The whole chain"))), *((store.store_id, store.name) for store in stores)],
        settings=[
            {
                "key": key,
                "words": words,
                "now": written(key, held(key)),
                "usual": written(key, DEFAULTS[key]),
                "form": (forms or {}).get(key)
                or Form({"value": _typed(words, held(key)), "valid_from": today.isoformat()}),
                "versions": [line(each) for each in versions if each.key == key],
            }
            for key, words in SETTINGS.items()
        ],
    )


def _typed(words: SettingWords, value: Decimal) -> str:
    return ("1" if value > 0 else "0") if words.is_switch else f"{(value * 100).normalize():f}"
