"""What the numbers of a large chain cost to read: a made-up chain at full size, and the questions people ask of it.

- One store's day by quarter hour; HQ's table of all stores for 30 days beside the 30 before; a year's heat map of one
  store; why sales moved, for all stores.
- Each as the whole service call, and of that the time in the database alone: from a statement's sending until all its
  rows are here, as bytes.
- The same of smaller chains, side by side: what a store-day costs.
- HQ's table and the others beside plain SQL over the raw crossings and receipts of the same days, in the same run,
  and with the same answers, which is checked first.
- HQ's "Today": with nothing kept of it, as after a start, and once the jobs process has kept every store's; what such a
  pass of the job costs; and all that HQ's page asks for.
- With eight readers at once while boxes' batches are booked by the real ingest.

Everything is asked so often before that statements are planned and pages read, as on a server that has run for a while.
Processor time stays comparable on a machine that others use; the clock's does not. Workers that PostgreSQL starts for
a single statement are gone before they are looked at, so their part is in the clock's time alone.

Making the chains takes an hour and 30 GB, measuring them a quarter of an hour. So they are made once and kept:

    python -m bench.bench_kpi --make FOLDER
    python -m bench.bench_kpi --use FOLDER
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final

import psycopg

from bench import kept
from bench.asking import GOALS, Asker, Cost, measure, p95, timed
from bench.central import Meter
from bench.chain import Raw, feed
from bench.kept import Chain
from server.jobs.days import Days

READERS: Final = 8
#: Days of the table that stands beside raw rows, and as many before.
HALF: Final = 30
#: How often raw rows are asked: they are read from the disk each time.
_RAW_ROUNDS: Final = 2


def alone(askers: Sequence[Asker], meter: Meter, rounds: int) -> dict[str, Cost]:
    """Each question by itself, of all chains side by side; what it costs in the largest."""
    found: dict[str, Cost] = {}
    for name, goal in GOALS.items():
        print(f"{name} (goal: {goal} ms, p95 in the database, at a thousand stores)")
        for asker in askers:
            cost = measure(asker.questions()[name], rounds, meter)
            stores = len(asker.ids)
            print(f"  {stores:5} stores  {cost.told()}", end="")
            if name in ("HQ's table", "why sales moved"):
                each = 1000 * median(cost.busy_whole) / (stores * 60)
                print(f"   {each:.2f} µs of processor a store-day", end="")
            print(flush=True)
            found[name] = cost
    return found


def grown(asker: Asker, meter: Meter, rounds: int) -> None:
    """What a store-day costs by how many days are asked for, of the largest chain."""
    for days in (7, 30, 90):
        cost = measure(partial(asker.recent, days, 1, "previous_period"), rounds, meter)
        each = 1000 * median(cost.busy_whole) / (len(asker.ids) * days * 2)
        print(f"  {days:3} days, twice: {cost.told()}   {each:.2f} µs of processor a store-day", flush=True)


def of_hq(asker: Asker, meter: Meter, rounds: int) -> None:
    """What HQ waits for longest."""
    print(f"  its page, 30 days  {measure(asker.page, rounds, meter, 12).told()}", flush=True)
    few = max(3, rounds // 20)
    report = asker.today()
    print(f"  Today, none kept   {measure(asker.today, few, meter, 1).told()}   {report.pending} stores not in it")
    days = Days(asker.db, asker.stores, asker.kpi, lambda: asker.now)
    for what in ("first", "next"):
        with meter.watching() as spent_since:
            own, began = time.process_time(), time.perf_counter()
            days.today(threading.Event())
            clock, own = time.perf_counter() - began, time.process_time() - own
            theirs = spent_since().processor
        print(f"  the job's {what} pass: {clock:.1f} s, processor {own + theirs:.1f} s, of which database {theirs:.1f}")
        asker.now += timedelta(minutes=1)
    report = asker.today()
    assert not report.pending
    assert report.total.periods == len(asker.ids)
    print(
        f"  Today, kept        {measure(asker.today, rounds, meter).told()}   {report.answered_at - report.as_of} old"
    )


def beside_raw(asker: Asker, dsn: str, quiet: dict[str, Cost]) -> None:
    """The same questions to raw rows: first that they give the same answers, then what they cost."""
    chain = asker.chain
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SET timezone = 'UTC'")
        sizes = connection.execute(
            "SELECT pg_size_pretty(pg_total_relation_size('crossing')), (SELECT reltuples FROM pg_class"
            " WHERE oid = 'crossing'::regclass), pg_size_pretty(pg_total_relation_size('receipt'))"
        ).fetchone()
        assert sizes is not None
        print(f"  {chain.raw_days + 1} days of raw rows: {sizes[1]:,.0f} crossings ({sizes[0]}), receipts ({sizes[2]})")
        raw = Raw(connection, chain.last)
        answers = asker.some(len(asker.ids), HALF)
        began = time.perf_counter()
        found = raw.table(HALF)
        spent = [1000 * (time.perf_counter() - began)]
        for row in answers.rows:
            values, counted = row.values, found[row.key, 0]
            assert (values["visitors"].value, values["transactions"].value) == counted[:2], row.key
            assert values["atv"].numerator == counted[2], row.key
        spent += [timed(lambda: raw.table(HALF), 1) for _ in range(_RAW_ROUNDS - 1)]
        told(f"HQ's table, {HALF} days and {HALF} before", spent, quiet["HQ's table"])
        store, days = asker.ids[len(asker.ids) // 2], chain.raw_days
        told("a day by quarter hour", [timed(lambda: raw.quarters(store), 3)], quiet["day by quarter hour"])
        heat = measure(lambda: asker.heat_map(days, store), 20)
        told(f"{days} days' heat map", [timed(lambda: raw.heat_map(store, days), _RAW_ROUNDS)], heat)


def told(what: str, raw: Sequence[float], mine: Cost) -> None:
    """How much longer raw rows take than facts that are kept, in the database alone by the clock."""
    times = median(raw) / median(mine.database)
    print(f"  {what}: raw rows {median(raw):,.0f} ms; {times:,.0f} times as long as kept facts", flush=True)


def crowded(asker: Asker, dsn: str, quiet: dict[str, Cost], rounds: int) -> None:
    """Each question while seven others ask whatever comes, and boxes' batches are booked."""
    words = [sys.executable, "-m", "bench.bench_kpi", "--dsn", dsn, "--chain", json.dumps(kept.written(asker.chain))]
    others = [
        subprocess.Popen([*words, "--role", role], stdout=subprocess.PIPE, text=True)
        for role in (*(f"reader-{number}" for number in range(READERS - 1)), "writer")
    ]
    try:
        for other in others:
            assert other.stdout is not None
            if other.stdout.readline().strip() != "ready":
                raise SystemExit("a reader or the writer did not start")
        for name, ask in asker.questions().items():
            cost = measure(ask, rounds, before=2)
            ratio = p95(cost.database) / p95(quiet[name].database)
            whole = p95(cost.service) / p95(quiet[name].service)
            print(f"  {name:20} {cost.told()}   p95 of alone: {ratio:.1f}x, whole call {whole:.1f}x", flush=True)
    finally:
        for other in others:
            other.terminate()
        said = [other.communicate()[0] for other in others]
    print(f"  meanwhile: {said[-1].strip()}")


