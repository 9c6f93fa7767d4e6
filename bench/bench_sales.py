"""What it costs to bring in a million rows of receipts: memory, and rows a second as a share of plain COPY of the file.

Plain is COPY of the very same file into a table of texts without index or constraint, in the same run, before and after
the import. The import is the one of `doorline sales import`: encodings and columns found out, every amount and time
checked, receipts compared by content, lines, events and marks written, progress noted. It runs in a process of its own,
whose peak memory is told for the whole file and for its first tenth: what grows between them grows with the file.

Shares are given by the clock and by processor time of client and database together, which stays comparable on a machine
that others use. Run `python -m bench.bench_sales` from the repository's root.
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
from pydantic import SecretStr

from bench.central import Central, Meter, Spent, central
from server.access.models import Scope
from server.membership.models import NewMember
from server.membership.wording import standard_consents
from server.services import Services, make_services
from server.settings import Settings
from server.stores.models import NewStore

HEADER = "receipt_no,at,kind,sku,description,group,quantity,unit_price,discount,cost,member_card,tender,cashier\n"
SECRET = "YmVuY2hlcyBoYXZlIG5vIHNlY3JldHMgYXQgYWxsLCByZWFsbHk="
SCOPE = Scope.system("bench")
MEMBERS = 300


def lines(rows: int, cards: list[str]) -> Iterator[str]:
    """Rows of a till's export: receipts of one to eight lines, two in five of a member."""
    rng = random.Random(7)
    at = datetime(2025, 1, 1, 9)  # noqa: DTZ001 - on the store's clock, as tills write it
    number = written = 0
    while written < rows:
        number += 1
        at += timedelta(seconds=rng.randint(5, 60))
        card = rng.choice(cards) if rng.random() < 0.4 else ""
        head, tail = f"R{number:08d},{at:%Y-%m-%d %H:%M:%S},sale,", f"{card},wechat,C{number % 9}\n"
        for _ in range(min(rng.choice((1, 1, 2, 2, 3, 8)), rows - written)):
            written += 1
            # An article has one price, and now and then a discount; few are sold often and many seldom.
            sku = int(rng.paretovariate(0.7)) % 20_000
            cents = 100 + sku * 7919 % 99_800
            price, cost = f"{cents // 100}.{cents % 100:02d}", f"{cents // 200}.50"
            less = "0.00" if rng.random() < 0.9 else "0.50"
            pieces = rng.choice((1, 1, 1, 2, 3))
            yield f"{head}SKU{sku:05d},商品 {sku % 700},G{sku % 40},{pieces},{price},{less},{cost},{tail}"


def write(path: Path, rows: int, cards: list[str]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(HEADER)
        file.writelines(lines(rows, cards))


def services(dsn: str) -> Services:
    settings = Settings(dsn=SecretStr(dsn), secret_key=SecretStr(SECRET), _env_file=None)  # type: ignore[call-arg]
    return make_services(settings)


def prepare(dsn: str) -> list[str]:
    """Two stores and some members; the members' cards."""
    with services(dsn) as made:
        for store in ("S1", "S2"):
            made.stores.add_store(SCOPE, NewStore(store, store))
        consents = standard_consents("en", marketing=False)
        people = (NewMember("Ada", f"+86138{number:08d}", "S1", consents) for number in range(MEMBERS))
        return [made.membership.enrol(SCOPE, person).card_no for person in people]


def copy_plainly(dsn: str, meter: Meter, path: Path) -> Spent:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS plain")
        columns = ", ".join(f'"{name}" text' for name in HEADER.strip().split(","))
        connection.execute(f"CREATE TABLE plain ({columns})".encode())

        def work(file: Path) -> None:
            with (
                file.open("rb") as stream,
                connection.cursor() as cursor,
                cursor.copy("COPY plain FROM STDIN (FORMAT csv, HEADER)") as copy,
            ):
                while block := stream.read(1 << 16):
                    copy.write(block)

        return meter.spent(work, [path])


def import_here(dsn: str, path: Path, store: str) -> None:
    """What the child does: bring the file in, say what it cost, and stay until that is read."""
    with services(dsn) as made, path.open("rb") as stream:
        began, before = time.perf_counter(), time.process_time()
        result = made.imports.run(SCOPE, store, stream, name=path.name)
        told = {
            "clock": time.perf_counter() - began,
            "processor": time.process_time() - before,
            "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6,
            "accepted": result.accepted,
            "repeated": result.repeated,
            "rejected": result.rejected,
        }
        print(json.dumps(told), flush=True)
        sys.stdin.read()


def import_apart(centre: Central, meter: Meter, path: Path, store: str) -> dict[str, float]:
    """The import in a process of its own, with the database's processor time in it."""
    words = [sys.executable, "-m", "bench.bench_sales", "--child", str(path), "--dsn", centre.dsn, "--store", store]
    with meter.watching() as spent:
        child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert child.stdin is not None
        assert child.stdout is not None
        told: dict[str, float] = {}
        for line in child.stdout:
            if line.startswith(b"{"):
                told = json.loads(line)
                break
        told["processor"] += spent().processor
        child.stdin.close()
        child.wait(60)
    return told


def speed(rows: int, clock: float, processor: float) -> str:
    return f"{rows / clock:9,.0f} rows/s, {1e6 * processor / rows:5.1f} us of processor a row"


def main() -> None:
    parser = argparse.ArgumentParser(description="What it costs to bring in receipts, as a share of plain COPY.")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--dsn", default="", help=argparse.SUPPRESS)
    parser.add_argument("--store", default="S1", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child is not None:
        import_here(given.dsn, given.child, given.store)
        return
    with central() as centre:
        meter = Meter(centre.pid)
        cards = prepare(centre.dsn)
        whole, tenth = centre.folder / "receipts.csv", centre.folder / "tenth.csv"
        write(whole, given.rows, cards)
        write(tenth, given.rows // 10, cards)
        small = import_apart(centre, meter, tenth, "S2")
        first = copy_plainly(centre.dsn, meter, whole)
        told = import_apart(centre, meter, whole, "S1")
        second = copy_plainly(centre.dsn, meter, whole)
        again = import_apart(centre, meter, whole, "S1")
    clock = (first.clock + second.clock) / 2
    processor = (first.processor + second.processor) / 2
    print(f"{given.rows:,} rows, {told['accepted']:,.0f} receipts, {whole.name} in slices")
    print(f"{'COPY of the file':20} {speed(given.rows, clock, processor)}")
    for name, one in (("import", told), ("the same once more", again)):
        shares = f"{clock / one['clock']:.3f} by the clock, {processor / one['processor']:.3f} by the processor"
        print(f"{name:20} {speed(given.rows, one['clock'], one['processor'])}; share of COPY {shares}")
    print(f"peak memory          {told['peak']:.0f} MB; of a file of a tenth of it {small['peak']:.0f} MB")


if __name__ == "__main__":
    main()
