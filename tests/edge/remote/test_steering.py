"""What the centre sets, from its arrival to what is said of it."""

from pathlib import Path

import msgspec
import pytest

from edge.remote.overlay import LOCAL, in_use, overlaid
from edge.remote.trial import Proof, Trial, Verdict
from edge.settings import ConfigError
from tests.edge.remote.steered import Box, box, desired
from wire.config import CameraConfig, Config, LineConfig
from wire.messages import encode

# -- laid over the file


def test_a_camera_that_is_set_counts_as_set_whole_and_keeps_what_the_box_alone_knows(tmp_path: Path) -> None:
    config = box(tmp_path)
    first, second = overlaid(config, desired(1, "C1", mounting="overhead"))
    assert first.mounting == "overhead"
    assert first.line[0].start == (0.2, 0.6)
    assert {key: getattr(first, key) for key in LOCAL} == {key: getattr(config.camera[0], key) for key in LOCAL}
    assert "source" in LOCAL
    assert second == config.camera[1]
    # A key that was left out has its default, not what somebody once wrote into the file.
    assert overlaid(config, desired(1, "C1", fps=0.0))[0].target_fps == 0
    assert overlaid(config, desired(1)) == overlaid(config, None) == config.camera


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (desired(1, "C9"), "camera C9: is not in this box's edge.toml"),
        (Config(device="door-1", revision=1, camera=(CameraConfig(id="C1"),)), "no line is given"),
        (desired(1, "C1", zone=()), ""),
        (
            msgspec.structs.replace(
                desired(1),
                camera=(
                    CameraConfig(
                        id="C1", line=(LineConfig(id="L", start=(0.1, 0.5), end=(0.9, 0.5), inside=(0.5, 0.5)),)
                    ),
                ),
            ),
            "lies on the line itself",
        ),
        (
            msgspec.structs.replace(
                desired(1, "C1"),
                camera=(
                    CameraConfig(
                        id="C1", line=(LineConfig(id="L2", start=(0.1, 0.5), end=(0.9, 0.5), inside=(0.5, 0.9)),)
                    ),
                ),
            ),
            "'L2' is already the id of",
        ),
    ],
)
def test_what_could_not_count_here_is_refused_by_name(tmp_path: Path, wanted: Config, said: str) -> None:
    if not said:
        overlaid(box(tmp_path), wanted)
        return
    with pytest.raises(ConfigError) as refused:
        overlaid(box(tmp_path), wanted)
    assert said in str(refused.value)


# -- the verdict


@pytest.mark.parametrize(
    ("proofs", "now", "verdict"),
    [
        ({"a": Proof(pictures=5), "b": Proof(pictures=5)}, 0, Verdict(passed=True)),
        ({"a": Proof(pictures=5), "b": Proof(over=True)}, 0, Verdict(passed=True)),
        ({"a": Proof(pictures=5), "b": Proof(pictures=4)}, 0, Verdict(reason="waiting for a picture of camera b")),
        ({"a": Proof(pictures=4), "b": Proof()}, 9, Verdict()),
        ({"a": Proof(pictures=5), "b": Proof(trouble="off")}, 99, Verdict(reason="waiting for a picture of camera b")),
        ({"a": Proof(), "b": Proof(fault="no model")}, 0, Verdict(failed=True, reason="camera b: no model")),
        (
            {"a": Proof(trouble="no answer"), "b": Proof()},
            10,
            Verdict(failed=True, reason="no pictures with it within 10 s (camera a: no answer)"),
        ),
    ],
)
def test_what_proofs_come_to(proofs: dict[str, Proof], now: float, verdict: Verdict) -> None:
    """Camera a gave pictures before, camera b did not; there are 10 s."""
    assert Trial(["a", "b"], {"a"}, 10.0, 10.0).judge(proofs, now) == verdict


# -- from arrival to report


