"""A care task's whole life: shop tasks, pauses, leave, launches in chunks, commission plans.

Revision: 0012, after: 0011.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)
_OLD_STATES = (
    *("planned", "suppressed", "assigned", "seen", "edited", "sending", "sent", "delivered"),
    *("replied", "converted", "skipped", "expired", "fell_back", "failed"),
)
_OLD_DUE = ("planned", "assigned", "seen", "edited")
_TO = ("carer", "server", "split")
_ENTRIES = ("earned", "refunded", "proven")


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    _allow("care_tasks", "state", *_OLD_STATES, "snoozed", "reassigned")
    _allow("campaigns", "mode", "guides", "direct", "shops")
    _extend_tasks()
    _extend_campaigns()
    _make_chunks()
    _make_leaves()
    _share_commissions()


def _extend_tasks() -> None:
    op.add_column(
        "care_tasks",
        sa.Column("shop_id", sa.BigInteger(), sa.ForeignKey("shops.id"), nullable=True),
    )
    for name in ("waits_until", "fallback_until"):
        op.add_column("care_tasks", sa.Column(name, _MOMENT, nullable=True))
    _index_due(*_OLD_DUE, "snoozed", "reassigned")
    op.create_index(
        "ix_care_tasks_fallback",
        "care_tasks",
        ["fallback_until"],
        postgresql_where="state = 'fell_back' AND fallback_until IS NOT NULL",
    )
    op.create_index(
        "ix_care_tasks_shop",
        "care_tasks",
        ["shop_id"],
        postgresql_where="guide_id IS NULL AND shop_id IS NOT NULL",
    )


def _extend_campaigns() -> None:
    # Launches that were under way begin again; tasks that are there stay the only ones.
    op.drop_column("campaigns", "launch_cursor")
    numbers = {"tasks_planned": 0, "tasks_made": 0, "fallback_hours": 72}
    for name, default in numbers.items():
        op.add_column(
            "campaigns",
            sa.Column(name, sa.Integer(), nullable=False, server_default=str(default)),
        )
        op.alter_column("campaigns", name, server_default=None)
    op.add_column("campaigns", sa.Column("tasks_per_day", sa.Integer(), nullable=True))
    op.add_column("campaigns", sa.Column("commission_cap_fen", sa.BigInteger(), nullable=True))
    kind = sa.Enum(*_TO, name="commissionto", native_enum=False, length=32)
    op.add_column(
        "campaigns", sa.Column("commission_to", kind, nullable=False, server_default="carer")
    )
    op.alter_column("campaigns", "commission_to", server_default=None)
    for name, rule in {
        "fallback": "fallback_hours BETWEEN 1 AND 720",
        "load": "tasks_per_day >= 1",
        "commission_cap": "commission_cap_fen >= 0",
        "commission_to": _one_of("commission_to", _TO),
    }.items():
        op.create_check_constraint(f"ck_campaigns_{name}", "campaigns", rule)


def _make_chunks() -> None:
    op.create_table(
        "launch_chunks",
        sa.Column("campaign_id", sa.BigInteger(), sa.ForeignKey("campaigns.id"), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("first_id", sa.BigInteger(), nullable=False),
        sa.Column("last_id", sa.BigInteger(), nullable=False),
        sa.Column("done_at", _MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("campaign_id", "number"),
        sa.CheckConstraint("first_id <= last_id", name="ck_launch_chunks_order"),
    )


def _make_leaves() -> None:
    op.create_table(
        "leaves",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("guide_id", sa.BigInteger(), sa.ForeignKey("guides.id"), nullable=False),
        sa.Column("since", _MOMENT, nullable=False),
        sa.Column("until", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.CheckConstraint("since < until", name="ck_leaves_order"),
    )
    op.create_index("ix_leaves_guide_id", "leaves", ["guide_id"])


def _share_commissions() -> None:
    op.drop_constraint("commissions_attribution_id_key", "commissions", type_="unique")
    op.create_unique_constraint(
        "uq_commissions_guide", "commissions", ["attribution_id", "guide_id"]
    )
    kind = sa.Enum(*_ENTRIES, name="entryreason", native_enum=False, length=32)
    op.create_table(
        "commission_entries",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column(
            "commission_id", sa.BigInteger(), sa.ForeignKey("commissions.id"), nullable=False
        ),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("reason", kind, nullable=False),
        sa.Column("source_id", sa.String(), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint(
            "commission_id", "reason", "source_id", name="uq_commission_entries_source"
        ),
        sa.CheckConstraint(_one_of("reason", _ENTRIES), name="ck_commission_entries_reason"),
    )
    # What was earned before there was a ledger stands in it as one entry.
    op.execute(
        "INSERT INTO commission_entries (commission_id, amount_fen, reason, source_id, created_at)"
        " SELECT id, amount_fen, 'earned', '', created_at FROM commissions WHERE amount_fen > 0"
    )


def _index_due(*states: str) -> None:
    op.drop_index("ix_care_tasks_due", table_name="care_tasks")
    op.create_index(
        "ix_care_tasks_due",
        "care_tasks",
        ["deadline_at"],
        postgresql_where=_one_of("state", states),
    )


def _allow(table: str, column: str, *values: str) -> None:
    op.drop_constraint(f"ck_{table}_{column}", table, type_="check")
    op.create_check_constraint(f"ck_{table}_{column}", table, _one_of(column, values))


def _one_of(column: str, values: tuple[str, ...]) -> str:
    return f"{column} IN ({', '.join(repr(value) for value in values)})"


def downgrade() -> None:
    op.drop_table("commission_entries")
    op.execute(
        "DELETE FROM commissions c USING commissions other"
        " WHERE other.attribution_id = c.attribution_id AND other.id < c.id"
    )
    op.drop_constraint("uq_commissions_guide", "commissions", type_="unique")
    op.create_unique_constraint("commissions_attribution_id_key", "commissions", ["attribution_id"])
    op.drop_table("leaves")
    op.drop_table("launch_chunks")
    for name in ("commission_to", "commission_cap_fen", "tasks_per_day", "fallback_hours"):
        op.drop_column("campaigns", name)
    for name in ("tasks_made", "tasks_planned"):
        op.drop_column("campaigns", name)
    op.add_column(
        "campaigns",
        sa.Column("launch_cursor", sa.BigInteger(), nullable=False, server_default="0"),
    )
    op.alter_column("campaigns", "launch_cursor", server_default=None)
    op.execute("UPDATE campaigns SET mode = 'guides' WHERE mode = 'shops'")
    _allow("campaigns", "mode", "guides", "direct")
    op.drop_index("ix_care_tasks_shop", table_name="care_tasks")
    op.drop_index("ix_care_tasks_fallback", table_name="care_tasks")
    op.execute("UPDATE care_tasks SET state = 'assigned' WHERE state IN ('snoozed', 'reassigned')")
    _index_due(*_OLD_DUE)
    for name in ("fallback_until", "waits_until", "shop_id"):
        op.drop_column("care_tasks", name)
    _allow("care_tasks", "state", *_OLD_STATES)
