"""One member's points in memory: what may happen to lots, and the entries and movements that it makes. Pure.

Everything that changes points goes through here, whoever asks: a desk, an event, a merge. So there is one place that
keeps what must always hold: an entry is the sum of its movements, a balance is what can be spent of the lots less
what is owed, nothing is spent that isn't there, and while something is owed there is no lot to spend from. The
set-based jobs in `expiry_repository` are the one exception, for members who owe nothing; a test holds the two to the
same result.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from server.membership.points.bookings import Booking, Lot, Movement, Moves, Why, in_turn
from server.membership.points.models import NotEnough


@dataclass(slots=True)
class Purse:
    """A member's points while they are held.

    Attributes:
        lots: those with something in them, and whichever else were asked for.
        next_lot: gives numbers of lots to be; `next_entry` of entries.
        bookings: what happened since it was loaded, in order.
        touched: lots that are new or changed.
    """

    member_id: UUID
    balance: int
    pending: int
    owed: int
    lots: list[Lot]
    next_lot: Callable[[], int]
    next_entry: Callable[[], int]
    bookings: list[Booking] = field(default_factory=list)
    touched: dict[int, Lot] = field(default_factory=dict)
    made: list[Lot] = field(default_factory=list)

    # -- what happens by itself

    def settle(self, now: datetime, actor: str = "system") -> None:
        """Release what is due, then let expire what is: at any moment the same as if the nightly job had just run."""
        for lot in self._live():
            if lot.is_pending and lot.available_at <= now:
                self._release(lot, now, actor)
        for lot in self._open():
            if lot.expires_at is not None and lot.expires_at <= now:
                self._expire(lot, now, actor)

    def _release(self, lot: Lot, now: datetime, actor: str) -> None:
        points = lot.remaining
        lot.is_pending = False
        self.touched[lot.lot_id] = lot
        moves = Moves()
        moves.add(lot, points=points, pending=-points)
        self._pay_owed(lot, moves)
        self._book(
            Why("release", f"release:{lot.lot_id}", now, actor, store_id=lot.store_id, receipt_no=lot.receipt_no), moves
        )

    def _expire(self, lot: Lot, now: datetime, actor: str) -> None:
        points = lot.remaining
        lot.lapsed += points
        moves = Moves()
        self._take(lot, points, moves)
        self._book(
            Why("expire", f"expire:{lot.lot_id}", now, actor, store_id=lot.store_id, receipt_no=lot.receipt_no), moves
        )

    # -- what is asked for

    def add(self, why: Why, points: int, lot: Lot) -> Booking:
        """Put points into a new lot; where something is owed they pay that first, unless they are pending.

        Args:
            lot: as `new_lot` made it.
        """
        lot.points = lot.remaining = points
        self.lots.append(lot)
        self.made.append(lot)
        moves = Moves()
        if lot.is_pending:
            moves.add(lot, pending=points)
        else:
            moves.add(lot, points=points)
            self._pay_owed(lot, moves)
        return self._book(why, moves)

    def spend(self, why: Why, points: int) -> Booking:
        """Take points from lots: what expires first goes first, and of what expires alike the oldest.

        Raises:
            NotEnough: nothing was changed.
        """
        if points > self.balance:
            raise NotEnough(points, self.balance, self.pending)
        moves = Moves()
        left = self._draw(points, self._open(), moves)
        assert left == 0, "a balance is no more than what is in the lots"  # noqa: S101
        return self._book(why, moves)

    def take_back(self, why: Why, points: int, roots: Iterable[int]) -> Booking:
        """Take back what was earned, as a refund does: the balance may go below zero.

        First from what is left of the very lots it was earned in, then from what expired of them (lost already, it
        isn't taken twice), then from other lots; what remains is owed.

        Args:
            roots: lots that the points were first made as.
        """
        own = set(roots)
        theirs = [each for each in self.lots if each.root in own and (self._is_ours(each) or not each.remaining)]
        moves = Moves()
        left = points
        for lot in [*(each for each in theirs if each.is_pending), *in_turn(theirs)]:
            taken = min(left, lot.remaining)
            if taken:
                self._take(lot, taken, moves)
                left -= taken
        for lot in theirs:
            absorbed = min(left, lot.lapsed)
            if absorbed:
                lot.lapsed -= absorbed
                self.touched[lot.lot_id] = lot
                moves.add(lot, absorbed=absorbed)
                left -= absorbed
        left = self._draw(left, self._open(), moves)
        if left:
            self.owed += left
            moves.owe(-left)
        return self._book(why, moves)

    def give_back(self, why: Why, movements: Sequence[Movement], now: datetime, again_until: datetime) -> Booking:
        """Undo a redemption: into the lots it came from, or, where those have expired, into new ones.

        Args:
            movements: of the redemption.
            again_until: how long points live on whose lot has expired since.
        """
        known = {each.lot_id: each for each in self.lots}
        moves = Moves()
        for movement in movements:
            lot = known[movement.lot_id]
            points = -movement.points
            is_over = lot.expires_at is not None and lot.expires_at <= now
            if is_over or not self._is_ours(lot):
                until = again_until if is_over else lot.expires_at
                lot = self.new_lot(
                    lot.earned_at,
                    lot.earned_at,
                    until,
                    root=lot.root,
                    earned_by=lot.earned_by,
                    store_id=lot.store_id,
                    receipt_no=lot.receipt_no,
                )
                lot.points = points
                self.lots.append(lot)
                self.made.append(lot)
            else:
                self.touched[lot.lot_id] = lot
            lot.remaining += points
            moves.add(lot, points=points)
            self._pay_owed(lot, moves)
        return self._book(why, moves)

    def empty(self, why: Why) -> Booking:
        """Give up everything, what is owed too: the member is no more."""
        moves = Moves()
        for lot in self._live():
            self._take(lot, lot.remaining, moves)
        if self.owed:
            moves.owe(self.owed)
            self.owed = 0
        return self._book(why, moves)

    def hand_over(
        self, other: "Purse", lots: Sequence[Lot], owed: int, ours: Why, theirs: Why
    ) -> tuple[Booking, Booking]:
        """Move what is left of some lots, and so much of what is owed, to another member."""
        out, into = Moves(), Moves()
        for lot in lots:
            points = lot.remaining
            moved = replace(
                other.new_lot(
                    lot.earned_at,
                    lot.available_at,
                    lot.expires_at,
                    root=lot.root,
                    earned_by=lot.earned_by,
                    store_id=lot.store_id,
                    receipt_no=lot.receipt_no,
                ),
                is_pending=lot.is_pending,
            )
            moved.points = moved.remaining = points
            self._take(lot, points, out)
            other.lots.append(moved)
            other.made.append(moved)
            into.add(moved, **({"pending": points} if moved.is_pending else {"points": points}))
        if owed:
            self.owed -= owed
            other.owed += owed
            out.owe(owed)
            into.owe(-owed)
        for lot in other._open():
            other._pay_owed(lot, into)
        return self._book(ours, out), other._book(theirs, into)

    def new_lot(
        self,
        earned_at: datetime,
        available_at: datetime,
        expires_at: datetime | None,
        *,
        now: datetime | None = None,
        root: int | None = None,
        earned_by: UUID | None = None,
        store_id: str | None = None,
        receipt_no: str | None = None,
    ) -> Lot:
        """A lot with nothing in it yet; with `now`, pending if it can't be spent by then."""
        return Lot(
            self.next_lot(),
            root,
            self.member_id,
            earned_by or self.member_id,
            store_id,
            receipt_no,
            earned_at,
            available_at,
            expires_at,
            points=0,
            remaining=0,
            lapsed=0,
            is_pending=now is not None and available_at > now,
        )

    # -- inside

    def _open(self) -> list[Lot]:
        """Lots that can be spent from, in their turn."""
        return in_turn(self._live())

    def _live(self) -> list[Lot]:
        """Our own lots with something in them; others may be at hand, from before a merge."""
        return [each for each in self.lots if each.remaining and self._is_ours(each)]

    def _is_ours(self, lot: Lot) -> bool:
        return lot.member_id == self.member_id

    def _take(self, lot: Lot, points: int, moves: Moves) -> None:
        lot.remaining -= points
        self.touched[lot.lot_id] = lot
        moves.add(lot, **({"pending": -points} if lot.is_pending else {"points": -points}))

    def _draw(self, points: int, lots: Iterable[Lot], moves: Moves) -> int:
        """Take points from lots in their turn; how many are still wanting."""
        for lot in lots:
            taken = min(points, lot.remaining)
            if taken:
                self._take(lot, taken, moves)
                points -= taken
        return points

    def _pay_owed(self, lot: Lot, moves: Moves) -> None:
        paid = min(self.owed, lot.remaining)
        if paid:
            self.owed -= paid
            self._take(lot, paid, moves)
            moves.owe(paid)

    def _book(self, why: Why, moves: Moves) -> Booking:
        movements = moves.sums()
        points = sum(each.points for each in movements)
        pending = sum(each.pending for each in movements)
        self.balance += points
        self.pending += pending
        booking = Booking(
            self.next_entry(),
            self.member_id,
            why.kind,
            points,
            pending,
            self.balance,
            why.at,
            why.key,
            why.content,
            why.store_id,
            why.receipt_no,
            why.refers_to,
            why.actor,
            why.reason,
            movements,
        )
        self.bookings.append(booking)
        return booking
