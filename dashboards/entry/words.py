"""What KPIs and the facts behind them are called on pages, and how each is made, in a reader's words."""

from dataclasses import dataclass
from typing import Final

from dashboards.i18n import N_


@dataclass(frozen=True, slots=True)
class KpiWords:
    """A KPI's name, and how it is made."""

    name: str
    how: str


KPI_WORDS: Final = {
    "entries": KpiWords(N_("Entries"), N_("Crossings inwards at the doors, within opening hours.")),
    "exits": KpiWords(N_("Exits"), N_("Crossings outwards at the doors, within opening hours.")),
    "visitors": KpiWords(N_("Visitors"), N_("Entries less staff, who are tagged or expected from roster and rate.")),
    "occupancy": KpiWords(
        N_("In the shop now"), N_("Everybody who came in less everybody who left, since the day began.")
    ),
    "dwell": KpiWords(N_("Length of stay"), N_("People inside over time, staff aside, divided by the visitors.")),
    "capture_rate": KpiWords(N_("Capture rate"), N_("Entries divided by the passers-by outside.")),
    "transactions": KpiWords(N_("Transactions"), N_("Sale receipts of the tills, less those that were voided.")),
    "conversion": KpiWords(
        N_("Conversion"), N_("Transactions divided by visitors, over the quarter hours in which both were observed.")
    ),
    "group_conversion": KpiWords(
        N_("Group conversion"),
        N_("Transactions divided by groups that came together, over the quarter hours in which both were observed."),
    ),
    "net_sales": KpiWords(N_("Net sales"), N_("Sales less refunds, each on its own day.")),
    "atv": KpiWords(N_("Average sale"), N_("Sales divided by transactions.")),
    "upt": KpiWords(N_("Units per sale"), N_("Units sold divided by transactions.")),
    "sales_per_visitor": KpiWords(
        N_("Sales per visitor"), N_("Sales divided by visitors, over the quarter hours in which both were observed.")
    ),
    "member_share": KpiWords(N_("Member share"), N_("Transactions of members divided by all transactions.")),
    "member_sales_share": KpiWords(N_("Members' share of sales"), N_("Sales to members divided by all sales.")),
    "member_visits": KpiWords(N_("Member visits"), N_("Members seen that day, each once.")),
    "member_conversion": KpiWords(N_("Member conversion"), N_("Members who bought divided by members who came.")),
    "other_conversion": KpiWords(
        N_("Conversion of all others"),
        N_("Transactions without a member divided by the visitors who did not make themselves known as members."),
    ),
    "refunds": KpiWords(N_("Refunds"), N_("What was paid back, on the day on which it was.")),
    "star": KpiWords(N_("Visitors per staff hour"), N_("Visitors divided by the staff hours on the floor.")),
    "coverage": KpiWords(N_("Coverage"), N_("The share of opening time the doors were really watched.")),
    "power_hours": KpiWords(
        N_("Power hours"), N_("The fewest hours of the week that hold the set share of its visitors.")
    ),
}
#: Facts that a reader can make something of; the others are bookkeeping.
FACT_WORDS: Final = {
    "entries": N_("Entries as corrected"),
    "exits": N_("Exits as corrected"),
    "staff_entries": N_("Staff among the entries"),
    "imputed_entries": N_("Entries expected in what was not watched"),
    "imputed_visitors": N_("Visitors expected in what was not watched"),
    "passers_by": N_("Passers-by"),
    "all_in": N_("Came in, open or not"),
    "all_out": N_("Left, open or not"),
    "open_quarters": N_("Quarter hours open so far"),
    "camera_quarters": N_("Of these, times door cameras"),
    "till_quarters": N_("Quarter hours of days on which the tills reported"),
    "transactions": N_("Sale receipts"),
    "gross_sales": N_("Sales before refunds"),
    "units": N_("Units sold"),
    "refund_count": N_("Refunds"),
    "refunds": N_("Paid back"),
    "member_transactions": N_("Sale receipts of members"),
    "member_sales": N_("Sales to members"),
    "matched_visitors": N_("Visitors while doors and tills were observed"),
    "matched_groups": N_("Groups while doors and tills were observed"),
    "matched_transactions": N_("Sale receipts while doors and tills were observed"),
    "matched_sales": N_("Sales while doors and tills were observed"),
    "capture_entries": N_("Entries while doors and street were observed"),
    "capture_passers_by": N_("Passers-by while doors and street were observed"),
    "star_visitors": N_("Visitors while the roster is known and the doors were observed"),
    "dwell_visitors": N_("Visitors whose stay is known"),
    "member_visits": N_("Members seen"),
    "member_buyers": N_("Of these, who bought"),
}
COUNTED_AS: Final = {
    "entry": N_("entry"),
    "staff_entry": N_("entry of staff"),
    "exit": N_("exit"),
    "passer_by": N_("passer-by"),
    "closed": N_("nothing: the store was closed"),
    "excluded": N_("nothing: the stretch is left out"),
    "interior": N_("nothing: a line within the shop"),
}
SOLD_AS: Final = {
    "transaction": N_("a sale"),
    "refund": N_("a refund"),
    "voided": N_("nothing: it was voided"),
    "void": N_("nothing: it voids another"),
    "other_channel": N_("nothing: not of the till"),
}
