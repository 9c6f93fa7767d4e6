"""When a picture was taken: by its stamp where that is sane, by its number where it is not."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.camera import open_source
from edge.cameras.stamps import Stamps
from tests.fixtures.encoding import encode


def read(stamps_ms: list[float], fps: float = 25.0) -> list[float]:
    clock = Stamps(fps)
    return [round(clock.read(each), 6) for each in stamps_ms]


@pytest.mark.parametrize(
    ("stamps_ms", "times_s"),
    [
        ([0, 40, 80, 120], [0, 0.04, 0.08, 0.12]),
        ([5000, 5040, 5080], [0, 0.04, 0.08]),
        ([0, 40, 80, 480, 520], [0, 0.04, 0.08, 0.48, 0.52]),
        ([0, 0, 0, 0], [0, 0.04, 0.08, 0.12]),
        ([math.nan, math.nan, math.nan], [0, 0.04, 0.08]),
        ([-80, 40, 80, 120], [0, 0.04, 0.08, 0.12]),
        ([0, 80, 120, 160, 0], [0, 0.08, 0.12, 0.16, 0.2]),
        ([0, 2000, 4000], [0, 2.0, 4.0]),
        ([90_000, 90_040, 40, 80, 120], [0, 0.04, 0.08, 0.12, 0.16]),
        ([0, 40, 95_443_717, 95_443_757], [0, 0.04, 0.08, 0.12]),
        ([0, 40, 120, 80, 160, 200], [0, 0.04, 0.12, 0.14, 0.16, 0.2]),
    ],
    ids=[
        "sound",
        "begins late",
        "a gap",
        "none",
        "not numbers",
        "first is the decoder's, negative",
        "last has none",
        "slow pictures",
        "counter begins anew",
        "counter jumps",
        "out of order",
    ],
)
def test_the_time_of_each_picture(stamps_ms: list[float], times_s: list[float]) -> None:
    assert read(stamps_ms) == times_s


@given(st.lists(st.floats(), min_size=2, max_size=60), st.floats(1, 240))
def test_the_clock_begins_at_0_and_only_goes_on(stamps_ms: list[float], fps: float) -> None:
    clock = Stamps(fps)
    times = [clock.read(each) for each in stamps_ms]
    assert times[0] == 0.0
    assert all(math.isfinite(each) for each in times)
    assert all(after > before for before, after in itertools.pairwise(times))


@pytest.mark.parametrize("container", ["matroska", "mp4"])
def test_a_file_of_a_varying_rate_is_timed_by_its_stamps(tmp_path: Path, container: str) -> None:
    """A camera that sends 10 a second while something moves and 1 a second otherwise."""
    times_ms = [*range(0, 2000, 100), *range(2000, 12000, 1000), *range(12000, 13000, 100)]
    pictures = (np.full((48, 64, 3), 40 + place, np.uint8) for place in range(len(times_ms)))
    path = tmp_path / "a.video"
    encode(pictures, path, times_ms=times_ms, container=container)
    with open_source(str(path)) as source:
        frames = list(source)
    assert [frame.index for frame in frames] == list(range(len(times_ms)))
    assert [round(frame.time_s * 1000) for frame in frames] == pytest.approx(times_ms, abs=2)


def test_a_bare_stream_without_stamps_is_timed_by_its_rate(tmp_path: Path) -> None:
    pictures = (np.full((48, 64, 3), 40 + place, np.uint8) for place in range(30))
    encode(pictures, tmp_path / "a.264", fps=25, container="h264")
    with open_source(str(tmp_path / "a.264")) as source:
        times = [frame.time_s for frame in source]
        fps = source.fps
    assert times == pytest.approx([place / fps for place in range(30)], abs=0.001)
