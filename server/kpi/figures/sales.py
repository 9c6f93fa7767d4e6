"""KPIs that join the tills with the doors, and those of the tills alone.

Conversion and sales per visitor divide sums over the same quarter hours, those in which doors and tills were both
observed, so that an hour with a dead camera takes its sales out of the numerator along with its visitors out of the
denominator. ATV needs no camera and is over all transactions. So, exactly,

    sales_per_visitor = conversion x (matched sales / matched transactions)

and the bracket is the ATV shown wherever every quarter hour with a sale is matched. Where cameras failed it differs by
just what the unmatched hours' receipts differ from the others; multiplying conversion by the overall ATV instead would
make the identity look exact by crediting seen visitors with the spending of unseen ones.
"""

from dataclasses import replace
from decimal import Decimal

from server.kpi import models
from server.kpi.figures.definition import Count, Ratio, half_seen, unsold
from server.kpi.figures.interval import Interval, mean, ratio_of_counts, sum_over_count
from server.kpi.figures.widening import audited
from server.kpi.models import Facts, KpiValue, Period

COVERAGE = ("open_quarters", "camera_quarters", "due_ms", "observed_ms", "required_ms")
TILLS = ("open_quarters", "till_quarters", "transactions", "refund_count")
#: What an audit leaves open.
AUDITED = ("entries", "entries_error")


class _Till(Count):
    """Counted at the tills; no camera has a part in it."""

    coverage_bound = False

    def withheld(self, facts: Facts) -> str | None:
        return unsold(facts)


class Transactions(_Till):
    """Sales rung up and not voided; refunds, online orders and pick-ups are none."""

    slug = "transactions"
    formula = "sale receipts of the till channel, less voids"
    needs = TILLS

    def amount(self, facts: Facts) -> int:
        """Sale receipts."""
        return facts.transactions


class GrossSales(_Till):
    """What those transactions came to."""

    slug = "gross_sales"
    unit = "money"
    formula = "sum of the totals of transactions"
    needs = ("gross_sales", *TILLS)

    def amount(self, facts: Facts) -> Decimal:
        """Before refunds."""
        return facts.gross_sales


class Refunds(_Till):
    """What was paid back, on the day it was."""

    slug = "refunds"
    unit = "money"
    formula = "sum of the totals of refund receipts, as a positive amount"
    needs = ("refunds", *TILLS)

    def amount(self, facts: Facts) -> Decimal:
        """As a positive amount."""
        return facts.refunds


class NetSales(_Till):
    """What stays in the till."""

    slug = "net_sales"
    unit = "money"
    formula = "gross sales - refunds, each on its own day"
    needs = ("gross_sales", "refunds", *TILLS)

    def amount(self, facts: Facts) -> Decimal:
        """May be below zero on a day of many refunds."""
        return facts.net_sales


class _OverTransactions(Ratio):
    """Something per transaction; no camera has a part in it."""

    coverage_bound = False
    needs_coverage = False

    def denominator(self, facts: Facts) -> int:
        return facts.transactions

    def withheld(self, facts: Facts) -> str | None:
        return unsold(facts) or (None if facts.transactions else models.NO_TRANSACTIONS)


class Atv(_OverTransactions):
    """Average transaction value."""

    slug = "atv"
    unit = "money"
    formula = "gross sales / transactions"
    needs = ("gross_sales", "sales_squares", *TILLS)

    def numerator(self, facts: Facts) -> Decimal:
        """Gross sales."""
        return facts.gross_sales

    def interval(self, facts: Facts) -> Interval | None:
        """From the spread of the receipts."""
        return mean(facts.gross_sales, facts.sales_squares, facts.transactions)


class Upt(_OverTransactions):
    """Units per transaction."""

    slug = "upt"
    unit = "units"
    formula = "units sold / transactions"
    needs = ("units", "units_squares", *TILLS)

    def numerator(self, facts: Facts) -> Decimal:
        """Units."""
        return facts.units

    def interval(self, facts: Facts) -> Interval | None:
        """From the spread of the receipts."""
        return mean(facts.units, facts.units_squares, facts.transactions)


class OverVisitors(Ratio):
    """Something of the tills over something of the doors, over the quarter hours in which both were observed."""

    #: The code where nobody came, and the flag where more bought than came.
    nobody = models.NO_VISITORS
    exceeded = models.TRANSACTIONS_EXCEED_VISITORS

    def denominator(self, facts: Facts) -> int:
        """Visitors of the matched quarter hours."""
        return facts.matched_visitors

    def withheld(self, facts: Facts) -> str | None:
        """Not enough was watched, nothing was sold, or nobody came."""
        if code := half_seen(facts) or unsold(facts):
            return code
        return None if self.denominator(facts) else self.nobody

    def buyers(self, facts: Facts) -> int:
        """Transactions that these visitors are held against."""
        return facts.matched_transactions

    def of(self, period: Period) -> KpiValue:
        """The ratio; flagged in the detail where more bought than came: people paid apart, or entries were missed."""
        value = super().of(period)
        if self.buyers(period.facts) <= self.denominator(period.facts):
            return value
        return replace(value, detail={"flag": self.exceeded})


class Conversion(OverVisitors):
    """Of those who came in, how many bought. Above 1 when people pay separately or entries were missed."""

    slug = "conversion"
    formula = "transactions / visitors, over the quarter hours in which both were observed"
    needs = ("matched_transactions", "matched_visitors", *AUDITED, *TILLS, *COVERAGE)

    def numerator(self, facts: Facts) -> int:
        """Transactions of the matched quarter hours."""
        return facts.matched_transactions

    def interval(self, facts: Facts) -> Interval:
        """Right also above 100%."""
        count, base = facts.matched_transactions, facts.matched_visitors
        return audited(facts, count / base, ratio_of_counts(count, base))


class GroupConversion(OverVisitors):
    """Of the groups that came in together, how many bought: a family of four buys once."""

    slug = "group_conversion"
    nobody = models.NO_GROUPS
    exceeded = models.TRANSACTIONS_EXCEED_GROUPS
    formula = "transactions / buying groups, over the quarter hours in which both were observed"
    needs = ("matched_transactions", "matched_groups", *AUDITED, *TILLS, *COVERAGE)

    def numerator(self, facts: Facts) -> int:
        """Transactions of the matched quarter hours."""
        return facts.matched_transactions

    def denominator(self, facts: Facts) -> int:
        """Groups of the matched quarter hours."""
        return facts.matched_groups

    def interval(self, facts: Facts) -> Interval:
        """Right also above 100%."""
        count, base = facts.matched_transactions, facts.matched_groups
        return audited(facts, count / base, ratio_of_counts(count, base))


class SalesPerVisitor(OverVisitors):
    """What each visitor is worth."""

    slug = "sales_per_visitor"
    unit = "money"
    formula = "gross sales / visitors, over the quarter hours in which both were observed"
    needs = (
        "matched_sales",
        "matched_squares",
        "matched_visitors",
        "matched_transactions",
        *AUDITED,
        *TILLS,
        *COVERAGE,
    )

    def numerator(self, facts: Facts) -> Decimal:
        """Gross sales of the matched quarter hours."""
        return facts.matched_sales

    def interval(self, facts: Facts) -> Interval:
        """From the number and the spread of the receipts."""
        total, base = facts.matched_sales, facts.matched_visitors
        return audited(facts, float(total) / base, sum_over_count(total, facts.matched_squares, base))
