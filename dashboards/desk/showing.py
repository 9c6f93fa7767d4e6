"""A member as the desk shows them: who they are, what they have, when they came, and what colleagues noted.

Every part asks its own service, within the reader's scope. A member of a sister shop is known here by a whole number or
card only, and then just by name and card: what they have and did is their own shops' to show.
"""

from dataclasses import dataclass
from typing import Any, Final

from dashboards.formats import Formats
from dashboards.i18n import N_, translations
from server.access.models import Locale, Scope
from server.errors import NotFound
from server.membership.models import Consent, Member
from server.membership.tiers.models import MemberTier
from server.membership.visits.models import Visit
from server.services import Services

_VISITS: Final = 5
_NOTES: Final = 5
_TIERS: Final = {
    "member": N_("Member"),
    "silver": N_("Silver"),
    "gold": N_("Gold"),
    "platinum": N_("Platinum"),
}
_STAGES: Final = {
    "new": N_("new"),
    "active": N_("active"),
    "at_risk": N_("at risk"),
    "dormant": N_("dormant"),
    "lost": N_("lost"),
    "won_back": N_("won back"),
}
#: In this order, whatever order they were asked in.
_PURPOSES: Final = {
    "membership": N_("Membership"),
    "marketing": N_("Offers"),
    "profiling": N_("Suggestions"),
    "sharing": N_("Passing on"),
}


@dataclass(frozen=True, slots=True)
class Places:
    """The reader's stores: names and timezones by id."""

    names: dict[str, str]
    zones: dict[str, str]

    def name(self, store_id: str) -> str:
        """A store's name; of one that isn't the reader's, its id."""
        return self.names.get(store_id, store_id)

    def zone(self, store_id: str) -> str:
        """A store's timezone."""
        return self.zones.get(store_id, "UTC")


def tier_name(tier: str, locale: Locale) -> str:
    """What a tier is called."""
    return translations(locale).gettext(_TIERS[tier]) if tier in _TIERS else tier


def card(services: Services, scope: Scope, member: Member, places: Places, locale: Locale) -> dict[str, Any]:
    """What the desk's template shows of a member."""
    fmt = Formats(locale)
    bought, zone = member.purchases, places.zone(member.home_store)
    shown = {
        "id": member.member_id,
        "name": member.name,
        "phone": member.phone,
        # A number of a sister shop's member stays masked here.
        "may_reveal": member.home_store in places.names,
        "card": member.card_no,
        "tier": tier_name(member.tier, locale),
        "store": places.name(member.home_store),
        "home": member.home_store,
        "birthday": fmt.plain_day(member.birthday) if member.birthday else "",
        "enrolled": fmt.local_day(member.enrolled_at, zone),
        "visits": fmt.number(bought.visits),
        "last_visit": fmt.local_day(bought.last_visit, zone) if bought.last_visit else "",
        "spend": " + ".join(fmt.money(each.net, each.currency) for each in bought.spending),
        "tags": list(member.tags),
        "advisor": member.advisor,
        "consents": _consents(member, zone, fmt, locale),
    }
    try:
        services.membership.member(scope, member.member_id)
    except NotFound:
        return shown | {"own": False}
    return shown | {"own": True} | _more(services, scope, member, places, fmt, locale)


def _more(
    services: Services, scope: Scope, member: Member, places: Places, fmt: Formats, locale: Locale
) -> dict[str, Any]:
    """What only the member's own shops are shown."""
    zone = places.zone(member.home_store)
    points = services.points.balance(scope, member.member_id)
    visits = services.visits.visits(scope, member.member_id, _VISITS)
    notes = services.members.notes.notebook(scope, member.member_id).notes[:_NOTES]
    return {
        "points": fmt.number(points.balance),
        "pending": fmt.number(points.pending) if points.pending else "",
        "expiring": [
            {"points": fmt.number(each.points), "at": fmt.local_day(each.at, zone)} for each in points.expiring[:1]
        ],
        "next_tier": _next_tier(services.tiers.tier(scope, member.member_id), fmt, locale),
        "stage": _stage(services, scope, member, locale),
        "visited": [_visit(visit, places, fmt, locale) for visit in visits],
        "notes": [
            {"text": note.text, "by": note.written_by, "at": fmt.local_day(note.written_at, zone)} for note in notes
        ],
    }


def _consents(member: Member, zone: str, fmt: Formats, locale: Locale) -> list[dict[str, Any]]:
    """The newest answer to each purpose."""
    gettext = translations(locale).gettext
    newest: dict[str, Consent] = {
        consent.purpose: consent for consent in sorted(member.consents, key=lambda each: each.at)
    }
    return [
        {
            "purpose": purpose,
            "label": gettext(label),
            "granted": newest[purpose].granted,
            "at": fmt.local_day(newest[purpose].at, zone),
        }
        for purpose, label in _PURPOSES.items()
        if purpose in newest
    ]


def _next_tier(tier: MemberTier, fmt: Formats, locale: Locale) -> dict[str, str] | None:
    """What is missing to the next tier; None at the top."""
    if tier.next_tier is None or tier.to_go is None:
        return None
    translated = translations(locale)
    parts = [fmt.number(tier.to_go.spend)] if tier.to_go.spend else []
    if tier.to_go.visits:
        parts.append(
            translated.ngettext("%(num)d visit", "%(num)d visits", tier.to_go.visits) % {"num": tier.to_go.visits}
        )
    if tier.to_go.points:
        parts.append(
            translated.ngettext("%(num)d point", "%(num)d points", tier.to_go.points) % {"num": tier.to_go.points}
        )
    return {"tier": tier_name(tier.next_tier, locale), "missing": " · ".join(parts)} if parts else None


def _stage(services: Services, scope: Scope, member: Member, locale: Locale) -> str:
    """Where the member is in their life with the chain; nothing before the first night."""
    try:
        value = services.value.value(scope, member.member_id)
    except NotFound:
        return ""
    return translations(locale).gettext(_STAGES[value.stage])


def _visit(visit: Visit, places: Places, fmt: Formats, locale: Locale) -> dict[str, str]:
    """A visit, and how the member was seen."""
    gettext = translations(locale).gettext
    if visit.bought:
        how = gettext(N_("bought"))
    else:
        how = gettext(N_("checked in")) if visit.checked_in else gettext(N_("fetched an order"))
    return {"day": fmt.plain_day(visit.day), "store": places.name(visit.store_id), "how": how}
