"""Made-up members. Names are put together by chance from common parts; nobody is meant.

China sets no phone numbers aside for fiction. The block used here belongs to satellite terminals, which no shopper
carries, yet has the form of a mobile number, as enrolment demands.
"""

from datetime import date, timedelta
from typing import Final

import numpy as np

_SURNAMES: Final = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林罗高梁郑谢宋唐许邓冯韩曹曾彭萧蔡潘田董袁于余叶蒋杜苏魏程吕丁沈任姚卢傅钟"
)
_GIVEN: Final = (
    "安宁晨曦思远子涵雨桐一诺欣怡梓轩嘉禾文博若溪明哲佳慧书瑶俊杰雅静浩然晓彤志强丽华秀英建国海燕春梅永康静怡天佑"
)
_SATELLITE: Final = "1740"
#: Who works in each store, in the order of the stores.
STAFF: Final = (
    ("李晓燕", "周倩", "陈志远", "吴婷"),
    ("张丽", "马文博", "何静"),
    ("林嘉欣", "黄俊杰"),
    ("罗晨", "邓雨桐"),
    ("沈书瑶", "叶子涵"),
)


def name(rng: np.random.Generator) -> str:
    """A surname and a given name of one or two characters."""
    length = 1 if rng.random() < 0.18 else 2
    given = "".join(_GIVEN[int(rng.integers(len(_GIVEN)))] for _ in range(length))
    return _SURNAMES[int(rng.integers(len(_SURNAMES)))] + given


def phone(number: int) -> str:
    """The `number`-th made-up number; two numbers never share one below 6 million."""
    # A step coprime to the range scatters neighbours, so that last digits look drawn.
    scattered = (number * 3_141_593 + 271_829) % 6_000_000
    return f"{_SATELLITE}{scattered:07d}"


def birthday(rng: np.random.Generator, today: date) -> date | None:
    """Most give one."""
    if rng.random() < 0.3:
        return None
    years = float(np.clip(rng.normal(33, 11), 16, 82))
    return today - timedelta(days=round(years * 365.25))
