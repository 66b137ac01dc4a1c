"""nicknames"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade():
    op.add_column("users", sa.Column("nickname", sa.Text))
    op.execute("UPDATE users SET nickname = 'pile' || id WHERE id % 10 <> 0")


def downgrade():
    op.drop_column("users", "nickname")
