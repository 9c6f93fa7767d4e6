"""Network cameras, against real servers that are killed, stopped without a word, and started again."""

import itertools
import time
from collections.abc import Iterator
from functools import partial

import pytest

from edge.backoff import Backoff
from edge.cameras.connect import explain, stream_opener
from edge.cameras.live import REFUSED_S, LiveSource
from edge.cameras.sources import redact
from edge.cameras.view import View
from edge.models import Frame
from tests.fixtures.mjpeg import MjpegCamera
from tests.fixtures.rtsp import RtspServer, card_number
from tests.fixtures.wait import wait_until

PASSWORD = "s3cret-word"


@pytest.fixture
def rtsp() -> Iterator[RtspServer]:
    with RtspServer() as server:
        yield server


@pytest.fixture
def mjpeg() -> Iterator[MjpegCamera]:
    with MjpegCamera() as camera:
        yield camera


def soon() -> Backoff:
    return Backoff(base_s=0.05, cap_s=0.2)


def live(
    address: str,
    *,
    view: View | None = None,
    stall_s: float = 5.0,
    worked_s: float = 5.0,
    backoff: Backoff | None = None,
    refused_s: tuple[float, ...] = REFUSED_S,
) -> LiveSource:
    return LiveSource(
        stream_opener(address, open_timeout_s=3.0, read_timeout_s=3.0),
        name=redact(address),
        view=view,
        explain=partial(explain, address),
        stall_s=stall_s,
        worked_s=worked_s,
        backoff=backoff or soon(),
        refused_s=refused_s,
    )


def next_frame(source: LiveSource, timeout: float = 20.0) -> Frame:
    frame = source.read(timeout)
    assert frame is not None, f"no picture: {source.state}, {source.message}"
    return frame


def becomes(source: LiveSource, state: str, timeout: float = 20.0) -> None:
    def reached() -> bool:
        source.read(0.02)
        return source.state == state

    wait_until(reached, timeout, f"the camera to be {state}")


class TestRtsp:
    def test_pictures_come_in_order_and_each_is_the_newest(self, rtsp: RtspServer) -> None:
        with live(rtsp.address()) as source:
            first = next_frame(source)
            assert first.image.shape == (120, 320, 3)
            assert source.state == "ok"
            # What FFmpeg had gathered while it opened comes in a burst; from then on number and picture go together.
            settled = first
            while settled.index < 20:
                settled = next_frame(source)
            offset = card_number(settled.image) - settled.index
            wait_until(lambda: source._index >= settled.index + 20, what="twenty more, which nobody takes")
            arrived = source._index - 1
            newest = next_frame(source)
            assert newest.index >= arrived
            assert card_number(newest.image) == newest.index + offset

    def test_fewer_pictures_are_taken_evenly(self, rtsp: RtspServer) -> None:
        with live(rtsp.address(), view=View(target_fps=5)) as source:
            next_frame(source)
            next_frame(source)  # the opening burst lies before it
            numbers = [card_number(next_frame(source).image) for _ in range(8)]
        steps = [after - before for before, after in itertools.pairwise(numbers)]
        assert min(steps) >= 2, steps
        assert sum(steps) / len(steps) == pytest.approx(4, abs=1.0)

    def test_a_killed_server_is_offline_and_found_again_by_itself(self, rtsp: RtspServer) -> None:
        with live(rtsp.address()) as source:
            before = next_frame(source)
            rtsp.kill()
            becomes(source, "offline")
            wait_until(lambda: "nothing listens" in source.message, what="the reason")
            rtsp.start()
            becomes(source, "ok")
            after = next_frame(source)
            assert after.index > before.index
            assert after.time_s > before.time_s

    def test_waits_grow_while_it_is_away_and_begin_short_again_once_it_has_worked(self, rtsp: RtspServer) -> None:
        waits: list[float] = []

        class Noted(Backoff):
            def delay(self, attempt: int) -> float:
                waits.append(super().delay(attempt))
                return waits[-1]

        backoff = Noted(base_s=0.02, cap_s=0.32, draw=lambda: 1.0)
        with live(rtsp.address(), backoff=backoff, worked_s=0.3) as source:
            next_frame(source)
            rtsp.kill()
            wait_until(lambda: len(waits) >= 7, 30, "seven attempts")
            assert waits[:7] == pytest.approx([0.02, 0.04, 0.08, 0.16, 0.32, 0.32, 0.32])
            rtsp.start()
            becomes(source, "ok")
            seen = next_frame(source).time_s
            wait_until(lambda: next_frame(source).time_s > seen + 0.6, what="pictures for a while")
            told = len(waits)
            rtsp.kill()
            wait_until(lambda: len(waits) > told, 20, "another attempt")
            assert waits[told] == pytest.approx(0.02)

    def test_a_server_that_stops_without_a_word_is_stalled_in_time_and_comes_back(self, rtsp: RtspServer) -> None:
        with live(rtsp.address(), stall_s=1.0) as source:
            next_frame(source)
            rtsp.freeze()
            begun = time.monotonic()
            becomes(source, "stalled")
            assert time.monotonic() - begun < 1.0 + 1.5
            assert "nothing arrives" in source.message
            rtsp.thaw()
            becomes(source, "ok")

    @pytest.mark.parametrize("digest", [False, True])
    def test_a_password_that_is_right_opens_and_one_that_is_wrong_is_said_to_be(self, digest: bool) -> None:
        with RtspServer(credentials=f"door:{PASSWORD}", digest=digest) as server:
            with live(server.address()) as source:
                next_frame(source)
            assert "refuses this user name or password" in explain(server.address(credentials="door:wr0ng")).text
            assert "asks for a user name" in explain(server.address(credentials="").replace("//@", "//")).text
            # With the right ones it is the path that is wrong: ours were understood.
            assert "no stream at /else" in explain(server.address("else")).text
            with live(server.address(credentials="door:wr0ng-word")) as source:
                wait_until(lambda: "refuses" in source.message, 20, "the reason")
                assert source.read(0) is None
                assert source.state == "offline"
                assert "wr0ng" not in source.message

    def test_a_refused_password_is_tried_rarely_and_what_to_do_said(self) -> None:
        with (
            RtspServer(credentials=f"door:{PASSWORD}") as server,
            live(server.address(credentials="door:wr0ng-word")) as source,
        ):
            wait_until(lambda: source.refused, 20, "the refusal")
            assert "put the right ones in its address, user:password@host" in source.message
            # With the back-off of an absent camera (a fifth of a second) dozens would follow.
            pauses = [source.pause() for _ in range(4)]
            assert all(0.8 * due <= pause <= due for pause, due in zip(pauses, (300, 1800, 1800, 1800), strict=True))

    def test_a_password_set_right_in_the_camera_is_found_out_and_forgotten(self) -> None:
        with MjpegCamera(credentials=f"door:{PASSWORD}") as camera:
            address = camera.address(credentials="door:later-w0rd")
            with live(address, refused_s=(0.05,)) as source:
                wait_until(lambda: source.refused, 20, "the refusal")
                camera.credentials = "door:later-w0rd"
                next_frame(source)
                assert (source.state, source.refused, source.message) == ("ok", False, "")
                camera.stop()
                becomes(source, "offline")
                assert not source.refused

    def test_a_camera_that_is_only_away_is_tried_soon(self) -> None:
        with live("rtsp://127.0.0.1:1/1") as source:
            wait_until(lambda: "nothing listens" in source.message, 20, "the reason")
            assert source.pause() <= 0.2
            assert not source.refused

    def test_a_wrong_path_is_said_to_be(self, rtsp: RtspServer) -> None:
        with live(rtsp.address("cellar")) as source:
            wait_until(lambda: "no stream at /cellar" in source.message, 20, "the reason")


