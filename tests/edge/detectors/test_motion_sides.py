"""Which side of a line is called inside must change the names of the directions, and nothing else."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from bench.bench_accuracy import run
from edge.detectors import make_detector
from edge.models import Crossing, Frame, Line
from edge.pipeline import make_pipeline
from edge.scene.spec import door_line
from edge.scene.stage import open_scene
from tests.fixtures.footage import Clips

SWAPPED = {"in": "out", "out": "in"}
FPS = 12.0


def told(crossings: Iterable[Crossing], *, swapped: bool = False) -> list[tuple[int, str]]:
    return sorted((c.frame, SWAPPED[c.direction] if swapped else c.direction) for c in crossings)


def rendered(line: Line) -> list[Crossing]:
    scene = open_scene(f"scene:overhead?seed=3&rate=30&seconds=25&fps={FPS:g}")
    width, height = scene.size
    detector = make_detector("motion", mounting="overhead", model=None)
    pipeline = make_pipeline(detector, [line], mounting="overhead", aspect=width / height)
    crossings: list[Crossing] = []
    for index, image in enumerate(scene):
        crossings += pipeline.step(Frame(index, index / FPS, np.ascontiguousarray(image))).crossings
    return crossings + pipeline.finish()


def test_on_a_rendered_scene_the_other_side_swaps_directions() -> None:
    line = door_line("overhead")
    x, y = line.inside
    plain, other = rendered(line), rendered(dataclasses.replace(line, inside=(x, 1 - y)))
    assert len(plain) >= 5
    assert told(other) == told(plain, swapped=True)


@pytest.mark.footage
def test_on_a_real_clip_the_other_side_swaps_directions(clips: Clips, footage: Path) -> None:
    name = "overhead-bus.avi"
    plain = clips.counted(name)
    lines = tuple(msgspec.structs.replace(line, inside=(0.5, 0.9)) for line in plain.truth.lines)
    assert all(line.inside[1] < 0.5 for line in plain.truth.lines), "inside is above here"
    other, _, _ = run(footage / "video" / name, msgspec.structs.replace(plain.truth, lines=lines), "motion", None)
    assert len(plain.crossings) == 14
    assert told(other) == told(plain.crossings, swapped=True)
