"""The routers of this room, for whoever mounts the pages."""

from typing import Final

from dashboards.members import (
    coupons_page,
    form_page,
    gradings_page,
    people_page,
    points_page,
    requests_page,
    rights_page,
    stored_value_page,
    tiers_page,
    value_page,
)

ROUTERS: Final = tuple(
    page.router
    for page in (
        value_page,
        gradings_page,
        people_page,
        rights_page,
        tiers_page,
        points_page,
        requests_page,
        coupons_page,
        stored_value_page,
        form_page,
    )
)
