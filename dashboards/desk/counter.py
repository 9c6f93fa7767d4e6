"""Who spends at the desk: a member, in a store, with somebody who serves them; and what was typed for it.

A member is named by the card's number, which travels in the body: whoever shows it may spend in any store of the chain.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated

from fastapi import Depends, Form, Request, Response

from dashboards.desk.drawing import Confirm, Done, Trouble, draw
from dashboards.desk.refusals import refusal
from dashboards.entry.forms import read_number
from dashboards.formats import Formats
from dashboards.i18n import translations
from dashboards.viewer import MEMBER_READERS, Viewer, posting
from server.access.models import Scope
from server.errors import DoorlineError, InvalidInput, NotFound
from server.membership.coupons.models import CouponRefused
from server.membership.models import Member
from server.membership.points.models import NotEnough
from server.membership.points.rules import Rules
from server.membership.stored_value.models import NotEnough as NotEnoughValue
from server.membership.stored_value.models import OverCap
from server.services import Services
from server.stores.models import Store

Poster = Annotated[Viewer, Depends(posting(*MEMBER_READERS))]
Text = Annotated[str, Form(max_length=64)]


@dataclass(frozen=True, slots=True)
class Counter:
    """Who stands in which store, and who serves them."""

    request: Request
    viewer: Viewer
    store: Store
    member: Member

    @property
    def services(self) -> Services:
        """What the pages rest on."""
        services: Services = self.request.app.state.services
        return services

    @property
    def scope(self) -> Scope:
        """What who serves them may see."""
        return self.viewer.scope

    @property
    def fmt(self) -> Formats:
        """Numbers in their language."""
        return Formats(self.viewer.locale)

    def gettext(self, words: str) -> str:
        """Words in their language."""
        return translations(self.viewer.locale).gettext(words)

    def money(self, amount: Decimal) -> str:
        """An amount in the currency of the store."""
        return self.fmt.money(amount, self.store.currency, 2)

    def ask(self, confirm: Confirm) -> Response:
        """The member with what is to be confirmed."""
        return draw(self.request, self.viewer, member=self.member, confirm=confirm)

    def tell(self, title: str, text: str) -> Response:
        """The member as they are now, with what was done."""
        return draw(self.request, self.viewer, member=self.member, done=Done(title, text))

    def refuse(self, where: str, error: DoorlineError, typed: dict[str, str], rules: Rules | None = None) -> Response:
        """The member with what was refused beside its form."""
        text = refusal(error, self.viewer.locale, self.store.currency, rules)
        field = _field_of(error)
        trouble = Trouble(where, text, typed, field if field in typed else "")
        return draw(self.request, self.viewer, member=self.member, trouble=trouble, status=error.status)


def counter_of(request: Request, viewer: Viewer, store_id: str, card: str) -> Counter:
    """Who shows this card in this store.

    Raises:
        Forbidden: the store is not the viewer's.
        NotFound: nobody has the card.
    """
    services: Services = request.app.state.services
    viewer.scope.require(store_id)
    store = services.stores.store(viewer.scope, store_id)
    member = services.membership.find_by_card(viewer.scope, card)
    if member is None:
        raise NotFound("nobody has this card", field="card", remedy="find the member again")
    return Counter(request, viewer, store, member)


def _field_of(error: DoorlineError) -> str:
    """Which field of the form a refusal is about; empty where it is about none."""
    if isinstance(error, NotEnough):
        return "points"
    if isinstance(error, NotEnoughValue | OverCap) or (
        isinstance(error, CouponRefused) and "missing" in _detail(error)
    ):
        return "amount"
    return error.field or ""


def _detail(error: DoorlineError) -> Mapping[str, object]:
    return error.detail or {}


def whole_of(text: str) -> int:
    """A number of points.

    Raises:
        InvalidInput: it is none.
    """
    found = read_number(text)
    if found is None or found != found.to_integral_value() or not 0 < found <= 10**9:
        raise InvalidInput("this is no number of points", field="points")
    return int(found)


def amount_of(text: str, field: str = "amount") -> Decimal:
    """Money, in the store's currency.

    Raises:
        InvalidInput: it is none; `field` is where it was typed.
    """
    amount = read_number(text)
    if amount is None or not 0 <= amount <= 10**9:
        raise InvalidInput("this is no amount", field=field, remedy="use a point for decimals, such as 128.00")
    return amount
