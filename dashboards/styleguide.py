"""Everything the pages are made of, on one page: what to reuse before inventing, and what to look at after a change."""

from decimal import Decimal
from typing import Annotated, Final

from fastapi import Depends, Request, Response

from dashboards.formats import Delta
from dashboards.pages import page_router, renderer_of
from dashboards.sparkline import sparkline
from dashboards.viewer import Viewer, current_viewer

router = page_router()

_COLOURS: Final = (
    "ink",
    "ink-3",
    "accent",
    "accent-soft",
    "series-1",
    "series-2",
    "series-3",
    "series-4",
    "warn-soft",
    "bad-soft",
)


@router.get("/styleguide")
def styleguide(request: Request, viewer: Annotated[Viewer, Depends(current_viewer)]) -> Response:
    """The design system, with examples of every state."""
    wave = [Decimal(value) for value in (31, 28, 35, 40, 52, 61, 44, 33)]
    return renderer_of(request).page(
        request,
        "styleguide.html",
        viewer,
        stores=request.app.state.services.stores.stores(viewer.scope),
        colours=_COLOURS,
        rising=Delta("up", "+12.3%"),
        falling=Delta("down", "-4.1%"),
        level=Delta("flat", "0%"),
        whole=sparkline(wave),
        broken=sparkline([*wave[:3], None, None, *wave[3:]]),
    )
