"""Looking a member up by phone among five million, beside reading one row by its primary key in the same run.

Members are made by SQL: random names and numbers of the right length (nobody opens them here), and for each the five
hashes a member has: the whole number, its last four, two spellings of the name and the initials. Both kinds of reading
go over one connection and take turns, so whatever else the machine does falls on both alike: the figure is the 95th
percentile of one as a share of the other's. Reading by last four digits within one store is timed beside it.

Run `python -m bench.bench_members` from the repository's root; it makes its database in --folder (10 GB for five
million) and removes it. `--members 200000` for a look.
"""

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from random import Random
from uuid import UUID

import psycopg

from server.access.models import Scope
from server.membership import repository
from server.storage.embedded import FAST, EmbeddedPostgres
from server.storage.migrate import migrate
from server.storage.pool import Connection

#: A lookup may take so many times as long as reading one row by its primary key.
GOAL = 3.0
STORES = 200
SYSTEM = Scope.system("bench")


def uuid_of(number: int) -> UUID:
    return UUID(bytes=sha256(f"member {number}".encode()).digest()[:16])


def token_of(kind: str, text: str) -> bytes:
    return sha256(f"{kind} {text}".encode()).digest()


def make(conn: psycopg.Connection[tuple[object, ...]], members: int) -> None:
    """Members and their hashes, by SQL alone; indexes are made once the rows are in, as for any load of this size."""
    conn.execute(
        """
        INSERT INTO store (store_id, name, country, currency)
        SELECT 'S' || n, 'S' || n, 'CN', 'CNY' FROM generate_series(0, %s - 1) AS n
        """,
        (STORES,),
    )
    conn.execute(
        """
        INSERT INTO member (member_id, card_no, home_store, key_id, name_enc, phone_enc, enrolled_by, enrolled_at)
        SELECT substr(encode(sha256(convert_to('member ' || n, 'UTF8')), 'hex'), 1, 32)::uuid,
               (1000000000 + n)::text, 'S' || n %% %(stores)s, 'bench',
               substr(sha256(int8send(n)), 1, 34), substr(sha256(int8send(n)) || sha256(int8send(-n)), 1, 42),
               'bench', '2026-01-01Z'::timestamptz + n * interval '1 second'
        FROM generate_series(1, %(members)s::bigint) AS n
        """,
        {"stores": STORES, "members": members},
    )
    conn.execute("ALTER TABLE member_token DROP CONSTRAINT member_token_pkey")
    conn.execute("DROP INDEX member_token_phone, member_token_member")
    conn.execute(
        """
        INSERT INTO member_token (kind, token, member_id)
        SELECT t.kind, sha256(convert_to(t.kind || ' ' || t.text, 'UTF8')),
               substr(encode(sha256(convert_to('member ' || n, 'UTF8')), 'hex'), 1, 32)::uuid
        FROM generate_series(1, %s::bigint) AS n,
             LATERAL (VALUES ('phone', n::text), ('last4', (n %% 10000)::text), ('name', (n %% 400000)::text),
                             ('name', 'pinyin ' || n %% 150000), ('initials', (n %% 15000)::text)) AS t (kind, text)
        """,
        (members,),
    )
    conn.execute("ALTER TABLE member_token ADD PRIMARY KEY (kind, token, member_id)")
    conn.execute("CREATE UNIQUE INDEX member_token_phone ON member_token (token) WHERE kind = 'phone'")
    conn.execute("CREATE INDEX member_token_member ON member_token (member_id)")
    conn.execute("ANALYZE")


def by_key(conn: Connection, number: int) -> None:
    row = conn.execute("SELECT card_no FROM member WHERE member_id = %s", (uuid_of(number),)).fetchone()
    assert row is not None


def by_phone(conn: Connection, number: int) -> None:
    (found,) = repository.members_of_phones(conn, [token_of("phone", str(number))])
    assert found.member_id == uuid_of(number)


def whole_member(conn: Connection, number: int) -> None:
    found = repository.member(conn, SYSTEM, uuid_of(number), whole_chain=True)
    assert found is not None


def by_last4(conn: Connection, number: int) -> None:
    scope = Scope("bench", "desk", frozenset({f"S{number % STORES}"}))
    assert repository.members_by_tokens(conn, scope, [("last4", token_of("last4", str(number % 10000)))], 50)


def p95(times: list[float]) -> float:
    return sorted(times)[int(len(times) * 0.95)]


def measure(conn: Connection, members: int, rounds: int) -> dict[str, list[float]]:
    """Seconds of each kind of reading, taken in turns over members drawn anew each time."""
    kinds: dict[str, Callable[[Connection, int], None]] = {
        "primary key": by_key,
        "phone": by_phone,
        "a member's row": whole_member,
        "last four, one store": by_last4,
    }
    draw = Random(1)
    times: dict[str, list[float]] = {name: [] for name in kinds}
    for turn in range(rounds + rounds // 10):
        for name, read in kinds.items():
            number = draw.randint(1, members)
            began = time.perf_counter()
            read(conn, number)
            if turn >= rounds // 10:
                times[name].append(time.perf_counter() - began)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, default=5_000_000)
    parser.add_argument("--rounds", type=int, default=5000, help="Lookups of each kind.")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="Where there is room.")
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bench-members-", dir=asked.folder))
    folder.chmod(0o711)
    server = EmbeddedPostgres(folder / "postgres", settings={**FAST, "shared_buffers": "512MB"})
    try:
        dsn = server.start().dsn
        migrate(dsn)
        with psycopg.connect(dsn, autocommit=True) as conn:
            began = time.monotonic()
            make(conn, asked.members)
            print(f"{asked.members:,} members made in {time.monotonic() - began:.0f} s")
            times = measure(conn, asked.members, asked.rounds)
        base = p95(times["primary key"])
        for name, seconds in times.items():
            print(f"{name:24} p95 {p95(seconds) * 1000:7.3f} ms   {p95(seconds) / base:5.2f} of a primary-key read")
        share = p95(times["phone"]) / base
        print(f"phone: {share:.2f} (goal: at most {GOAL:g}) {'met' if share <= GOAL else 'MISSED'}")
    finally:
        server.remove()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
