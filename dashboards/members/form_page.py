"""What is asked on enrolment, in which words consent is asked for, and for how long things are kept."""

from typing import Annotated, Any, Final, get_args

from fastapi import Depends, Request, Response
from fastapi import Form as Sent
from fastapi.responses import RedirectResponse

from dashboards.entry.forms import Form
from dashboards.formats import Formats
from dashboards.i18n import N_, translations
from dashboards.members.posted import ANY, Posted, posted
from dashboards.members.tabs import HEADQUARTERS, member_tabs
from dashboards.members.tiers_page import zone_of
from dashboards.pages import page_router, renderer_of
from dashboards.viewer import Viewer, posting, viewer_with
from server.access.models import Locale
from server.errors import Conflict, InvalidInput
from server.membership.fields import CustomField, FieldKind, Option, Rules
from server.membership.models import Purpose
from server.membership.retention_repository import RuleName
from server.membership.wording import Wording

router = page_router()

_KINDS: Final = {
    "text": N_("text"),
    "number": N_("number"),
    "date": N_("date"),
    "boolean": N_("yes or no"),
    "choice": N_("one of several"),
    "choices": N_("some of several"),
}
_PURPOSES: Final = {
    "membership": N_("Membership"),
    "marketing": N_("Offers"),
    "profiling": N_("Suggestions"),
    "sharing": N_("Passing on"),
}
_RULES: Final = {
    "inactive": (N_("Members who were not seen"), N_("are erased after so many days, with a receipt each")),
    "notes": (N_("Notes"), N_("are deleted after so many days")),
    "attachments": (N_("Attachments"), N_("are deleted after so many days")),
    "old_phones": (N_("Numbers of before"), N_("are deleted so many days after they went")),
    "links": (N_("Card pages"), N_("are closed when nobody opened them for so many days")),
}
_WORDS: Final = {
    "field": N_("Up to 40 small letters, digits and _, a letter first."),
    "labels": N_("Give it a name in both languages."),
    "options": N_("A choice needs options, a line each: value = Chinese = English."),
    "least": N_("Only numbers and dates have bounds, the least first."),
    "longest": N_("Only texts have a length, of 1 to 2000."),
    "kind": N_("This field has answers of another kind: name a new one."),
    "text": N_("Enter the words, up to 2000 letters."),
    "version": N_("Give the words a version of their own, up to 40 letters."),
    "days": N_("Enter 30 to 20000 days, or nothing to keep it."),
}
_NOTES: Final = {
    "defined": N_("The field is on the form now"),
    "retired": N_("The field is asked for no more; its answers are kept"),
    "published": N_("These words are shown from now on"),
    "kept": N_("The rule is set"),
}
Reader = Annotated[Viewer, Depends(viewer_with(*HEADQUARTERS))]
Poster = Annotated[Posted, Depends(posted(*HEADQUARTERS))]
Retirer = Annotated[Viewer, Depends(posting(*HEADQUARTERS))]


@router.get("/members/form")
def settings(request: Request, viewer: Reader, note: str = "") -> Response:
    """All three."""
    return _page(request, viewer, {}, note=note)


@router.post("/members/form/fields")
def define(request: Request, sent: Poster) -> Response:
    """Ask for something, or ask for it in another way."""
    form = sent.form
    longest, place = form.text("longest"), form.text("place") or "0"
    if longest and not longest.isdecimal():
        form.problems["longest"] = _WORDS["longest"]
    if not place.removeprefix("-").isdecimal() or len(place) > 5:
        form.problems["place"] = ANY
    options = _options(form.text("options"))
    if options is None:
        form.problems["options"] = _WORDS["options"]
    if not form.problems and options is not None:
        kind: FieldKind = form.text("kind")  # type: ignore[assignment]  # refused where it is none
        rules = Rules(
            required=form.text("required") == "yes",
            options=options,
            least=form.text("least") or None,
            most=form.text("most") or None,
            longest=int(longest) if longest else None,
        )
        asked: tuple[Locale, ...] = ("zh", "en")
        labels = {each: form.text(f"label_{each}") for each in asked if form.text(f"label_{each}")}
        try:
            request.app.state.services.members.form.define(
                sent.viewer.scope, CustomField(form.text("field"), kind, labels, rules, int(place))
            )
        except (InvalidInput, Conflict) as error:
            form.problems[error.field or ""] = _WORDS.get(error.field or "", ANY)
        else:
            return RedirectResponse("/members/form?note=defined", status_code=303)
    return _page(request, sent.viewer, {"field": form}, status=422)


@router.post("/members/form/fields/{field}/retire")
def retire(request: Request, field: str, viewer: Retirer) -> Response:
    """Ask for a field no more."""
    request.app.state.services.members.form.retire(viewer.scope, field)
    return RedirectResponse("/members/form?note=retired", status_code=303)


