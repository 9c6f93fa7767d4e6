"""Coupons as headquarters sees them: what is promised, what became of it, and issuing by hand to one or to many."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Final, get_args
from uuid import UUID, uuid4

from fastapi import Depends, Request, Response
from fastapi import Form as Sent
from fastapi.responses import RedirectResponse

from dashboards.entry.forms import Form, Gettext
from dashboards.formats import NOTHING, Formats
from dashboards.i18n import N_, translations
from dashboards.members.points_page import names_of
from dashboards.members.posted import ANY, Posted, posted
from dashboards.members.tabs import HEADQUARTERS, member_tabs
from dashboards.members.tiers_page import zone_of
from dashboards.pages import page_router, renderer_of
from dashboards.viewer import Viewer, posting, viewer_with
from server.errors import Conflict, InvalidInput, NotFound
from server.membership.coupons.models import Definition, Group, GroupIssued, IssueOn, NewDefinition, Tally
from server.membership.value.models import STAGES

router = page_router()

_KINDS: Final = {"amount": N_("Amount off"), "percent": N_("Per cent off"), "gift": N_("A gift")}
_STACKING: Final = {
    "others": N_("with coupons of other kinds"),
    "alone": N_("with no other coupon"),
    "any": N_("with any coupon"),
}
_ON_REFUND: Final = {"restore": N_("it is given back"), "forfeit": N_("it is lost")}
_OCCASIONS: Final = {
    "": N_("by hand only"),
    "welcome": N_("on enrolment"),
    "birthday": N_("for the birthday"),
    "tier_up": N_("on reaching a tier"),
    "win_back": N_("after a long absence"),
}
_STAGES: Final = {
    "new": N_("new"),
    "active": N_("active"),
    "at_risk": N_("at risk"),
    "dormant": N_("dormant"),
    "lost": N_("lost"),
    "won_back": N_("won back"),
}
_WORDS: Final = {
    "title": N_("Give it a title, of up to 200 letters."),
    "currency": N_("Three letters, such as CNY."),
    "value": N_("Enter the amount off, or a percentage up to 100; a gift has none."),
    "most_off": N_("Only a percentage has a most; enter an amount, or nothing."),
    "minimum_spend": N_("Enter an amount."),
    "gift_sku": N_("A gift needs its article number, and nothing else has one."),
    "valid_from": N_("Enter a time, or nothing."),
    "valid_until": N_("Enter an end after the beginning, or days from the issue."),
    "valid_days": N_("Enter 1 to 3650 days, or nothing."),
    "most_per_member": N_("Enter 1 or more, or nothing."),
    "most_in_all": N_("Enter 1 or more, or nothing."),
    "tiers": N_("Name the tiers."),
    "days": N_("Enter the days."),
}
_NO_MEMBER: Final = N_("Nobody has this number or card.")
_OUT: Final = N_("No more of these can be issued.")
_CHOOSE: Final = N_("Choose whom, by one of these at least.")
Reader = Annotated[Viewer, Depends(viewer_with(*HEADQUARTERS))]
Ender = Annotated[Viewer, Depends(posting(*HEADQUARTERS))]
Poster = Annotated[Posted, Depends(posted(*HEADQUARTERS))]
Short = Annotated[str, Sent(max_length=64)]


@router.get("/members/coupons")
def coupons(request: Request, viewer: Reader, note: str = "") -> Response:
    """All definitions, and the form of a new one."""
    return _page(request, viewer, Form({"currency": _currency(request, viewer)}), note=note)


@router.post("/members/coupons")
def add(request: Request, sent: Poster) -> Response:
    """Add a definition."""
    services, form = request.app.state.services, sent.form
    new = _new(sent, zone_of(services.stores.stores(sent.viewer.scope)))
    if new is not None:
        try:
            made = services.coupon_definitions.add(sent.viewer.scope, new)
        except InvalidInput as error:
            form.problems[error.field or ""] = _WORDS.get(error.field or "", ANY)
        else:
            return RedirectResponse(f"/members/coupons/{made.definition_id}?note=added", status_code=303)
    return _page(request, sent.viewer, form, status=422)


@router.get("/members/coupons/{definition_id}")
def coupon(request: Request, definition_id: int, viewer: Reader, note: str = "") -> Response:
    """One definition: its words, what became of it, and issuing it."""
    return _one(request, viewer, definition_id, Form({"key": uuid4().hex}), note=note)


@router.post("/members/coupons/{definition_id}/end")
def end(request: Request, definition_id: int, viewer: Ender) -> Response:
    """Issue no more of it."""
    request.app.state.services.coupon_definitions.end(viewer.scope, definition_id)
    return RedirectResponse(f"/members/coupons/{definition_id}?note=ended", status_code=303)


@router.post("/members/coupons/{definition_id}/issue")
def issue(request: Request, definition_id: int, viewer: Ender, who: Short = "", key: Short = "") -> Response:
    """Issue one to a member, by whole phone number or card."""
    services, form = request.app.state.services, Form({"who": who, "key": key})
    try:
        member = services.membership.find_exact(viewer.scope, form.text("who")) if form.text("who") else None
        if member is None:
            form.problems["who"] = _NO_MEMBER
        else:
            services.coupons.issue(viewer.scope, definition_id, member.member_id, form.text("key"))
            return RedirectResponse(f"/members/coupons/{definition_id}?note=issued", status_code=303)
    except InvalidInput:
        form.problems["who"] = _NO_MEMBER
    except Conflict:
        form.problems["who"] = _OUT
    return _one(request, viewer, definition_id, form, status=422)


@router.post("/members/coupons/{definition_id}/group")
def issue_to_group(request: Request, definition_id: int, sent: Poster) -> Response:
    """Issue to the next part of a group."""
    form = sent.form
    group = Group(
        tier=form.text("tier") or None,
        stage=form.text("stage") or None,
        store_id=form.text("home_store") or None,
        high=form.text("high") == "yes",
    )
    if group == Group() and form.text("all") != "yes":
        form.problems["group"] = _CHOOSE
        return _one(request, sent.viewer, definition_id, form, status=422)
    try:
        after = UUID(form.text("after")) if form.text("after") else None
        done = request.app.state.services.coupon_groups.issue(
            sent.viewer.scope, definition_id, group, form.text("key"), after
        )
    except (InvalidInput, ValueError):
        form.problems["group"] = ANY
        return _one(request, sent.viewer, definition_id, form, status=422)
    if done.after is None:
        # The next issue is another one, whoever was in this one.
        form = Form({**form.values, "key": uuid4().hex})
    return _one(request, sent.viewer, definition_id, form, done=done)


def _currency(request: Request, viewer: Viewer) -> str:
    stores = request.app.state.services.stores.stores(viewer.scope)
    return stores[0].currency if stores else "CNY"


def _new(sent: Posted, zone: Any) -> NewDefinition | None:
    """What was typed as a definition; None with problems noted."""
    form = sent.form
    on = form.text("issue_on")

    def amount(name: str) -> Decimal | None:
        return form.number(name)

    def count(name: str) -> int | None:
        text = form.text(name)
        if not text:
            return None
        if not text.isdecimal() or len(text) > 9:
            form.problems[name] = _WORDS[name]
            return None
        return int(text)

    def moment(name: str) -> datetime | None:
        at = form.instant(name, zone) if form.text(name) else None
        return None if at is None else at.astimezone(UTC)

    def several(name: str) -> list[str] | None:
        return names_of(form.text(name)) or None

    issue_on: IssueOn | None = on if on in get_args(IssueOn) else None  # type: ignore[assignment]
    new = NewDefinition(
        title={locale: form.text(f"title_{locale}") for locale in ("zh", "en") if form.text(f"title_{locale}")},
        kind=form.text("kind") or "amount",  # type: ignore[arg-type]  # refused where it is none
        currency=form.text("currency").upper(),
        value=amount("value") or Decimal(0),
        most_off=amount("most_off"),
        gift_sku=form.text("gift_sku") or None,
        minimum_spend=amount("minimum_spend") or Decimal(0),
        sku_groups=several("sku_groups"),
        store_ids=several("store_ids"),
        stacking=form.text("stacking") or "others",  # type: ignore[arg-type]
        valid_from=moment("valid_from"),
        valid_until=moment("valid_until"),
        valid_days=count("valid_days"),
        most_per_member=count("most_per_member"),
        most_in_all=count("most_in_all"),
        on_refund=form.text("on_refund") or "restore",  # type: ignore[arg-type]
        issue_on=issue_on,
        tiers=several("tiers"),
        days=count("days"),
        asks_consent=form.text("asks_consent") == "yes",
    )
    return None if form.problems else new


def _page(request: Request, viewer: Viewer, form: Form, *, note: str = "", status: int = 200) -> Response:
    services, scope = request.app.state.services, viewer.scope
    gettext, fmt = translations(viewer.locale).gettext, Formats(viewer.locale)
    stores = services.stores.stores(scope)
    tallies: dict[int, Tally] = services.coupon_groups.tallies(scope)
    definitions: list[Definition] = services.coupon_definitions.definitions(scope, ended=True)

    def options(words: dict[str, str]) -> list[tuple[str, str]]:
        return [(value, gettext(label)) for value, label in words.items()]

    return renderer_of(request).page(
        request,
        "members/coupons.html",
        viewer,
        status=status,
        stores=stores,
        address="/members/coupons",
        tabs=member_tabs(viewer, "/members/coupons"),
        form=form,
        note=note,
        is_new=not form.problems,
        kinds=options(_KINDS),
        stackings=options(_STACKING),
        refunds=options(_ON_REFUND),
        occasions=options(_OCCASIONS),
        definitions=[
            _line(each, tallies.get(each.definition_id), viewer, fmt, gettext)
            for each in sorted(definitions, key=lambda each: (each.ended_at is not None, -each.definition_id))
        ],
    )


def _line(each: Definition, tally: Tally | None, viewer: Viewer, fmt: Formats, gettext: Gettext) -> dict[str, Any]:
    counts = tally or Tally(each.definition_id, 0, 0, 0, 0, 0)
    occasion = _OCCASIONS[each.issue_on] if each.issue_on else _OCCASIONS[""]
    return {
        "href": f"/members/coupons/{each.definition_id}",
        "title": each.title.get(viewer.locale) or next(iter(each.title.values())),
        "gives": gives(each, fmt, gettext),
        "occasion": gettext(occasion),
        "is_over": each.ended_at is not None,
        "issued": fmt.number(counts.issued),
        "open": fmt.number(counts.open),
        "redeemed": fmt.number(counts.redeemed),
        "expired": fmt.number(counts.expired),
        "rate": fmt.percent(counts.redeemed / counts.issued if counts.issued else None, 0),
    }


def gives(each: Definition, fmt: Formats, gettext: Gettext) -> str:
    """What it gives, in words."""
    least = ""
    if each.minimum_spend:
        least = gettext(N_(" from %(amount)s")) % {"amount": fmt.money(each.minimum_spend, each.currency)}
    if each.kind == "gift":
        return gettext(N_("%(sku)s free")) % {"sku": each.gift_sku or NOTHING} + least
    if each.kind == "percent":
        return gettext(N_("%(percent)s%% off")) % {"percent": f"{each.value.normalize():f}"} + least
    return gettext(N_("%(amount)s off")) % {"amount": fmt.money(each.value, each.currency)} + least


def _one(
    request: Request,
    viewer: Viewer,
    definition_id: int,
    form: Form,
    *,
    done: GroupIssued | None = None,
    note: str = "",
    status: int = 200,
) -> Response:
    services, scope = request.app.state.services, viewer.scope
    gettext, fmt = translations(viewer.locale).gettext, Formats(viewer.locale)
    stores = services.stores.stores(scope)
    each = next(
        (
            one
            for one in services.coupon_definitions.definitions(scope, ended=True)
            if one.definition_id == definition_id
        ),
        None,
    )
    if each is None:
        raise NotFound(f"there is no definition {definition_id}", field="definition_id", remedy="see the list")
    any_one = [("", gettext(N_("any")))]
    _, tiers = services.tiers.rules(scope)
    levels = any_one + [(level.slug, level.names.get(viewer.locale) or level.slug) for level in tiers.levels]
    stages = any_one + [(stage, gettext(_STAGES[stage])) for stage in STAGES]
    homes = any_one + [(store.store_id, store.name) for store in stores]
    zone = zone_of(stores).key
    return renderer_of(request).page(
        request,
        "members/coupon.html",
        viewer,
        status=status,
        stores=stores,
        address=f"/members/coupons/{definition_id}",
        tabs=member_tabs(viewer, "/members/coupons"),
        form=form,
        note=note,
        number=definition_id,
        coupon=_line(each, services.coupon_groups.tallies(scope).get(definition_id), viewer, fmt, gettext),
        facts=_facts(each, fmt, gettext, zone),
        done=None
        if done is None
        else {
            "issued": fmt.number(done.issued),
            "not_asked": done.not_asked,
            "used_up": done.used_up,
            "after": "" if done.after is None else str(done.after),
        },
        tiers=levels,
        stages=stages,
        homes=homes,
        group=_group(
            form,
            [
                ("tier", gettext(N_("Tier")), levels),
                ("stage", gettext(N_("Stage")), stages),
                ("home_store", gettext(N_("Home store")), homes),
            ],
            gettext,
        ),
        asks_consent=each.asks_consent,
    )


def _group(
    form: Form, choices: list[tuple[str, str, list[tuple[str, str]]]], gettext: Gettext
) -> list[tuple[str, str]]:
    """Whom a form means, in words."""
    told = [(label, dict(options).get(form.text(name), "")) for name, label, options in choices if form.text(name)]
    if form.text("high") == "yes":
        told.append((gettext(N_("Customer value")), gettext(N_("Of high value only"))))
    return told or [(gettext(N_("Whom")), gettext(N_("Everybody")))]


def _facts(each: Definition, fmt: Formats, gettext: Gettext, zone: str) -> list[tuple[str, str]]:
    """The words of a definition, as a list of what and how."""

    def several(names: list[str] | None) -> str:
        return gettext(N_("all")) if names is None else ", ".join(names)

    def day(at: datetime | None) -> str:
        return NOTHING if at is None else f"{fmt.local_day(at, zone)} {fmt.clock(at, zone)}"

    def most(number: int | None) -> str:
        return gettext(N_("no limit")) if number is None else fmt.number(number)

    told = [
        (N_("Stores"), several(each.store_ids)),
        (N_("Groups of goods"), several(each.sku_groups)),
        (N_("Together"), gettext(_STACKING[each.stacking])),
        (N_("Holds from"), day(each.valid_from)),
        (N_("Until"), day(each.valid_until)),
        (N_("Days from its issue"), NOTHING if each.valid_days is None else fmt.number(each.valid_days)),
        (N_("To a member at most"), most(each.most_per_member)),
        (N_("In all at most"), most(each.most_in_all)),
        (N_("On a whole refund"), gettext(_ON_REFUND[each.on_refund])),
        (N_("Tiers"), NOTHING if each.tiers is None else ", ".join(each.tiers)),
        (N_("Days before or after"), NOTHING if each.days is None else fmt.number(each.days)),
        (N_("Only who agreed to offers"), gettext(N_("yes") if each.asks_consent else N_("no"))),
    ]
    return [(gettext(label), text) for label, text in told if text != NOTHING]
