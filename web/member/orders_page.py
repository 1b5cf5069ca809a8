"""The member's orders, a page at a time."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlmodel import Session

from store import order_reads
from store.members import Member
from store.order_reads import Bought

_A_PAGE = 10


@dataclass(frozen=True, slots=True)
class OrdersView:
    """The page; pages count from one."""

    orders: Sequence[Bought]
    number: int
    has_more: bool


def read(session: Session, member: Member, *, number: int) -> OrdersView:
    """One page, the last paid first."""
    skip = (number - 1) * _A_PAGE
    found = order_reads.of_member(session, member.id, skip=skip, limit=_A_PAGE + 1)
    return OrdersView(found[:_A_PAGE], number, has_more=len(found) > _A_PAGE)
