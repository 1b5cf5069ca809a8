"""The callback mode and previous token of an account; answers that follow their callback.

Revision: 0003, after: 0002.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_MODES = ("plain", "compatible", "safe")
_LATE = ("pending", "sending", "sent", "failed", "unknown")


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    _add_modes()
    _add_late_answers()
    op.drop_constraint("ck_grants_allowance", "grants", type_="check")
    op.create_check_constraint("ck_grants_allowance", "grants", "allowance >= 0")


def _add_modes() -> None:
    mode = sa.Enum(*_MODES, name="callbackmode", native_enum=False, length=32)
    op.add_column("accounts", sa.Column("mode", mode, nullable=False, server_default="safe"))
    op.alter_column("accounts", "mode", server_default=None)
    op.create_check_constraint("ck_accounts_mode", "accounts", _one_of("mode", _MODES))
    op.add_column("accounts", sa.Column("previous_token_sealed", sa.String(), nullable=True))


def _add_late_answers() -> None:
    late = sa.Enum(*_LATE, name="latestate", native_enum=False, length=32)
    table = "inbound_messages"
    op.add_column(table, sa.Column("late", late, nullable=True))
    op.add_column(
        table, sa.Column("late_attempts", sa.Integer(), nullable=False, server_default="0")
    )
    op.alter_column(table, "late_attempts", server_default=None)
    op.add_column(table, sa.Column("late_due_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column(table, sa.Column("late_failure", sa.String(), nullable=True))
    op.create_check_constraint("ck_inbound_messages_late", table, _one_of("late", _LATE))
    op.create_index(
        "ix_inbound_messages_late",
        table,
        ["id"],
        postgresql_where="late IN ('pending', 'sending')",
    )


def _one_of(column: str, values: tuple[str, ...]) -> str:
    return f"{column} IN ({', '.join(repr(value) for value in values)})"


def downgrade() -> None:
    op.execute("DELETE FROM grants WHERE allowance = 0")
    op.drop_constraint("ck_grants_allowance", "grants", type_="check")
    op.create_check_constraint("ck_grants_allowance", "grants", "allowance > 0")
    op.drop_index("ix_inbound_messages_late", table_name="inbound_messages")
    for column in ("late_failure", "late_due_at", "late_attempts", "late"):
        op.drop_column("inbound_messages", column)
    op.drop_column("accounts", "previous_token_sealed")
    op.drop_column("accounts", "mode")
