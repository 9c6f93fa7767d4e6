"""What counting costs beside what can't be saved: decoding, and the bare network. Ratios, measured in one run.

Run `python -m bench.bench_speed` from the repository's root; `--model` names an .onnx file, `--weights` a .pt one
(extra `yolo`). All on one thread, in processor time, so that what else runs on the machine does not decide. Four parts:

- motion: frames a second of the whole motion path, as a share of decoding alone (goal: 0.4);
- model: the whole pipeline with a network on every frame, as a share of that network's bare inference in the fastest
  runtime here (goal: 0.85), without the gate; once without and once with fusion;
- ultralytics: the same pipeline beside ultralytics' ObjectCounter with the same weights, its default .pt (goal: 1.2);
- idle: what the gate saves in a rendered shop into which nobody comes, with its noise and its changes of light.
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
from typing import Any, Final

import cv2
import numpy as np

from bench.footage import footage_folder
from edge.camera import open_source
from edge.detectors import make_detector
from edge.detectors.onnx import OnnxFinder
from edge.detectors.runtimes import installed
from edge.detectors.trained import TrainedDetector
from edge.models import Detector, Frame, Line
from edge.pipeline import make_pipeline

CLIP: Final = "one-by-one.mp4"  # 768 x 432
IDLE: Final = "scene:oblique?seed=5&rate=0&fps=12&size=768x432"
LINE: Final = Line("line", (0.0, 0.62), (1.0, 0.62), (0.5, 0.2))
ROUNDS: Final = 3


def spent(work: Callable[[], object]) -> float:
    """Seconds of processor time, the least of some rounds."""
    times = []
    for _ in range(ROUNDS):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return min(times)


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
    """Part one."""
    frames = decode(path, limit)
    alone = spent(lambda: decode(path, limit))
    counting = spent(lambda: count_file(path, limit, make_detector("motion", mounting="oblique")))
    print(f"decoding alone               {frames / alone:8.0f} frames/s")
    print(f"motion path, decoding too    {frames / counting:8.0f} frames/s   {alone / counting:.2f} of decoding")


def fastest(model: Path, looks: int) -> tuple[str, float]:
    """The runtime whose bare inference is the fastest here, and its seconds a picture."""
    rows = []
    for name in installed():
        finder = OnnxFinder(model, runtime=name)
        blob = np.random.default_rng(1).random((1, 3, finder.size[1], finder.size[0]), dtype=np.float32)

        def infer(network: Any = finder.network, blob: Any = blob) -> None:
            for _ in range(looks):
                network(blob)

        infer()
        rows.append((spent(infer) / looks, name))
        print(f"bare inference, {name:<12} {1 / rows[-1][0]:8.1f} pictures/s")
    return min(rows)[1], min(rows)[0]


def trained(model: Path, path: Path, limit: int) -> float:
    """Part two; returns the seconds a frame of the pipeline as it is compared with ultralytics'."""
    runtime, bare = fastest(model, limit)
    took = {}
    for fusion in (False, True):

        def work(fusion: bool = fusion) -> None:
            finder = OnnxFinder(model, runtime=runtime)
            count_file(path, limit, TrainedDetector(finder, mounting="oblique", gate=False, fusion=fusion))

        loading = spent(lambda: OnnxFinder(model, runtime=runtime))
        took[fusion] = max(spent(work) - loading, 1e-9) / decode(path, limit)
        said = "with fusion" if fusion else "no fusion"
        print(f"pipeline, no gate, {said:<12} {1 / took[fusion]:6.1f} frames/s   {bare / took[fusion]:.2f} of bare")
    return took[False]


def ultralytics(weights: Path, size: tuple[int, int], path: Path, limit: int, ours: float) -> None:
    """Part three: the same frames through ultralytics' own counter."""
    import torch
    from ultralytics.solutions import ObjectCounter

    torch.set_num_threads(1)
    height, width = 432, 768
    with open_source(str(path)) as source:
        images = [frame.image.copy() for frame in islice(source, limit)]
    region = [(0, round(0.62 * height)), (width, round(0.62 * height))]
    counter: Any = ObjectCounter(
        model=str(weights), region=region, show=False, verbose=False, imgsz=[size[1], size[0]], classes=[0], conf=0.15
    )
    torch.set_num_threads(1)  # it sets its own number
    counter(images[0].copy())

    def work() -> None:
        for image in images:
            counter(image.copy())

    took = spent(work) / len(images) + spent(lambda: decode(path, limit)) / len(images)
    print(f"ultralytics' ObjectCounter   {1 / took:8.1f} frames/s   ours is {took / ours:.2f} times as fast")


def idle(model: Path, seconds: int) -> None:
    """Part four: an empty shop; only what the pipeline takes is counted, not drawing it."""
    finder = OnnxFinder(model, runtime=installed()[0])
    gated = TrainedDetector(finder, mounting="oblique")
    always = TrainedDetector(finder, mounting="oblique", gate=False, fusion=False)
    rows = []
    for detector, lasts in ((gated, seconds), (always, min(seconds, 10))):
        pipeline = make_pipeline(detector, [LINE], mounting="oblique", aspect=768 / 432)
        took, frames = 0.0, 0
        with open_source(f"{IDLE}&seconds={lasts}") as source:
            for frame in source:
                began = time.process_time()
                pipeline.step(frame)
                took += time.process_time() - began
                frames += 1
        rows.append((1000 * took / frames, frames))
    (with_gate, frames), (without, _) = rows
    print(
        f"idle shop, {frames} frames: network run on {gated.looks}; {with_gate:.2f} ms a frame instead of "
        f"{without:.2f}, {1 - with_gate / without:.1%} saved"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the ratios."""
    footage = footage_folder()
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", type=Path, default=footage / "models" / "yolox_nano.onnx")
    parser.add_argument("--weights", type=Path, help="a .pt file: exported at 416x256 for the parts about models")
    parser.add_argument("--frames", type=int, default=1394, help="of the clip, for the motion part")
    parser.add_argument("--looks", type=int, default=120, help="frames for the parts with a network on every frame")
    parser.add_argument("--idle", type=int, default=120, help="seconds of the empty shop")
    options: Any = parser.parse_args(arguments)
    clip = footage / "video" / CLIP
    if not clip.exists():
        print(f"No footage at {clip}: set DOORLINE_FOOTAGE to the folder with truth.json.", file=sys.stderr)
        return 2
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    cv2.setNumThreads(1)
    motion(clip, options.frames)
    model = options.model
    with tempfile.TemporaryDirectory(prefix="doorline-speed-") as folder:
        size = (416, 256)
        if options.weights:
            from edge.detectors.export import export

            model = export(options.weights, Path(folder) / "weights.onnx", size=size)
        print(f"-- {(options.weights or model).name}")
        ours = trained(model, clip, options.looks)
        if not options.weights:
            print("ultralytics: not compared; give its weights with --weights")
        elif missing := [name for name in ("ultralytics", "shapely", "lap") if importlib.util.find_spec(name) is None]:
            print(f"ultralytics: not compared; its counter needs {', '.join(missing)}, not installed here")
        else:
            ultralytics(options.weights, size, clip, options.looks, ours)
        idle(model, options.idle)
    return 0


if __name__ == "__main__":
    sys.exit(main())
