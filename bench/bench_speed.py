"""What counting costs beside what can't be saved: decoding, and the bare network. Ratios, measured in one run.

Run `python -m bench.bench_speed` from the repository's root; `--model` names an .onnx file, `--weights` a .pt one
(extra `yolo`). All on one thread, in processor time, so that what else runs on the machine does not decide. Four parts:

- motion: frames a second of the whole motion path, as a share of decoding alone (goal: 0.4); once as it is set, and
  once looking at every picture, even where nothing has changed;
- model: the whole pipeline with a network on every frame, as a share of that network's bare inference in the fastest
  runtime here (goal: 0.85), without the gate; once without and once with fusion;
- ultralytics: the same pipeline beside ultralytics' ObjectCounter with the same weights, its default .pt (goal: 1.2);
- idle: what is saved in a rendered shop into which nobody comes, with its noise and its changes of light: by passing
  over pictures that rest, and with a model by the gate.
"""

import argparse
import importlib.util
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any, Final

import cv2
import numpy as np

from bench.footage import footage_folder
from edge.camera import open_source
from edge.detectors import make_detector
from edge.detectors.motion import MotionDetector
from edge.detectors.onnx import OnnxFinder
from edge.detectors.runtimes import installed
from edge.detectors.trained import TrainedDetector
from edge.models import Detector, Frame, Line
from edge.pipeline import make_pipeline

CLIP: Final = "one-by-one.mp4"  # 768 x 432
IDLE: Final = "scene:oblique?seed=5&rate=0&fps=12&size=768x432"
LINE: Final = Line("line", (0.0, 0.62), (1.0, 0.62), (0.5, 0.2))
ROUNDS: Final = 5
PARTS: Final = ("motion", "model", "ultralytics", "idle")


def decode(path: Path, limit: int) -> int:
    """Read a file with OpenCV and do nothing with it; returns the frames."""
    capture = cv2.VideoCapture(str(path))
    count = 0
    while count < limit and capture.read()[0]:
        count += 1
    capture.release()
    return count


def count(frames: Iterable[Frame], detector: Detector) -> None:
    """Take frames through the whole pipeline."""
    pipeline = None
    for frame in frames:
        pipeline = pipeline or make_pipeline(detector, [LINE], mounting="oblique", aspect=frame.aspect)
        pipeline.step(frame)


def count_file(path: Path, limit: int, detector: Detector) -> None:
    """Decode and count."""
    with open_source(str(path)) as source:
        count(islice(source, limit), detector)


def motion(path: Path, limit: int) -> None:
    """Part one: as it is set, with pictures that rest passed over, and looking at every one."""
    frames = decode(path, limit)
    looks = 0

    def as_set() -> None:
        nonlocal looks
        detector = MotionDetector(mounting="oblique")
        count_file(path, limit, detector)
        looks = detector.looks

    def each() -> None:
        count_file(path, limit, make_detector("motion", mounting="oblique", gate=False))

    alone, counting, watchful = side_by_side([lambda: decode(path, limit), as_set, each])
    print(f"decoding alone               {frames / min(alone):8.0f} frames/s")
    for said, took in (("motion path, decoding too", counting), ("the same, every picture", watchful)):
        print(f"{said:<29}{frames / min(took):8.0f} frames/s   {ratio(alone, took):.2f} of decoding")
    print(f"looked at {looks} of {frames} pictures; in the others nothing had changed for a while")


def side_by_side(works: Sequence[Callable[[], object]]) -> list[list[float]]:
    """Seconds of processor time of each work in each round, turn about: what else runs slows all of them alike."""
    for work in works:
        work()  # memory is taken and caches are filled
    rounds = []
    for _ in range(ROUNDS):
        times = []
        for work in works:
            began = time.process_time()
            work()
            times.append(time.process_time() - began)
        rounds.append(times)
    return [list(times) for times in zip(*rounds, strict=True)]


def ratio(over: Sequence[float], under: Sequence[float]) -> float:
    """The median of the rounds' ratios."""
    return median(one / other for one, other in zip(over, under, strict=True))


def bare(model: Path, runtime: str, looks: int) -> Callable[[], None]:
    """The network alone, on a blob of its own size."""
    finder = OnnxFinder(model, runtime=runtime)
    blob = np.random.default_rng(1).random((1, 3, finder.size[1], finder.size[0]), dtype=np.float32)

    def infer() -> None:
        for _ in range(looks):
            finder.network(blob)

    return infer


def fastest(model: Path, looks: int) -> str:
    """The runtime whose bare inference is the fastest here."""
    names = installed()
    times = side_by_side([bare(model, name, looks) for name in names])
    for name, took in zip(names, times, strict=True):
        print(f"bare inference, {name:<12} {looks / min(took):8.1f} pictures/s")
    return min(zip(map(min, times), names, strict=True))[1]


def whole(model: Path, runtime: str, path: Path, limit: int, *, fusion: bool) -> Callable[[], None]:
    """A file decoded and counted with the network on every frame; the network is loaded once."""
    finder = OnnxFinder(model, runtime=runtime)
    return lambda: count_file(path, limit, TrainedDetector(finder, mounting="oblique", gate=False, fusion=fusion))


