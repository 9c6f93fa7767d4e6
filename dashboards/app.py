"""Puts the pages on the application that `server.app` made.

The server knows nothing of pages; whoever starts the web process (`doorline web`) makes the application and mounts the
pages on it. Everything that can fail for want of a file (templates, catalogues, scripts) is read here, so that a broken
installation stops at start and not at somebody's first click.
"""

from fastapi import FastAPI

from dashboards import (
    account_page,
    assets,
    card_page,
    live,
    pages,
    sign_in,
    store_page,
    store_quarters,
    styleguide,
    users_page,
)
from dashboards.admin import room as admin_room
from dashboards.desk import caring, correcting, spending, taking_back, value_cards
from dashboards.desk import offline as desk_offline
from dashboards.desk import page as desk_page
from dashboards.entry import (
    corrections_page,
    facts_page,
    file_page,
    opening_page,
    roster_page,
    runs_page,
    silences_page,
    why_page,
)
from dashboards.hq import room as hq_room
from dashboards.imports import room as imports_room
from dashboards.members import room as members_room
from dashboards.render import Renderer
from dashboards.security import SecurityHeaders
from server.access.models import Scope
from server.kpi.live import LiveView
from server.services import Services
from server.storage.moment import one_moment


def mount(app: FastAPI, services: Services) -> None:
    """Add the pages, their files and the live streams to an application.

    `app.state.live.close()` ends open streams; call it when the process is told to stop, before it waits for its open
    answers.
    """
    files = assets.Assets.load()
    app.state.services = services
    app.state.renderer = Renderer(files)
    app.state.live = live.LiveHub(lambda store_id: _look(services, store_id))
    app.include_router(assets.router(files))
    for part in (sign_in, account_page, users_page, store_page, desk_offline, desk_page, styleguide, live):
        app.include_router(part.router)
    for part in (caring, correcting, spending, taking_back, value_cards, card_page, store_quarters):
        app.include_router(part.router)
    for page in (
        facts_page,
        roster_page,
        file_page,
        opening_page,
        corrections_page,
        silences_page,
        runs_page,
        why_page,
    ):
        app.include_router(page.router)
    for router in (*hq_room.ROUTERS, *imports_room.ROUTERS, *members_room.ROUTERS, *admin_room.ROUTERS):
        app.include_router(router)
    pages.install_error_pages(app)
    app.add_middleware(SecurityHeaders, is_behind_tls=services.settings.cookie_secure)


def _look(services: Services, store_id: str) -> LiveView:
    """A store's day for everybody who follows it; who may follow was decided when they came."""
    with one_moment():
        return services.kpi.live(Scope.system("live"), store_id)
