"""What a person is asked when they become a member. The words shown are the words kept with the answer.

A chain may put words of its own in their place; each version stays for ever, because a consent is worth what was shown.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from server.access.models import Locale
from server.membership.models import NewConsent, Purpose, Reach

#: Of the words that come with Doorline.
VERSION: Final = "2026-11"
WORDING: dict[Locale, dict[Purpose, str]] = {
    "zh": {
        "membership": "我同意商家为提供会员服务处理我的姓名、手机号和生日，并记录我的消费。"
        "我可以随时要求查询、更正或删除。（2026-11）",
        "marketing": "我同意通过短信接收优惠和活动信息，可随时退订。（2026-11）",
        "profiling": "我同意商家分析我的消费记录，为我推荐商品和优惠；我可以随时拒绝，会员服务不受影响。（2026-11）",
        "sharing": "我单独同意商家向告知我的第三方提供我的个人信息；不同意不影响会员服务。（2026-11）",
    },
    "en": {
        "membership": "I agree that my name, phone number, birthday and purchases are processed to run my membership. "
        "I can ask to see, correct or delete them at any time. (2026-11)",
        "marketing": "I agree to receive offers by text message and can stop them at any time. (2026-11)",
        "profiling": "I agree that my purchases are analysed to suggest goods and offers to me. "
        "I can refuse at any time and remain a member. (2026-11)",
        "sharing": "I agree separately that my data may be passed on to the companies I was told of. "
        "I can refuse and remain a member. (2026-11)",
    },
}
#: Who agrees to offers by one way hears of that way; ours of `WORDING` are about text messages.
_BY_WAY: Final[dict[Locale, tuple[str, dict[Reach, str]]]] = {
    "zh": (
        "我同意通过{way}接收优惠和活动信息，可随时退订。（2026-11）",
        {"sms": "短信", "phone": "电话", "wechat": "微信", "email": "电子邮件", "post": "信函"},
    ),
    "en": (
        "I agree to receive offers by {way} and can stop them at any time. (2026-11)",
        {"sms": "text message", "phone": "phone call", "wechat": "WeChat", "email": "email", "post": "letter"},
    ),
}


@dataclass(frozen=True, slots=True)
class Wording:
    """Words of one version, in one language."""

    purpose: Purpose
    locale: Locale
    version: str
    text: str


def newest(own: Iterable[Wording]) -> dict[Locale, dict[Purpose, Wording]]:
    """What is shown today: ours, and over it the chain's own, of which the later ones count."""
    shown: dict[Locale, dict[Purpose, Wording]] = {
        locale: {purpose: Wording(purpose, locale, VERSION, text) for purpose, text in words.items()}
        for locale, words in WORDING.items()
    }
    for each in own:
        shown[each.locale][each.purpose] = each
    return shown


def shown_as(own: Iterable[Wording], locale: Locale, versions: Mapping[str, str]) -> dict[Purpose, Wording]:
    """The words somebody was shown, by the versions their form named; today's where it named none that there is.

    Args:
        own: the chain's own words, of every version, the newest last.
        versions: by purpose.
    """
    every = list(own)
    shown = newest(every)[locale]
    standard = newest(())[locale]
    for each in (*standard.values(), *every):
        if each.locale == locale and versions.get(each.purpose) == each.version:
            shown[each.purpose] = each
    return shown


def by_way(words: Wording, reach: Reach) -> str:
    """What is asked about one way; a chain's own words are asked as they are."""
    text, ways = _BY_WAY[words.locale]
    if words.purpose != "marketing" or words.version != VERSION or reach not in ways:
        return words.text
    return text.format(way=ways[reach])


def answers(words: Mapping[Purpose, Wording], *, marketing: bool, channel: str = "desk") -> list[NewConsent]:
    """The answers of a person who agrees to the membership, and to marketing by text message or not, to these words."""
    member, offers = words["membership"], words["marketing"]
    return [
        NewConsent("membership", granted=True, wording=member.text, channel=channel, version=member.version),
        NewConsent(
            "marketing", granted=marketing, wording=offers.text, channel=channel, reach="sms", version=offers.version
        ),
    ]


def standard_consents(locale: Locale, *, marketing: bool, channel: str = "desk") -> list[NewConsent]:
    """Such answers to the words that come with Doorline."""
    return answers(newest(())[locale], marketing=marketing, channel=channel)
