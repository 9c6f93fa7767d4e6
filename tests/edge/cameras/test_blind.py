"""Blind cameras told from seeing ones, in video that went through a real encoder: there they look most alike."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge.camera import open_source
from edge.cameras.gauge import Gauge
from edge.cameras.view import Image
from edge.coverage import CoverageMeter
from tests.fixtures.encoding import through_a_codec

Floats = NDArray[np.float32]

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
FPS = 5
HEIGHT, WIDTH = 108, 192
#: Longer than a freeze needs to be found.
STILL_S = 100
#: What cameras send: enough for every grain, a usual rate, and so little that still pictures are repeated for 50 s.
RICH = {"crf": "20", "g": "25"}
USUAL = {"b": "300k", "maxrate": "300k", "bufsize": "300k", "g": "25"}
POOR = {"crf": "36", "g": "250"}


def watched(pictures: Iterator[Image], **encoder: str) -> dict[str, float]:
    """Seconds per state: `ok` is what was watched, the rest by the reason of its minute."""
    gauge, meter = Gauge(), CoverageMeter("C1", began=NOON)
    done, at = [], NOON
    for place, image in enumerate(through_a_codec(pictures, fps=FPS, **encoder)):
        at = NOON + timedelta(seconds=place / FPS)
        done += meter.observe(gauge.measure(image), at)
    found: dict[str, float] = {"ok": 0.0}
    for minute in done + meter.finish(at):
        found["ok"] += minute.seconds
        due = min(60.0, (at - minute.minute).total_seconds())
        if due - minute.seconds > 0.5:
            found[minute.state] = found.get(minute.state, 0.0) + due - minute.seconds
    return found


def shop() -> Floats:
    """Floor, counter and shelves: a still scene with nobody in it."""
    scene = np.full((HEIGHT, WIDTH, 3), 150, np.float32)
    scene[:38] = (120, 130, 140)
    for left in range(8, 180, 23):
        cv2.rectangle(scene, (left, 9), (left + 14, 36), (60 + left / 2, 90, 160 - left / 2), -1)
    cv2.rectangle(scene, (112, 52), (180, 82), (70, 60, 50), -1)
    return scene


def noisy(scene: Floats, seconds: int, sigma: float, seed: int = 1) -> Iterator[Image]:
    rng = np.random.default_rng(seed)
    for _ in range(seconds * FPS):
        grain = rng.standard_normal(scene.shape[:2], np.float32)[:, :, None] * sigma
        yield np.clip(scene + grain, 0, 255).astype(np.uint8)


def infrared(scene: Floats) -> Floats:
    """Grey, and lit by the camera's own lamps: bright in the middle, black in the corners."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    lamp = np.exp(-(((columns - WIDTH / 2) / (WIDTH * 0.45)) ** 2) - ((rows - HEIGHT / 2) / (HEIGHT * 0.45)) ** 2)
    return np.asarray(np.repeat((scene.mean(axis=2) * lamp)[:, :, None], 3, axis=2), np.float32)


