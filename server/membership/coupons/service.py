"""The rules of coupons at desks and tills: issued by hand, asked about, redeemed once, taken back.

A coupon is redeemed under its row's lock, and the database lets one redemption stand to a coupon; so of two tills with
one code, one gets the discount and the other is told that it was used. Receipts are locked first, or two coupons that
exclude each other could both look and neither see the other.
"""

from dataclasses import replace
from datetime import datetime
from typing import Final
from uuid import UUID

from server import events
from server.access import audit
from server.access.models import Role, Scope
from server.clock import Clock, utc_now
from server.errors import Conflict, Forbidden, InvalidInput, NotFound
from server.events.models import NewEvent
from server.membership.coupons import codes, quoting, refunds, repository
from server.membership.coupons.issuing import issue
from server.membership.coupons.models import Basket, Coupon, CouponRefused, Quote, Redemption
from server.membership.coupons.repository import SERVERS
from server.membership.idempotency import checked_key, checked_reason, request_hash
from server.membership.seen_repository import is_held
from server.storage.pool import Connection, Database

_DESKS: Final[tuple[Role, ...]] = ("admin", "hq", "region", "manager", "desk")
_MOST_LINES: Final = 1_000


class CouponsService:
    """Coupons that are out."""

    def __init__(self, db: Database, clock: Clock = utc_now) -> None:
        self._db = db
        self._clock = clock

    def issue(self, scope: Scope, definition_id: int, member_id: UUID | None, key: str) -> Coupon:
        """Issue a coupon by hand, to a member of the caller's stores or, by HQ, to whoever gets the code.

        Args:
            key: idempotency key; the same again gets the same coupon.

        Raises:
            NotFound: no such member the caller may know of.
            UsedUp: as many are out as may be, or the definition is over.
            Conflict: the key stands for a coupon of somebody else.
        """
        scope.require_role(*_DESKS)
        if member_id is None:
            scope.require_role("admin", "hq")
        checked, now = checked_key(key), self._clock()
        with self._db.transaction() as conn:
            if member_id is not None and not is_held(conn, scope, member_id):
                raise NotFound(f"there is no member {member_id}", field="member_id", remedy="find the member first")
            made, is_new = issue(conn, scope, definition_id, member_id, f"hand:{scope.user_id}:{checked}", now)
            if made.member_id != member_id:
                raise Conflict(
                    f"the idempotency key {checked!r} stands for a coupon of another holder",
                    field="idempotency_key",
                    remedy="use a new key for a new coupon",
                )
            if is_new:
                detail: dict[str, object] = {"member": str(member_id), "definition": definition_id}
                audit.record(conn, now, scope.actor, "coupon.issue", subject=str(made.coupon_id), detail=detail)
            return made

    def of_member(
        self, scope: Scope, member_id: UUID, *, only_open: bool = True, member_card: str | None = None
    ) -> list[Coupon]:
        """The coupons of a member and of all who were merged into it; what ends first comes first.

        A till gets them without their codes: the customer has to show one.

        Args:
            member_card: the number of the member's own card, where the member stands at the counter and is of no store
                of the caller's.

        Raises:
            NotFound: there is no such member the caller may know of.
        """
        scope.require_role(*SERVERS)
        with self._db.read() as conn:
            found = repository.coupons_of(conn, scope, member_id, member_card, only_open=only_open, now=self._clock())
        if found is None:
            raise NotFound(f"there is no member {member_id}", field="member_id", remedy="find the member first")
        return [replace(each, code=None) for each in found] if scope.role == "till" else found

    def code(self, scope: Scope, coupon_id: UUID) -> str:
        """The code of a coupon, as it is printed.

        Raises:
            NotFound: there is none the caller may know of, or its holder's data were erased.
        """
        scope.require_role(*_DESKS)
        with self._db.read() as conn:
            found = _known(repository.coupon(conn, scope, coupon_id))
        if found.code is None:
            raise NotFound("this coupon has no code any more", field="coupon_id", remedy="issue another")
        return codes.spoken(found.code)

    def quote(self, scope: Scope, code: str, basket: Basket, receipt_no: str = "") -> Quote:
        """What a coupon would give on a basket now, and if nothing, why not.

        Args:
            receipt_no: of the basket, when other coupons were redeemed on it already.

        Raises:
            InvalidInput: no code at all, or one misheard: its check character doesn't fit.
            NotFound: there is no such coupon.
            Forbidden: the store is not the caller's.
        """
        scope.require_role(*SERVERS)
        scope.require(basket.store_id)
        _check_basket(basket)
        plain = _code(code)
        with self._db.read() as conn:
            return self._quoted(conn, scope, _known(repository.coupon_of_code(conn, scope, plain)), basket, receipt_no)

    def redeem(self, scope: Scope, code: str, basket: Basket, receipt_no: str, key: str) -> Redemption:
        """Use a coupon on a receipt.

        Args:
            receipt_no: the till's number of the sale, which may come later.
            key: idempotency key, the store's own; the same request again gets the same answer.

        Raises:
            CouponRefused: it gives nothing here; `detail` says why.
            Conflict: the key stands for another redemption.
            Forbidden, InvalidInput, NotFound: as `quote`.
        """
        scope.require_role(*SERVERS)
        scope.require(basket.store_id)
        _check_basket(basket)
        plain, checked, now = _code(code), checked_key(key), self._clock()
        receipt = receipt_no.strip()
        if not receipt or len(receipt) > 64 or not receipt.isprintable():
            raise InvalidInput("on which receipt?", field="receipt_no", remedy="send the till's number of the sale")
        asked = _hash(plain, basket, receipt)
        with self._db.transaction() as conn:
            repository.lock_receipt(conn, basket.store_id, receipt)
            coupon = _known(repository.coupon_of_code(conn, scope, plain, lock=True))
            before = repository.redemption_of_key(conn, scope, basket.store_id, checked)
            if before is not None:
                if repository.hash_of_key(conn, scope, basket.store_id, checked) != asked:
                    raise _reused(checked)
                return before
            quote = self._quoted(conn, scope, coupon, basket, receipt)
            if quote.refusal is not None:
                raise CouponRefused(quote)
            made = repository.insert_redemption(
                conn,
                coupon.coupon_id,
                basket.store_id,
                receipt,
                checked,
                asked,
                basket.currency,
                quote.spent,
                quote.discount,
                scope.actor,
                now,
            )
            if made is None:
                raise _reused(checked)
            repository.set_state(conn, scope, coupon.coupon_id, "redeemed")
            self._tell(conn, scope, coupon, "redeemed", made, now)
        # A till that was offline may tell of the refund before the use. Asked after the commit: whoever took the refund
        # in meanwhile could not see the use yet.
        with self._db.transaction() as conn:
            refunds.settle(conn, basket.store_id, receipt, now)
        return made

    def void(self, scope: Scope, coupon_id: UUID, reason: str) -> Coupon:
        """Take a coupon back that was not used, of a member of one's own stores; voided again, it stays so.

        Raises:
            NotFound: there is none the caller may know of.
            Forbidden: its holder's home is another's store.
            Conflict: it was used, or its time is over.
            InvalidInput: no reason.
        """
        scope.require_role("admin", "hq", "region", "manager")
        why, now = checked_reason(reason), self._clock()
        with self._db.transaction() as conn:
            found = _known(repository.coupon(conn, scope, coupon_id))
            if found.member_id is not None and repository.home_of(conn, scope, found.member_id) is None:
                raise Forbidden(
                    "its holder's home is none of your stores",
                    field="coupon_id",
                    remedy="ask the holder's own store, or headquarters",
                )
            coupon = found if found.code is None else repository.coupon_of_code(conn, scope, found.code, lock=True)
            if coupon is None or coupon.state == "voided":
                return found
            if coupon.state != "open":
                raise Conflict(
                    f"the coupon is {coupon.state}", field="coupon_id", remedy="only one that is open is taken back"
                )
            repository.set_state(conn, scope, coupon_id, "voided", why)
            self._tell(conn, scope, coupon, "voided", None, now, why)
            return _known(repository.coupon(conn, scope, coupon_id))

    # -- inside

    def _quoted(self, conn: Connection, scope: Scope, coupon: Coupon, basket: Basket, receipt_no: str) -> Quote:
        (definition,) = repository.definitions(conn, [coupon.definition_id], ended=True)
        beside = repository.beside(conn, scope, basket.store_id, receipt_no, coupon.coupon_id) if receipt_no else []
        member = basket.member_id
        family = [] if member is None else repository.ids_of(conn, scope, member)
        return quoting.quote(coupon, definition, basket, self._clock(), beside=beside, family=family)

    def _tell(
        self,
        conn: Connection,
        scope: Scope,
        coupon: Coupon,
        what: str,
        made: Redemption | None,
        now: datetime,
        reason: str = "",
    ) -> None:
        store_id = None if made is None else made.store_id
        discount = None if made is None else str(made.discount)
        receipt_no = None if made is None else made.receipt_no
        detail: dict[str, object] = {"receipt": receipt_no, "discount": discount, "reason": reason}
        audit.record(
            conn,
            now,
            scope.actor,
            "coupon.redeem" if what == "redeemed" else "coupon.void",
            subject=str(coupon.coupon_id),
            store_id=store_id,
            detail=detail,
        )
        body = {
            "definition_id": coupon.definition_id,
            "member_id": None if coupon.member_id is None else str(coupon.member_id),
            "receipt_no": receipt_no,
            "discount": discount,
        }
        events.record(conn, NewEvent(f"coupon.{what}", store_id, str(coupon.coupon_id), body))


