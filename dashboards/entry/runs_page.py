"""What ran by the clock, for whoever answers for it: each job's last run first, then all of them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import Depends, Request, Response

from dashboards.admin.frame import tabs
from dashboards.formats import NOTHING, Formats
from dashboards.i18n import N_, translations
from dashboards.pages import page_router, renderer_of
from dashboards.viewer import Viewer, viewer_with
from server.access.models import Locale
from server.jobs.models import JobRun, Waiting

router = page_router()

_OUTCOMES: Final = {
    "running": (N_("Running"), ""),
    "done": (N_("Done"), "good"),
    "idle": (N_("Nothing to do"), ""),
    "failed": (N_("Failed"), "bad"),
}
#: A job's name to what it is for; every job of the jobs process has one (tests/dashboards/test_entry_pages.py).
JOBS: Final = {
    "dirty_days": N_("Computes anew the days whose facts changed"),
    "today": N_("Keeps today's numbers fresh"),
    "settle_days": N_("Settles days that are over"),
    "reconcile": N_("Holds roll-ups against raw rows"),
    "silences": N_("Notices who went silent"),
    "retention": N_("Deletes raw rows that are old"),
    "clean_up": N_("Deletes what no longer counts"),
    "box_answers": N_("Forgets what boxes answered"),
    "offline_desks": N_("Forgets what desks wrote down while they were offline, once it is taken in"),
    "member_value": N_("Makes members' grades, stages and value anew"),
    "member_retention": N_("Erases members nobody has seen for as long as the chain keeps them"),
    "points": N_("Books points of sales and returns"),
    "points_expiry": N_("Ends points whose time is over"),
    "tiers": N_("Raises members who have earned a tier"),
    "tiers_due": N_("Looks at tiers whose period is over"),
    "coupons": N_("Issues coupons for what happened"),
    "coupons_nightly": N_("Issues coupons for the day, and ends those that are over"),
    "webhooks": N_("Tells whoever subscribed outside"),
    "import_retention": N_("Deletes old files of receipts and their errors"),
    "event_retention": N_("Deletes events that everybody has acted on"),
}
_LISTED: Final = 200
Reader = Annotated[Viewer, Depends(viewer_with("admin", "hq"))]


@router.get("/jobs")
def runs(request: Request, viewer: Reader) -> Response:
    """The latest runs."""
    services = request.app.state.services
    found: Sequence[JobRun] = services.jobs.runs(viewer.scope, _LISTED)
    latest: dict[str, JobRun] = {}
    for run in found:
        latest.setdefault(run.job, run)
    return renderer_of(request).page(
        request,
        "entry/runs.html",
        viewer,
        tabs=tabs(viewer, "/jobs"),
        stores=services.stores.stores(viewer.scope),
        latest=[_line(run, viewer.locale) for _, run in sorted(latest.items())],
        runs=[_line(run, viewer.locale) for run in found],
        waiting=_waiting(services.jobs.waiting(viewer.scope), viewer.locale),
    )


def _waiting(found: Waiting, locale: Locale) -> str:
    """How far computing anew has come: what is left of it. Where nothing is left, no words."""
    if found.since is None:
        return ""
    texts, fmt = translations(locale), Formats(locale)
    days = texts.ngettext("%(num)d day", "%(num)d days", found.days) % {"num": found.days}
    stores = texts.ngettext("%(num)d store", "%(num)d stores", found.stores) % {"num": found.stores}
    told = {"days": days, "stores": stores, "at": _moment(found.since, fmt)}
    return texts.gettext(N_("%(days)s of %(stores)s, the oldest marked at %(at)s")) % told


def _moment(at: datetime, fmt: Formats) -> str:
    return f"{fmt.day(at.astimezone(UTC).date())} {fmt.clock(at, 'UTC', seconds=True)}"


def _line(run: JobRun, locale: Locale) -> dict[str, Any]:
    gettext, fmt = translations(locale).gettext, Formats(locale)
    words, kind = _OUTCOMES[run.outcome]

    return {
        "job": run.job,
        "what": gettext(JOBS[run.job]) if run.job in JOBS else "",
        "outcome": gettext(words),
        "kind": kind,
        "started": _moment(run.started_at, fmt),
        "took": NOTHING
        if run.finished_at is None or run.runs > 1
        else gettext(N_("%(seconds)s s"))
        % {"seconds": fmt.number((run.finished_at - run.started_at).total_seconds(), 1)},
        "finished": _moment(run.finished_at, fmt) if run.finished_at else NOTHING,
        "times": fmt.number(run.runs),
        "detail": run.detail or "",
    }
