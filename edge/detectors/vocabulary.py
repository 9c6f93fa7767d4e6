"""What a model calls its classes, in our words: person, cart, bag.

A model is found out before the camera starts: one that knows no people would count none, and never say why.
"""

from collections.abc import Mapping
from typing import Final

from edge.models import BAG, CART, PERSON

#: COCO's numbers, which YOLOX's releases have and most exports without names.
_COCO: Final = {0: PERSON, 24: BAG, 26: BAG, 28: BAG}
#: How many classes COCO has.
COCO_CLASSES: Final = 80
_WORDS: Final = {
    PERSON: {"person", "people", "pedestrian", "human"},
    CART: {"cart", "shopping cart", "trolley", "stroller", "pram", "pushchair", "wheelchair"},
    BAG: {"bag", "backpack", "handbag", "suitcase", "luggage"},
}


def our_classes(names: Mapping[int, str]) -> dict[int, int]:
    """Which of a model's classes are ours: its number to the number in `edge.models.CLASS_NAMES`.

    Args:
        names: the model's own, by number; empty when it has none, which is taken for COCO's order.

    Returns:
        The classes to look for, people first; empty when the model has names and none of them is a person's. A model
        with one class only is believed to find people whatever it calls them.
    """
    if not names:
        return dict(_COCO)
    if len(names) == 1:
        return {next(iter(names)): PERSON}
    found = {
        number: ours
        for ours, words in _WORDS.items()
        for number, name in names.items()
        if str(name).strip().lower().replace("_", " ") in words
    }
    return found if PERSON in found.values() else {}
