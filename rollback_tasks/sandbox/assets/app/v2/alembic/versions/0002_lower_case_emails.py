"""lower case emails"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade():
    op.execute("UPDATE users SET email = lower(email)")


def downgrade():
    raise NotImplementedError("how the emails were spelt is not known any more")
