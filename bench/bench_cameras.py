"""What a camera costs: processor for 1, 2, 4 and 8 of them in one process, fair shares, and an agent's memory.

Run `python -m bench.bench_cameras` from the repository's root; footage is looked for as in `bench_accuracy`. Everything
but memory is a ratio within one run. Cost: so many workers with all that goes with them (outbox, coverage, gate) each
count the same clip as fast as they may, and frames are divided by the processor time of the whole process, so that
other programs don't matter. Shares: four looped cameras in real time, one of them with a detector that takes so much of
the interpreter for each frame that it could never keep up, with the gate and without. Memory: `doorline edge run` in a
process of its own, against a real broker, with a looped recording in real time; resident, and proportional where pages
are shared.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from bench.footage import footage_folder
from edge.cameras.sources import FALLBACK_FPS, VideoSource
from edge.clock import SystemClock
from edge.detectors import detector_for
from edge.fairness import FairGate
from edge.models import Boxes, Detections, Frame
from edge.outbox import Outbox
from edge.settings import CameraSettings, LineSettings
from edge.worker import CameraWorker, open_camera
from server.ingest.broker import SERVER_USER, EmbeddedBroker

CAMERAS = (1, 2, 4, 8)
FRAMES = 400
SHARE_S = 15.0
SLOW_S = 0.12
LINE = LineSettings(id="L1", start=(0, 0.62), end=(1, 0.62), inside=(0.5, 0.2), anchor="centre")
STARTS_AT = datetime(2026, 11, 21, 1, 0, tzinfo=UTC)


class First(VideoSource):
    """The first frames of another source."""

    def __init__(self, source: VideoSource, frames: int) -> None:
        self._source, self._left = source, frames
        self.fps, self.frame_count, self.size = source.fps, frames, source.size

    def read(self, timeout_s: float | None = None) -> Frame | None:
        self._left -= 1
        return None if self._left < 0 else self._source.read(timeout_s)

    @property
    def ended(self) -> bool:
        return self._left < 0 or self._source.ended

    def close(self) -> None:
        self._source.close()


class Timed:
    """The usual detector, its frames counted; a slow one also holds the interpreter: the worst neighbour there is."""

    def __init__(self, camera: CameraSettings, count: Counter[str], slow_s: float) -> None:
        self._usual, self._name, self._count = detector_for(camera), camera.id, count
        self._slow_s = slow_s if camera.id == "C0" else 0.0

    def detect(self, frame: Frame, held: Boxes) -> Detections:
        self._count[self._name] += 1
        until = time.thread_time() + self._slow_s
        while time.thread_time() < until:
            sum(range(200))
        return self._usual.detect(frame, held)


def settings(number: int, clip: Path, **more: Any) -> CameraSettings:
    return CameraSettings(id=f"C{number}", source=str(clip), detector="motion", line=(LINE,), **more)


@contextmanager
def outbox() -> Iterator[Outbox]:
    with tempfile.TemporaryDirectory() as folder:
        box = Outbox(Path(folder) / "outbox.sqlite", SystemClock())
        box.start()
        yield box
        box.close()


def decoding(clip: Path) -> float:
    """Frames a second of processor time, decoded to pictures and nothing else."""
    capture = cv2.VideoCapture(str(clip), cv2.CAP_FFMPEG, (cv2.CAP_PROP_N_THREADS, 1))
    begun, frames = time.process_time(), 0
    while frames < FRAMES and capture.read()[0]:
        frames += 1
    return frames / (time.process_time() - begun)


def reading(clip: Path) -> float:
    """The same through our sources."""
    begun, frames = time.process_time(), 0
    with First(open_camera(settings(1, clip, starts_at=STARTS_AT)), FRAMES) as source:
        frames = sum(1 for _ in source)
    return frames / (time.process_time() - begun)


def cost(cameras: int, clip: Path) -> float:
    """Frames a second of processor time, so many cameras in this process."""
    gate = FairGate()
    with outbox() as box:
        workers = [
            CameraWorker(
                settings(number, clip, starts_at=STARTS_AT),
                box,
                SystemClock(),
                open_with=lambda each: First(open_camera(each), FRAMES),
                turns=gate.member(FALLBACK_FPS),
            )
            for number in range(cameras)
        ]
        begun = time.process_time()
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.ended.wait()
        return cameras * FRAMES / (time.process_time() - begun)


def shares(clip: Path, gate: FairGate, *, greedy: int = 0) -> list[float]:
    """Frames a second of four cameras, of which the first has the slow detector, or the last ones are recordings.

    Args:
        clip: what all look at.
        gate: between them.
        greedy: how many read it as fast as they may; with any, nobody is slow.
    """
    count: Counter[str] = Counter()
    begins = [None] * (4 - greedy) + [STARTS_AT] * greedy
    slow_s = 0.0 if greedy else SLOW_S
    with outbox() as box:
        workers = [
            CameraWorker(
                settings(number, clip, loop=True, starts_at=begin),
                box,
                SystemClock(),
                turns=gate.member(),
                detect_with=lambda each: Timed(each, count, slow_s),
            )
            for number, begin in enumerate(begins)
        ]
        for worker in workers:
            worker.start()
        while len(count) < len(workers):
            time.sleep(0.01)
        before, begun = count.copy(), time.monotonic()
        time.sleep(SHARE_S)
        after, took = count.copy(), time.monotonic() - begun
        for worker in workers:
            worker.stop()
        for worker in workers:
            worker.join(5)
    return [(after[name] - before[name]) / took for name in sorted(after)]


def memory(clip: Path, seconds: float, more: str = "") -> tuple[float, float, float]:
    """Resident, proportional and peak memory (MB) of an agent that has counted so long."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with EmbeddedBroker(folder / "broker", users={SERVER_USER: "server", "door-1": "device"}) as broker:
            config = folder / "edge.toml"
            config.write_text(
                f'[device]\nname = "door-1"\n[broker]\nhost = "127.0.0.1"\nport = {broker.port}\npassword = "device"\n'
                f'[outbox]\npath = "outbox.db"\n[[camera]]\nid = "C1"\nsource = "{clip}"\nloop = true\n{more}\n'
                '[[camera.line]]\nid = "L1"\nstart = [0, 0.62]\nend = [1, 0.62]\ninside = [0.5, 0.2]\n',
                encoding="utf-8",
            )
            command = [sys.executable, "-m", "cli.main", "edge", "run", str(config)]
            process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": "."})
            try:
                time.sleep(seconds)
                rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text(encoding="ascii")
                status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
            finally:
                process.terminate()
                process.wait(10)
    return _mb("Rss", rollup), _mb("Pss", rollup), _mb("VmHWM", status)


