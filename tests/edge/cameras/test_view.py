"""What is made of a camera's picture: how often, which way up, how large, whatever the camera sends."""

import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge.camera import open_source
from edge.cameras.connect import usb_opener
from edge.cameras.live import LiveSource
from edge.cameras.view import Cadence, Image, Rotation, View, rotated, shaped
from tests.fixtures.encoding import encode


def quarters() -> Image:
    """40 wide, 20 high; the upper left quarter is white."""
    image = np.zeros((20, 40, 3), np.uint8)
    image[:10, :20] = 255
    return image


def white_corner(image: Image) -> tuple[str, str]:
    height, width = image.shape[:2]
    rows, columns = np.nonzero(image[:, :, 0] > 128)
    return ("upper" if rows.mean() < height / 2 else "lower", "left" if columns.mean() < width / 2 else "right")


def taken(target_fps: float, fps: float, times: list[float]) -> list[float]:
    cadence = Cadence(target_fps, fps)
    return [time_s for time_s in times if cadence.takes(time_s)]


class TestCadence:
    @pytest.mark.parametrize(("fps", "target"), [(25, 10), (30, 8), (25, 24), (29.97, 10), (15, 4), (50, 1)])
    def test_the_rate_asked_for_is_met_and_the_pictures_lie_evenly(self, fps: float, target: float) -> None:
        found = taken(target, fps, [index / fps for index in range(round(60 * fps))])
        assert len(found) == pytest.approx(60 * target, abs=1)
        steps = [round((after - before) * fps) for before, after in itertools.pairwise(found)]
        assert max(steps) - min(steps) <= 1

    @pytest.mark.parametrize("target", [0, 25, 60])
    def test_no_more_is_left_out_than_has_to_be(self, target: float) -> None:
        times = [index / 25 for index in range(100)]
        assert taken(target, 25, times) == times

    def test_a_camera_that_trembles_loses_nothing_at_its_own_rate(self) -> None:
        times = [index / 10 + (0.0, 0.03, -0.02)[index % 3] for index in range(100)]
        assert taken(10, 10, times) == times

    def test_no_burst_follows_a_gap(self) -> None:
        times = [index / 25 for index in range(25)] + [7.03 + index / 25 for index in range(25)]
        found = taken(5, 25, times)
        steps = [after - before for before, after in itertools.pairwise(found)]
        assert sorted(steps)[0] > 0.1
        assert len(found) == pytest.approx(10, abs=1)


class TestShapes:
    @pytest.mark.parametrize(
        ("degrees", "size", "corner"),
        [
            (0, (40, 20), ("upper", "left")),
            (90, (20, 40), ("upper", "right")),
            (180, (40, 20), ("lower", "right")),
            (270, (20, 40), ("lower", "left")),
        ],
    )
    def test_it_is_turned_clockwise(self, degrees: Rotation, size: tuple[int, int], corner: tuple[str, str]) -> None:
        image = rotated(quarters(), degrees)
        assert (image.shape[1], image.shape[0]) == size == View(rotate=degrees).size((40, 20))
        assert white_corner(image) == corner

    @pytest.mark.parametrize(
        "picture",
        [
            np.full((20, 40), 130, np.uint8),
            np.full((20, 40, 1), 130, np.uint8),
            np.full((20, 40), 130 * 256 + 77, np.uint16),
            np.full((20, 40, 4), 130, np.uint8),
            np.full((20, 40, 3), 130, np.uint8),
        ],
        ids=["grey", "one channel", "sixteen bits", "with alpha", "colour"],
    )
    def test_whatever_a_camera_sends_becomes_colour_of_one_byte(self, picture: NDArray[np.uint8]) -> None:
        image = shaped(picture, View())
        assert image.shape == (20, 40, 3)
        assert image.dtype == np.uint8
        assert (image == 130).all()

    @pytest.mark.parametrize(
        ("asked", "made"),
        [(0, (1080, 1920)), (432, (540, 960)), (360, (360, 640)), (1080, (1080, 1920)), (2160, (1080, 1920))],
    )
    def test_it_is_made_smaller_by_a_whole_factor_and_never_below_what_is_asked(
        self, asked: int, made: tuple[int, int]
    ) -> None:
        view = View(decode_height=asked)
        image = shaped(np.zeros((1080, 1920, 3), np.uint8), view)
        assert image.shape[:2] == made
        assert view.size((1920, 1080)) == made[::-1]


