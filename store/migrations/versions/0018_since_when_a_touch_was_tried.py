"""Since when the platform was tried with a touch: not what the gate made it wait.

Revision: 0018, after: 0017.
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column("touches", sa.Column("tried_since", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("touches", "tried_since")
