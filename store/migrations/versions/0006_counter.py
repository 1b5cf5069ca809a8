"""The tables of the counter: points shop, where a coupon counts, what tills redeemed.

Revision: 0006, after: 0005.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_STANDING = "undone_at IS NULL"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    _make_points_shop()
    _make_plan_shops()
    _make_till_redemptions()


def downgrade() -> None:
    op.drop_table("till_redemptions")
    op.drop_table("coupon_plan_shops")
    op.drop_table("points_shop_redemptions")
    op.drop_table("points_shop_items")


def _make_points_shop() -> None:
    op.create_table(
        "points_shop_items",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("plan_id", sa.BigInteger(), nullable=False),
        sa.Column("points", sa.Integer(), nullable=False),
        sa.Column("stock", sa.Integer(), nullable=True),
        sa.Column("sold", sa.Integer(), nullable=False),
        sa.Column("per_member_limit", sa.Integer(), nullable=True),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("code"),
        sa.ForeignKeyConstraint(["plan_id"], ["coupon_plans.id"]),
        sa.CheckConstraint("points > 0", name="ck_points_shop_items_points"),
        sa.CheckConstraint("per_member_limit > 0", name="ck_points_shop_items_limit"),
        sa.CheckConstraint(
            "sold >= 0 AND (stock IS NULL OR sold <= stock)", name="ck_points_shop_items_stock"
        ),
    )
    op.create_index("ix_points_shop_items_plan_id", "points_shop_items", ["plan_id"])
    op.create_table(
        "points_shop_redemptions",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("item_id", sa.BigInteger(), nullable=False),
        sa.Column("token", sa.String(), nullable=False),
        sa.Column("entry_id", sa.BigInteger(), nullable=False),
        sa.Column("coupon_id", sa.BigInteger(), nullable=False),
        sa.Column("redeemed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("token"),
        sa.UniqueConstraint("entry_id"),
        sa.UniqueConstraint("coupon_id"),
        sa.ForeignKeyConstraint(["item_id"], ["points_shop_items.id"]),
        sa.ForeignKeyConstraint(["entry_id"], ["points_entries.id"]),
        sa.ForeignKeyConstraint(["coupon_id"], ["coupons.id"]),
    )
    op.create_index("ix_points_shop_redemptions_item_id", "points_shop_redemptions", ["item_id"])


def _make_plan_shops() -> None:
    op.create_table(
        "coupon_plan_shops",
        sa.Column("plan_id", sa.BigInteger(), nullable=False),
        sa.Column("shop_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("plan_id", "shop_id"),
        sa.ForeignKeyConstraint(["plan_id"], ["coupon_plans.id"]),
        sa.ForeignKeyConstraint(["shop_id"], ["shops.id"]),
    )
    op.create_index("ix_coupon_plan_shops_shop_id", "coupon_plan_shops", ["shop_id"])


def _make_till_redemptions() -> None:
    op.create_table(
        "till_redemptions",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("number", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("reference", sa.String(), nullable=False),
        sa.Column("coupon_id", sa.BigInteger(), nullable=True),
        sa.Column("amount_fen", sa.BigInteger(), nullable=True),
        sa.Column("discount_fen", sa.BigInteger(), nullable=True),
        sa.Column("shop_id", sa.BigInteger(), nullable=True),
        sa.Column("entry_id", sa.BigInteger(), nullable=True),
        sa.Column("points", sa.Integer(), nullable=True),
        sa.Column("card_code_hash", sa.String(), nullable=True),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("undone_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("number"),
        sa.UniqueConstraint("source", "kind", "key", name="uq_till_redemptions_key"),
        sa.ForeignKeyConstraint(["coupon_id"], ["coupons.id"]),
        sa.ForeignKeyConstraint(["shop_id"], ["shops.id"]),
        sa.ForeignKeyConstraint(["entry_id"], ["points_entries.id"]),
        sa.CheckConstraint("kind IN ('coupon', 'points')", name="ck_till_redemptions_kind"),
        sa.CheckConstraint(
            "(kind = 'coupon') = (coupon_id IS NOT NULL) AND (kind = 'points') ="
            " (entry_id IS NOT NULL AND card_code_hash IS NOT NULL)",
            name="ck_till_redemptions_what",
        ),
        sa.CheckConstraint(
            "discount_fen BETWEEN 0 AND amount_fen", name="ck_till_redemptions_discount"
        ),
    )
    _make_standing("reference", "source", "kind", "reference")
    _make_standing("coupon", "coupon_id")
    _make_standing("card", "card_code_hash")


def _make_standing(name: str, *columns: str) -> None:
    """What may be there once among the redemptions that were not taken back."""
    op.create_index(
        f"uq_till_redemptions_{name}",
        "till_redemptions",
        list(columns),
        unique=True,
        postgresql_where=_STANDING,
    )
