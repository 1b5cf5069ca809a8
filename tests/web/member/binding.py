"""What the tests of the binding, the profile and the own data share."""

import re
from dataclasses import replace
from itertools import count

import httpx

from bot.channels.sms import Sms, SmsAccess
from sandbox.sms_server import KEY_ID, SECRET
from store import members
from store.members import Identity, IdentityChannel, Member
from tests.sandbox.builders import APPID
from tests.web.browser import Browser
from tests.web.scene import Scene

_numbers = count(1)


def with_sms(scene: Scene, sandbox_url: str) -> Scene:
    """The scene with the sandbox's SMS provider."""
    access = SmsAccess(f"{sandbox_url}/sms", KEY_ID, SECRET, "知鲜")
    return replace(scene, parts=replace(scene.parts, sms=Sms(access)))


def a_number() -> str:
    """A mobile that no other test has, also at the provider, which remembers all of them."""
    return f"101{next(_numbers):08}"


def a_stranger(scene: Scene, openid: str = "") -> Identity:
    """A visitor who came through WeChat's log-in."""
    with scene.database.transaction() as session:
        return members.meet(
            session,
            channel=IdentityChannel.WECHAT,
            account=APPID,
            outside_id=openid or f"oStranger{next(_numbers):019}",
            brand_id=scene.brand.id,
            now=scene.now,
        )


def code_on(sandbox_url: str, mobile: str) -> str:
    """The newest code that reached a mobile."""
    found = httpx.get(f"{sandbox_url}/sandbox/sms", params={"to": mobile}).json()["messages"]
    code = re.search(r"\d{6}", found[-1]["text"])
    assert code is not None
    return code.group()


def bind(browser: Browser, sandbox_url: str, mobile: str, **more: str) -> httpx.Response:
    """Both steps of the page."""
    browser.post("/m/bind/code", data={"mobile": mobile})
    code = code_on(sandbox_url, mobile)
    return browser.post("/m/bind", data={"mobile": mobile, "code": code, **more})


def member_of(scene: Scene, identity: Identity) -> Member:
    """Who the identity is by now."""
    with scene.database.transaction() as session:
        fresh = session.get_one(Identity, identity.id)
        return session.get_one(Member, fresh.member_id)
