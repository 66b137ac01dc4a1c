"""finished threads"""

import sqlalchemy as sa
from alembic import op

revision = "0003a"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade():
    op.add_column("threads", sa.Column("is_finished", sa.Boolean, nullable=False, server_default=sa.false()))


def downgrade():
    op.drop_column("threads", "is_finished")
