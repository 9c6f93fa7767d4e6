"""Whether a worker's memory stays flat: `doorline ingest` under a steady load from a thousand devices for ten minutes.

What grows by a little an hour is found by nobody's test and ends every process some night. The memory of the process
is read every few seconds; a straight line is laid through all but the first tenth, in which caches and pools fill.

Run `python -m bench.bench_memory --seconds 600` from the repository's root, in the background.
"""

import argparse
import threading
import time
from statistics import linear_regression

from bench.central import central, resident_mb
from bench.traffic import RECORDS, Boxes, fill, messages
from server.storage.pool import Database

#: Most messages not yet acknowledged by the server: beyond it the load waits, as boxes do.
_MOST_OPEN = 200


def load(boxes: Boxes, a_second: float, ended: threading.Event) -> None:
    """So many messages a second while the server keeps up."""
    due = time.monotonic()
    for sent, incoming in enumerate(messages(11)):
        due = max(due + 1 / a_second, time.monotonic() - 1)
        while sent - boxes.acked > _MOST_OPEN and not ended.wait(0.01):
            pass
        if ended.wait(max(0.0, due - time.monotonic())):
            return
        boxes.send(incoming)


def measure(seconds: float, a_second: float) -> None:
    with central() as centre:
        with Database(centre.dsn, 2) as db:
            fill(db)
        with centre.broker() as broker, centre.ingest(broker) as worker, Boxes(broker) as boxes:
            ended = threading.Event()
            thread = threading.Thread(target=load, args=(boxes, a_second, ended), daemon=True)
            thread.start()
            began = time.monotonic()
            seen: list[tuple[float, float]] = []
            while (passed := time.monotonic() - began) < seconds:
                seen.append((passed, resident_mb(worker.pid)))
                time.sleep(min(5.0, seconds / 100))
            ended.set()
            thread.join()
    kept = [each for each in seen if each[0] > seconds / 10]
    slope, _ = linear_regression([at for at, _ in kept], [memory for _, memory in kept])
    print(
        f"{boxes.acked * RECORDS:,} rows in {seconds:.0f} s: {kept[0][1]:.1f} MB after a tenth of the time,"
        f" {kept[-1][1]:.1f} MB at the end, at most {max(memory for _, memory in kept):.1f} MB;"
        f" {slope * 600:+.2f} MB in ten minutes; each tenth: "
        + " ".join(f"{seen[place * len(seen) // 10][1]:.1f}" for place in range(10))
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600.0, help="how long")
    parser.add_argument("--a-second", type=float, default=40.0, help="messages of 50 records a second at most")
    asked = parser.parse_args()
    measure(asked.seconds, asked.a_second)


if __name__ == "__main__":
    main()
