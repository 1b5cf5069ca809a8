"""`/api/v1/till/…`: what a till does at the counter: look up, take a coupon or points, cancel.

A repeat by the same number gives the same answer, so a till that heard nothing just asks again.
"""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Header
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, model_validator
from sqlalchemy import ColumnElement
from sqlmodel import Session, col, select

from store import card_codes, coupons, members, order_parties, plan_shops, points, redemptions
from store.coupons import Coupon, CouponKind, CouponPlan
from store.errors import NotFound
from store.levels import Level
from store.members import Member, MemberStatus
from store.order_forms import Code, Mobile
from store.points import PointsEntry
from store.redemptions import CouponUse, PointsUse, Redemption
from web.api.keys import SourceDep
from web.deps import NowDep, PartsDep, SessionDep

router = APIRouter(prefix="/till", tags=["till"])

_CARD_CODE = "882393788384101481"
_MAX_FEN, _MAX_POINTS = 10**10, 10**8
Points = Annotated[int, Field(gt=0, le=_MAX_POINTS)]
Fen = Annotated[int, Field(ge=0, le=_MAX_FEN)]
CardCode = Annotated[str, StringConstraints(min_length=1, max_length=64)]
KeyHeader = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        description="Stands for this try; without one the reference does. A key is good for one"
        " body, for good: after an undo, send a new one.",
    ),
]


class _Body(BaseModel):
    # A mobile or card code in a body must not come back in the text of an error.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Lookup(_Body):
    """Who stands at the counter: exactly one of the three keys."""

    card_code: CardCode | None = Field(
        default=None, description="What the card shows now.", examples=[_CARD_CODE]
    )
    card_no: Code | None = Field(default=None, description="The lasting number of the card.")
    mobile: Mobile | None = None
    shop_code: Code = Field(description="Where: only coupons that count there are usable.")

    @model_validator(mode="after")
    def _exactly_one(self) -> "Lookup":
        if sum(key is not None for key in (self.card_code, self.card_no, self.mobile)) != 1:
            raise ValueError("Name the member by exactly one of card_code, card_no and mobile.")
        return self


class CouponRedemption(_Body):
    """A coupon for a purchase."""

    coupon_code: Code = Field(examples=["K7M2PQ9RTX4A"])
    reference: Code = Field(
        description="Your number of the purchase: the `external_id` of its order.",
        examples=["A-1001"],
    )
    amount_fen: Fen = Field(description="The purchase before the coupon, fen.", examples=[12800])
    shop_code: Code = Field(examples=["S330"])


class PointsRedemption(_Body):
    """Points for a purchase."""

    card_code: CardCode = Field(description="What the card shows now.", examples=[_CARD_CODE])
    points: Points = Field(examples=[500])
    reference: Code = Field(
        description="Your number of the purchase: the `external_id` of its order.",
        examples=["A-1001"],
    )


class Undoing(_Body):
    """A redemption of a sale that was cancelled."""

    redemption: Code = Field(
        description="The number that the redemption was answered with.", examples=["Q4T8ZK2MWX7C"]
    )


class UsableCoupon(BaseModel):
    """A coupon that counts here now; `value` is fen or percent off, as `kind` says."""

    coupon_code: str
    name: str
    kind: CouponKind
    value: int
    min_spend_fen: int
    expires_at: AwareDatetime


class MemberAnswer(BaseModel):
    """The member, as a cashier may see: name and mobile masked."""

    card_no: str
    name: str
    mobile: str
    level: str
    points: int = Field(description="What can be spent now.")
    coupons: list[UsableCoupon]


class RedemptionAnswer(BaseModel):
    """What the till took; `points_left` can still be spent."""

    redemption: str
    kind: redemptions.RedemptionKind
    reference: str
    status: str = Field(description="`redeemed`, or `undone`.")
    discount_fen: int | None = Field(description="What the coupon takes off, fen.")
    points: int | None
    points_left: int | None


class HolderUnknown(NotFound):
    """Nobody active holds this card or mobile."""

    def __init__(self, field: str) -> None:
        super().__init__(f"{field}: nobody has it; ask the member for the card.")


def _example(**body: Any) -> dict[str, Any]:
    return {"requestBody": {"content": {"application/json": {"example": body}}}}


@router.post(
    "/lookup",
    summary="Look a card up",
    openapi_extra=_example(card_code=_CARD_CODE, shop_code="S330"),
)
def look_up(
    body: Lookup, source: SourceDep, session: SessionDep, parts: PartsDep, now: NowDep
) -> MemberAnswer:
    """Who shows a card, and what they can use here: level, points, coupons.

    A card code is good for about two minutes; ask the member to open the card again after that.
    """
    del source
    member = _holder(session, body, parts.settings.secret, now)
    level = session.get(Level, member.level_id) if member.level_id is not None else None
    return MemberAnswer(
        card_no=member.card_no,
        name=member.name[:1] + "*" * (len(member.name) - 1),
        mobile=members.mask(member.mobile),
        level=level.name if level else "",
        points=points.spendable(session, member.id, now),
        coupons=_usable(session, member.id, order_parties.shop_id(session, body.shop_code), now),
    )


