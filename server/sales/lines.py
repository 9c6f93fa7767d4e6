"""A line of a receipt, its amounts and its moment as they are kept, hashed and told. Pure.

The same article at the same price is sold again and again, and a line is written three times: into its receipt's hash,
into the books and into the event. Each of these texts is made once for a line, not once for each receipt that has it.
"""

from datetime import datetime
from decimal import Decimal

import msgspec

from server.sales.models import LineRow
from server.storage.copying import NULL, printed


def line_row(
    sku: str,
    description: str,
    quantity: Decimal,
    unit_price: Decimal,
    discount: Decimal,
    amount: Decimal,
    cost: Decimal | None = None,
    group: str = "",
    tax: Decimal | None = None,
) -> LineRow:
    """A line that was checked.

    Args:
        quantity: with three decimals; money with two.
    """
    said = (sku, description, plain(quantity), plain(unit_price), plain(discount), _plain_or_none(cost))
    told = {
        "sku": sku,
        "group": group,
        "quantity": str(quantity),
        "amount": str(amount),
        "cost": None if cost is None else str(cost),
    }
    return LineRow(
        sku=sku,
        description=description,
        quantity=quantity,
        unit_price=unit_price,
        discount=discount,
        amount=amount,
        cost=cost,
        group=group,
        tax=tax,
        said=msgspec.json.encode(said),
        said_besides=msgspec.json.encode((group, _plain_or_none(tax))),
        has_besides=bool(group) or tax is not None,
        kept=(
            f"{printed(sku)}\t{printed(description)}\t{quantity}\t{unit_price}\t{discount}\t{amount}\t"
            f"{NULL if cost is None else cost}\t{printed(group)}\t{NULL if tax is None else tax}\n"
        ),
        told=msgspec.json.encode(told).decode()[1:-1],
    )


def instant(at: datetime) -> str:
    """A moment as `isoformat` writes it, in a twentieth of its time: it is written three times for each receipt."""
    text = msgspec.json.encode(at)[1:-1].decode()
    return f"{text[:-1]}+00:00" if text.endswith("Z") else text


def plain(value: Decimal) -> str:
    """One spelling for equal numbers: 2, 2.0 and 2.000 hash alike. None of ours is so large or small as to be e-ed."""
    text = str(value)
    return text.rstrip("0").rstrip(".") if "." in text else text


def _plain_or_none(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)