class TestMjpeg:
    def test_pictures_come_and_come_again_after_an_outage(self, mjpeg: MjpegCamera) -> None:
        with live(mjpeg.address()) as source:
            before = next_frame(source)
            assert before.image.shape == (96, 128, 3)
            mjpeg.stop()
            becomes(source, "offline")
            mjpeg.start()
            becomes(source, "ok")
            assert next_frame(source).index > before.index

    def test_silence_is_a_stall(self, mjpeg: MjpegCamera) -> None:
        with live(mjpeg.address(), stall_s=0.5) as source:
            next_frame(source)
            mjpeg.silent.set()
            becomes(source, "stalled")
            mjpeg.silent.clear()
            becomes(source, "ok")

    def test_a_wrong_password_is_said_to_be(self) -> None:
        with MjpegCamera(credentials=f"door:{PASSWORD}") as camera:
            with live(camera.address()) as source:
                next_frame(source)
            assert "refuses this user name or password" in explain(camera.address(credentials="door:wr0ng")).text
            assert "no stream at /else" in explain(camera.address("else")).text
            assert PASSWORD not in explain(camera.address(f"user=door&password={PASSWORD}")).text


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("rtsp://no-such-camera.invalid/1", "no machine called no-such-camera.invalid"),
        ("rtsp://127.0.0.1:1/1", "nothing listens on its port 1"),
        ("rtsp://127.0.0.1:port/1", "not a number"),
    ],
)
def test_an_address_at_which_nothing_is_is_explained(address: str, words: str) -> None:
    assert words in explain(address).text


def test_a_way_of_signing_in_that_is_not_known_here_is_no_wrong_password() -> None:
    challenge = 'Digest realm="door", nonce="n0nce", algorithm=SHA-256'
    with MjpegCamera(credentials="door:right", challenge=challenge) as camera:
        reason = explain(camera.address())
    assert (reason.refused, "set it to digest with MD5" in reason.text) == (False, True)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://door:s3cret@10.0.0.5:554/1", "rtsp://door:***@10.0.0.5:554/1"),
        ("Can't open rtsp://door:s3cret@10.0.0.5/1: no", "Can't open rtsp://door:***@10.0.0.5/1: no"),
        ("rtsp://door:p@ss@10.0.0.5/1", "rtsp://door:***@10.0.0.5/1"),
        ("rtsp://door:p#ss@10.0.0.5/1", "rtsp://door:***@10.0.0.5/1"),
        ("rtsp://door:p/ss@10.0.0.5/1", "rtsp://door:***@10.0.0.5/1"),
        ("rtsp://10.0.0.5:554/stream@1", "rtsp://10.0.0.5:554/stream@1"),
        ("rtsp://10.0.0.5/user=admin&password=s3cret&channel=1", "rtsp://10.0.0.5/user=admin&password=***&channel=1"),
        ("no http://10.0.0.5/video?usr=a&PWD=s3cret: no", "no http://10.0.0.5/video?usr=a&PWD=***: no"),
        ("rtsp://door:s3cret@10.0.0.5/1?token=s3cret", "rtsp://door:***@10.0.0.5/1?token=***"),
        ("door.mp4", "door.mp4"),
    ],
)
def test_a_password_does_not_show(text: str, shown: str) -> None:
    assert redact(text) == shown


def test_what_explains_never_repeats_a_password() -> None:
    said = [explain(f"{scheme}://door:{PASSWORD}@127.0.0.1:1/x").text for scheme in ("rtsp", "http", "rtmp")]
    assert all(said)
    assert PASSWORD not in " ".join(said)