@router.post("/redeem-coupon", summary="Redeem a coupon")
def redeem_coupon(
    body: CouponRedemption,
    source: SourceDep,
    session: SessionDep,
    now: NowDep,
    idempotency_key: KeyHeader = None,
) -> RedemptionAnswer:
    """Use a coupon for a purchase and hear what it takes off.

    Idempotent by `Idempotency-Key`, or by reference and coupon. A purchase takes one coupon. Hand
    the order in with the same number as `external_id` and this `coupon_code`: that is still one
    redemption, and the order's whole refund gives the coupon back.
    """
    use = CouponUse(
        source=source,
        key=_key(idempotency_key, body.reference, body.coupon_code),
        reference=body.reference,
        code=body.coupon_code,
        amount_fen=body.amount_fen,
        shop_id=order_parties.shop_id(session, body.shop_code),
    )
    return _answer(session, redemptions.use_coupon(session, use, now=now), now)


@router.post("/redeem-points", summary="Redeem points")
def redeem_points(
    body: PointsRedemption,
    source: SourceDep,
    session: SessionDep,
    parts: PartsDep,
    now: NowDep,
    idempotency_key: KeyHeader = None,
) -> RedemptionAnswer:
    """Spend points for a purchase, by the code that the card shows now; a code pays once.

    Idempotent by `Idempotency-Key`, or by reference: a repeat counts also when the code is stale
    by then. What the points are worth is the till's to know. A refund of the order of that number
    gives them back in proportion.
    """
    use = PointsUse(
        source=source,
        key=_key(idempotency_key, body.reference),
        reference=body.reference,
        card_code=body.card_code,
        points=body.points,
    )
    row = redemptions.repeated(session, use, now=now)
    if row is None:
        member_id = card_codes.read(parts.settings.secret, body.card_code, now)
        row = redemptions.use_points(session, member_id, use, now=now)
    return _answer(session, row, now)


@router.post("/undo", summary="Undo a redemption")
def undo(body: Undoing, source: SourceDep, session: SessionDep, now: NowDep) -> RedemptionAnswer:
    """Take a coupon or points back when the sale is cancelled before its order is handed in.

    A repeat answers the same. The coupon can be used again until its old end, the points return
    with their old end. Once the order has been handed in, hand in its refund instead; an order of
    nothing to pay has no refund, and is undone here. If only that order named the coupon, redeem
    it under the order's number first: that is the same redemption, and tells its number.
    """
    row = redemptions.undo(session, body.redemption, source=source, now=now)
    return _answer(session, row, now)


def _holder(session: Session, body: Lookup, secret: str, now: datetime) -> Member:
    if body.card_code is not None:
        field, member_id = "card_code", card_codes.read(secret, body.card_code, now)
    elif body.card_no is not None:
        field, member_id = "card_no", _id_of(session, col(Member.card_no) == body.card_no)
    else:
        # A mobile of a row that was merged away leads to the survivor, after an active one.
        field, member_id = "mobile", _id_of(session, col(Member.mobile) == body.mobile)
    found = session.get(Member, members.survivor(session, member_id))
    if found is None or found.status is not MemberStatus.ACTIVE:
        raise HolderUnknown(field)
    return found


def _id_of(session: Session, is_holder: ColumnElement[bool]) -> int:
    is_gone = col(Member.status) != MemberStatus.ACTIVE
    query = select(Member.id).where(is_holder).order_by(is_gone)
    return session.exec(query).first() or 0


def _usable(session: Session, member_id: int, shop_id: int, now: datetime) -> list[UsableCoupon]:
    found = coupons.usable(session, member_id, now)
    elsewhere = plan_shops.elsewhere(session, {plan.id for _, plan in found}, shop_id)
    return [_shown(coupon, plan) for coupon, plan in found if plan.id not in elsewhere]


def _shown(coupon: Coupon, plan: CouponPlan) -> UsableCoupon:
    return UsableCoupon(
        coupon_code=coupon.code,
        name=plan.name,
        kind=plan.kind,
        value=plan.value,
        min_spend_fen=plan.min_spend_fen,
        expires_at=coupon.expires_at,
    )


def _key(header: str | None, *natural: str) -> str:
    """What stands for the try; the two kinds never meet."""
    return f"key {header}" if header is not None else f"number {' '.join(natural)}"


def _answer(session: Session, row: Redemption, now: datetime) -> RedemptionAnswer:
    entry = session.get(PointsEntry, row.entry_id) if row.entry_id is not None else None
    return RedemptionAnswer(
        redemption=row.number,
        kind=row.kind,
        reference=row.reference,
        status="undone" if row.undone_at else "redeemed",
        discount_fen=row.discount_fen,
        points=row.points,
        points_left=points.spendable(session, entry.member_id, now) if entry else None,
    )
