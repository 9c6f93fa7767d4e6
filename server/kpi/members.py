"""KPIs of members: how much of the business is theirs."""

from decimal import Decimal

from server.kpi import models
from server.kpi.definition import Ratio, unsold
from server.kpi.interval import Interval, part_of_sum, share
from server.kpi.models import Facts

_TILLS = ("open_quarters", "till_quarters", "transactions", "refund_count")


class MemberShare(Ratio):
    """Of all transactions, how many were members'."""

    slug = "member_share"
    formula = "transactions of members / transactions"
    needs = ("member_transactions", *_TILLS)
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
    needs = ("member_sales", "member_squares", "gross_sales", "sales_squares", *_TILLS)
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
