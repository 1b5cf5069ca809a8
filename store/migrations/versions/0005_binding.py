"""The tables of the binding: SMS codes, who bound which mobile, joining gifts, erased people.

Revision: 0005, after: 0004.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column(
        "members", sa.Column("birthday_set_at", sa.DateTime(timezone=True), nullable=True)
    )
    op.create_table(
        "sms_codes",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("identity_id", sa.BigInteger(), nullable=False),
        sa.Column("mobile_hash", sa.String(), nullable=False),
        sa.Column("code_hash", sa.String(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("tries BETWEEN 0 AND 5", name="ck_sms_codes_tries"),
        sa.ForeignKeyConstraint(["identity_id"], ["identities.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_sms_codes_identity", "sms_codes", ["identity_id", "asked_at"])
    op.create_index("ix_sms_codes_mobile", "sms_codes", ["mobile_hash", "asked_at"])
    op.create_table(
        "joining_offers",
        sa.Column("brand_id", sa.BigInteger(), nullable=False),
        sa.Column("coupon_plan_id", sa.BigInteger(), nullable=True),
        sa.Column("points", sa.Integer(), nullable=False),
        sa.CheckConstraint("points >= 0", name="ck_joining_offers_points"),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"]),
        sa.ForeignKeyConstraint(["coupon_plan_id"], ["coupon_plans.id"]),
        sa.PrimaryKeyConstraint("brand_id"),
    )
    op.create_index("ix_joining_offers_coupon_plan_id", "joining_offers", ["coupon_plan_id"])
    op.create_table(
        "bindings",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("member_id", sa.BigInteger(), nullable=True),
        sa.Column("mobile_hash", sa.String(), nullable=False),
        sa.Column("text_version", sa.String(), nullable=False),
        sa.Column("is_gifted", sa.Boolean(), nullable=False),
        sa.Column("bound_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["member_id"], ["members.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_bindings_member_id", "bindings", ["member_id"])
    op.create_index(
        "uq_bindings_gift", "bindings", ["mobile_hash"], unique=True, postgresql_where="is_gifted"
    )
    op.create_table(
        "silences",
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("stated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("fingerprint"),
    )


def downgrade() -> None:
    op.drop_table("silences")
    op.drop_table("bindings")
    op.drop_table("joining_offers")
    op.drop_table("sms_codes")
    op.drop_column("members", "birthday_set_at")
