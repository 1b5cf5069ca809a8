"""Who and what an order form names: the rows behind its keys, or a refusal that names the key."""

from dataclasses import dataclass

from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select

from store import members
from store.db import Session
from store.errors import NotFound
from store.members import Member, MemberNotFound, MemberStatus
from store.order_forms import LineForm, MemberRef, OrderForm
from store.organisation import Guide, Shop
from store.products import Product


class ShopUnknown(NotFound):
    """The order names a shop that the record does not have."""

    def __init__(self, shop_code: str) -> None:
        self.shop_code = shop_code
        super().__init__(f"shop_code: there is no shop {shop_code}; import the shops first.")


class GuideUnknown(NotFound):
    """The order names a guide that the record does not have."""

    def __init__(self, guide_userid: str) -> None:
        self.guide_userid = guide_userid
        super().__init__(f"guide_userid: there is no guide {guide_userid}; leave it out or import.")


class ProductUnknown(NotFound):
    """A line names a product that the record does not have, and gives no name to take it in by."""

    def __init__(self, line_no: int, external_id: str) -> None:
        self.line_no, self.external_id = line_no, external_id
        super().__init__(
            f"lines[{line_no}].product_external_id: there is no product {external_id};"
            " give its name in the line or import the products first."
        )


@dataclass(frozen=True)
class Parties:
    """The rows behind an order form; `product_ids` stand in the order of its lines."""

    member: Member | None
    shop_id: int
    guide_id: int | None
    product_ids: tuple[int, ...]


def find(session: Session, form: OrderForm) -> Parties:
    """Look up what the form names and lock the member."""
    in_shop = shop_id(session, form.shop_code)
    guide_id = _guide_id(session, form.guide_userid)
    # The member is locked before new products are written: always in this order.
    member = _member(session, form.member) if form.member else None
    return Parties(member, in_shop, guide_id, _product_ids(session, form.lines))


def shop_id(session: Session, shop_code: str) -> int:
    """The shop that an outside system names."""
    found = session.exec(select(Shop.id).where(Shop.code == shop_code)).first()
    if found is None:
        raise ShopUnknown(shop_code)
    return found


def _guide_id(session: Session, userid: str | None) -> int | None:
    if userid is None:
        return None
    guide_id = session.exec(select(Guide.id).where(Guide.userid == userid)).first()
    if guide_id is None:
        raise GuideUnknown(userid)
    return guide_id


def _member(session: Session, ref: MemberRef) -> Member:
    if ref.mobile is not None:
        key, shown = col(Member.mobile) == ref.mobile, f"with mobile {members.mask(ref.mobile)}"
    elif ref.external_id is not None:
        key, shown = col(Member.external_id) == ref.external_id, f"with id {ref.external_id}"
    else:
        key, shown = col(Member.card_no) == ref.card_no, f"with card {ref.card_no}"
    # A key of a row that was merged away leads to the survivor, after those of active members.
    is_gone = col(Member.status) != MemberStatus.ACTIVE
    member_id = session.exec(select(Member.id).where(key).order_by(is_gone)).first()
    if member_id is None:
        raise MemberNotFound(shown)
    return members.lock(session, member_id)


def _product_ids(session: Session, lines: list[LineForm]) -> tuple[int, ...]:
    known = _known_products(session, lines)
    fresh = {line.product_external_id: line.name for line in lines if line.name}
    if missing := sorted(fresh.keys() - known.keys()):
        rows = [{"external_id": key, "name": fresh[key]} for key in missing]
        session.execute(insert(Product).values(rows).on_conflict_do_nothing())
        known = _known_products(session, lines)
    for line_no, line in enumerate(lines):
        if line.product_external_id not in known:
            raise ProductUnknown(line_no, line.product_external_id)
    return tuple(known[line.product_external_id] for line in lines)


def _known_products(session: Session, lines: list[LineForm]) -> dict[str, int]:
    keys = {line.product_external_id for line in lines}
    query = select(Product.external_id, Product.id).where(col(Product.external_id).in_(keys))
    return dict(session.exec(query).all())
