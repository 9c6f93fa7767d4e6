"""Takes what the centre sets, tries it, keeps it or goes back, and says what became of it.

The order is everything. What is to be tried is on disk before a camera hears of it, and what came of it is on disk
before anybody is told; so whenever the power goes, the next start knows where it stands, and goes on from there. What
ends the agent itself is found out by counting starts: after the third it is given up. A number that failed is never
tried again, or a box would go on trying for ever.
"""

import logging
import queue
import time
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec

from edge.clock import Clock, moment
from edge.remote import kept as keeping
from edge.remote.kept import Kept
from edge.remote.overlay import overlaid
from edge.remote.trial import Proof, Trial, Verdict
from edge.settings import CameraSettings, ConfigError, EdgeConfig
from wire import messages
from wire.config import MAX_REASON, Config, ConfigReport
from wire.messages import WireError

log = logging.getLogger(__name__)

#: Cameras that gave pictures must do so again within this (seconds); opening a stream anew takes some of it.
VERIFY_S: Final = 60.0
#: So often an agent may begin with a configuration that was never shown to work.
MOST_STARTS: Final = 3
#: A disk that took nothing is tried again after this (seconds).
_RETRY_S: Final = 10.0


class Camera(Protocol):
    """What steering needs of a camera's worker."""

    @property
    def settings(self) -> CameraSettings:
        """What it was given last."""
        ...

    @property
    def proof(self) -> Proof:
        """How it does with that."""
        ...

    @property
    def watching(self) -> bool:
        """Whether pictures come now."""
        ...

    def reconfigure(self, settings: CameraSettings) -> None:
        """Count by other settings as soon as nobody is in the middle of crossing."""
        ...


@dataclass(frozen=True, slots=True)
class Standing:
    """What the status says of it: the revision in use, the newest known, and what became of that."""

    used: int = 0
    known: int = 0
    report: ConfigReport | None = None


