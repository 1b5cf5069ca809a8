"""Every channel keeps one contract, against the sandbox's servers over HTTP (design.md §9)."""

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from redis import Redis

from bot.calls import ApiError, Reroute, TooSoon
from bot.channels.base import Address, Channel, ChannelError, Outgoing, Powers
from bot.channels.recording import RecordingChannel
from bot.channels.sms import Sms, SmsAccess
from bot.channels.sms_touch import SmsTouch
from bot.channels.wechat_custom import WechatService
from bot.channels.wechat_notice import WechatNotice, values
from bot.channels.wechat_template import WechatTemplate
from bot.channels.wecom_app import WecomApp
from bot.channels.wecom_broadcast import Result, WecomBroadcast
from bot.channels.wecom_sidebar import WecomSidebar
from bot.channels.wecom_welcome import WecomWelcome
from bot.wechat.client import WechatClients
from bot.wecom.client import WecomClients
from sandbox import broadcasts, wecom_acts
from sandbox.app import create_sandbox_app
from sandbox.sms_server import KEY_ID, SECRET
from sandbox.state import Code, Switch, World
from store import accounts, clock
from store.accounts import Account, Platform
from store.touches import Category
from tests.builders import a_mobile
from tests.sandbox.builders import (
    AES_KEY,
    AGENT,
    APPID,
    CORPID,
    LI,
    LI_EXTERNAL,
    TEMPLATE,
    ZHOU_EXTERNAL,
    a_world,
    li_writes,
    receipts,
)
from tests.sandbox.serving import serving

SECRET_KEY = "a key of the tests"
WORDS = Outgoing(key="touch-1", text="您好，新到的茶很适合您")
NEW = "wmNew"
ABOUT_ORDER = Outgoing(
    "touch-1", "您的订单已发货", {"template_id": TEMPLATE}, category=Category.SERVICE
)
NOBODY = "oNobody_0000000000000000000A"
_WELCOMES = "cgi-bin/externalcontact/send_welcome_msg"
_TEMPLATES = "cgi-bin/message/template/send"
# Longer than a busy machine takes to answer, and shorter than what is slow on purpose.
_TIMEOUT, _SLOW = (3.0, 1.5), 2.5


@dataclass
class Way:
    """A channel with an account of its platform and somebody to send to."""

    channel: Channel
    account: Account
    to: Address
    nobody: Address
    server: str
    path: str
    out: Outgoing = WORDS


@pytest.fixture
def world() -> World:
    """The sandbox's memory: Li has written, and allowed one notice."""
    world = a_world(templates={TEMPLATE: ["thing1", "thing2"]})
    li_writes(world, now=clock.now())
    world.wechat.followers[LI].acceptances[TEMPLATE] = 1
    return world


@pytest.fixture
def url(world: World) -> Iterator[str]:
    """Where the sandbox is served."""
    with serving(create_sandbox_app(world)) as url:
        yield url


def _account(platform: Platform) -> Account:
    def sealed(text: str) -> str:
        return accounts.seal(SECRET_KEY, text)

    is_wechat = platform is Platform.WECHAT
    return Account(
        id=1 if is_wechat else 2,
        brand_id=1,
        platform=platform,
        code=platform.value,
        name="account",
        app_id=APPID if is_wechat else CORPID,
        agent_id=None if is_wechat else AGENT,
        secret_sealed=sealed("s3cret" if is_wechat else "care"),
        token_sealed=sealed("sandboxToken"),
        aes_key_sealed=sealed(AES_KEY),
        notice_template_id=TEMPLATE,
        created_at=clock.now(),
    )


def _hello(world: World) -> Outgoing:
    """A welcome for somebody who has just become a customer of Wang."""
    code = wecom_acts.add(world, "WangFang", NEW, now=clock.now())
    return Outgoing("touch-1", "您好，我是王芳", {"welcome_code": code})


