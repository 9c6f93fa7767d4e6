"""The routers of this room, for whoever mounts the pages."""

from typing import Final

from dashboards.hq import change_page, files_page, page, views_page

ROUTERS: Final = tuple(each.router for each in (page, files_page, change_page, views_page))
