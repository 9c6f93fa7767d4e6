"""What is read from a mask and measured against people: one connected shape.

By itself, so that who reads blobs may ask what size people have, and who learns that size from blobs need not know
how they are read.
"""

from dataclasses import dataclass


@dataclass(slots=True)
class Blob:
    """One connected shape, in pixels of the working picture.

    Attributes:
        area: of its foreground.
        score: how much it looks like one person, 0 to 1.
    """

    x: int
    y: int
    w: int
    h: int
    area: int
    score: float = 0.5

    @property
    def part(self) -> tuple[slice, slice]:
        """Rows and columns of its box."""
        return slice(self.y, self.y + self.h), slice(self.x, self.x + self.w)

    def grown(self, by: int, shape: tuple[int, ...]) -> tuple[slice, slice]:
        """Rows and columns of its box made larger on each side, within `shape` (h, w)."""
        return (
            slice(max(0, self.y - by), min(shape[0], self.y + self.h + by)),
            slice(max(0, self.x - by), min(shape[1], self.x + self.w + by)),
        )

    def overlap(self, other: "Blob") -> float:
        """Intersection over union of the boxes."""
        w = min(self.x + self.w, other.x + other.w) - max(self.x, other.x)
        h = min(self.y + self.h, other.y + other.h) - max(self.y, other.y)
        if w <= 0 or h <= 0:
            return 0.0
        return w * h / (self.w * self.h + other.w * other.h - w * h)

    def joined(self, other: "Blob") -> "Blob":
        """The blob of both."""
        x, y = min(self.x, other.x), min(self.y, other.y)
        right, bottom = max(self.x + self.w, other.x + other.w), max(self.y + self.h, other.y + other.h)
        return Blob(x, y, right - x, bottom - y, self.area + other.area)
