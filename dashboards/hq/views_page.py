"""Saving how a page of headquarters is set out, and forgetting it again; the pages show the list themselves."""

from typing import Annotated

from fastapi import Depends, Request, Response
from fastapi import Form as Sent
from fastapi.responses import RedirectResponse

from dashboards.pages import page_router
from dashboards.viewer import CHAIN_READERS, Viewer, posting

router = page_router()

Poster = Annotated[Viewer, Depends(posting(*CHAIN_READERS))]


@router.post("/hq/views")
def save(
    request: Request,
    viewer: Poster,
    name: Annotated[str, Sent(max_length=200)] = "",
    address: Annotated[str, Sent(max_length=2000)] = "",
) -> Response:
    """Keep the page under a name, and show it again."""
    request.app.state.services.views.save(viewer.scope, name, address)
    return RedirectResponse(address, status_code=303)


@router.post("/hq/views/{view_id}/removal")
def remove(
    request: Request, view_id: int, viewer: Poster, back: Annotated[str, Sent(max_length=2000)] = "/hq"
) -> Response:
    """Forget a view."""
    request.app.state.services.views.remove(viewer.scope, view_id)
    is_ours = back == "/hq" or back.startswith(("/hq?", "/hq/"))
    return RedirectResponse(back if is_ours else "/hq", status_code=303)
