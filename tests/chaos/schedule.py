"""One schedule from its seed to its verdict, and many of them: `python -m tests.chaos.schedule --number 100`.

The faults come at their times; then everything is mended, and whatever was counted has to arrive. What is found wrong
is printed with the seed that makes it happen again. Times on a busy machine differ, so a seed is a strong hint, not a
recording.
"""

import argparse
import heapq
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from server.services import make_services
from server.storage.embedded_errors import EmbeddedError
from tests.chaos.boxsite import BoxSite
from tests.chaos.disk import mounts_here
from tests.chaos.faults import End, Faults, planned
from tests.chaos.plan import SECONDS, make_plan
from tests.chaos.site import Site
from tests.chaos.verdict import Counted, verdict
from tests.fixtures.wait import wait_until
from tests.server.ingest.devices import scalar

#: Everything must have arrived so long after the last fault.
_SETTLED_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a schedule went: what befell what, how long it took to settle, and what was wrong in the end."""

    seed: int
    about: str
    told: tuple[str, ...]
    settled_s: float
    wrong: tuple[str, ...]

    def __str__(self) -> str:
        """With everything somebody needs who wants to know why."""
        lines = [f"seed {self.seed}: {self.about}; settled in {self.settled_s:.1f} s", *self.told]
        lines += [f"WRONG: {each}" for each in self.wrong]
        if self.wrong:
            lines.append(f"again: make chaos N=1 SEED={self.seed}")
        return "\n".join(lines)


def run(seed: int, folder: Path, *, mounts: bool) -> Outcome:
    """Run one schedule; its processes' logs stay in `folder`."""
    plan = make_plan(seed)
    with Site(folder, plan, mounts=mounts) as site:
        for box in site.boxes:
            box.start()
        faults = Faults(site)
        _befall(site, faults)
        began = time.monotonic()
        try:
            _settle(site)
        except AssertionError as error:
            states = [f"{box.name}: {box.state}" for box in site.boxes]
            wrong = [str(error), *states]
            return Outcome(seed, planned(plan), tuple(faults.told), time.monotonic() - began, tuple(wrong))
        settled = time.monotonic() - began
        with make_services(site.settings) as services:
            counted = [_counted(box) for box in site.boxes]
            wrong = verdict(services, counted, site.parrot.contradictions)
    return Outcome(seed, planned(plan), tuple(faults.told), settled, tuple(wrong))


def _befall(site: Site, faults: Faults) -> None:
    began = time.monotonic()
    ends: list[tuple[float, int, End]] = []

    def end_what_is_over(by: float) -> None:
        while ends and ends[0][0] <= by:
            at, _, end = heapq.heappop(ends)
            _wait_for_time(began + at)
            end()

    for number, fault in enumerate(site.plan.faults):
        end_what_is_over(fault.at)
        _wait_for_time(began + fault.at)
        end = faults.begin(fault)
        if end is not None:
            heapq.heappush(ends, (fault.at + fault.lasts, number, end))
    end_what_is_over(SECONDS + 10)


def _wait_for_time(at: float) -> None:
    time.sleep(max(0.0, at - time.monotonic()))


def _settle(site: Site) -> None:
    """Nothing is broken any more; wait until everything that was counted is there."""
    site.mend()
    wait_until(lambda: all(box.state.drained for box in site.boxes), _SETTLED_S, "everything to arrive")
    with make_services(site.settings) as services:

        def said(box: BoxSite) -> bool:
            lost = scalar(services.db, "SELECT (status->>'lost')::int FROM device WHERE device_id = %s", box.name)
            return bool(lost == box.state.lost)

        wait_until(lambda: all(map(said, site.boxes)), 30, "the boxes' last word")


def _counted(box: BoxSite) -> Counted:
    return Counted(box.stream, frozenset(box.lost), box.state.lost, box.acks(), box.minutes_known)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> None:
    """Run schedules one after the other; leave with 1 when one was not clean."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=8, help="how many schedules")
    parser.add_argument("--seed", type=int, default=1, help="of the first; the others follow")
    parser.add_argument("--keep", action="store_true", help="keep the folder of a schedule that was not clean")
    asked = parser.parse_args()
    # Asked to stop it must not leave boxes and mounted disks behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    root = Path(tempfile.mkdtemp(prefix="doorline-chaos-"))
    root.chmod(0o711)
    mounts = mounts_here(root)
    if not mounts:
        _say("no file system can be mounted here: power cuts and full disks are imitated")
    failed, unrun = list[int](), list[int]()
    for seed in range(asked.seed, asked.seed + asked.number):
        folder = root / str(seed)
        folder.mkdir(mode=0o711)
        try:
            outcome = run(seed, folder, mounts=mounts)
        except (AssertionError, EmbeddedError) as error:
            # Nothing was broken yet, or not as planned: that is no verdict on what was to be tried.
            _say(f"seed {seed}: could not be run: {error}")
            unrun.append(seed)
            continue
        _say(str(outcome))
        if outcome.wrong:
            failed.append(seed)
        if not (outcome.wrong and asked.keep):
            shutil.rmtree(folder, ignore_errors=True)
        elif outcome.wrong:
            _say(f"logs: {folder}")
    clean = asked.number - len(failed) - len(unrun)
    _say(f"{asked.number} schedules from seed {asked.seed}: {clean} clean, not clean: {failed}, not run: {unrun}")
    sys.exit(1 if failed or unrun else 0)


if __name__ == "__main__":
    main()