def _mb(name: str, text: str) -> float:
    found = re.search(rf"^{name}:\s+(\d+)", text, re.MULTILINE)
    assert found is not None
    return int(found[1]) / 1024


def full_hd(clip: Path, target: Path) -> Path:
    """The clip's beginning in 1920x1080, H.264, as a camera would send it."""
    import av

    capture = cv2.VideoCapture(str(clip), cv2.CAP_FFMPEG)
    with av.open(str(target), "w") as out:
        stream: Any = out.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 1920, 1080, "yuv420p"
        stream.options = {"preset": "veryfast", "tune": "zerolatency", "crf": "24"}
        stream.codec_context.time_base = Fraction(1, 10)
        for number in range(300):
            image = np.asarray(cv2.resize(capture.read()[1], (1920, 1080), interpolation=cv2.INTER_CUBIC), np.uint8)
            frame = av.VideoFrame.from_ndarray(image, "bgr24")
            frame.pts = number
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return target


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", choices=("cost", "shares", "memory"))
    parser.add_argument("--seconds", type=float, default=30.0, help="how long an agent runs before it is weighed")
    options: Any = parser.parse_args(arguments)
    clip = footage_folder() / "video" / "one-by-one.mp4"
    if not clip.exists():
        print(f"No footage at {clip}: set DOORLINE_FOOTAGE to the folder with truth.json.", file=sys.stderr)
        return 2
    if options.only in (None, "cost"):
        _print_cost(clip)
    if options.only in (None, "shares"):
        _print_shares(clip)
    if options.only in (None, "memory"):
        _print_memory(clip, options.seconds)
    return 0


def _print_cost(clip: Path) -> None:
    print("Cost, 768x432, motion: frames a second of one core")
    alone, ours = decoding(clip), reading(clip)
    print(f"  decoding alone {alone:8.0f}    through our sources {ours:8.0f} ({ours / alone:.2f} of it)")
    first = 0.0
    for cameras in CAMERAS:
        rate = cost(cameras, clip)
        first = first or rate
        print(
            f"  {cameras} cameras {rate:12.0f}    {rate / first:5.2f} of one's    {rate / alone:5.2f} of decoding alone"
        )


def _print_shares(clip: Path) -> None:
    print(f"Shares: four cameras of 10 frames a second, the first needs {SLOW_S * 1000:.0f} ms of interpreter a frame")
    gates = (("with the gate", FairGate()), ("without", FairGate(1000)), ("with it, one turn at a time", FairGate(1)))
    for name, gate in gates:
        slow, *others = shares(clip, gate)
        listed = " ".join(f"{each:5.1f}" for each in others)
        print(f"  {name:28} slow {slow:5.1f}    others {listed}    least of most {min(others) / max(others):.2f}")
    print("Shares: one camera of 10 frames a second beside three recordings read as fast as they may")
    for name, gate in (("with the gate", FairGate()), ("without", FairGate(1000))):
        live, *greedy = shares(clip, gate, greedy=3)
        listed = " ".join(f"{each:5.1f}" for each in greedy)
        print(f"  {name:28} live {live:5.1f}    others {listed}    least of most {min(greedy) / max(greedy):.2f}")


def _print_memory(clip: Path, seconds: float) -> None:
    print(f"Memory of an agent with one camera after {seconds:.0f} s (MB): resident, proportional, peak")
    with tempfile.TemporaryDirectory() as folder:
        for name, film in (("432p", clip), ("1080p", full_hd(clip, Path(folder) / "hd.mp4"))):
            resident, proportional, peak = memory(film, seconds)
            print(f"  {name:6} {resident:6.0f} {proportional:6.0f} {peak:6.0f}")


if __name__ == "__main__":
    raise SystemExit(main())
