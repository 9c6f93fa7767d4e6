"""What a person is asked when they become a member. The words shown are the words kept with the answer."""

from server.access.models import Locale
from server.membership.models import NewConsent, Purpose

WORDING: dict[Locale, dict[Purpose, str]] = {
    "zh": {
        "membership": "我同意商家为提供会员服务处理我的姓名、手机号和生日，并记录我的消费。"
        "我可以随时要求查询、更正或删除。（2026-11）",
        "marketing": "我同意通过短信接收优惠和活动信息，可随时退订。（2026-11）",
    },
    "en": {
        "membership": "I agree that my name, phone number, birthday and purchases are processed to run my membership. "
        "I can ask to see, correct or delete them at any time. (2026-11)",
        "marketing": "I agree to receive offers by text message and can stop them at any time. (2026-11)",
    },
}


def standard_consents(locale: Locale, *, marketing: bool, channel: str = "desk") -> list[NewConsent]:
    """The answers of a person who agrees to the membership, and to marketing or not."""
    words = WORDING[locale]
    return [
        NewConsent("membership", granted=True, wording=words["membership"], channel=channel),
        NewConsent("marketing", granted=marketing, wording=words["marketing"], channel=channel),
    ]