def test_a_recording_is_turned_scaled_and_thinned_out(tmp_path: Path) -> None:
    big = cv2.resize(quarters(), (320, 160), interpolation=cv2.INTER_NEAREST)
    encode([np.asarray(big, np.uint8)] * 50, tmp_path / "a.mkv", fps=25)
    with open_source(str(tmp_path / "a.mkv"), view=View(target_fps=10, rotate=90, decode_height=80)) as source:
        assert source.size == (80, 160)
        frames = list(source)
    assert [frame.index for frame in frames] == [
        0,
        2,
        5,
        7,
        10,
        12,
        15,
        17,
        20,
        22,
        25,
        27,
        30,
        32,
        35,
        37,
        40,
        42,
        45,
        47,
    ]
    assert {frame.image.shape for frame in frames} == {(160, 80, 3)}
    assert white_corner(frames[0].image) == ("upper", "right")


def test_an_infrared_recording_has_three_equal_colours(tmp_path: Path) -> None:
    encode([cv2.cvtColor(quarters(), cv2.COLOR_BGR2GRAY)] * 5, tmp_path / "a.mkv", codec="ffv1", grey=True)  # type: ignore[list-item]
    with open_source(str(tmp_path / "a.mkv")) as source:
        (*_, frame) = source
    assert frame.image.shape == (20, 40, 3)
    assert np.ptp(frame.image.astype(int), axis=2).max() <= 1
    assert white_corner(frame.image) == ("upper", "left")


def test_a_file_that_says_how_it_is_to_be_turned_is(tmp_path: Path) -> None:
    """A telephone held upright records lying pictures and a matrix in the track's header."""
    path = tmp_path / "a.mp4"
    big = np.asarray(cv2.resize(quarters(), (320, 160), interpolation=cv2.INTER_NEAREST), np.uint8)
    encode([big] * 5, path, container="mp4")
    content = bytearray(path.read_bytes())
    matrix = content.index(b"tkhd") + 4 + 40  # version 0: 40 bytes of times, ids and volume lie before it
    one, minus = (1 << 16).to_bytes(4, "big"), (0xFFFF0000).to_bytes(4, "big")
    assert content[matrix : matrix + 4] == one
    content[matrix : matrix + 20] = bytes(4) + one + bytes(4) + minus + bytes(4)
    path.write_bytes(content)
    with open_source(str(path)) as source:
        assert source.size == (160, 320)
        assert white_corner(next(iter(source)).image) == ("upper", "right")


class UsbCamera:
    """A camera on a plug, of grey pictures, that notes what it is asked for."""

    def __init__(self, index: int) -> None:
        self.index, self.asked = index, dict[int, float]()

    def isOpened(self) -> bool:  # noqa: N802
        return True

    def set(self, prop: int, value: float, /) -> bool:
        self.asked[prop] = value
        return prop != cv2.CAP_PROP_BUFFERSIZE

    def get(self, prop: int, /) -> float:
        return 30.0

    def grab(self) -> bool:
        return True

    def retrieve(self) -> tuple[bool, NDArray[np.uint8]]:
        return True, np.full((480, 640), 70, np.uint8)

    def release(self) -> None:
        pass


def test_a_usb_camera_is_asked_for_the_size_and_rate_that_are_wanted() -> None:
    made: list[UsbCamera] = []

    def capture(index: int) -> UsbCamera:
        made.append(UsbCamera(index))
        return made[-1]

    view = View(target_fps=10, decode_height=240, rotate=180)
    with LiveSource(usb_opener(2, view, capture=capture), name="USB camera 2", view=view) as source:
        frame = source.read(10)
    assert frame is not None
    assert frame.image.shape == (240, 320, 3), "it would not, so it was done here"
    assert made[0].index == 2
    assert made[0].asked[cv2.CAP_PROP_FRAME_HEIGHT] == 240
    assert made[0].asked[cv2.CAP_PROP_FRAME_WIDTH] == 320
    assert made[0].asked[cv2.CAP_PROP_FPS] == 10
