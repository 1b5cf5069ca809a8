"""Bands of a policy, holds, displacements, campaigns that are launched later.

Revision: 0009, after: 0008.
"""

import json

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)
_CATEGORIES = ("marketing", "care", "service")
_STATES = ("draft", "launching", "running", "finished", "cancelled")
# The bands that a policy from before is read with.
_BANDS = [
    {"name": "must", "floor": 90, "share_percent": 67},
    {"name": "high", "floor": 70, "share_percent": 50},
    {"name": "normal", "floor": 30, "share_percent": 34},
    {"name": "low", "floor": 0},
]


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    _give_bands()
    _make_holds()
    _make_displacements()
    _schedule_campaigns()


def _give_bands() -> None:
    default = sa.text(f"'{json.dumps(_BANDS)}'::jsonb")
    op.add_column(
        "policies", sa.Column("bands", postgresql.JSONB(), nullable=False, server_default=default)
    )
    op.alter_column("policies", "bands", server_default=None)


def _make_holds() -> None:
    op.create_table(
        "holds",
        _key(),
        _link("campaign_id", "campaigns"),
        _link("member_id", "members"),
        sa.Column("channels", postgresql.JSONB(), nullable=False),
        sa.Column(
            "category",
            sa.Enum(*_CATEGORIES, name="category", native_enum=False, length=32),
            nullable=False,
        ),
        _link("brand_id", "brands"),
        _link("guide_id", "guides", nullable=True),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("planned_from", _MOMENT, nullable=False),
        sa.Column("planned_until", _MOMENT, nullable=False),
        sa.Column("expires_at", _MOMENT, nullable=False),
        sa.Column("held_at", _MOMENT, nullable=False),
        sa.Column("lifted_at", _MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("campaign_id", "member_id", name="uq_holds_member"),
        sa.CheckConstraint(_one_of("category", _CATEGORIES), name="ck_holds_category"),
        sa.CheckConstraint("planned_from <= planned_until", name="ck_holds_span"),
        sa.CheckConstraint("planned_until <= expires_at", name="ck_holds_expiry"),
    )
    op.create_index("ix_holds_member_id", "holds", ["member_id"])
    op.create_index("ix_holds_live", "holds", ["member_id"], postgresql_where="lifted_at IS NULL")


def _make_displacements() -> None:
    op.create_table(
        "displacements",
        _key(),
        _link("touch_id", "touches"),
        _link("by_touch_id", "touches"),
        sa.Column("displaced_at", _MOMENT, nullable=False),
        sa.Column("told_at", _MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.CheckConstraint("touch_id <> by_touch_id", name="ck_displacements_two_touches"),
    )
    op.create_index("ix_displacements_touch_id", "displacements", ["touch_id"])
    op.create_index("ix_displacements_by_touch_id", "displacements", ["by_touch_id"])
    op.create_index(
        "ix_displacements_untold", "displacements", ["id"], postgresql_where="told_at IS NULL"
    )


def _schedule_campaigns() -> None:
    for name in ("launch_at", "held_at"):
        op.add_column("campaigns", sa.Column(name, _MOMENT, nullable=True))
    op.add_column(
        "campaigns", sa.Column("hold_cursor", sa.BigInteger(), nullable=False, server_default="0")
    )
    op.alter_column("campaigns", "hold_cursor", server_default=None)
    _allow_states(*_STATES, "scheduled")
    op.create_check_constraint(
        "ck_campaigns_launch",
        "campaigns",
        "launch_at < deadline_at AND (state <> 'scheduled' OR launch_at IS NOT NULL)",
    )


def _allow_states(*states: str) -> None:
    op.drop_constraint("ck_campaigns_state", "campaigns", type_="check")
    op.create_check_constraint("ck_campaigns_state", "campaigns", _one_of("state", states))


def _key() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False)


def _link(name: str, table: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), sa.ForeignKey(f"{table}.id"), nullable=nullable)


def _one_of(column: str, values: tuple[str, ...]) -> str:
    return f"{column} IN ({', '.join(repr(value) for value in values)})"


def downgrade() -> None:
    op.drop_constraint("ck_campaigns_launch", "campaigns", type_="check")
    op.execute("UPDATE campaigns SET state = 'draft' WHERE state = 'scheduled'")
    _allow_states(*_STATES)
    for name in ("launch_at", "held_at", "hold_cursor"):
        op.drop_column("campaigns", name)
    for table in ("displacements", "holds"):
        op.drop_table(table)
    op.drop_column("policies", "bands")
