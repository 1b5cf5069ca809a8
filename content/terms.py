"""What a person agrees to by binding a mobile; the kept version follows the words."""

import hashlib

BINDING_TERMS = (
    "绑定后，您就是品牌的会员：手机号用来认出您、累计积分、发放优惠券和处理售后。",
    "我们保存您的手机号、微信标识、您自己填写的资料，以及您的订单、积分、优惠券和与我们的对话。",
    "只有品牌和为您服务的导购会用到它们，不会卖给别人。订单按法律保存，其余您可以随时删除。",
    "您可以随时在「我的数据和隐私」里查看、下载全部数据，或注销会员；在公众号回复「隐私」就能找到。",
)
# The second statement, which nobody has to make (Personal Information Protection Law, art. 16).
CARE_CONSENT = "我愿意收到优惠和贴心提醒，随时可以回复「退订」停止。"


def version() -> str:
    """Names these very words, so that nobody can change them and forget the version."""
    words = "\n".join((*BINDING_TERMS, CARE_CONSENT))
    return f"binding-{hashlib.sha256(words.encode()).hexdigest()[:8]}"