class Steering:
    """One box's configuration from afar. `offer` may be called from any thread; the rest belongs to the agent's."""

    def __init__(
        self,
        config: EdgeConfig,
        clock: Clock,
        *,
        verify_s: float = VERIFY_S,
    ) -> None:
        """Read what is kept and decide what to begin with.

        Args:
            config: the box's own file.
            clock: dates what became of it.
            verify_s: how long cameras have to give pictures with what is tried.
        """
        self._config = config
        self._clock = clock
        self._verify_s = verify_s
        #: Called when `standing` changed.
        self.on_change: Callable[[], None] = lambda: None
        self._path = keeping.place(config.outbox.path)
        self._offers: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._cameras: Mapping[str, Camera] = {}
        self._trial: Trial | None = None
        self._later: Config | None = None
        self._unsaved = False
        self._retry_at = 0.0
        self._disk = ""
        self._mistake = ""
        self._pause_until = 0.0
        self._waits_for = ""
        self._kept, self._damage = keeping.load(self._path, config.device.name)
        self.cameras = self._begin()
        self._standing = self._stand()

    @property
    def standing(self) -> Standing:
        """What the status says of it. From any thread."""
        return self._standing

    @property
    def problem(self) -> str:
        """What is wrong, for a person; empty when nothing is. From any thread."""
        return "; ".join(each for each in (self._damage, self._disk, self._mistake) if each)

    def offer(self, payload: bytes) -> None:
        """What the server published for us, as it came. From any thread."""
        self._offers.put(payload)

    def bind(self, cameras: Mapping[str, Camera]) -> None:
        """Take charge of the cameras, which count by `cameras` of ours."""
        self._cameras = cameras
        if self._kept.trying is not None:
            self._try(self._differing(self._kept.applied), set(self._kept.watching))

    def step(self) -> None:
        """Do what is due; the agent calls it some times a second. Counting outlives every mistake made here."""
        if time.monotonic() < self._pause_until:
            return
        try:
            self._step()
        except Exception as error:
            log.exception("remote: unexpected error; counting goes on as it is")
            self._mistake = f"what the server sets can't be followed: unexpected {error!r}"
            self._pause_until = time.monotonic() + _RETRY_S
            self.on_change()

    def _step(self) -> None:
        while not self._offers.empty():
            self._heard(self._offers.get())
        if time.monotonic() >= self._retry_at:
            if self._unsaved:
                self._save(self._kept)
            if self._later is not None:
                self._take(self._later)
        if self._trial is not None:
            proofs = {name: camera.proof for name, camera in self._cameras.items()}
            self._judged(self._trial.judge(proofs, time.monotonic()))

    # -- at the start ----------------------------------------------------------------------------------------------

    def _begin(self) -> tuple[CameraSettings, ...]:
        """Cameras as they are to count at first: what was being tried is tried once more, some times."""
        kept = self._kept
        if kept.trying is not None:
            if kept.starts >= MOST_STARTS:
                self._give_up(f"the agent ended {kept.starts} times while it was being tried")
            elif self._save(msgspec.structs.replace(kept, starts=kept.starts + 1)):
                try:
                    return overlaid(self._config, kept.trying)
                except ConfigError as error:
                    self._give_up(str(error))
            else:
                # Without the disk starts can't be counted; it is tried when they can.
                self._kept, self._unsaved = msgspec.structs.replace(kept, trying=None, starts=0), False
                self._later = kept.trying
        try:
            return overlaid(self._config, self._kept.applied)
        except ConfigError as error:
            said = f"it no longer fits this box's edge.toml, which is counted by alone: {error}"
            failed = self._report(self._kept.used, "failed", said)
            log.error("remote: revision %d: %s", self._kept.used, said)  # noqa: TRY400 - a person's to mend
            self._save(msgspec.structs.replace(self._kept, applied=None, failed=self._newer(failed)))
            return self._config.camera

    # -- something new ---------------------------------------------------------------------------------------------

    def _heard(self, payload: bytes) -> None:
        if not payload:
            return  # somebody cleared what was retained; what we have still holds
        try:
            desired = messages.decode(payload, Config)
        except WireError as error:
            self._not_understood(payload, error)
            return
        if desired.device != self._config.device.name:
            log.error("remote: a configuration for %s came to us; it is not used", desired.device)
            return
        if desired.revision <= self._kept.known:
            log.debug("remote: revision %d is not newer than what we know", desired.revision)
            return
        self._take(desired)

    def _not_understood(self, payload: bytes, error: WireError) -> None:
        """Of a server newer than this box: said, with its number, so that nobody waits for it."""
        try:
            number = msgspec.json.decode(payload, type=_Numbered).revision
        except (msgspec.DecodeError, UnicodeDecodeError):
            log.warning("remote: a configuration is not of the contract: %s", error)
            return
        if number > self._kept.known:
            self._refuse(number, f"this box's software does not understand it; upgrade the box ({error})")

    def _take(self, desired: Config) -> None:
        try:
            cameras = overlaid(self._config, desired)
        except ConfigError as error:
            self._refuse(desired.revision, str(error))
            return
        before, changed = self._kept, self._changed(cameras)
        if not changed and before.trying is None:
            self._pass(desired)
            return
        # Where another trial is under way, what counted before that is what must count again.
        watching = {*before.watching, *(name for name, camera in self._cameras.items() if camera.watching)}
        trying = msgspec.structs.replace(
            before, trying=desired, starts=1, watching=tuple(sorted(watching)), since=moment(self._clock).at
        )
        if not self._save(trying):
            # What is not on disk is not tried: after a power cut nobody would know of it.
            self._kept, self._unsaved, self._later = before, False, desired
            return
        log.info("remote: trying revision %d: %s", desired.revision, ", ".join(sorted(changed)) or "as it is")
        self._steer(cameras)
        self._try(self._differing(before.applied), watching)

    def _try(self, cameras: set[str], watching: Set[str]) -> None:
        self._later = None
        until = time.monotonic() + self._verify_s
        self._trial = Trial(sorted(cameras), watching & cameras, until, self._verify_s)
        self._changed_standing()

    # -- what came of it -------------------------------------------------------------------------------------------

    def _judged(self, verdict: Verdict) -> None:
        trying = self._kept.trying
        if trying is None:
            self._trial = None
        elif verdict.passed:
            self._pass(trying)
        elif verdict.failed:
            self._fail(trying, verdict.reason)
        elif verdict.reason != self._waits_for:
            self._waits_for = verdict.reason
            self._changed_standing()

    def _pass(self, desired: Config) -> None:
        applied = msgspec.structs.replace(
            self._kept, applied=desired, trying=None, starts=0, watching=(), since=moment(self._clock).at
        )
        log.info("remote: revision %d is applied", desired.revision)
        self._settle(applied)

    def _fail(self, desired: Config, reason: str) -> None:
        """Back to what was shown to work; the number is not tried again."""
        log.error("remote: revision %d failed: %s; going back", desired.revision, reason)
        self._give_up(reason)
        self._steer(overlaid(self._config, self._kept.applied))

    def _give_up(self, reason: str) -> None:
        trying = self._kept.trying
        if trying is not None:
            failed = self._report(trying.revision, "failed", reason)
            self._settle(
                msgspec.structs.replace(self._kept, trying=None, starts=0, watching=(), failed=self._newer(failed))
            )

    def _refuse(self, revision: int, reason: str) -> None:
        """It can't even be tried; what is in use, or being tried, goes on."""
        log.error("remote: revision %d can't be used: %s", revision, reason)
        self._save(msgspec.structs.replace(self._kept, failed=self._report(revision, "failed", reason)))
        self._changed_standing()

    def _newer(self, failed: ConfigReport) -> ConfigReport:
        """Of two failures the newer, so that neither number is tried again."""
        before = self._kept.failed
        return failed if before is None or before.revision <= failed.revision else before

    def _settle(self, kept: Kept) -> None:
        self._trial, self._waits_for, self._damage, self._mistake = None, "", "", ""
        self._save(kept)
        self._changed_standing()

    # -- small parts -----------------------------------------------------------------------------------------------

    def _save(self, kept: Kept) -> bool:
        """Keep it; what the disk does not take now counts in memory and is tried again."""
        self._kept = kept
        try:
            keeping.save(self._path, kept)
        except OSError as error:
            self._unsaved, self._retry_at = True, time.monotonic() + _RETRY_S
            self._disk = f"what the server sets can't be kept: {self._path}: {error.strerror or error}"
            log.error("remote: %s", self._disk)  # noqa: TRY400 - the disk's fault
            return False
        self._unsaved, self._disk = False, ""
        return True

    def _changed(self, cameras: tuple[CameraSettings, ...]) -> set[str]:
        return {each.id for each in cameras if self._cameras[each.id].settings != each}

    def _differing(self, applied: Config | None) -> set[str]:
        """Cameras that count differently from what was shown to work."""
        try:
            before = {each.id: each for each in overlaid(self._config, applied)}
        except ConfigError:
            return set(self._cameras)
        return {name for name, camera in self._cameras.items() if camera.settings != before[name]}

    def _steer(self, cameras: tuple[CameraSettings, ...]) -> None:
        for name in self._changed(cameras):
            self._cameras[name].reconfigure(next(each for each in cameras if each.id == name))

    def _report(self, revision: int, state: str, reason: str = "") -> ConfigReport:
        at = moment(self._clock).at
        return msgspec.convert(
            {"revision": revision, "state": state, "reason": reason[:MAX_REASON], "at": at}, ConfigReport
        )

    def _stand(self) -> Standing:
        kept, known = self._kept, self._kept.known
        report: ConfigReport | None = None
        if kept.failed is not None and kept.failed.revision == known:
            report = kept.failed
        elif kept.trying is not None:
            report = ConfigReport(revision=known, state="trying", reason=self._waits_for, at=kept.since)
        elif kept.applied is not None:
            report = ConfigReport(revision=known, state="applied", at=kept.since)
        return Standing(kept.used, known, report)

    def _changed_standing(self) -> None:
        self._standing = self._stand()
        self.on_change()


class _Numbered(msgspec.Struct):
    """Of a configuration of another contract: its number."""

    revision: int
