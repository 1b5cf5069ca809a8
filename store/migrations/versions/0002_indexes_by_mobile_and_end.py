"""Indexes for what is looked for by mobile, and by its end.

Revision: 0002, after: 0001.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.create_index(
        "ix_members_mobile", "members", ["mobile"], postgresql_where="mobile IS NOT NULL"
    )
    op.create_index(
        "ix_coupons_ends", "coupons", ["expires_at"], postgresql_where="state = 'available'"
    )
    op.create_index(
        "ix_points_lots_ends", "points_lots", ["expires_at"], postgresql_where="remaining > 0"
    )


def downgrade() -> None:
    op.drop_index("ix_points_lots_ends", table_name="points_lots")
    op.drop_index("ix_coupons_ends", table_name="coupons")
    op.drop_index("ix_members_mobile", table_name="members")
