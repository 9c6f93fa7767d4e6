"""What the centre sets, from its arrival to what is said of it; and the power going at every step on the way."""

import itertools
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.config import parse
from edge.remote import kept as keeping
from edge.remote import steering as module
from edge.remote.overlay import LOCAL, in_use, overlaid
from edge.remote.steering import Steering
from edge.remote.trial import PICTURES, Proof, Trial, Verdict
from edge.settings import CameraSettings, ConfigError, EdgeConfig
from tests.fixtures.edge_time import FakeClock
from wire.config import CameraConfig, Config, LineConfig
from wire.messages import encode

FILE = """
[device]
name = "door-1"
[broker]
host = "127.0.0.1"
[outbox]
path = "{path}"
[[camera]]
id = "C1"
source = "rtsp://user:secret@192.0.2.10/stream"
model = "people.onnx"
threads = 2
target_fps = 25
[[camera.line]]
id = "L1"
start = [0.1, 0.5]
end = [0.9, 0.5]
inside = [0.5, 0.9]
[[camera]]
id = "C2"
source = 0
[[camera.line]]
id = "L2"
start = [0.1, 0.5]
end = [0.9, 0.5]
inside = [0.5, 0.9]
"""


def box(tmp_path: Path) -> EdgeConfig:
    return parse(FILE.format(path=tmp_path / "outbox.sqlite"))


def desired(revision: int, *cameras: str, fps: float = 12.0, **more: object) -> Config:
    made = tuple(
        CameraConfig(
            id=name,
            target_fps=fps,
            line=(LineConfig(id=f"L{name[1:]}", start=(0.2, 0.6), end=(0.8, 0.6), inside=(0.5, 0.9)),),
            **more,  # type: ignore[arg-type]
        )
        for name in cameras
    )
    return Config(device="door-1", revision=revision, camera=made)


@dataclass
class FakeCamera:
    """A camera that does as a test says."""

    settings: CameraSettings
    proof: Proof = field(default_factory=Proof)
    watching: bool = True

    def reconfigure(self, settings: CameraSettings) -> None:
        self.settings, self.proof = settings, Proof()


class Box:
    """An agent's part of it: steering over cameras, which ends as suddenly as a test wants."""

    def __init__(self, config: EdgeConfig, *, watching: bool = True, verify_s: float = 60.0) -> None:
        self.steering = Steering(config, FakeClock(), verify_s=verify_s)
        self.cameras = {each.id: FakeCamera(each, watching=watching) for each in self.steering.cameras}
        self.steering.bind(self.cameras)

    def hear(self, config: Config) -> None:
        self.steering.offer(encode(config))
        self.steering.step()

    def see(self, *names: str) -> None:
        for name in names or self.cameras:
            self.cameras[name].proof.pictures = PICTURES
        self.steering.step()

    @property
    def state(self) -> tuple[int, int, str]:
        """Revision in use, newest known, and what became of that."""
        standing = self.steering.standing
        return standing.used, standing.known, "" if standing.report is None else standing.report.state

    @property
    def reason(self) -> str:
        report = self.steering.standing.report
        return "" if report is None else report.reason

    @property
    def fps(self) -> dict[str, float]:
        return {name: each.settings.target_fps for name, each in self.cameras.items()}


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


# -- power cuts and worse


def test_what_ends_the_agent_itself_is_given_up_after_some_starts(tmp_path: Path) -> None:
    Box(box(tmp_path)).hear(desired(1, "C1"))
    for _ in range(module.MOST_STARTS - 1):
        assert Box(box(tmp_path)).state == (0, 1, "trying")
    one = Box(box(tmp_path))
    assert one.state == (0, 1, "failed")
    assert "the agent ended 3 times" in one.reason
    assert one.fps["C1"] == 25


class PowerCut(BaseException):
    """Nothing catches it."""


