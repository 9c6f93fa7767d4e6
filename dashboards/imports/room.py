"""The routers of this room, for whoever mounts the pages."""

from typing import Final

from dashboards.imports import conflicts_page, job_page, members_page, rates_page, receipts_page

ROUTERS: Final = tuple(page.router for page in (receipts_page, members_page, job_page, conflicts_page, rates_page))
