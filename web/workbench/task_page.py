"""One care task as the guide sees it: who this is, why now, the words, the goods, how it stands."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlmodel import Session, col, select

from content.look_words import look_line
from guide_tasks import asks, looks, progress
from store.campaigns import WITH_GUIDE, Campaign, CareTask
from store.products import Product
from web.workbench import customer, pauses, standing
from web.workbench.customer import OwnCoupon, PastTouch, Person, Purchase
from web.workbench.pauses import Pause
from web.workbench.standing import Advice, Standing

_BASIS = 10_000


@dataclass(frozen=True, slots=True)
class Good:
    """A product of the list made for the member; `worth_fen` is the guide's share of its price."""

    name: str
    category: str
    price_fen: int | None
    worth_fen: int


@dataclass(frozen=True, slots=True)
class TaskView:
    """The whole page. `advice` and `pauses` are there while the task is open.

    `account_is_next` says whether the account may try where the gate lets no guide. `look` says
    what the member did with the list; it is empty until they open it.
    """

    token: str
    campaign: str
    reason: str
    text: str
    deadline_at: datetime
    waits_until: datetime | None
    is_open: bool
    standing: Standing
    advice: Advice | None
    account_is_next: bool
    pauses: dict[Pause, datetime]
    person: Person
    purchases: Sequence[Purchase]
    coupons: Sequence[OwnCoupon]
    touches: Sequence[PastTouch]
    goods: Sequence[Good]
    look: str


def read(session: Session, task: CareTask, *, zone: ZoneInfo, now: datetime) -> TaskView:
    """Everything on the page of one task."""
    is_open = task.state in WITH_GUIDE
    forecast = progress.advise(session, task, now=now) if is_open else None
    waits = task.waits_until if task.waits_until and task.waits_until > now else None
    campaign = session.get_one(Campaign, task.campaign_id)
    return TaskView(
        token=task.token,
        campaign=campaign.name,
        reason=task.reason,
        text=task.text,
        deadline_at=task.deadline_at,
        waits_until=waits,
        is_open=is_open,
        standing=standing.of_task(session, task),
        advice=standing.advice_of(session, forecast, now=now) if forecast else None,
        account_is_next=not asks.BY_ITSELF.isdisjoint(campaign.fallback_channels),
        pauses=pauses.before(task.deadline_at, zone=zone, now=now) if is_open else {},
        person=customer.person(session, task.member_id, now),
        purchases=customer.purchases(session, task.member_id),
        coupons=customer.usable_coupons(session, task.member_id, now),
        touches=customer.touches(session, task.member_id),
        goods=goods_of(session, task),
        look=look_words(looks.of_task(session, task), zone=zone, now=now),
    )


def look_words(look: looks.Look | None, *, zone: ZoneInfo, now: datetime) -> str:
    """What a member did with a list, in one line; nothing where it was not opened."""
    if look is None:
        return ""
    return look_line(look.opened_at, look.tapped, look.bought, zone=zone, now=now)


def goods_of(session: Session, task: CareTask) -> list[Good]:
    """The goods picked for the member, best first."""
    query = select(Product).where(col(Product.id).in_(task.picks))
    found = {product.id: product for product in session.exec(query).all()}
    share = session.get_one(Campaign, task.campaign_id).commission_bp
    chosen = [found[product_id] for product_id in task.picks if product_id in found]
    return [
        Good(
            name=product.name,
            category=product.category,
            price_fen=product.price_fen,
            worth_fen=(product.price_fen or 0) * share // _BASIS,
        )
        for product in chosen
    ]
