"""Where shops are, what members asked of us, hand-overs to people, feedback.

Revision: 0007, after: 0006.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_DESKS = ("guide", "wechat")
_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    _place_shops()
    _add_desks()
    _make_wishes()
    _make_handovers()
    _make_feedbacks()
    _allow_notices("card", "sale", "handover", "feedback")


def _place_shops() -> None:
    for name in ("district", "phone"):
        _add_text("shops", name)
    for name in ("latitude", "longitude"):
        op.add_column("shops", sa.Column(name, sa.Float(), nullable=True))
    op.create_check_constraint(
        "ck_shops_place",
        "shops",
        "(latitude IS NULL) = (longitude IS NULL)"
        " AND latitude BETWEEN -90 AND 90 AND longitude BETWEEN -180 AND 180",
    )
    _add_text("guides", "contact_url")


def _add_desks() -> None:
    _add_text("accounts", "human_desk", _states("humandesk", _DESKS), default="guide")
    op.create_check_constraint("ck_accounts_human_desk", "accounts", _one_of("human_desk", _DESKS))


def _make_wishes() -> None:
    kinds = ("less", "pause", "never", "resume")
    op.create_table(
        "wishes",
        _key(),
        _link("member_id", "members"),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("kind", _states("wishkind", kinds), nullable=False),
        sa.Column("until", _MOMENT, nullable=True),
        sa.Column("text_version", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("stated_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.CheckConstraint(_one_of("kind", kinds), name="ck_wishes_kind"),
        sa.CheckConstraint("(kind = 'pause') = (until IS NOT NULL)", name="ck_wishes_until"),
    )
    op.create_index("ix_wishes_member", "wishes", ["member_id", "stated_at"])


def _make_handovers() -> None:
    ends = ("guide", "member", "lapsed", "nobody")
    op.create_table(
        "handovers",
        _key(),
        sa.Column("token", sa.String(), nullable=False),
        _link("member_id", "members"),
        _link("identity_id", "identities", ondelete="CASCADE"),
        _link("brand_id", "brands"),
        _link("guide_id", "guides", nullable=True),
        sa.Column("desk", _states("humandesk", _DESKS), nullable=False),
        sa.Column("nudges", sa.Integer(), nullable=False),
        sa.Column("nudged_at", _MOMENT, nullable=True),
        sa.Column("opened_at", _MOMENT, nullable=False),
        sa.Column("expires_at", _MOMENT, nullable=False),
        sa.Column("ended_at", _MOMENT, nullable=True),
        sa.Column("ended_by", _states("ending", ends), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("token"),
        sa.CheckConstraint(_one_of("desk", _DESKS), name="ck_handovers_desk"),
        sa.CheckConstraint(_one_of("ended_by", ends), name="ck_handovers_ended_by"),
        sa.CheckConstraint(
            "(ended_at IS NULL) = (ended_by IS NULL)", name="ck_handovers_ended_once"
        ),
        sa.CheckConstraint("desk = 'wechat' OR guide_id IS NOT NULL", name="ck_handovers_somebody"),
    )
    op.create_index(
        "uq_handovers_open",
        "handovers",
        ["identity_id"],
        unique=True,
        postgresql_where="ended_at IS NULL",
    )
    for name in ("member_id", "identity_id"):
        op.create_index(f"ix_handovers_{name}", "handovers", [name])
    op.create_index(
        "ix_handovers_guide", "handovers", ["guide_id"], postgresql_where="ended_at IS NULL"
    )
    _make_lines()


def _make_lines() -> None:
    sides = ("member", "guide")
    op.create_table(
        "handover_lines",
        _key(),
        _link("handover_id", "handovers", ondelete="CASCADE"),
        sa.Column("side", _states("side", sides), nullable=False),
        sa.Column("words", sa.String(), nullable=False),
        sa.Column("said_at", _MOMENT, nullable=False),
        sa.Column("nudge", sa.Integer(), nullable=True),
        _link("touch_id", "touches", nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.CheckConstraint(_one_of("side", sides), name="ck_handover_lines_side"),
    )
    op.create_index("ix_handover_lines_handover_id", "handover_lines", ["handover_id"])
    op.create_index(
        "ix_handover_lines_untold",
        "handover_lines",
        ["handover_id"],
        postgresql_where="nudge IS NULL AND side = 'member'",
    )


def _make_feedbacks() -> None:
    op.create_table(
        "feedbacks",
        _key(),
        _link("member_id", "members"),
        _link("brand_id", "brands"),
        _link("order_id", "orders", nullable=True),
        _link("care_task_id", "care_tasks", nullable=True),
        sa.Column("score", sa.Integer(), nullable=False),
        sa.Column("words", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("given_on", sa.Date(), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.CheckConstraint("score BETWEEN 1 AND 5", name="ck_feedbacks_score"),
        sa.UniqueConstraint("order_id", name="uq_feedbacks_order"),
    )
    op.create_index("ix_feedbacks_member_id", "feedbacks", ["member_id"])
    op.create_index("ix_feedbacks_care_task_id", "feedbacks", ["care_task_id"])
    op.create_index(
        "uq_feedbacks_day",
        "feedbacks",
        ["member_id", "given_on"],
        unique=True,
        postgresql_where="order_id IS NULL",
    )


def _allow_notices(*kinds: str) -> None:
    op.drop_constraint("ck_notices_kind", "notices", type_="check")
    op.create_check_constraint("ck_notices_kind", "notices", _one_of("kind", kinds))


def _add_text(table: str, name: str, kind: sa.String | None = None, default: str = "") -> None:
    """A text column that existing rows have too."""
    op.add_column(
        table, sa.Column(name, kind or sa.String(), nullable=False, server_default=default)
    )
    op.alter_column(table, name, server_default=None)


def _key() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False)


def _link(
    name: str, table: str, *, nullable: bool = False, ondelete: str | None = None
) -> sa.Column[int]:
    target = sa.ForeignKey(f"{table}.id", ondelete=ondelete)
    return sa.Column(name, sa.BigInteger(), target, nullable=nullable)


def _states(name: str, values: tuple[str, ...]) -> sa.Enum:
    return sa.Enum(*values, name=name, native_enum=False, length=32)


def _one_of(column: str, values: tuple[str, ...]) -> str:
    return f"{column} IN ({', '.join(repr(value) for value in values)})"


def downgrade() -> None:
    op.execute("DELETE FROM notices WHERE kind IN ('handover', 'feedback')")
    _allow_notices("card", "sale")
    for table in ("feedbacks", "handover_lines", "handovers", "wishes"):
        op.drop_table(table)
    op.drop_column("accounts", "human_desk")
    op.drop_column("guides", "contact_url")
    for name in ("longitude", "latitude", "phone", "district"):
        op.drop_column("shops", name)
