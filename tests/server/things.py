"""Things of a store that are asked for by their ids, so that a test can ask as somebody of another store.

An id that nobody has is not found by anybody: whoever asks with one never learns whether another store's is refused.
"""

from decimal import Decimal

from server.membership.coupons.models import NewDefinition
from server.membership.models import NewMember
from server.membership.wording import standard_consents
from server.services import Services
from tests.server.conftest import SYSTEM


def seed_things(services: Services, store: str, phone: str) -> dict[str, object]:
    """A member of a store with a coupon and a card that was topped up, by the names that routes have for their ids."""
    consents = standard_consents("zh", marketing=True)
    member = services.membership.enrol(SYSTEM, NewMember("张伟", phone, store, consents)).member_id
    currency = next(each.currency for each in services.stores.stores(SYSTEM) if each.store_id == store)
    promise = NewDefinition(title={"zh": "券"}, kind="amount", currency=currency, value=Decimal(20), valid_days=30)
    definition = services.coupon_definitions.add(SYSTEM, promise).definition_id
    coupon = services.coupons.issue(SYSTEM, definition, member, f"seed-{store}")
    card = services.value_cards.open(SYSTEM, store, f"seed-{store}", member_id=member)
    posting = services.stored_value.top_up(SYSTEM, card.card_id, store, Decimal(50), f"top-up-{store}")
    return {
        "member_id": member,
        "coupon_id": coupon.coupon_id,
        "card_id": card.card_id,
        "posting_id": posting.posting_id,
        "definition_id": definition,
    }
