"""Guides and customers as WeCom has them: contacts, tags, transfers, departures, cards.

Revision: 0011, after: 0010.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)
_SYNCS = ("directory", "contacts", "tags", "broadcasts")
_ENDS = ("guide", "customer", "transfer", "platform")
_TRANSFERS = ("planned", "asking", "waiting", "done", "refused", "full", "failed")
_OPEN_TRANSFER = "state IN ('planned', 'asking', 'waiting')"
_UNFINISHED = "finished_at IS NULL"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column(
        "scenes",
        sa.Column("userids", postgresql.JSONB(), nullable=False, server_default="[]"),
    )
    op.alter_column("scenes", "userids", server_default=None)
    op.create_index(
        "ix_inbound_messages_received",
        "inbound_messages",
        ["id"],
        postgresql_where="state = 'received'",
    )
    _make_directory()
    _make_sync_runs()
    _make_corp_tags()
    _make_contacts()
    _make_departures()
    _make_transfers()
    _make_cards()


def _make_directory() -> None:
    op.create_table(
        "departments",
        _key(),
        sa.Column("corp_id", sa.String(), nullable=False),
        sa.Column("department_id", sa.BigInteger(), nullable=False),
        _link("shop_id", "shops"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("corp_id", "department_id", name="uq_departments_department"),
    )
    op.create_index("ix_departments_shop_id", "departments", ["shop_id"])
    op.create_table(
        "directory_entries",
        _link("guide_id", "guides"),
        sa.Column("seen_at", _MOMENT, nullable=True),
        sa.Column("missing_since", _MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("guide_id"),
    )


def _make_sync_runs() -> None:
    op.create_table(
        "sync_runs",
        _key(),
        _link("account_id", "accounts"),
        sa.Column("kind", _states("synckind", _SYNCS), nullable=False),
        sa.Column("position", postgresql.JSONB(), nullable=False),
        sa.Column("counts", postgresql.JSONB(), nullable=False),
        sa.Column("failure", sa.String(), nullable=False),
        sa.Column("began_at", _MOMENT, nullable=False),
        sa.Column("leased_until", _MOMENT, nullable=True),
        sa.Column("finished_at", _MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.CheckConstraint(_one_of("kind", _SYNCS), name="ck_sync_runs_kind"),
    )
    op.create_index(
        "uq_sync_runs_open",
        "sync_runs",
        ["account_id", "kind"],
        unique=True,
        postgresql_where=_UNFINISHED,
    )
    op.create_index("ix_sync_runs_newest", "sync_runs", ["account_id", "kind", "began_at"])


def _make_corp_tags() -> None:
    op.create_table(
        "corp_tags",
        _key(),
        _link("account_id", "accounts"),
        _link("tag_id", "tags"),
        sa.Column("corp_tag_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("gone_at", _MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("account_id", "corp_tag_id", name="uq_corp_tags_theirs"),
        sa.UniqueConstraint("account_id", "tag_id", name="uq_corp_tags_ours"),
    )
    op.create_index("ix_corp_tags_tag_id", "corp_tags", ["tag_id"])


def _make_contacts() -> None:
    op.create_table(
        "contacts",
        _key(),
        _link("guide_id", "guides"),
        _link("identity_id", "identities", ondelete="CASCADE"),
        sa.Column("changed_at", _MOMENT, nullable=True),
        sa.Column("ended_by", _states("endedby", _ENDS), nullable=True),
        sa.Column("is_attributed", sa.Boolean(), nullable=False),
        sa.Column("nickname", sa.String(), nullable=False),
        sa.Column("remark", sa.String(), nullable=False),
        sa.Column("wanted_remark", sa.String(), nullable=True),
        sa.Column("corp_tag_ids", postgresql.JSONB(), nullable=False),
        sa.Column("seen_at", _MOMENT, nullable=True),
        sa.Column("due_at", _MOMENT, nullable=True),
        sa.Column("leased_until", _MOMENT, nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("failure", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("guide_id", "identity_id", name="uq_contacts_pair"),
        sa.CheckConstraint(_one_of("ended_by", _ENDS), name="ck_contacts_ended_by"),
    )
    op.create_index("ix_contacts_identity_id", "contacts", ["identity_id"])
    op.create_index(
        "ix_contacts_due", "contacts", ["due_at"], postgresql_where="due_at IS NOT NULL"
    )


def _make_departures() -> None:
    op.create_table(
        "departures",
        _key(),
        _link("guide_id", "guides"),
        _link("successor_id", "guides", nullable=True),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("began_at", _MOMENT, nullable=False),
        sa.Column("finished_at", _MOMENT, nullable=True),
        *(
            sa.Column(name, sa.Integer(), nullable=False)
            for name in ("members", "tasks", "contacts", "nobody")
        ),
        sa.Column("last_contact_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_departures_guide_id", "departures", ["guide_id"])
    op.create_index(
        "uq_departures_open",
        "departures",
        ["guide_id"],
        unique=True,
        postgresql_where=_UNFINISHED,
    )
    op.create_index("ix_departures_open", "departures", ["id"], postgresql_where=_UNFINISHED)


def _make_transfers() -> None:
    op.create_table(
        "transfers",
        _key(),
        _link("contact_id", "contacts", ondelete="CASCADE"),
        _link("giver_id", "guides"),
        _link("taker_id", "guides"),
        sa.Column("has_left", sa.Boolean(), nullable=False),
        sa.Column("state", _states("transferstate", _TRANSFERS), nullable=False),
        sa.Column("failure", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("planned_at", _MOMENT, nullable=False),
        sa.Column("asked_at", _MOMENT, nullable=True),
        sa.Column("due_at", _MOMENT, nullable=True),
        sa.Column("settled_at", _MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.CheckConstraint(_one_of("state", _TRANSFERS), name="ck_transfers_state"),
        sa.CheckConstraint(f"({_OPEN_TRANSFER}) = (due_at IS NOT NULL)", name="ck_transfers_due"),
    )
    op.create_index("ix_transfers_contact_id", "transfers", ["contact_id"])
    op.create_index("ix_transfers_giver_id", "transfers", ["giver_id"])
    op.create_index(
        "uq_transfers_open",
        "transfers",
        ["contact_id"],
        unique=True,
        postgresql_where=_OPEN_TRANSFER,
    )
    op.create_index("ix_transfers_due", "transfers", ["due_at"], postgresql_where=_OPEN_TRANSFER)


def _make_cards() -> None:
    op.create_table(
        "cards",
        _key(),
        sa.Column("task_id", sa.String(), nullable=False),
        sa.Column("msgid", sa.String(), nullable=False),
        sa.Column("response_code", sa.String(), nullable=False),
        sa.Column("code_until", _MOMENT, nullable=True),
        sa.Column("shown", sa.String(), nullable=False),
        sa.Column("sent_at", _MOMENT, nullable=False),
        sa.Column("closed_at", _MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("task_id"),
    )


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
    for table in (
        "cards",
        "transfers",
        "departures",
        "contacts",
        "corp_tags",
        "sync_runs",
        "directory_entries",
        "departments",
    ):
        op.drop_table(table)
    op.drop_index("ix_inbound_messages_received", "inbound_messages")
    op.drop_column("scenes", "userids")