@router.post("/members/form/wordings")
def publish(request: Request, sent: Poster) -> Response:
    """Show other words from now on, in one language."""
    form = sent.form
    new = Wording(
        form.text("purpose"),  # type: ignore[arg-type]  # refused where it is none
        form.text("of"),  # type: ignore[arg-type]
        form.text("version"),
        form.text("text"),
    )
    try:
        request.app.state.services.members.consents.publish(sent.viewer.scope, new)
    except (InvalidInput, Conflict) as error:
        form.problems[error.field or ""] = _WORDS.get(error.field or "", ANY)
        return _page(request, sent.viewer, {"wording": form}, status=422)
    return RedirectResponse("/members/form?note=published", status_code=303)


@router.post("/members/form/rules/{rule}")
def keep(
    request: Request,
    rule: RuleName,
    viewer: Retirer,
    days: Annotated[str, Sent(max_length=10)] = "",
    sure: str = Sent(""),
) -> Response:
    """Keep something for so many days; erasing the silent is shown first, and then said a second time.

    `sure` are the days whose effect was shown: other days are shown first, too.
    """
    services, form = request.app.state.services, Form({rule: days})
    text = form.text(rule)
    if text and (not text.isdecimal() or len(text) > 6):
        form.problems[rule] = _WORDS["days"]
        return _page(request, viewer, {"rule": form}, status=422)
    wanted = int(text) if text else None
    try:
        if rule == "inactive" and wanted is not None and sure != str(wanted):
            preview = services.members.retention.preview(viewer.scope, wanted)
            return _page(request, viewer, {"rule": form}, preview=(wanted, preview.members))
        services.members.retention.set_rule(viewer.scope, rule, wanted)
    except InvalidInput:
        form.problems[rule] = _WORDS["days"]
        return _page(request, viewer, {"rule": form}, status=422)
    return RedirectResponse("/members/form?note=kept", status_code=303)


def _options(text: str) -> list[Option] | None:
    """``value = Chinese = English`` a line; None where a line is none."""
    options = []
    for line in text.splitlines():
        if not line.strip():
            continue
        parts = [part.strip() for part in line.replace("＝", "=").split("=")]
        if len(parts) != 3 or not all(parts):
            return None
        options.append(Option(parts[0], {"zh": parts[1], "en": parts[2]}))
    return options


def _page(
    request: Request,
    viewer: Viewer,
    forms: dict[str, Form],
    *,
    preview: tuple[int, int] | None = None,
    note: str = "",
    status: int = 200,
) -> Response:
    services, scope = request.app.state.services, viewer.scope
    gettext, fmt = translations(viewer.locale).gettext, Formats(viewer.locale)
    stores = services.stores.stores(scope)
    zone = zone_of(stores).key
    kept = {rule.rule: rule for rule in services.members.retention.rules(scope)}
    rule_form = forms.get("rule") or Form()
    return renderer_of(request).page(
        request,
        "members/form.html",
        viewer,
        status=status,
        stores=stores,
        address="/members/form",
        tabs=member_tabs(viewer, "/members/form"),
        note=_NOTES.get(note, ""),
        form=forms.get("field") or Form({"kind": "text"}),
        wording=forms.get("wording") or Form(),
        rule=rule_form,
        preview=preview,
        kinds=[(value, gettext(label)) for value, label in _KINDS.items()],
        fields=[_field(each, viewer, gettext) for each in services.members.form.fields(scope)],
        purposes=[(purpose, gettext(_PURPOSES[purpose])) for purpose in get_args(Purpose)],
        locales=[("zh", "中文"), ("en", "English")],
        wordings=[
            {
                "purpose": gettext(_PURPOSES[each.purpose]),
                "locale": each.locale,
                "version": each.version,
                "text": each.text,
            }
            for each in sorted(services.members.consents.wordings(scope), key=lambda each: (each.purpose, each.locale))
        ],
        rules=[
            {
                "name": name,
                "what": gettext(what),
                "how": gettext(how),
                "days": rule_form.values.get(name, str(kept[name].days) if name in kept else ""),
                "by": kept[name].set_by if name in kept else "",
                "at": fmt.local_day(kept[name].set_at, zone) if name in kept else "",
            }
            for name, (what, how) in _RULES.items()
        ],
    )


def _field(each: CustomField, viewer: Viewer, gettext: Any) -> dict[str, Any]:
    rules = each.rules
    return {
        "field": each.field,
        "label": each.labels[viewer.locale],
        "kind": gettext(_KINDS[each.kind]),
        "required": rules.required,
        "is_over": each.retired_at is not None,
        "options": ", ".join(option.labels[viewer.locale] for option in rules.options),
        "bounds": " – ".join(bound for bound in (rules.least, rules.most) if bound),
    }
