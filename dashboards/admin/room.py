"""The pages of setting up, in the order in which their addresses are tried: what is fixed before what is named."""

from typing import Final

from dashboards.admin import (
    audit_page,
    cameras_page,
    devices_page,
    drawing_page,
    keys_page,
    settings_page,
    setup_page,
    sheet_page,
    store_page,
    stores_page,
)

ROUTERS: Final = (
    stores_page.router,
    sheet_page.router,
    store_page.router,
    devices_page.router,
    cameras_page.router,
    drawing_page.router,
    keys_page.router,
    settings_page.router,
    audit_page.router,
    setup_page.router,
)