def test_it_is_tried_proven_kept_and_said(tmp_path: Path) -> None:
    one = Box(box(tmp_path))
    assert one.state == (0, 0, "")
    one.hear(desired(3, "C1"))
    assert one.state == (0, 3, "trying")
    assert one.fps == {"C1": 12, "C2": 0}
    one.see("C1")  # C2 counts as before, and has nothing to show
    assert one.state == (3, 3, "applied")
    again = Box(box(tmp_path))
    assert (again.state, again.fps) == (one.state, one.fps)
    assert in_use(box(tmp_path))[1] == 3


def test_one_that_fails_is_gone_back_from_and_never_tried_again(tmp_path: Path) -> None:
    one = Box(box(tmp_path))
    one.hear(desired(1, "C1"))
    one.see()
    one.hear(desired(2, "C1", fps=50))
    assert one.fps["C1"] == 50
    one.cameras["C1"].proof.fault = "no such model"
    one.steering.step()
    assert one.state == (1, 2, "failed")
    assert one.reason == "camera C1: no such model"
    assert one.fps["C1"] == 12
    for _ in range(2):
        one.hear(desired(2, "C1", fps=50))  # retained: it comes with every connection
        assert one.fps["C1"] == 12
        one = Box(box(tmp_path))
    assert one.state == (1, 2, "failed")
    one.hear(desired(3, "C1", fps=20))
    one.see()
    assert one.state == (3, 3, "applied")


def test_a_camera_that_gave_pictures_must_do_so_in_time(tmp_path: Path) -> None:
    one = Box(box(tmp_path), verify_s=0.0)
    one.hear(desired(1, "C1"))
    one.steering.step()
    assert one.state == (0, 1, "failed")
    assert "no pictures with it within 0 s" in one.reason
    assert one.fps["C1"] == 25


def test_a_camera_that_is_off_is_waited_for(tmp_path: Path) -> None:
    one = Box(box(tmp_path), watching=False, verify_s=0.0)
    one.hear(desired(1, "C1"))
    one.steering.step()
    assert one.state == (0, 1, "trying")
    assert one.reason == "waiting for a picture of camera C1"
    one.see()
    assert one.state == (1, 1, "applied")


def test_older_and_equal_and_other_boxes_revisions_are_ignored(tmp_path: Path) -> None:
    one = Box(box(tmp_path))
    one.hear(desired(5, "C1"))
    one.see()
    for stray in (desired(4, "C1", fps=1), desired(5, "C1", fps=1)):
        one.hear(stray)
        assert (one.state, one.fps["C1"]) == ((5, 5, "applied"), 12)
    one.hear(msgspec.structs.replace(desired(6, "C1", fps=1), device="door-2"))
    one.steering.offer(b"")
    one.steering.offer(b"no json")
    one.steering.step()
    assert (one.state, one.fps["C1"]) == ((5, 5, "applied"), 12)


def test_what_can_not_be_used_is_refused_and_nothing_changes(tmp_path: Path) -> None:
    one = Box(box(tmp_path))
    one.hear(desired(1, "C9"))
    assert one.state == (0, 1, "failed")
    assert "C9" in one.reason
    one.steering.offer(encode(desired(2, "C1")).replace(b'"target_fps"', b'"of_the_future"'))
    one.steering.step()
    assert one.state == (0, 2, "failed")
    assert "upgrade the box" in one.reason
    assert one.fps["C1"] == 25


def test_a_newer_one_takes_the_place_of_one_on_trial(tmp_path: Path) -> None:
    one = Box(box(tmp_path))
    one.hear(desired(1, "C1", fps=10))
    one.hear(desired(2, "C1", "C2", fps=20))
    assert (one.state, one.fps) == ((0, 2, "trying"), {"C1": 20, "C2": 20})
    one.see()
    assert one.state == (2, 2, "applied")


def test_the_box_is_given_back_to_its_file(tmp_path: Path) -> None:
    one = Box(box(tmp_path))
    one.hear(desired(1, "C1"))
    one.see()
    one.hear(desired(2))
    one.see()
    assert (one.state, one.fps["C1"]) == ((2, 2, "applied"), 25)
