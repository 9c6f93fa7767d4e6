"""How sure a crossing must be: the counter's constants, each in one place.

They hold for every camera of a mounting. Distances are in frame heights and times in seconds, so that neither a changed
resolution nor a changed frame rate moves them.
"""

from dataclasses import dataclass

from edge.geometry import AT_BORDER


@dataclass(frozen=True, slots=True, kw_only=True)
class CounterParams:
    """How sure a crossing must be. Distances are in frame heights, times in seconds.

    Attributes:
        band: half-width of the hysteresis band around a line, at most.
        band_share: half-width of the band as a share of the body's height: a small body far off wavers less, and has
            less room to come clear of a line.
        least_band: half-width of the band, at least.
        advance: share of a body's width that both its sides must have come since it was last clear of the line, where
            the line runs up and down the picture: less is a box that changes its shape.
        settle_hits: sightings beyond the band on the far side before a crossing counts at once.
        border: a box's side this near the picture's border (fraction of the frame) touches it.
        whole_width: share of its fullest width that a body touching a side border must show, and have shown for the
            last sightings, to be evidence; below it the border cuts it off and its middle moves by itself.
        whole_height: the same for heights at the upper and lower border; less, for a body without its legs still has
            its middle where it was.
        forget_s: a body seen whole that is smaller than it was is believed to have become so within about this long.
        gone_s: a track not reported for this long has ended.
        stitch_s: how long after a track was lost near a line another may take up its path.
        stitch_reach: how far from where it was lost, or expected, the other may begin.
        stitch_near: how near a line a track must have been lost to be taken up.
        group_s: longest time between one of a group and the next over the line.
        group_span_s: longest time between the first of a group and the last.
        group_distance: farthest apart, along the line, that one of a group follows another.
    """

    band: float = 0.03
    band_share: float = 0.1
    least_band: float = 0.015
    advance: float = 0.4
    settle_hits: int = 2
    border: float = AT_BORDER
    whole_width: float = 0.85
    whole_height: float = 0.6
    forget_s: float = 2.0
    gone_s: float = 1.5
    stitch_s: float = 1.5
    stitch_reach: float = 0.15
    stitch_near: float = 0.10
    group_s: float = 1.5
    group_span_s: float = 4.5
    group_distance: float = 0.35
