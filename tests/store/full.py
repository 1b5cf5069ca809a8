"""A member about whom the record says something in every place that it has."""

from sqlmodel import Session, select

from store import (
    binding,
    codes,
    consents,
    contacts,
    coupons,
    feedback,
    gifts,
    handovers,
    inbound,
    letters,
    merges,
    notes,
    notices,
    orders,
    points_shop,
    relations,
    scenes,
    tags,
    transfers,
)
from store.attributions import Attribution
from store.campaigns import Arm, AudienceMember, CareTask
from store.consents import Purpose, Wish, WishKind
from store.grants import Grant
from store.handovers import HandoverLine, Side
from store.holds import Displacement, Hold
from store.inbound import Heard, InboundState
from store.members import Identity, IdentityChannel, Member
from store.notices import NoticeForm, NoticeKind
from store.order_forms import RefundForm
from store.organisation import Guide
from store.pick_taps import PickTap
from store.redemption_rows import Redemption, RedemptionKind
from store.scene_subjects import SceneKind, Subject
from store.scenes import VisitKind
from store.tags import TagSource
from store.touches import Category, Channel, Evidence, Touch
from tests.bot.builders import APP_ID, an_account
from tests.builders import (
    NOW,
    SOURCE,
    a_brand,
    a_care_task,
    a_coupon,
    a_guide,
    a_level,
    a_member,
    a_plan,
    a_product,
    a_tag,
    a_touch,
    an_identity,
    an_order,
    number,
)

KEY = "the secret of the tests"
NAME = "欧阳雨桐"
MOBILE, OLD_MOBILE = "19912345678", "19987654321"
OPENID, UNIONID, EXTERNAL = "oOuyangYutong0000000000000000", "oUnionOuyang", "wmOuyangYutong"
# What must not be left anywhere.
TRACES = (NAME, MOBILE, OLD_MOBILE, OPENID, UNIONID, EXTERNAL, "1990-03-08", "OuyangInCrm")
# A person's own words, as they stand in messages, drafts and notes.
WORDS = f"我是{NAME}，手机 {MOBILE}，微信 {OPENID}"


def a_full_member(session: Session) -> Member:
    """Ouyang, who was two people before a merge, and did everything that one can do."""
    a_level(session)
    member = a_member(session, points=900, name=NAME, external_id="OuyangInCrm")
    gone = a_member(session, name=NAME, mobile=OLD_MOBILE)
    identity = an_identity(session, gone, account=APP_ID, outside_id=OPENID, unionid=UNIONID)
    an_identity(session, member, channel=IdentityChannel.WECOM, account="ww1", outside_id=EXTERNAL)
    _buy(session, member)
    _coupons(session, member)
    _care(session, member)
    _words(session, gone, identity)
    merges.merge(session, member.id, gone.id, reason="mobile", now=NOW)
    session.refresh(member)
    session.refresh(identity)
    _agree(session, member, identity)
    return member


def _buy(session: Session, member: Member) -> None:
    placed = an_order(session, member, amount_fen=50_000)
    form = RefundForm(
        external_id=f"r{number()}",
        order_external_id=placed.order.external_id,
        amount_fen=1_000,
        refunded_at=NOW,
    )
    orders.refund(session, form, source=SOURCE, now=NOW)
    feedback.add_words(
        session,
        feedback.give(
            session,
            member.id,
            2,
            order_id=placed.order.id,
            source="page",
            today=NOW.date(),
            now=NOW,
        ),
        WORDS,
    )


def _coupons(session: Session, member: Member) -> None:
    gifts.offer(session, a_coupon(session, member).id, member.id, now=NOW)
    used = a_coupon(session, member)
    coupons.redeem(session, used.code, order_id=None, now=NOW)
    session.add(
        Redemption(
            source=SOURCE,
            kind=RedemptionKind.COUPON,
            key=f"k{number()}",
            reference=f"receipt{number()}",
            coupon_id=used.id,
            done_at=NOW,
        )
    )
    a_coupon(session, member)
    points_shop.offer(session, "tea", a_plan(session).id, cost=100)
    points_shop.redeem(session, "tea", member.id, token="form-1234567890abc", now=NOW)


