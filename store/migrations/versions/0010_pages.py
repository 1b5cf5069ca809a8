"""Roles of operators, drafts of policies with their replays, touches by the time of their ask.

Revision: 0010, after: 0009.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_ROLES = ("viewer", "operator", "admin")
_REPLAY_STATES = ("running", "done")
_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    _give_roles()
    _make_drafts()
    _make_replays()
    # A few pages an entry, for touches come in the order of their asks; costs an insert nothing.
    op.create_index("ix_touches_asked", "touches", ["asked_at"], postgresql_using="brin")


def _give_roles() -> None:
    """Whoever could do everything still can."""
    role: sa.Column[str] = sa.Column(
        "role", _states("operatorrole", _ROLES), nullable=False, server_default="admin"
    )
    op.add_column("operators", role)
    op.alter_column("operators", "role", server_default=None)
    op.create_check_constraint("ck_operators_role", "operators", _one_of("role", _ROLES))


def _make_drafts() -> None:
    op.create_table(
        "policy_drafts",
        _key(),
        sa.Column("token", sa.String(), nullable=False),
        sa.Column("base_version", sa.Integer(), nullable=False),
        sa.Column("rules", postgresql.JSONB(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("changed_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("token"),
    )


def _make_replays() -> None:
    draft = sa.ForeignKey("policy_drafts.id", ondelete="CASCADE")
    op.create_table(
        "policy_replays",
        _key(),
        sa.Column("draft_id", sa.BigInteger(), draft, nullable=False),
        sa.Column("state", _states("replaystate", _REPLAY_STATES), nullable=False),
        sa.Column("since", _MOMENT, nullable=False),
        sa.Column("until", _MOMENT, nullable=False),
        sa.Column("cursor", sa.BigInteger(), nullable=False),
        sa.Column("members_done", sa.Integer(), nullable=False),
        sa.Column("members_total", sa.Integer(), nullable=False),
        sa.Column("cells", postgresql.JSONB(), nullable=False),
        sa.Column("shadows", postgresql.JSONB(), nullable=False),
        sa.Column("examples", postgresql.JSONB(), nullable=False),
        sa.Column("started_at", _MOMENT, nullable=False),
        sa.Column("finished_at", _MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("draft_id"),
        sa.CheckConstraint(_one_of("state", _REPLAY_STATES), name="ck_policy_replays_state"),
        sa.CheckConstraint("since < until", name="ck_policy_replays_span"),
    )


def _key() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False)


def _states(name: str, values: tuple[str, ...]) -> sa.Enum:
    return sa.Enum(*values, name=name, native_enum=False, length=32)


def _one_of(column: str, values: tuple[str, ...]) -> str:
    return f"{column} IN ({', '.join(repr(value) for value in values)})"


def downgrade() -> None:
    op.drop_index("ix_touches_asked", "touches")
    for table in ("policy_replays", "policy_drafts"):
        op.drop_table(table)
    op.drop_column("operators", "role")
