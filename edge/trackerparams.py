"""How people move and how sure the tracker wants to be: its constants, each in one place.

They hold for every camera of a mounting. Sizes are body sizes and times seconds, so that neither a changed resolution
nor a changed frame rate moves them.
"""

from dataclasses import dataclass

from edge.models import Mounting


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackerParams:
    """How people move and how sure we want to be. Sizes are body sizes: see `walk`.

    Attributes:
        walk: how much walking speeds differ, and change within a second, in body sizes per second (one standard
            deviation); a body is its box's height when seen obliquely and the square root of its box's area when
            seen from above.
        fastest: the fastest anyone is believed to move, in the same unit.
        farthest: the farthest from where they are expected that anyone is looked for, in body sizes.
        overhead: whether a body's size is taken from area rather than height.
        smallest: smallest body size used for gates, in frame heights, so that a fragment of a body does not close them.
        high_score: detections from here on may confirm a track; weaker ones can only begin or continue one.
        low_score: detections below this are ignored.
        confirm_hits: strong detections before a track is confirmed.
        remembered_s: of an unconfirmed track, how far back its sightings are kept, seconds.
        together_s: how far back it is remembered who was one box with another, seconds.
        tentative_s: how long an unconfirmed track may go unseen, seconds.
        lost_s: how long a confirmed track is kept while unseen, seconds.
        merge_s: how long a track may be carried inside a box shared with another, seconds.
        established_s: how long someone must have been followed to be carried so, seconds.
        roomy: a box this many times the area of the body it is matched to has room for another.
        crowd_trust: how many times less exact a box is that touches another: they hide each other, or were one blob.
        jitter: standard deviation of a detector's box, in body sizes.
    """

    walk: float = 0.5
    fastest: float = 2.5
    farthest: float = 2.0
    overhead: bool = False
    smallest: float = 0.08
    high_score: float = 0.5
    low_score: float = 0.1
    confirm_hits: int = 3
    remembered_s: float = 10.0
    together_s: float = 2.0
    tentative_s: float = 0.3
    lost_s: float = 1.3
    merge_s: float = 3.0
    established_s: float = 0.4
    roomy: float = 1.5
    crowd_trust: float = 2.0
    jitter: float = 0.03

    @classmethod
    def for_mounting(cls, mounting: Mounting) -> "TrackerParams":
        """The default for a camera overhead or oblique."""
        if mounting == "overhead":
            return cls(walk=2.0, fastest=7.0, overhead=True, smallest=0.15)
        return cls()