def take_part(role: str, asker: Asker, dsn: str) -> None:
    """A reader or the writer of `crowded`, until it is ended."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    print("ready", flush=True)
    if role == "writer":
        print(json.dumps(feed(dsn, asker.ids, stop)))
        return
    asks = list(asker.questions().values())
    draw = random.Random(role)
    while not stop.is_set():
        draw.choice(asks)()


def run(folder: Path, rounds: int) -> None:
    """Measure all there is to measure."""
    began = time.perf_counter()
    print("load of this machine: " + ", ".join(f"{each:.2f}" for each in os.getloadavg()))
    with kept.opened(folder) as opened:
        askers = [Asker(dsn, chain) for chain, dsn in zip(opened.chains, opened.dsns, strict=True)]
        largest, dsn, meter = askers[-1], opened.dsns[-1], Meter(opened.pid)
        print(f"{largest.chain.days} days of facts; opened and read once in {time.perf_counter() - began:.0f} s\n")
        print("alone, chain beside chain:")
        quiet = alone(askers, meter, rounds)
        print("\nHQ's table by days asked for:")
        grown(largest, meter, max(5, rounds // 6))
        print(f"\nHQ at {len(largest.ids)} stores:")
        of_hq(largest, meter, max(5, rounds // 6))
        kept.forget_today(dsn, largest.chain)
        if largest.chain.raw_days >= 2 * HALF:
            print("\nbeside raw rows:")
            beside_raw(largest, dsn, quiet)
        print(f"\nwith {READERS} readers and ingest:")
        crowded(largest, dsn, quiet, max(10, rounds // 3))
    print(f"\nall of it took {time.perf_counter() - began:.0f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--make", type=Path, metavar="FOLDER", help="make the chains, and keep them in this folder")
    parser.add_argument("--use", type=Path, metavar="FOLDER", help="measure the chains of this folder")
    parser.add_argument(
        "--stores", type=int, nargs="+", default=[100, 300, 1000], help="of each chain; the largest has raw rows"
    )
    parser.add_argument("--days", type=int, default=366, help="days of facts")
    parser.add_argument("--today", type=date.fromisoformat, default=datetime.now(UTC).date(), help="their last day")
    parser.add_argument("--rounds", type=int, default=60, help="how often each question is asked")
    for name in ("--role", "--dsn", "--chain"):
        parser.add_argument(name, default="", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.role:
        chain = kept.read(json.loads(asked.chain))
        take_part(asked.role, Asker(asked.dsn, chain, sum(map(ord, asked.role))), asked.dsn)
        return
    if not asked.make and not asked.use:
        parser.error("name a folder with --make, with --use, or with both")
    if asked.make:
        # A week and today: what is compared with a day that runs. The roll-ups of the smaller ones reach as far back
        # as questions do.
        sizes = sorted(asked.stores)
        chains = [Chain(size, asked.days, min(asked.days, 66), 8, asked.today) for size in sizes[:-1]]
        chains.append(Chain(sizes[-1], asked.days, asked.days, min(asked.days, 2 * HALF), asked.today))
        kept.make(asked.make, chains)
    if asked.use:
        run(asked.use, asked.rounds)


if __name__ == "__main__":
    main()
