"""Lists as PostgreSQL's own text of arrays, for statements that take many rows at once.

psycopg makes an array element by element, each through its adapters, in Python: for the few dozen rows a transaction
of ingest adds to its roll-ups that cost more than what the database then did with them. Cast on the other side, as in
``unnest(%s::text[])``.
"""

from collections.abc import Iterable


def array(values: Iterable[object]) -> str:
    """A one-dimensional array.

    Args:
        values: None, or anything whose `str` is what PostgreSQL reads: texts, numbers, aware datetimes.
    """
    return "{" + ",".join(map(_element, values)) + "}"


def _element(value: object) -> str:
    if value is None:
        return "NULL"
    text = str(value)
    if "\\" in text or '"' in text:
        text = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'
