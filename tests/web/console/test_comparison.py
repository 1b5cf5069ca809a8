"""The two arms of a campaign, against figures worked out by hand."""

from datetime import timedelta
from statistics import variance

import pytest

from store.campaigns import Arm, AudienceMember
from store.db import Session
from store.members import Member
from store.orders import Order
from tests.web.scene import Scene
from web.console.comparison import LEAST_MEMBERS, compare


def _put_arm(scene: Scene, session: Session, arm: Arm, paid_fen: list[int]) -> None:
    """One member for each amount; who paid nothing has no order."""
    for fen in paid_fen:
        member = Member(brand_id=scene.brand.id, name=arm, created_at=scene.now)
        session.add(member)
        session.flush()
        session.add(AudienceMember(campaign_id=scene.campaign.id, member_id=member.id, arm=arm))
        if fen:
            session.add(_order(scene, member, fen))


def _order(scene: Scene, member: Member, fen: int, *, minutes_ago: int = 30) -> Order:
    return Order(
        source="test",
        external_id=f"{member.id}-{minutes_ago}",
        member_id=member.id,
        amount_fen=fen,
        paid_at=scene.now - timedelta(minutes=minutes_ago),
        created_at=scene.now,
    )


def test_arms_are_compared_by_sales_a_member_with_the_margin_of_chance(scene: Scene) -> None:
    treated, holdout = [0] * 20 + [100_00] * 20, [0] * 25 + [60_00] * 5
    with scene.database.transaction() as session:
        _put_arm(scene, session, Arm.TREATED, treated)
        _put_arm(scene, session, Arm.HOLDOUT, holdout)

    with scene.database.transaction() as session:
        found = compare(session, scene.campaign, now=scene.now)

    margin = 1.96 * (variance(treated) / 40 + variance(holdout) / 30) ** 0.5
    assert found.difference_fen == 50_00 - 10_00
    assert found.margin_fen == pytest.approx(margin)
    assert found.is_clear
    assert found.extra_fen == 40_00 * 40


def test_equal_arms_show_no_clear_difference(scene: Scene) -> None:
    paid = [0] * 20 + [80_00] * 20
    with scene.database.transaction() as session:
        _put_arm(scene, session, Arm.TREATED, paid)
        _put_arm(scene, session, Arm.HOLDOUT, paid)

    with scene.database.transaction() as session:
        found = compare(session, scene.campaign, now=scene.now)

    assert found.difference_fen == 0
    assert not found.is_clear


def test_small_arm_is_never_clear_however_large_the_difference(scene: Scene) -> None:
    with scene.database.transaction() as session:
        _put_arm(scene, session, Arm.TREATED, [900_00] * LEAST_MEMBERS)
        _put_arm(scene, session, Arm.HOLDOUT, [0] * (LEAST_MEMBERS - 1))

    with scene.database.transaction() as session:
        found = compare(session, scene.campaign, now=scene.now)

    assert found.margin_fen is None
    assert not found.is_clear


def test_order_before_the_launch_counts_for_no_arm(scene: Scene) -> None:
    with scene.database.transaction() as session:
        _put_arm(scene, session, Arm.TREATED, [0] * LEAST_MEMBERS)
        _put_arm(scene, session, Arm.HOLDOUT, [0] * LEAST_MEMBERS)
        member = Member(brand_id=scene.brand.id, name="early", created_at=scene.now)
        session.add(member)
        session.flush()
        session.add(
            AudienceMember(campaign_id=scene.campaign.id, member_id=member.id, arm=Arm.TREATED)
        )
        session.add(_order(scene, member, 500_00, minutes_ago=90))

    with scene.database.transaction() as session:
        found = compare(session, scene.campaign, now=scene.now)

    assert found.treated.sales_fen == 0
    assert found.margin_fen == 0