def _code(code: str) -> str:
    plain = codes.read(code)
    if plain is None:
        raise InvalidInput(
            "this is no coupon's code", field="code", remedy="ask for it again: thirteen letters and digits"
        )
    return plain


def _known(coupon: Coupon | None) -> Coupon:
    if coupon is None:
        raise NotFound("there is no such coupon", field="code", remedy="see the member's coupons")
    return coupon


def _check_basket(basket: Basket) -> None:
    if not 1 <= len(basket.lines) <= _MOST_LINES:
        raise InvalidInput("there is nothing in the basket", field="lines", remedy=f"send 1 to {_MOST_LINES} lines")
    for place, line in enumerate(basket.lines):
        for field in ("amount", "quantity"):
            value = getattr(line, field)
            if not value.is_finite() or not 0 <= value <= 10**9:
                raise InvalidInput(f"{value} can't be", field=f"lines[{place}].{field}", remedy="give 0 or more")


def _hash(code: str, basket: Basket, receipt_no: str) -> bytes:
    """What tells a redemption sent again from another one under the same key."""
    lines = [
        [line.sku, str(line.amount.normalize()), str(line.quantity.normalize()), line.group] for line in basket.lines
    ]
    return request_hash([code, basket.currency, str(basket.member_id), lines, receipt_no])


def _reused(key: str) -> Conflict:
    return Conflict(
        f"the idempotency key {key!r} stands for another redemption",
        field="idempotency_key",
        remedy="use a new key for a new request; the same key only to send the very same again",
    )
