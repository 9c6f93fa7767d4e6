"""What exactly-once rests on in the database, and what it does without."""

import re
from pathlib import Path

from server.storage.pool import Database
from tests.server.ingest.devices import rows


def test_rows_of_crossings_and_minutes_have_no_unique_index_to_pay_for(db: Database) -> None:
    """The cursor alone makes a record apply once; a unique index on compressed chunks makes late rows cost seconds."""
    found = rows(
        db,
        "SELECT c.relname, i.indisunique FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indrelid"
        " WHERE c.relname IN ('crossing', 'coverage', 'ingest_cursor')",
    )
    unique = {name for name, is_unique in found if is_unique}
    assert unique == {"ingest_cursor"}
    assert {name for name, _ in found} == {"crossing", "coverage", "ingest_cursor"}


def test_cursors_are_never_purged(db: Database, repository_root: Path) -> None:
    """A batch that was long under way would be booked again."""
    purges = re.compile(
        r"(DELETE\s+FROM|TRUNCATE(\s+TABLE)?|DROP\s+TABLE(\s+IF\s+EXISTS)?)\s+(ONLY\s+)?ingest_cursor", re.I
    )
    sources = [*(repository_root / "server").rglob("*.py"), *(repository_root / "server").rglob("*.sql")]
    assert len(sources) > 100
    assert [path.name for path in sources if purges.search(path.read_text(encoding="utf-8"))] == []
    # Nor together with something else.
    bound = rows(db, "SELECT confdeltype::text FROM pg_constraint WHERE conrelid = 'ingest_cursor'::regclass")
    assert ("c",) not in bound
