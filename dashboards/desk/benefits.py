"""What a member's tier gives, told where somebody serves them: a benefit that nobody mentions is none.

A discount is taken off at the till and points are multiplied by themselves; the gift is handed over by hand, so it is
shown when the birthday is near, with the days there are to have it ready.
"""

from datetime import date
from decimal import Decimal
from typing import Final

from dashboards.formats import Formats
from dashboards.i18n import N_, translations
from server.membership.tiers.rules import Benefits

#: So long before a birthday the desk is told of it.
AHEAD_DAYS: Final = 30
_PLACES: Final = 2


def given(benefits: Benefits, fmt: Formats) -> list[str]:
    """What a tier gives, in words; an empty list where it gives nothing."""
    gettext, found = translations(fmt.locale).gettext, []
    if benefits.discount:
        share = fmt.percent(benefits.discount / Decimal(100), _digits(benefits.discount))
        found.append(gettext(N_("%(share)s off")) % {"share": share})
    if benefits.multiplier != 1:
        times = fmt.number(benefits.multiplier, _digits(benefits.multiplier))
        found.append(gettext(N_("%(times)s times the points")) % {"times": times})
    if benefits.birthday_gift:
        found.append(gettext(N_("birthday gift: %(gift)s")) % {"gift": benefits.birthday_gift})
    return found


def birthday_told(born: date | None, today: date, gift: str, fmt: Formats) -> str:
    """That a birthday is near, and what is given then; empty where it is not.

    Args:
        today: by the store's clock.
    """
    if born is None:
        return ""
    days = days_to_birthday(born, today)
    if days > AHEAD_DAYS:
        return ""
    translated = translations(fmt.locale)
    if days == 0:
        told = translated.gettext(N_("Birthday today"))
    else:
        told = translated.ngettext("Birthday in %(num)d day", "Birthday in %(num)d days", days) % {"num": days}
    return translated.gettext(N_("%(when)s: %(gift)s")) % {"when": told, "gift": gift} if gift else told


def days_to_birthday(born: date, today: date) -> int:
    """Days until the next birthday, 0 on the day itself; of 29 February the 28th in other years, as for coupons."""
    coming = _in_year(born, today.year)
    return ((coming if coming >= today else _in_year(born, today.year + 1)) - today).days


def _in_year(born: date, year: int) -> date:
    try:
        return born.replace(year=year)
    except ValueError:
        return date(year, 2, 28)


def _digits(value: Decimal) -> int:
    """No more places than there are: one and a half times the points are not two."""
    return min(_PLACES, max(0, -int(value.normalize().as_tuple().exponent)))