@settings(max_examples=60)
@given(st.lists(st.sampled_from(["good", "bad", "wrong", "cut", "look"]), max_size=12), st.integers(0, 12))
def test_whenever_the_power_goes_the_box_ends_by_what_was_shown_to_work(
    tmp_path_factory: pytest.TempPathFactory, story: list[str], cut_at: int
) -> None:
    """Every write of the file may be the last thing that happens, before or after it reaches the disk."""
    config = box(tmp_path_factory.mktemp("box"))
    writes, revision, good = itertools.count(), 0, {0: 25.0}
    real = keeping.save

    def save(path: Path, kept: keeping.Kept) -> None:
        number = next(writes)
        if number == cut_at:
            raise PowerCut
        real(path, kept)
        if number == cut_at + 1:
            raise PowerCut

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(keeping, "save", save)
        one: Box | None = None
        for event in [*story, "look", "look"]:
            try:
                one = None if event == "cut" else one or Box(config)
                if one is None:
                    continue
                if event in ("good", "bad", "wrong"):
                    revision += 1
                    fps = float(revision)
                    if event == "good":
                        good[revision] = fps
                    one.hear(desired(revision, "C9" if event == "wrong" else "C1", fps=fps))
                # The world shows which were bad.
                if one.fps["C1"] in good.values():
                    one.see()
                else:
                    one.cameras["C1"].proof.fault = "it does not work"
                    one.steering.step()
            except PowerCut:
                one = None
    one = Box(config)
    one.see() if one.fps["C1"] in good.values() else one.steering.step()
    used, known, _ = one.state
    assert used in good
    assert used <= known <= revision
    if one.steering.standing.report is None or one.steering.standing.report.state != "trying":
        assert one.fps["C1"] == good[used]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'{"form":2}', b'{"form":1,"device":"door-2"}'])
def test_a_file_that_can_not_be_believed_is_put_aside_and_told_anew(tmp_path: Path, content: bytes) -> None:
    path = keeping.place(str(tmp_path / "outbox.sqlite"))
    path.write_bytes(content)
    one = Box(box(tmp_path))
    assert one.state == (0, 0, "")
    assert "waiting to be told again" in one.steering.problem
    assert [each.read_bytes() for each in tmp_path.glob("*.corrupt-*")] == [content]
    one.hear(desired(1, "C1"))
    one.see()
    assert (one.state, one.steering.problem) == ((1, 1, "applied"), "")


def test_a_disk_that_takes_nothing_leaves_all_as_it_is_until_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Box(box(tmp_path))
    monkeypatch.setattr(module, "_RETRY_S", 0.0)
    with monkeypatch.context() as full:
        full.setattr(keeping, "save", _full)
        one.hear(desired(1, "C1"))
        assert one.state == (0, 0, "")
        assert "No space left" in one.steering.problem
        assert one.fps["C1"] == 25
    one.steering.step()
    assert one.state == (0, 1, "trying")
    with monkeypatch.context() as full:
        full.setattr(keeping, "save", _full)
        one.see()
        assert one.state == (1, 1, "applied"), "it was shown to work; only the disk does not know yet"
    one.steering.step()
    assert one.steering.problem == ""
    assert Box(box(tmp_path)).state == (1, 1, "applied")


def _full(path: Path, _kept: keeping.Kept) -> None:
    raise OSError(28, "No space left on device", str(path))


def test_a_mistake_of_ours_does_not_stop_the_counting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = Box(box(tmp_path))
    monkeypatch.setattr(module, "_RETRY_S", 0.0)
    with monkeypatch.context() as broken:
        broken.setattr(module, "overlaid", lambda *_: 1 / 0)
        one.hear(desired(1, "C1"))
        assert "ZeroDivisionError" in one.steering.problem
    one.hear(desired(1, "C1"))
    one.see()
    assert (one.state, one.steering.problem) == ((1, 1, "applied"), "")


def test_a_file_of_the_box_that_no_longer_fits_is_counted_by_alone_and_said(tmp_path: Path) -> None:
    one = Box(box(tmp_path))
    one.hear(desired(1, "C2"))
    one.see()
    text = FILE.format(path=tmp_path / "outbox.sqlite")
    again = Box(parse(text[: text.rindex("[[camera]]")]))
    assert again.state == (0, 1, "failed")
    assert "no longer fits this box's edge.toml" in again.reason
    assert again.fps == {"C1": 25}