def plain(level: float, spot: float = 0.0) -> Floats:
    """What a covered lens sees, with the camera's lamps shining on the cover if `spot`."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    light = np.exp(-(((columns - WIDTH * 0.6) / (WIDTH * 0.3)) ** 2) - ((rows - HEIGHT * 0.4) / (HEIGHT * 0.4)) ** 2)
    return np.asarray(np.repeat((level + spot * light)[:, :, None], 3, axis=2), np.float32)


SEEING: dict[str, Callable[[], Iterator[Image]]] = {
    "an empty shop, little noise": lambda: noisy(shop(), STILL_S, 1.0),
    "an empty shop, noise": lambda: noisy(shop(), STILL_S, 3.0),
    "an empty shop at dusk": lambda: noisy(shop() * 0.2, STILL_S, 2.0),
    "an empty shop in infrared": lambda: noisy(infrared(shop()), STILL_S, 4.0),
}


@pytest.mark.parametrize("encoder", [RICH, USUAL, POOR], ids=["rich", "usual", "poor"])
@pytest.mark.parametrize("scene", SEEING)
def test_a_living_camera_before_a_still_scene_is_never_called_blind(scene: str, encoder: dict[str, str]) -> None:
    assert watched(SEEING[scene](), **encoder) == {"ok": pytest.approx(STILL_S - 1 / FPS, abs=0.3)}


def with_a_clock(pictures: Iterator[Image]) -> Iterator[Image]:
    """As cameras write it into their picture: date and time, of which the seconds run on."""
    for place, image in enumerate(pictures):
        minutes, seconds = divmod(place // FPS, 60)
        large = cv2.resize(image, (2 * WIDTH, 2 * HEIGHT), interpolation=cv2.INTER_NEAREST)
        text = f"2026-11-21 12:{minutes:02d}:{seconds:02d}"
        cv2.putText(large, text, (8, 14), cv2.FONT_HERSHEY_PLAIN, 0.9, (255, 255, 255), 1)
        yield np.asarray(large, np.uint8)


@pytest.mark.parametrize("encoder", [RICH, USUAL, POOR], ids=["rich", "usual", "poor"])
@pytest.mark.parametrize("scene", ["an empty shop, little noise", "an empty shop in infrared"])
def test_nor_with_a_clock_in_its_picture(scene: str, encoder: dict[str, str]) -> None:
    found = watched(with_a_clock(SEEING[scene]()), **encoder)
    assert found == {"ok": pytest.approx(STILL_S - 1 / FPS, abs=0.3)}


@pytest.mark.parametrize("encoder", [RICH, USUAL, POOR], ids=["rich", "usual", "poor"])
def test_a_picture_that_is_frozen_under_a_clock_which_runs_on_is_frozen(encoder: dict[str, str]) -> None:
    def hangs() -> Iterator[Image]:
        living = list(noisy(shop(), 30, 2.0))
        yield from living
        for _ in range(300 * FPS):
            yield living[-1]

    found = watched(with_a_clock(hangs()), **encoder)
    assert set(found) == {"ok", "frozen"}
    assert found["frozen"] > 90
    assert found["ok"] >= 29


def test_someone_at_the_till_of_an_empty_shop_is_no_clock() -> None:
    """All that moves is one head, and so few bits are sent that the rest repeats itself from key frame to key frame."""

    def bobs() -> Iterator[Image]:
        for place, image in enumerate(noisy(shop(), STILL_S, 1.0)):
            cv2.circle(image, (140 + place % 3, 48 + place % 2), 6, (60, 90, 140), cv2.FILLED)
            yield image

    assert watched(bobs(), **POOR) == {"ok": pytest.approx(STILL_S - 1 / FPS, abs=0.3)}


@pytest.mark.parametrize("encoder", [RICH, USUAL, POOR], ids=["rich", "usual", "poor"])
def test_one_picture_encoded_again_and_again_is_frozen(encoder: dict[str, str]) -> None:
    """The sensor hangs and the encoder goes on: each key frame is coded anew, and its quality wanders for a while."""

    def hangs() -> Iterator[Image]:
        living = list(noisy(shop(), 30, 2.0))
        yield from living
        for _ in range(160 * FPS):
            yield living[-1]

    found = watched(hangs(), **encoder)
    assert set(found) == {"ok", "frozen"}
    assert found["frozen"] > 60
    assert found["ok"] >= 29


def test_a_stream_that_repeats_itself_bit_by_bit_is_frozen_from_its_first_repetition() -> None:
    gauge, meter = Gauge(), CoverageMeter("C1", began=NOON)
    living = list(noisy(shop(), 30, 2.0))
    done, at = [], NOON
    for place in range(150 * FPS):
        at = NOON + timedelta(seconds=place / FPS)
        done += meter.observe(gauge.measure(living[min(place, len(living) - 1)]), at)
    done += meter.finish(at)
    assert [(minute.seconds, minute.state) for minute in done] == [
        (pytest.approx(30, abs=0.5), "frozen"),
        (0.0, "frozen"),
        (0.0, "frozen"),
    ]


@pytest.mark.parametrize("encoder", [RICH, USUAL, POOR], ids=["rich", "usual", "poor"])
@pytest.mark.parametrize(
    ("level", "sigma", "spot"),
    [(40, 4.0, 0.0), (40, 12.0, 0.0), (60, 30.0, 0.0), (120, 2.0, 0.0), (50, 15.0, 110.0)],
    ids=["cloth", "cloth, gain up", "cloth, gain up high", "a hand against the light", "a cover lit by infrared"],
)
def test_a_covered_lens_is_told_however_its_gain_is_turned_up(
    level: float, sigma: float, spot: float, encoder: dict[str, str]
) -> None:
    def covered() -> Iterator[Image]:
        yield from noisy(shop(), 20, 2.0)
        yield from noisy(plain(level, spot), 40, sigma)

    found = watched(covered(), **encoder)
    assert set(found) == {"ok", "covered"}
    assert found["ok"] == pytest.approx(20, abs=10)


@pytest.mark.parametrize("encoder", [RICH, USUAL, POOR], ids=["rich", "usual", "poor"])
def test_a_room_without_light_is_dark(encoder: dict[str, str]) -> None:
    def light_goes_out() -> Iterator[Image]:
        yield from noisy(shop(), 20, 2.0)
        yield from noisy(plain(1.5), 40, 1.0)

    found = watched(light_goes_out(), **encoder)
    assert set(found) == {"ok", "dark"}
    assert found["ok"] == pytest.approx(20, abs=1)


@pytest.mark.footage
@pytest.mark.parametrize("change", ["plain", "a third of the light", "infrared"])
@pytest.mark.parametrize("clip", ["overhead-bus.avi", "TwoLeaveShop2cor.mpg", "one-by-one.mp4"])
def test_real_scenes_are_seen_in_any_light_people_work_in(footage: Path, clip: str, change: str) -> None:
    def pictures() -> Iterator[Image]:
        with open_source(str(footage / "video" / clip)) as source:
            for frame in source:
                if frame.time_s > 15:
                    return
                small = cv2.resize(frame.image, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
                light = np.float32(1 / 3 if change == "a third of the light" else 1)
                scene = np.asarray(small * light, np.float32)
                yield np.asarray(infrared(scene) if change == "infrared" else scene, np.uint8)

    assert set(watched(pictures(), **USUAL)) == {"ok"}