def _care(session: Session, member: Member) -> None:
    guide = a_guide(session)
    relations.own(session, member.id, guide.id, now=NOW)
    relations.befriend(session, guide.id, EXTERNAL, member_id=member.id, now=NOW)
    _in_wecom(session, member, guide)
    tag = a_tag(session)
    tags.put(session, member.id, tag.code, source=TagSource.GIVEN, now=NOW)
    notes.write(session, member.id, guide.id, WORDS, now=NOW)
    sold = an_order(session, member).order
    task = a_care_task(
        session, member, guide=guide, draft=WORDS, edited_text=WORDS, reason=WORDS, picks=[1]
    )
    touch = a_touch(session, member, text=WORDS, payload={"title": NAME}, care_task_id=task.id)
    letters.write(session, {touch.id: "platform_busy"}, now=NOW)
    _give_way(session, task, touch)
    good = a_product(session)
    session.add(
        PickTap(care_task_id=task.id, product_id=good.id, tapped_on=NOW.date(), tapped_at=NOW)
    )
    session.add(AudienceMember(campaign_id=task.campaign_id, member_id=member.id, arm=Arm.TREATED))
    credit = Attribution(
        order_id=sold.id,
        campaign_id=task.campaign_id,
        care_task_id=task.id,
        touch_id=touch.id,
        guide_id=guide.id,
        evidence=Evidence.PLATFORM,
        amount_fen=sold.amount_fen,
        attributed_at=NOW,
    )
    session.add(credit)
    session.flush()
    news = {"title": f"{NAME}下单了", "text": "说声谢谢", "rows": [], "url": ""}
    form = NoticeForm(f"sale-{credit.id}", guide.id, NoticeKind.SALE, news)
    notices.post(session, form, now=NOW)


def _in_wecom(session: Session, member: Member, guide: Guide) -> None:
    """As WeCom has them: a contact with a remark, on its way to another guide."""
    identity = session.exec(
        select(Identity).where(
            Identity.member_id == member.id, Identity.channel == IdentityChannel.WECOM
        )
    ).one()
    contact = contacts.of_pair(session, guide.id, identity)
    contacts.met(session, contact, identity, at=NOW)
    contact.nickname = contact.remark = contact.wanted_remark = NAME
    transfers.plan(session, contact, a_guide(session).id, has_left=True, now=NOW)


def _give_way(session: Session, task: CareTask, touch: Touch) -> None:
    member = session.get_one(Member, task.member_id)
    other = a_touch(session, member, text=WORDS)
    session.add(Displacement(touch_id=touch.id, by_touch_id=other.id, displaced_at=NOW))
    hold = Hold(
        campaign_id=task.campaign_id,
        member_id=task.member_id,
        channels=[Channel.WECOM_BROADCAST.value],
        category=Category.CARE,
        brand_id=member.brand_id,
        priority=70,
        planned_from=NOW,
        planned_until=NOW,
        expires_at=NOW,
        held_at=NOW,
    )
    session.add(hold)
    session.flush()


def _words(session: Session, member: Member, identity: Identity) -> None:
    """What was said in the chat, by both sides, and how the person came there."""
    brand = a_brand(session)
    account = an_account(session, brand, now=NOW)
    heard = Heard(account.id, f"123:{OPENID}", OPENID, "text", {"content": WORDS})
    row = inbound.hear(session, heard, now=NOW)
    row.member_id = member.id
    inbound.close(
        session, row, {"text": WORDS}, state=InboundState.ANSWERED, handled_ms=1.0, now=NOW
    )
    inbound.begin_talk(session, identity.id, "profile_sure", facts={"words": WORDS}, now=NOW)
    session.add(
        Grant(
            member_id=member.id,
            channel=Channel.WECHAT_SERVICE,
            account=APP_ID,
            allowance=5,
            source_id=str(row.id),
            opened_at=NOW,
        )
    )
    guide = a_guide(session)
    talk = handovers.begin(
        session, identity, brand_id=brand.id, guide_id=guide.id, expires_at=NOW, now=NOW
    )
    session.add(HandoverLine(handover_id=talk.id, side=Side.MEMBER, words=WORDS, said_at=NOW))
    about = Subject(SceneKind.SHOP, guide.shop_id, brand.id)
    wanted = scenes.want(session, about, life_days=None, now=NOW)
    scenes.visit(session, wanted.scene, identity.id, VisitKind.FOLLOW, now=NOW)


def _agree(session: Session, member: Member, identity: Identity) -> None:
    codes.issue(session, identity.id, MOBILE, secret_key=KEY, now=NOW)
    binding.bind(session, member.id, MOBILE, text_version="v1", secret_key=KEY, now=NOW)
    member.birthday_on = NOW.date().replace(year=1990, month=3, day=8)
    consents.state(
        session,
        member.id,
        Channel.WECHAT_SERVICE,
        Purpose.CARE,
        is_granted=True,
        text_version="v1",
        source="binding",
        now=NOW,
    )
    consents.stop(session, member.id, channel=Channel.WECHAT_NOTICE, reason="chat", now=NOW)
    session.add(
        Wish(
            member_id=member.id,
            channel="",
            kind=WishKind.LESS,
            text_version="v1",
            source="chat",
            stated_at=NOW,
        )
    )
    session.flush()