@pytest.fixture
def ways(url: str, redis: Redis, world: World) -> dict[str, Way]:
    """Every channel that speaks to a platform."""
    wechat = WechatClients(f"{url}/wechat", redis, SECRET_KEY, _TIMEOUT)
    wecom = WecomClients(f"{url}/wecom", redis, SECRET_KEY, _TIMEOUT)
    oa, app = _account(Platform.WECHAT), _account(Platform.WECOM)
    li, nobody = Address(LI), Address(NOBODY)
    customer = Address(LI_EXTERNAL, sender="WangFang")
    stranger = Address(LI_EXTERNAL[:-1] + "_", sender="WangFang")
    custom, notice = "cgi-bin/message/custom/send", "cgi-bin/message/subscribe/bizsend"
    template = "cgi-bin/externalcontact/add_msg_template"
    sms = SmsTouch(Sms(SmsAccess(f"{url}/sms", KEY_ID, SECRET, "知味"), _TIMEOUT))
    mobile, no_mobile = Address(a_mobile()), Address("123")
    return {
        "service": Way(WechatService(wechat), oa, li, nobody, "wechat", custom),
        "notice": Way(WechatNotice(wechat), oa, li, nobody, "wechat", notice),
        "broadcast": Way(WecomBroadcast(wecom), app, customer, stranger, "wecom", template),
        "app": Way(
            WecomApp(wecom),
            app,
            Address("WangFang"),
            Address("Nobody"),
            "wecom",
            "cgi-bin/message/send",
        ),
        "template": Way(WechatTemplate(wechat), oa, li, nobody, "wechat", _TEMPLATES, ABOUT_ORDER),
        "welcome": Way(
            WecomWelcome(wecom), app, customer, stranger, "wecom", _WELCOMES, _hello(world)
        ),
        "sms": Way(sms, oa, mobile, no_mobile, "sms", "v1/messages"),
        "sms notice": Way(sms, oa, mobile, no_mobile, "sms", "v1/messages", ABOUT_ORDER),
    }


_WITH_TOKEN = ["service", "notice", "template", "broadcast", "app", "welcome"]
_TO_SOMEBODY = ["service", "notice", "template", "broadcast", "app", "sms", "sms notice"]


@pytest.fixture(params=[*_WITH_TOKEN, "sms", "sms notice"])
def way(request: pytest.FixtureRequest, ways: dict[str, Way]) -> Way:
    """Each channel in turn."""
    return ways[request.param]


def _send(way: Way, out: Outgoing | None = None) -> ChannelError | None:
    """Send; gives the error, which is the only thing that may be raised."""
    try:
        way.channel.send(out or way.out, way.to, way.account)
    except ChannelError as error:
        return error
    return None


def _misbehave(world: World, way: Way, how: Any, *, times: int = 1, code: int = -1) -> None:
    world.switches.append(Switch(way.server, way.path, how, times, code, _SLOW))


def test_channel_sends_once(way: Way, world: World) -> None:
    receipt = way.channel.send(way.out, way.to, way.account)

    calls = [one for one in world.journal.entries if one.get("path", "").endswith(way.path)]
    assert len(calls) == 1
    assert receipt.is_final is not way.channel.powers.needs_human


@pytest.mark.parametrize("way", _TO_SOMEBODY, indirect=True)
def test_recipient_who_is_not_there_is_gone_for_good(way: Way) -> None:
    with pytest.raises(ChannelError) as caught:
        way.channel.send(way.out, way.nobody, way.account)

    assert caught.value.permanent
    assert caught.value.is_gone
    assert not caught.value.is_unsure


def test_busy_platform_is_tried_later(way: Way, world: World) -> None:
    _misbehave(world, way, "error", code=-1)

    error = _send(way)

    assert error is not None
    assert (error.reason, error.permanent, error.is_unsure) == ("platform_busy", False, False)
    assert error.retry_after is not None


