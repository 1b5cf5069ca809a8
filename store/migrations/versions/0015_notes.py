"""What members tap on their lists, and what guides note about customers.

Revision: 0015, after: 0013.
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0013"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.create_table(
        "pick_taps",
        _key(),
        _link("care_task_id", "care_tasks.id"),
        _link("product_id", "products.id"),
        sa.Column("tapped_on", sa.Date(), nullable=False),
        sa.Column("tapped_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("care_task_id", "product_id", "tapped_on", name="uq_pick_taps_day"),
    )
    op.create_table(
        "customer_notes",
        _key(),
        sa.Column("token", sa.String(), nullable=False),
        _link("member_id", "members.id"),
        _link("guide_id", "guides.id"),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("written_at", _MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("token"),
        sa.CheckConstraint("char_length(text) BETWEEN 1 AND 500", name="ck_customer_notes_text"),
    )
    op.create_index("ix_customer_notes_member", "customer_notes", ["member_id", "id"])


def _key() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False)


def _link(name: str, target: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), sa.ForeignKey(target), nullable=False)


def downgrade() -> None:
    for table in ("customer_notes", "pick_taps"):
        op.drop_table(table)
