"""Scenes: the brand's QR codes, and who came by them.

Revision: 0004, after: 0003.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_SUBJECT = (
    "(kind = 'shop') = (shop_id IS NOT NULL)"
    " AND (kind = 'guide') = (guide_id IS NOT NULL)"
    " AND (kind = 'campaign') = (campaign_id IS NOT NULL)"
)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    _make_scenes()
    _make_visits()


def downgrade() -> None:
    op.drop_table("scene_visits")
    op.drop_table("scenes")


def _make_scenes() -> None:
    op.create_table(
        "scenes",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("token", sa.String(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("shop_id", sa.BigInteger(), nullable=True),
        sa.Column("guide_id", sa.BigInteger(), nullable=True),
        sa.Column("campaign_id", sa.BigInteger(), nullable=True),
        sa.Column("life_days", sa.Integer(), nullable=True),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("ticket", sa.String(), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("failure", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("retry_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("token"),
        sa.UniqueConstraint("account_id", "shop_id", name="uq_scenes_shop"),
        sa.UniqueConstraint("account_id", "guide_id", name="uq_scenes_guide"),
        sa.UniqueConstraint("account_id", "campaign_id", name="uq_scenes_campaign"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"]),
        sa.ForeignKeyConstraint(["shop_id"], ["shops.id"]),
        sa.ForeignKeyConstraint(["guide_id"], ["guides.id"]),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"]),
        sa.CheckConstraint("kind IN ('shop', 'guide', 'campaign')", name="ck_scenes_kind"),
        sa.CheckConstraint("state IN ('wanted', 'ready', 'refused')", name="ck_scenes_state"),
        sa.CheckConstraint(_SUBJECT, name="ck_scenes_subject"),
        sa.CheckConstraint("state <> 'ready' OR url <> ''", name="ck_scenes_ready"),
        sa.CheckConstraint("life_days BETWEEN 1 AND 30", name="ck_scenes_life"),
    )
    op.create_index("ix_scenes_wanted", "scenes", ["retry_at"], postgresql_where="state = 'wanted'")


def _make_visits() -> None:
    op.create_table(
        "scene_visits",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("scene_id", sa.BigInteger(), nullable=False),
        sa.Column("identity_id", sa.BigInteger(), nullable=True),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.ForeignKeyConstraint(["scene_id"], ["scenes.id"]),
        sa.ForeignKeyConstraint(["identity_id"], ["identities.id"], ondelete="SET NULL"),
        sa.CheckConstraint("kind IN ('follow', 'scan')", name="ck_scene_visits_kind"),
    )
    op.create_index("ix_scene_visits_identity_id", "scene_visits", ["identity_id"])
    op.create_index("ix_scene_visits_scene_at", "scene_visits", ["scene_id", "at"])