def trained(model: Path, path: Path, limit: int) -> list[Callable[[], None]]:
    """Part two; returns the pipelines, without and with fusion, to be compared with ultralytics'."""
    limit = decode(path, limit)
    runtime = fastest(model, limit // 2)
    ours = [whole(model, runtime, path, limit, fusion=fusion) for fusion in (False, True)]
    alone, *both = side_by_side([bare(model, runtime, limit), *ours])
    for said, took in zip(("no fusion", "with fusion"), both, strict=True):
        print(f"pipeline, no gate, {said:<12} {limit / min(took):6.1f} frames/s   {ratio(alone, took):.2f} of bare")
    return ours


def ultralytics(weights: Path, size: tuple[int, int], path: Path, limit: int, ours: list[Callable[[], None]]) -> None:
    """Part three: the same frames through ultralytics' own counter, which is given them as OpenCV reads them."""
    import torch
    from ultralytics.solutions import ObjectCounter

    limit = decode(path, limit)
    width, height = _size(path)
    region = [(0, round(0.62 * height)), (width, round(0.62 * height))]
    counter: Any = ObjectCounter(
        model=str(weights), region=region, show=False, verbose=False, imgsz=[size[1], size[0]], classes=[0], conf=0.15
    )

    def work() -> None:
        capture = cv2.VideoCapture(str(path))
        for _ in range(limit):
            counter(capture.read()[1])
        capture.release()

    work()
    torch.set_num_threads(1)  # it sets its own number when it first predicts
    theirs, *both = side_by_side([work, *ours])
    print(f"ultralytics' ObjectCounter   {limit / min(theirs):8.1f} frames/s")
    for said, took in zip(("no fusion", "with fusion"), both, strict=True):
        print(f"ours, no gate, {said:<12} {limit / min(took):10.1f} frames/s   {ratio(theirs, took):.2f} times as fast")


def _size(path: Path) -> tuple[int, int]:
    with open_source(str(path)) as source:
        height, width = next(iter(source)).image.shape[:2]
    return width, height


def idle_cost(detector: Detector, seconds: int) -> tuple[float, int]:
    """Milliseconds a frame in an empty shop, and its frames; what the pipeline takes, without drawing the scene."""
    pipeline = make_pipeline(detector, [LINE], mounting="oblique", aspect=768 / 432)
    took, frames = 0.0, 0
    with open_source(f"{IDLE}&seconds={seconds}") as source:
        for frame in source:
            began = time.process_time()
            pipeline.step(frame)
            took += time.process_time() - began
            frames += 1
    return 1000 * took / frames, frames


def idle(model: Path, seconds: int) -> None:
    """Part four: an empty shop, first without a model and then with one."""
    resting = MotionDetector(mounting="oblique")
    with_rest, frames = idle_cost(resting, seconds)
    each, _ = idle_cost(make_detector("motion", mounting="oblique", gate=False), min(seconds, 30))
    print(f"idle shop, motion, {frames} frames: looked at {resting.looks}; {_saved(with_rest, each)}")
    finder = OnnxFinder(model, runtime=installed()[0])
    gated = TrainedDetector(finder, mounting="oblique")
    with_gate, frames = idle_cost(gated, seconds)
    without, _ = idle_cost(TrainedDetector(finder, mounting="oblique", gate=False, fusion=False), min(seconds, 10))
    print(f"idle shop, model, {frames} frames: network run on {gated.looks}; {_saved(with_gate, without)}")


def _saved(spared: float, usual: float) -> str:
    return f"{spared:.2f} ms a frame instead of {usual:.2f}, {1 - spared / usual:.1%} saved"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the ratios."""
    footage = footage_folder()
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", type=Path, default=footage / "models" / "yolox_nano.onnx")
    parser.add_argument("--weights", type=Path, help="a .pt file: exported at 416x256 for the parts about models")
    parser.add_argument("--clip", type=Path, default=footage / "video" / CLIP)
    parser.add_argument("--parts", default=",".join(PARTS), help="which to run, with commas; default: all")
    parser.add_argument("--frames", type=int, default=1394, help="of the clip, for the motion part")
    parser.add_argument("--looks", type=int, default=120, help="frames for the parts with a network on every frame")
    parser.add_argument("--idle", type=int, default=120, help="seconds of the empty shop")
    options: Any = parser.parse_args(arguments)
    clip, parts = options.clip, options.parts.split(",")
    if wrong := [part for part in parts if part not in PARTS]:
        parser.error(f"there is no part {wrong[0]}; there are {', '.join(PARTS)}")
    if not clip.exists():
        print(
            f"No footage at {clip}: name a --clip, or set DOORLINE_FOOTAGE to the folder with truth.json.",
            file=sys.stderr,
        )
        return 2
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    cv2.setNumThreads(1)
    if "motion" in parts:
        motion(clip, options.frames)
    if parts == ["motion"]:
        return 0
    model = options.model
    with tempfile.TemporaryDirectory(prefix="doorline-speed-") as folder:
        size = (416, 256)
        if options.weights:
            from edge.detectors.export import export

            model = export(options.weights, Path(folder) / "weights.onnx", size=size)
        print(f"-- {(options.weights or model).name}")
        ours = trained(model, clip, options.looks)
        if "ultralytics" not in parts:
            pass
        elif not options.weights:
            print("ultralytics: not compared; give its weights with --weights")
        elif missing := [name for name in ("ultralytics", "shapely", "lap") if importlib.util.find_spec(name) is None]:
            print(f"ultralytics: not compared; its counter needs {', '.join(missing)}, not installed here")
        else:
            ultralytics(options.weights, size, clip, options.looks, ours)
        if "idle" in parts:
            idle(model, options.idle)
    return 0


if __name__ == "__main__":
    sys.exit(main())
