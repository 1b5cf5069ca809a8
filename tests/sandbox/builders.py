"""A small sandbox to test with: one account, one corp with two apps, Li and her two guides."""

from datetime import datetime, timedelta
from typing import Any

from sandbox import grants, ids
from sandbox.forms import ContactForm, PeopleForm, RegisterForm
from sandbox.gateway import Call
from sandbox.grants import Trigger
from sandbox.refusals import Answer, ApiError
from sandbox.register import add_people, register
from sandbox.state import World
from sandbox.wechat_server import WechatServer
from sandbox.wecom_server import WecomServer
from tests.times import at

APPID = "wx0123456789abcdef"
CORPID = "ww0123456789abcdef"
AES_KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
AGENT, OTHER_AGENT = 1000002, 1000003
LI = ids.openid(APPID, "li")
LI_UNION = ids.unionid("li")
LI_EXTERNAL = ids.external_userid(CORPID, "li")
ZHOU_EXTERNAL = ids.external_userid(CORPID, "zhou")
TEMPLATE = "VRR0UEO9VJOLs0MHlU0OilqX6MVFDwH3_3gz3Oc0NIc"
NOON = at("2026-03-02 12:00")


def a_registration(
    *, wechat_door: str = "http://shop.test:8000/wechat/main", **account: Any
) -> RegisterForm:
    """One official account and two apps of one corp."""
    keys = {"token": "sandboxToken", "aes_key": AES_KEY}
    wecom_door = "http://shop.test:8000/wecom/care"
    one = {"appid": APPID, "secret": "s3cret", "original_id": "gh_0123456789ab", **keys}
    apps = [
        {"corpid": CORPID, "secret": "care", "agentid": AGENT, "door_url": wecom_door, **keys},
        {"corpid": CORPID, "secret": "other", "agentid": OTHER_AGENT},
    ]
    return RegisterForm.model_validate(
        {"accounts": [{**one, "door_url": wechat_door, **account}], "apps": apps}
    )


def people() -> PeopleForm:
    """Li is a follower and a customer of Wang and, more recently, of Zhao; Zhou is Wang's."""
    chatted = [NOON - timedelta(days=9), NOON - timedelta(days=1)]
    li = [
        ContactForm(external_userid=LI_EXTERNAL, unionid=LI_UNION, name="李", last_chat_at=one)
        for one in chatted
    ]
    zhou = ContactForm(external_userid=ZHOU_EXTERNAL, name="周", last_chat_at=chatted[0])
    return PeopleForm.model_validate(
        {
            "followers": [{"openid": LI, "unionid": LI_UNION, "nickname": "李"}],
            "guides": [
                {"userid": "WangFang", "name": "王芳"},
                {"userid": "ZhaoLei", "name": "赵磊"},
            ],
            "contacts": {"WangFang": [li[0], zhou], "ZhaoLei": [li[1]]},
        }
    )


def a_world(**account: Any) -> World:
    """The sandbox with its accounts and people."""
    world = World()
    register(world, a_registration(**account))
    add_people(world, people(), now=NOON)
    return world


def wechat(
    world: World,
    path: str,
    body: dict[str, Any] | None = None,
    *,
    token: str | None = None,
    now: datetime = NOON,
    **query: str,
) -> Answer:
    """Call the WeChat stand-in at a moment, with a good token unless one is given."""
    if token is None:
        token = world.wechat.tokens.issue(APPID, kind="test", now=now).value
    return WechatServer(world).answer(_call(path, body, {"access_token": token, **query}, now))


def wecom(
    world: World,
    path: str,
    body: dict[str, Any] | None = None,
    *,
    agent: int = AGENT,
    now: datetime = NOON,
    **query: str,
) -> Answer:
    """Call the WeCom stand-in at a moment, with a good token of an app unless one is given."""
    if "access_token" not in query:
        owner = f"{CORPID}:{agent}"
        query["access_token"] = world.wecom.tokens.issue(owner, kind="test", now=now).value
    return WecomServer(world).answer(_call(f"cgi-bin/{path}", body, query, now))


def _call(path: str, body: dict[str, Any] | None, query: dict[str, str], now: datetime) -> Call:
    method = "GET" if body is None else "POST"
    return Call(method, path, query, body or {}, "127.0.0.1", now, is_empty=not body)


def code_of(error: ApiError) -> int:
    """The number of a refusal, for one line of comparison."""
    return error.code


def li_writes(world: World, *, now: datetime = NOON) -> None:
    """Li has just written to the account."""
    grants.open_window(world.wechat.followers[LI], Trigger.MESSAGE, now=now)


def a_text(text: str = "您好") -> dict[str, Any]:
    """A customer-service text to Li."""
    return {"touser": LI, "msgtype": "text", "text": {"content": text}}


def a_card(**more: Any) -> dict[str, Any]:
    """A task card as the product sends it."""
    return {
        "card_type": "text_notice",
        "main_title": {"title": "今日护理任务"},
        "emphasis_content": {"title": "12", "desc": "待办"},
        "card_action": {"type": 1, "url": "https://shop.test/guide"},
        **more,
    }


def receipts(world: World) -> list[tuple[str, str, str]]:
    """Who received what on which channel."""
    found = [entry for entry in world.journal.entries if entry["kind"] == "receipt"]
    return [(entry["to"], entry["channel"], entry["text"]) for entry in found]
