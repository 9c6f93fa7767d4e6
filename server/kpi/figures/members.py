"""KPIs of members: how much of the business is theirs, and who of them came without buying.

The trap is the store that knows of a member only when one pays: every visit it knows of bought something. There visits
and their conversion are withheld; they take check-ins, by which also those are known who bought nothing.
"""

from decimal import Decimal

from server.kpi import models
from server.kpi.figures.definition import Count, Ratio, unsold
from server.kpi.figures.interval import Interval, part_of_sum, ratio_of_counts, share
from server.kpi.figures.sales import AUDITED, COVERAGE, TILLS, OverVisitors
from server.kpi.figures.widening import audited
from server.kpi.models import Facts


class MemberShare(Ratio):
    """Of all transactions, how many were members'."""

    slug = "member_share"
    formula = "transactions of members / transactions"
    needs = ("member_transactions", *TILLS)
    coverage_bound = False
    needs_coverage = False

    def numerator(self, facts: Facts) -> int:
        """Transactions of members."""
        return facts.member_transactions

    def denominator(self, facts: Facts) -> int:
        """All transactions."""
        return facts.transactions

    def withheld(self, facts: Facts) -> str | None:
        """No receipts at all, or refunds only."""
        return unsold(facts) or (None if facts.transactions else models.NO_TRANSACTIONS)

    def interval(self, facts: Facts) -> Interval:
        """A true share."""
        return share(facts.member_transactions, facts.transactions)


class MemberSalesShare(Ratio):
    """Of all gross sales, how much was members'."""

    slug = "member_sales_share"
    formula = "gross sales to members / gross sales"
    needs = ("member_sales", "member_squares", "gross_sales", "sales_squares", *TILLS)
    of_money = True
    coverage_bound = False
    needs_coverage = False

    def numerator(self, facts: Facts) -> Decimal:
        """Gross sales to members."""
        return facts.member_sales

    def denominator(self, facts: Facts) -> Decimal:
        """All gross sales."""
        return facts.gross_sales

    def withheld(self, facts: Facts) -> str | None:
        """No receipts at all, or none worth anything."""
        return unsold(facts) or (None if facts.gross_sales else models.NO_TRANSACTIONS)

    def interval(self, facts: Facts) -> Interval:
        """From how the receipts' totals lie among members and others."""
        return part_of_sum(facts.member_sales, facts.member_squares, facts.gross_sales, facts.sales_squares)


class MemberVisits(Count):
    """Members who were there, each once a day and store."""

    slug = "member_visits"
    formula = "distinct (member, store, business day) with a check-in or a receipt"
    needs = ("member_visits", "checkin_quarters", "open_quarters")
    coverage_bound = False

    def amount(self, facts: Facts) -> int:
        """Visits."""
        return facts.member_visits

    def withheld(self, facts: Facts) -> str | None:
        """The store takes no check-ins."""
        return _unchecked(facts)


class MemberConversion(Ratio):
    """Of the members' visits, how many bought."""

    slug = "member_conversion"
    formula = "member visits with a receipt / member visits"
    needs = ("member_visits", "member_buyers", "checkin_quarters", "open_quarters")
    coverage_bound = False
    needs_coverage = False

    def numerator(self, facts: Facts) -> int:
        """Visits on which the member bought."""
        return facts.member_buyers

    def denominator(self, facts: Facts) -> int:
        """Visits."""
        return facts.member_visits

    def withheld(self, facts: Facts) -> str | None:
        """The store takes no check-ins, or no member came."""
        return _unchecked(facts) or (None if facts.member_visits else models.NO_MEMBERS)

    def interval(self, facts: Facts) -> Interval:
        """A true share."""
        return share(facts.member_buyers, facts.member_visits)


class OtherConversion(OverVisitors):
    """Of the visitors who did not make themselves known as members, how many bought."""

    slug = "other_conversion"
    formula = (
        "transactions without a member / (visitors - member visits), over the quarter hours in which both were observed"
    )
    needs = (
        *("other_transactions", "other_visitors", "checkin_quarters", "member_visits"),
        *(*AUDITED, *TILLS, *COVERAGE),
    )

    def numerator(self, facts: Facts) -> int:
        """Transactions of the matched quarter hours that no member is known of."""
        return facts.other_transactions

    def denominator(self, facts: Facts) -> int:
        """Visitors of the matched quarter hours less the members who were seen; none where more were."""
        return max(0, facts.other_visitors)

    def buyers(self, facts: Facts) -> int:
        """Those of the numerator."""
        return facts.other_transactions

    def withheld(self, facts: Facts) -> str | None:
        """As conversion; and where no store takes check-ins, members who bought nothing are among the others."""
        return _unchecked(facts) or super().withheld(facts)

    def interval(self, facts: Facts) -> Interval:
        """Right also above 100%."""
        count, base = self.numerator(facts), self.denominator(facts)
        return audited(facts, count / base, ratio_of_counts(count, base))


def _unchecked(facts: Facts) -> str | None:
    if facts.checkin_quarters or facts.member_visits:
        return None
    return models.NO_CHECK_INS if facts.open_quarters else models.CLOSED
