"""A member's card: on the member's phone, without signing in, and at the desk, to be printed.

The phone's page opens for whoever has its address, so it shows the card's number and its code and nothing that names
anybody, and it tells neither search engines nor other sites that it is there. The code is drawn by the server as one
path: no script, and nothing is asked of anybody else.
"""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request, Response

from dashboards.pages import page_router, renderer_of
from dashboards.viewer import MEMBER_READERS, Viewer, viewer_with
from server.membership import pictures
from server.membership.desk import MemberDesk

router = page_router()

Reader = Annotated[Viewer, Depends(viewer_with(*MEMBER_READERS))]


@router.get("/c/{key}")
def on_the_phone(request: Request, key: str) -> Response:
    """The card behind a page's key; a page that is closed is not there."""
    members: MemberDesk = request.app.state.services.members
    card_no = members.links.card(key)
    answer = renderer_of(request).page(
        request,
        "card.html",
        None,
        # The address is a key: a link to another language must not repeat it.
        address="/",
        number=pictures.grouped(card_no),
        code=pictures.qr_of(card_no),
        store="",
        is_print=False,
    )
    answer.headers["Referrer-Policy"] = "no-referrer"
    answer.headers["X-Robots-Tag"] = "noindex, nofollow"
    return answer


@router.get("/desk/members/{member_id}/card")
def to_print(request: Request, viewer: Reader, member_id: UUID) -> Response:
    """The card in its true size (ISO/IEC 7810 ID-1), for a printer."""
    services = request.app.state.services
    found = services.membership.member(viewer.scope, member_id)
    names = {store.store_id: store.name for store in services.stores.stores(viewer.scope)}
    return renderer_of(request).page(
        request,
        "card.html",
        viewer,
        number=pictures.grouped(found.card_no),
        code=pictures.qr_of(found.card_no),
        store=names.get(found.home_store, ""),
        is_print=True,
    )
