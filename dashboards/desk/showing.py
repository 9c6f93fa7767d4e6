"""A member as the desk shows them: who they are, what they have, when they came, and what colleagues noted.

Every part asks its own service, within the reader's scope. A member of a sister shop is known here by a whole number or
card only, and then by name, card and what they may spend in any store: what they did is their own shops' to show.
"""

from dataclasses import dataclass
from datetime import date
from typing import Any, Final
from zoneinfo import ZoneInfo

from dashboards.desk.benefits import birthday_told, given
from dashboards.desk.holdings import TENDERS, Counter, holdings
from dashboards.desk.redeemed import redeemed_today
from dashboards.formats import Formats
from dashboards.i18n import N_, translations
from server.access.models import Locale, Scope
from server.errors import NotFound
from server.membership.fields import Answer, CustomField
from server.membership.models import Consent, Member, Purpose, Reach
from server.membership.tiers.models import MemberTier
from server.membership.visits.models import Visit
from server.membership.wording import by_way
from server.services import Services
from server.stores.models import Store

_VISITS: Final = 5
_NOTES: Final = 5
_ADVISORS: Final = 3
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
_PURPOSES: Final[dict[Purpose, str]] = {
    "membership": N_("Membership"),
    "marketing": N_("Offers"),
    "profiling": N_("Suggestions"),
    "sharing": N_("Passing on"),
}
#: Ways a member may be reached; an answer about none of them is about all.
_WAYS: Final[dict[Reach, str]] = {
    "": N_("All ways"),
    "sms": N_("Text message"),
    "phone": N_("Phone call"),
    "wechat": N_("WeChat"),
    "email": N_("Email"),
    "post": N_("Letter"),
}
#: Purposes for which somebody is reached at all.
_BY_WAY: Final = frozenset({"marketing"})


@dataclass(frozen=True, slots=True)
class Places:
    """What ids mean to the reader: names and timezones of stores, and what the chain calls its tiers."""

    names: dict[str, str]
    zones: dict[str, str]
    tiers: dict[str, str]

    @classmethod
    def of(cls, services: Services, scope: Scope, stores: list[Store], locale: Locale) -> "Places":
        """Of the reader's stores, in their language."""
        _, rules = services.tiers.rules(scope)
        return cls(
            {store.store_id: store.name for store in stores},
            {store.store_id: store.timezone for store in stores},
            {level.slug: level.names[locale] for level in rules.levels if level.names.get(locale)},
        )

    def name(self, store_id: str) -> str:
        """A store's name; of one that isn't the reader's, its id."""
        return self.names.get(store_id, store_id)

    def zone(self, store_id: str) -> str:
        """A store's timezone."""
        return self.zones.get(store_id, "UTC")

    def tier(self, tier: str, locale: Locale) -> str:
        """What a tier is called: by the chain, else in common words, else as it is written."""
        usual = translations(locale).gettext(_TIERS[tier]) if tier in _TIERS else tier
        return self.tiers.get(tier) or usual


def card(
    services: Services, scope: Scope, member: Member, places: Places, stores: list[Store], locale: Locale
) -> dict[str, Any]:
    """What the desk's template shows of a member."""
    fmt = Formats(locale)
    bought, zone = member.purchases, places.zone(member.home_store)
    try:
        services.membership.member(scope, member.member_id)
    except NotFound:
        own = False
    else:
        own = True
    counter = Counter.of(member, stores)
    benefits = services.tiers.at_till(scope, member.member_id).benefits
    shown = {
        "id": member.member_id,
        "own": own,
        "name": member.name,
        "phone": member.phone,
        # A number of a sister shop's member stays masked here.
        "may_reveal": member.home_store in places.names,
        "card": member.card_no,
        "tier": places.tier(member.tier, locale),
        "benefits": given(benefits, fmt),
        "store": places.name(member.home_store),
        "at": counter.store_id if counter else "",
        "birthday": fmt.plain_day(member.birthday) if member.birthday else "",
        "enrolled": fmt.local_day(member.enrolled_at, zone),
        "holdings": holdings(services, scope, member, counter, locale, own=own) if counter else None,
        "redeemed": redeemed_today(services, scope, member, stores, locale),
        "tenders": [(value, translations(locale).gettext(label)) for value, label in TENDERS.items()],
    }
    if not own:
        return shown
    return (
        shown
        | {
            "visits": fmt.number(bought.visits),
            "last_visit": fmt.local_day(bought.last_visit, zone) if bought.last_visit else "",
            "spend": " + ".join(fmt.money(each.net, each.currency) for each in bought.spending),
            "birthday_told": birthday_told(
                member.birthday, services.clock().astimezone(ZoneInfo(zone)).date(), benefits.birthday_gift, fmt
            ),
            "tags": list(member.tags),
            "may_assign": member.home_store in places.names,
            "advisor": member.advisor,
        }
        | _more(services, scope, member, places, fmt, locale)
    )


