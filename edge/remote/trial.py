"""Whether cameras work with what they were given: told from what each camera shows of it. Pure.

A setting is at fault when a camera that gave pictures gives none with it, or when what counts can't be made of it. The
trap is the camera that is off for the night: it proves nothing either way, and must neither condemn a good setting nor
wave a bad one through. So it is waited for.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

#: Pictures that must have gone through the counting.
PICTURES: Final = 5


@dataclass(slots=True)
class Proof:
    """How a camera does with the settings it was given last. Written by the camera's thread, read by others.

    Attributes:
        pictures: that went through the counting with them.
        fault: why they can't be used; empty while nothing speaks against them.
        trouble: why no picture comes, whoever is at fault.
        over: nothing more will come: a recording has ended.
    """

    pictures: int = 0
    fault: str = ""
    trouble: str = ""
    over: bool = False

    @property
    def given(self) -> bool:
        """Whether they were shown to work."""
        return self.pictures >= PICTURES or self.over


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of a trial now: it failed (with the reason), it passed, or (both False) something is waited for."""

    passed: bool = False
    failed: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Trial:
    """One revision on trial.

    Attributes:
        cameras: that count differently with it, and so must show that they do.
        watching: of these, the ones that gave pictures before.
        until: when (monotonic) those must give pictures again.
    """

    cameras: Collection[str]
    watching: Collection[str]
    until: float
    seconds: float = field(default=0.0, compare=False)

    def judge(self, proofs: Mapping[str, Proof], now: float) -> Verdict:
        """What the proofs of its cameras come to."""
        faults = [f"camera {name}: {proofs[name].fault}" for name in self.cameras if proofs[name].fault]
        if faults:
            return Verdict(failed=True, reason="; ".join(faults))
        waiting = [name for name in self.cameras if not proofs[name].given]
        if not waiting:
            return Verdict(passed=True)
        late = [name for name in waiting if name in self.watching]
        if late and now >= self.until:
            why = [f"camera {name}: {proofs[name].trouble or 'too few pictures'}" for name in late]
            return Verdict(failed=True, reason=f"no pictures with it within {self.seconds:g} s ({'; '.join(why)})")
        away = [name for name in waiting if name not in self.watching]
        if late or not away:
            return Verdict()
        return Verdict(reason=f"waiting for a picture of {', '.join(f'camera {name}' for name in away)}")
