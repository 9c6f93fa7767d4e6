"""Which side of a line is called inside must change the names of the directions, and nothing else."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from bench.bench_accuracy import run
from bench.bench_robustness import rows
from edge.detectors import make_detector
from edge.detectors.pixels import shrink, without_specks
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


@pytest.mark.footage
@pytest.mark.parametrize("name", ["one-by-one.mp4", "EnterExitCrossingPaths1front.mpg", "pets-s2l1.mp4"])
def test_a_mirrored_clip_with_its_lines_mirrored_gives_the_same_crossings(
    clips: Clips, footage: Path, name: str
) -> None:
    plain = clips.counted(name)
    mirrored = rows()["mirrored"]
    turned, _, _ = run(
        footage / "video" / name,
        mirrored.clip(plain.truth),
        "motion",
        None,
        lambda frames: mirrored.frames(frames, plain.truth.frames),
    )
    assert len(turned) == len(plain.crossings)
    for (frame, direction), (other_frame, other) in zip(told(plain.crossings), told(turned), strict=True):
        assert other == direction
        assert abs(other_frame - frame) <= 4


def test_taking_specks_away_moves_nothing() -> None:
    mask = np.zeros((12, 16), np.uint8)
    mask[3:7, 5:9] = mask[0:2, 0:2] = mask[10:12, 14:16] = 255
    speckled = mask.copy()
    speckled[9, 2] = speckled[5, 12] = speckled[0, 9] = 255
    assert np.array_equal(without_specks(speckled), mask)
    assert np.array_equal(without_specks(speckled[:, ::-1].copy()), mask[:, ::-1])
    assert np.array_equal(without_specks(speckled[::-1].copy()), mask[::-1])


@pytest.mark.parametrize("width", [384, 640, 768, 1366, 1920])
def test_a_picture_made_small_is_the_same_mirrored(width: int) -> None:
    image = np.random.default_rng(1).integers(0, 255, (90, width, 3), dtype=np.uint8)
    small, mirrored = shrink(image), shrink(image[:, ::-1].copy())
    assert small.shape[1] == (width if width < 512 else 256)
    assert np.abs(small.astype(int) - mirrored[:, ::-1].astype(int)).max() <= 1