def _more(
    services: Services, scope: Scope, member: Member, places: Places, fmt: Formats, locale: Locale
) -> dict[str, Any]:
    """What only the member's own shops are shown."""
    zone = places.zone(member.home_store)
    visits = services.visits.visits(scope, member.member_id, _VISITS)
    notebook = services.members.notes.notebook(scope, member.member_id)
    care = services.members.care.care(scope, member.member_id)
    open_page = next(
        (each for each in services.members.links.links(scope, member.member_id) if not each.revoked_at), None
    )
    return {
        "next_tier": _next_tier(services.tiers.tier(scope, member.member_id), places, fmt, locale),
        "stage": _stage(services, scope, member, locale),
        "visited": [_visit(visit, places, fmt, locale) for visit in visits],
        "consents": _consents(services, scope, member, zone, fmt, locale),
        "custom": _answered(services.members.form.fields(scope), member, fmt, locale),
        # Whoever served the member is likely to look after them, and spelt the same is counted as one.
        "staff": care.staff,
        "served": [each.staff for each in care.served],
        "advised": [
            {"name": each.advisor, "until": fmt.local_day(each.until_at, zone)}
            for each in care.advisors
            if each.until_at is not None and each.advisor
        ][:_ADVISORS],
        "notes": [
            {"text": note.text, "by": note.written_by, "at": fmt.local_day(note.written_at, zone)}
            for note in notebook.notes[:_NOTES]
        ],
        "more_notes": max(0, len(notebook.notes) - _NOTES),
        "files": [
            {
                "name": each.name,
                "href": f"/api/v1/members/{member.member_id}/attachments/{each.attachment_id}",
                "size": fmt.number(max(1, round(each.size / 1024))),
                "by": each.added_by,
                "at": fmt.local_day(each.added_at, zone),
            }
            for each in notebook.attachments
        ],
        "page": {"id": str(open_page.link_id), "since": fmt.local_day(open_page.made_at, zone)} if open_page else None,
    }


def _consents(
    services: Services, scope: Scope, member: Member, zone: str, fmt: Formats, locale: Locale
) -> list[dict[str, Any]]:
    """Every purpose with the words that are shown for it, and the newest answer to each of its ways.

    Of answers about a way and about all ways the newest counts, as for whoever sends (`Consents.may_reach`).
    """
    gettext = translations(locale).gettext
    words = services.members.form.describe(scope, locale).consents
    answers = sorted(member.consents, key=lambda each: each.at)
    found = []
    for purpose, label in _PURPOSES.items():
        given = [each for each in answers if each.purpose == purpose]
        ways = []
        for reach, way in _WAYS.items():
            if bool(reach) is (purpose in _BY_WAY):
                newest = next((each for each in reversed(given) if each.reach in {reach, ""}), None)
                shown = by_way(words[purpose], reach)
                ways.append({"words": shown, **_way(reach, gettext(way), newest, zone, fmt)})
        # The fold opens with an answer that was given; of many ways only those somebody answered are shown at once.
        asked = [way for way in ways if way["answered"]]
        found.append(
            {
                "purpose": purpose,
                "label": gettext(label),
                "by_way": purpose in _BY_WAY,
                "version": words[purpose].version,
                "ways": ways,
                "asked": asked,
            }
        )
    return found


def _way(reach: str, label: str, newest: Consent | None, zone: str, fmt: Formats) -> dict[str, Any]:
    return {
        "reach": reach,
        "label": label,
        "answered": newest is not None,
        "granted": newest is not None and newest.granted,
        "at": fmt.local_day(newest.at, zone) if newest else "",
    }


def _answered(fields: list[CustomField], member: Member, fmt: Formats, locale: Locale) -> list[dict[str, str]]:
    """What the member answered to the chain's own questions, also to those that are asked no more."""
    return [
        {"label": each.labels[locale], "answer": _answer(each, member.custom[each.field], fmt, locale)}
        for each in fields
        if each.field in member.custom
    ]


def _answer(asked: CustomField, answer: Answer, fmt: Formats, locale: Locale) -> str:
    gettext = translations(locale).gettext
    if isinstance(answer, bool):
        return gettext(N_("Yes")) if answer else gettext(N_("No"))
    labels = {option.value: option.labels[locale] for option in asked.rules.options}
    if isinstance(answer, list):
        return ("、" if locale == "zh" else ", ").join(labels.get(each, each) for each in answer)
    if asked.kind == "date":
        return fmt.plain_day(date.fromisoformat(answer))
    return labels.get(answer, answer)


def _next_tier(tier: MemberTier, places: Places, fmt: Formats, locale: Locale) -> dict[str, str] | None:
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
    return {"tier": places.tier(tier.next_tier, locale), "missing": " · ".join(parts)} if parts else None


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