def test_unknown_code_is_temporary_and_logged(
    way: Way, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    _misbehave(world, way, "error", code=87654)

    error = _send(way)

    assert error is not None
    # What a provider of SMS answers is text, and unknown text is written nowhere.
    code = None if way.server == "sms" else 87654
    assert (error.reason, error.permanent, error.code) == ("unknown_code", False, code)
    assert ("87654" if code else "an unknown code") in caplog.text


@pytest.mark.parametrize("how", ["slow", "drop", "down"])
def test_answer_that_never_comes_leaves_the_touch_unsure(way: Way, world: World, how: str) -> None:
    _misbehave(world, way, how)

    error = _send(way)

    assert error is not None
    assert error.is_unsure


@pytest.mark.parametrize("way", _WITH_TOKEN, indirect=True)
def test_refused_token_is_renewed_once(way: Way, world: World) -> None:
    _misbehave(world, way, "expired_token")

    assert _send(way) is None


@pytest.mark.parametrize("way", _WITH_TOKEN, indirect=True)
def test_token_that_is_always_refused_is_not_fetched_for_ever(way: Way, world: World) -> None:
    _misbehave(world, way, "expired_token", times=50)

    error = _send(way)

    fetched = [
        one for one in world.journal.entries if one.get("path", "").endswith(("token", "gettoken"))
    ]
    assert error is not None
    assert not error.is_unsure
    assert len(fetched) <= 2


@pytest.mark.parametrize("way", _WITH_TOKEN, indirect=True)
def test_token_is_fetched_once_for_many_messages(way: Way, world: World) -> None:
    for number in range(3):
        _send(way, replace(way.out, key=f"touch-{number}", text=f"words {number}"))

    fetched = [
        one for one in world.journal.entries if one.get("path", "").endswith(("token", "gettoken"))
    ]
    assert len(fetched) == 1


def test_server_that_is_not_there_leaves_the_touch_unsent(way: Way, redis: Redis) -> None:
    nowhere = "http://127.0.0.1:9"
    clients = {
        "wechat": WechatClients(nowhere, redis, SECRET_KEY, _TIMEOUT),
        "wecom": WecomClients(nowhere, redis, SECRET_KEY, _TIMEOUT),
    }
    made: Any = type(way.channel)
    sms = Sms(SmsAccess(nowhere, KEY_ID, SECRET, "知味"), _TIMEOUT)
    channel = made(sms if way.server == "sms" else clients[way.server])

    with pytest.raises(ChannelError) as caught:
        channel.send(way.out, way.to, way.account)

    assert not caught.value.is_unsure
    assert not caught.value.permanent


@pytest.mark.parametrize("how", ["error", "drop", "down", "expired_token"])
def test_secrets_are_in_no_error_and_no_log(
    way: Way, world: World, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    _send(way)
    _misbehave(world, way, how, times=9, code=40001)

    error: BaseException | None = _send(way, replace(way.out, key="touch-2", text="other words"))

    told = caplog.text + repr(way.to)
    while error is not None:
        told, error = told + repr(error), error.__context__
    hidden = ("access_token=", "s3cret", "secret=", SECRET, way.to.outside_id)
    assert not any(word in told for word in hidden)


def test_wrong_secret_is_a_setting_to_mend(ways: dict[str, Way]) -> None:
    for way in (ways["service"], ways["app"]):
        way.account.secret_sealed = accounts.seal(SECRET_KEY, "wrong")

        error = _send(way)

        assert error is not None
        assert error.reason == "account_misconfigured"


def test_service_message_arrives_with_its_link(ways: dict[str, Way], world: World) -> None:
    out = Outgoing("touch-1", "新品到了" * 400, {"url": "https://x.example/m/p/1"})

    error = _send(ways["service"], out)

    assert error is None
    text = receipts(world)[0][2]
    assert text.endswith("…\nhttps://x.example/m/p/1")
    assert len(text.encode()) <= 2048


def test_service_message_outside_the_window_is_refused_for_this_touch(
    ways: dict[str, Way], world: World
) -> None:
    world.wechat.followers[LI].grants.clear()

    error = _send(ways["service"])

    assert error is not None
    assert (error.reason, error.permanent, error.is_gone) == ("no_window", True, False)


def test_second_notice_for_one_acceptance_is_refused(ways: dict[str, Way]) -> None:
    first = _send(ways["notice"], Outgoing("touch-1", "您好" * 30, {"title": "春茶  上新\n了"}))
    second = _send(ways["notice"])

    assert first is None
    assert second is not None
    assert (second.reason, second.permanent, second.is_gone) == ("no_acceptance", True, False)


def test_notice_values_are_cut_to_their_type() -> None:
    data = {"thing1": "长" * 25, "phrase2": "一二三四五六", "time3": "2026年3月1日 15:01"}

    cut = values(Outgoing("k", "words", {"data": data}))

    assert cut == {
        "thing1": "长" * 19 + "…",
        "phrase2": "一二三四…",
        "time3": "2026年3月1日 15:01",
    }


def _broadcast(ways: dict[str, Way]) -> tuple[WecomBroadcast, str]:
    """A broadcast that was laid before the guide, with its id."""
    way = ways["broadcast"]
    assert isinstance(way.channel, WecomBroadcast)
    receipt = way.channel.send(WORDS, way.to, way.account)
    assert receipt.provider_id is not None
    return way.channel, receipt.provider_id


def test_broadcast_is_polled_until_the_guide_confirms(ways: dict[str, Way], world: World) -> None:
    app, now = ways["broadcast"].account, clock.now().replace(microsecond=0)
    channel, msgid = _broadcast(ways)

    before = channel.results(msgid, "WangFang", app)
    broadcast = world.wecom.broadcasts[msgid]
    broadcasts.confirm(world, broadcast, "WangFang", only=None, now=now)
    after = channel.results(msgid, "WangFang", app)

    assert before == {}
    assert after == {LI_EXTERNAL: Result(sent_at=now)}
    assert receipts(world) == [(LI_EXTERNAL, "wecom_broadcast", WORDS.text)]


def test_broadcast_just_made_is_not_an_error_to_ask_after(
    ways: dict[str, Way], world: World
) -> None:
    world.wecom.dispatch_seconds = 60.0
    channel, msgid = _broadcast(ways)

    assert channel.results(msgid, "WangFang", ways["broadcast"].account) == {}


@pytest.mark.parametrize(
    ("status", "reason"), [(2, "not_a_contact"), (3, "customer_quota_used_up")]
)
def test_broadcast_that_failed_says_why(
    ways: dict[str, Way], world: World, status: int, reason: str
) -> None:
    channel, msgid = _broadcast(ways)
    tasks = world.wecom.broadcasts[msgid].tasks
    tasks["WangFang"].recipients[LI_EXTERNAL].status = status

    result = channel.results(msgid, "WangFang", ways["broadcast"].account)[LI_EXTERNAL]

    assert result.cause is not None
    assert (result.sent_at, result.cause.reason) == (None, reason)


def test_broadcast_of_a_guide_who_is_no_contact_is_refused(ways: dict[str, Way]) -> None:
    way = ways["broadcast"]

    with pytest.raises(ChannelError) as caught:
        way.channel.send(WORDS, Address(ZHOU_EXTERNAL, sender="ZhaoLei"), way.account)

    assert caught.value.reason == "not_a_contact"


def test_card_for_a_guide_opens_the_workbench(ways: dict[str, Way], world: World) -> None:
    payload = {
        "title": "今天请照顾 3 位顾客",
        "text": "话术和商品都备好了",
        "rows": [["任务数", "3 位"], ["截止", "3月2日 18:00"]],
        "url": "https://x.example/guide/a/1",
    }

    error = _send(ways["app"], Outgoing("notice-1", "话术和商品都备好了", payload))

    assert error is None
    card = world.inboxes["WangFang"][0]
    assert card.kind == "template_card"


def test_recording_channel_keeps_the_contract_too() -> None:
    channel: Channel = RecordingChannel()

    receipt = channel.send(WORDS, Address(LI), _account(Platform.WECHAT))

    assert receipt.is_final
    assert channel.powers == Powers()


def test_call_to_another_host_is_impossible(ways: dict[str, Way], url: str) -> None:
    client = WechatClients(url, Redis(), SECRET_KEY).of(ways["service"].account)

    assert list(client._http.adapters) == ["https://api.weixin.qq.com"]
    assert isinstance(client._http.adapters["https://api.weixin.qq.com"], Reroute)


def _code(world: World, app_id: str, who: str, *, is_snapshot: bool = False) -> str:
    codes = world.wecom.codes if app_id == CORPID else world.wechat.codes
    ends = clock.now() + timedelta(minutes=5)
    codes["c1"] = Code("c1", app_id, who, "snsapi_base", ends, is_snapshot=is_snapshot)
    return "c1"


@pytest.mark.parametrize("is_snapshot", [False, True])
def test_code_of_a_page_names_the_follower_once(
    url: str, redis: Redis, world: World, *, is_snapshot: bool
) -> None:
    api = WechatClients(f"{url}/wechat", redis, SECRET_KEY).of(_account(Platform.WECHAT))
    code = _code(world, APPID, LI, is_snapshot=is_snapshot)

    visitor = api.visitor(code)

    assert (visitor.openid, visitor.is_snapshot) == (LI, is_snapshot)
    with pytest.raises(ApiError) as caught:
        api.visitor(code)
    assert caught.value.code == 40163


def test_code_of_a_page_names_the_guide(url: str, redis: Redis, world: World) -> None:
    api = WecomClients(f"{url}/wecom", redis, SECRET_KEY).of(_account(Platform.WECOM))

    assert api.userid(_code(world, CORPID, "WangFang")) == "WangFang"
    with pytest.raises(ApiError):
        api.userid("no such code")


def test_template_message_tells_of_business_and_never_advertises(
    ways: dict[str, Way], world: World
) -> None:
    advert = Outgoing("touch-2", "春茶上新", {"template_id": TEMPLATE}, category=Category.CARE)

    refused = _send(ways["template"], advert)
    went = _send(ways["template"])

    assert refused is not None
    assert (refused.reason, refused.permanent) == ("only_service", True)
    assert went is None
    assert [channel for _, channel, _ in receipts(world)] == ["wechat_template"]


def test_template_message_sent_twice_arrives_once(ways: dict[str, Way], world: World) -> None:
    way = ways["template"]

    first = way.channel.send(way.out, way.to, way.account)
    again = way.channel.send(way.out, way.to, way.account)

    assert first.provider_id is not None
    assert first == again
    assert len(receipts(world)) == 1


def test_advertisement_by_sms_says_how_to_get_no_more(ways: dict[str, Way], world: World) -> None:
    assert _send(ways["sms"]) is None
    assert _send(ways["sms notice"], replace(ABOUT_ORDER, key="touch-2")) is None

    assert [text for _, _, text in receipts(world)] == [
        "【知味】您好，新到的茶很适合您 拒收请回复R",
        "【知味】您的订单已发货",
    ]


def test_number_that_refused_advertisements_is_closed_for_them(
    ways: dict[str, Way], url: str
) -> None:
    way = ways["sms"]
    httpx.post(f"{url}/sandbox/sms/refuse", params={"to": way.to.outside_id}).raise_for_status()

    error = _send(way)

    assert error is not None
    assert (error.reason, error.permanent, error.is_gone) == ("opted_out", True, True)


def test_sidebar_waits_for_the_guides_word() -> None:
    channel: Channel = WecomSidebar()

    receipt = channel.send(WORDS, Address(LI_EXTERNAL), _account(Platform.WECOM))

    assert not receipt.is_final
    assert channel.powers.needs_human


@pytest.mark.parametrize("way", _WITH_TOKEN, indirect=True)
def test_path_that_had_too_many_calls_is_left_alone(way: Way, world: World) -> None:
    """Also by those who send no touches: late answers and guides' cards go the same way."""
    _misbehave(world, way, "error", code=45009)

    first, second = _send(way), _send(way)

    calls = [one for one in world.journal.entries if one.get("path", "").endswith(way.path)]
    assert first is not None
    assert second is not None
    assert (first.reason, second.reason) == ("quota_used_up", "provider_limit")
    assert 50 <= (second.retry_after or 0) <= 60
    assert len(calls) == 1


@pytest.mark.parametrize("way", _WITH_TOKEN, indirect=True)
def test_token_that_another_process_was_refused_leaves_the_message_unsent(
    way: Way, world: World, redis: Redis
) -> None:
    """Two fresh threads meet the token's own quota: one asks, the other knows of the refusal."""
    tokens = "cgi-bin/stable_token" if way.server == "wechat" else "cgi-bin/gettoken"
    world.switches.append(Switch(way.server, tokens, "error", 1, 45009, _SLOW))

    errors = []
    for _ in range(2):
        with ThreadPoolExecutor(1) as thread:
            errors.append(thread.submit(_send, way).result())

    assert [error and (error.reason, error.is_unsure) for error in errors] == [
        ("quota_used_up", False)
    ] * 2
    paused = {key.decode().split(":")[-2] for key in redis.scan_iter("zhiyin:calls:*:pause")}
    assert paused == {f"/{tokens}"}


def test_login_of_a_guide_that_the_platform_puts_off_is_an_error_of_the_call(
    url: str, redis: Redis, world: World
) -> None:
    """The first call of its thread, and one of those that are not counted."""
    clients = [WecomClients(f"{url}/wecom", redis, SECRET_KEY) for _ in range(2)]
    other, api = (one.of(_account(Platform.WECOM)) for one in clients)
    # A client of another process has fetched the token before.
    assert other.userid(_code(world, CORPID, "WangFang")) == "WangFang"
    world.switches.append(Switch("wecom", "cgi-bin/auth/getuserinfo", "error", 1, 45009, _SLOW))

    with pytest.raises(ApiError) as caught:
        api.userid(_code(world, CORPID, "WangFang"))
    with pytest.raises(TooSoon):
        api.userid("c1")

    assert caught.value.code == 45009


def test_broadcast_whose_answer_was_lost_is_found_in_the_list(
    ways: dict[str, Way], world: World
) -> None:
    way = ways["broadcast"]
    assert isinstance(way.channel, WecomBroadcast)
    way.channel.send(WORDS, Address(ZHOU_EXTERNAL, sender="WangFang"), way.account)
    _misbehave(world, way, "drop")
    lost = _send(way)
    assert lost is not None
    assert lost.is_unsure

    found = way.channel.find(WORDS.text, way.to, way.account, made_at=clock.now(), known=())

    assert found == list(world.wecom.broadcasts)[-1]
    known = {str(found)}
    again = way.channel.find(WORDS.text, way.to, way.account, made_at=clock.now(), known=known)
    assert again is None


def test_second_welcome_is_too_late_for_good(ways: dict[str, Way], world: World) -> None:
    way = ways["welcome"]

    first, again = _send(way), _send(way)
    world.wecom.corp.welcome_codes.clear()
    late = _send(way)

    assert first is None
    assert again is not None
    assert late is not None
    assert (again.reason, late.reason) == ("already_welcomed", "welcome_too_late")
    assert (again.permanent, late.permanent) == (True, True)
    assert receipts(world) == [(NEW, "wecom_welcome", "您好，我是王芳")]
