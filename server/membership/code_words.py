"""What the codes of an export mean, for the person it is about: the JSON has the codes, the PDF has words.

By column, because one code means different things in different places; a code that stands nowhere is shown as it is,
rather than left out.
"""

from collections.abc import Mapping
from typing import Final

from server.membership.rights import Words


def _words(**pairs: str) -> dict[str, Words]:
    """Words by code, each as ``Chinese|English``."""
    return {code: dict(zip(("zh", "en"), text.split("|"), strict=True)) for code, text in pairs.items()}


_KINDS: Final = _words(
    sale="销售|sale",
    refund="退款|refund",
    void="作废|void",
    earn="获得|earned",
    release="生效|released",
    redeem="兑换|redeemed",
    expire="到期|expired",
    adjust="调整|adjusted",
    reverse="退款扣回|taken back",
    restore="恢复|restored",
    merge="合并|merged",
    opening="转入|brought along",
    forfeit="作废|given up",
    top_up="充值|topped up",
    spend="消费|spent",
    pay_out="退还|paid out",
    lapse="失效|lapsed",
) | {"return": {"zh": "退货返还", "en": "given back"}}
_ACTIONS: Final[Mapping[str, Words]] = {
    "member.enrol": {"zh": "办理入会", "en": "enrolled you"},
    "member.change": {"zh": "修改资料", "en": "changed your data"},
    "member.consent": {"zh": "登记授权答复", "en": "recorded a consent"},
    "member.note": {"zh": "写备注", "en": "wrote a note"},
    "member.attach": {"zh": "添加附件", "en": "added a file"},
    "member.read_attachment": {"zh": "查看附件", "en": "looked at a file"},
    "member.tag": {"zh": "修改标签", "en": "changed tags"},
    "member.assign": {"zh": "设定专属顾问", "en": "set your advisor"},
    "member.check_in": {"zh": "登记到店", "en": "checked you in"},
    "member.reveal_phone": {"zh": "查看完整手机号", "en": "looked at your whole number"},
    "member.detach_phone": {"zh": "解除手机号", "en": "took a number off"},
    "member.open_link": {"zh": "开放手机会员卡", "en": "opened your card's page"},
    "member.revoke_link": {"zh": "关闭手机会员卡", "en": "closed your card's page"},
    "member.export": {"zh": "导出个人信息", "en": "exported your data"},
    "member.merge": {"zh": "合并会员", "en": "merged two memberships"},
    "member.unmerge": {"zh": "撤销合并", "en": "parted a merge"},
    "member.import": {"zh": "导入会员", "en": "brought you in from another system"},
    "points.redeemed": {"zh": "兑换积分", "en": "redeemed points"},
    "points.voided": {"zh": "撤销兑换", "en": "took a redemption back"},
    "points.adjusted": {"zh": "调整积分", "en": "adjusted points"},
    "points.opened": {"zh": "转入积分", "en": "brought points along"},
    "tier.given": {"zh": "授予等级", "en": "gave a tier"},
}
#: Words by column, and in a column by code. ``what`` is of the profile, by the fact's own name.
CODES: Final[Mapping[str, Mapping[str, Words]]] = {
    "purpose": _words(
        membership="会员服务|membership",
        marketing="优惠信息|offers",
        profiling="个性化推荐|suggestions",
        sharing="向第三方提供|passing on",
    ),
    "reach": _words(
        sms="短信|text message", phone="电话|phone call", wechat="微信|WeChat", email="邮件|email", post="信函|letter"
    ),
    "channel": _words(
        till="门店|till",
        online="线上|online",
        pickup="自提|pick-up",
        desk="服务台|desk",
        phone="电话|phone",
        web="网页|web",
    ),
    "kind": _KINDS,
    "action": _ACTIONS,
    "state": _words(
        open="可用|open",
        redeemed="已使用|used",
        voided="已收回|taken back",
        expired="已过期|expired",
        active="正常|active",
        frozen="已冻结|frozen",
        closed="已注销|closed",
    ),
    "stage": _words(
        new="新会员|new",
        active="活跃|active",
        at_risk="有流失风险|at risk",
        dormant="沉睡|dormant",
        lost="流失|lost",
        won_back="挽回|won back",
    ),
    "how": _words(phone="手机号|phone number", card="会员卡|card", qr="扫码|code", name="姓名|name"),
    "issued_for": _words(
        hand="人工发放|by hand",
        welcome="入会|welcome",
        birthday="生日|birthday",
        tier_up="升级|tier",
        win_back="回访|win-back",
    ),
    "decision": _words(approved="同意|approved", declined="拒绝|declined"),
    "source": _words(desk="服务台|desk", till="收银台|till", **{"import": "导入|brought in"}),
}
