"""Every channel of a touch, its attempts; circuits; letters that wait for a person.

Revision: 0008, after: 0007.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_FIRST = ("wechat_service", "wechat_notice", "wecom_broadcast", "wecom_app")
_NEW = ("wechat_template", "wecom_sidebar", "wecom_welcome", "sms")
_CHANNELS = (*_FIRST, *_NEW)
_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    _allow_channels(*_FIRST, *_NEW)
    op.add_column(
        "touches", sa.Column("attempts", sa.Integer(), nullable=False, server_default="0")
    )
    op.create_index(
        "ix_touches_provider",
        "touches",
        ["channel", "provider_id"],
        postgresql_where="provider_id IS NOT NULL",
    )
    op.create_index("ix_touches_reserved", "touches", ["id"], postgresql_where="state = 'reserved'")
    _make_circuits()
    _make_letters()


def _make_circuits() -> None:
    states = ("closed", "open", "trying")
    op.create_table(
        "circuits",
        _key(),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("channel", _states("channel", _CHANNELS), nullable=False),
        sa.Column("state", _states("circuitstate", states), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("openings", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("retry_at", _MOMENT, nullable=True),
        sa.Column("changed_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("account", "channel", name="uq_circuits_way"),
        sa.CheckConstraint(_one_of("state", states), name="ck_circuits_state"),
        sa.CheckConstraint(_one_of("channel", _CHANNELS), name="ck_circuits_channel"),
        sa.CheckConstraint("(state = 'closed') = (retry_at IS NULL)", name="ck_circuits_retry"),
    )


def _make_letters() -> None:
    states = ("open", "retried", "confirmed", "dropped", "settled")
    touch = sa.ForeignKey("touches.id")
    op.create_table(
        "letters",
        _key(),
        sa.Column("token", sa.String(), nullable=False),
        sa.Column("touch_id", sa.BigInteger(), touch, nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("state", _states("letterstate", states), nullable=False),
        sa.Column("opened_at", _MOMENT, nullable=False),
        sa.Column("closed_at", _MOMENT, nullable=True),
        sa.Column("closed_by", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("token"),
        sa.UniqueConstraint("touch_id", name="uq_letters_touch"),
        sa.CheckConstraint(_one_of("state", states), name="ck_letters_state"),
        sa.CheckConstraint("(state = 'open') = (closed_at IS NULL)", name="ck_letters_closed"),
    )
    op.create_index("ix_letters_open", "letters", ["id"], postgresql_where="state = 'open'")


def _allow_channels(*names: str) -> None:
    for table in ("touches", "grants"):
        op.drop_constraint(f"ck_{table}_channel", table, type_="check")
        op.create_check_constraint(f"ck_{table}_channel", table, _one_of("channel", names))


def _key() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False)


def _states(name: str, values: tuple[str, ...]) -> sa.Enum:
    return sa.Enum(*values, name=name, native_enum=False, length=32)


def _one_of(column: str, values: tuple[str, ...]) -> str:
    return f"{column} IN ({', '.join(repr(value) for value in values)})"


def downgrade() -> None:
    for table in ("letters", "circuits"):
        op.drop_table(table)
    for index in ("ix_touches_reserved", "ix_touches_provider"):
        op.drop_index(index, "touches")
    op.drop_column("touches", "attempts")
    for table in ("touches", "grants"):
        channel: sa.ColumnClause[str] = sa.column("channel")
        op.execute(sa.delete(sa.table(table, channel)).where(channel.not_in(_FIRST)))
    _allow_channels(*_FIRST)
