"""People of a region and of HQ stand at the workbench, too.

Revision: 0013, after: 0012.
"""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    _allow("guide", "manager", "region", "hq")


def downgrade() -> None:
    op.execute("UPDATE guides SET role = 'manager' WHERE role IN ('region', 'hq')")
    _allow("guide", "manager")


def _allow(*roles: str) -> None:
    op.drop_constraint("ck_guides_role", "guides", type_="check")
    values = ", ".join(repr(role) for role in roles)
    op.create_check_constraint("ck_guides_role", "guides", f"role IN ({values})")
