"""One index of a member's touches instead of two: by member alone, and by member and counted time.

Every look at a member's touches goes by one of them, and every new touch had to enter both.

Revision: 0017, after: 0015.
"""

from alembic import op

revision = "0017"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.create_index("ix_touches_member", "touches", ["member_id", "counted_at"])
    op.drop_index("ix_touches_counted", "touches")
    op.drop_index("ix_touches_member_id", "touches")


def downgrade() -> None:
    op.create_index("ix_touches_member_id", "touches", ["member_id"])
    op.create_index(
        "ix_touches_counted",
        "touches",
        ["member_id", "counted_at"],
        postgresql_where="state IN ('reserved', 'sending', 'sent', 'unknown')",
    )
    op.drop_index("ix_touches_member", "touches")
