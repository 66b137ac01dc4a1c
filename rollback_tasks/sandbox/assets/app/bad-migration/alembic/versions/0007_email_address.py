"""call the email an email address"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade():
    op.alter_column("users", "email", new_column_name="email_address")


def downgrade():
    op.alter_column("users", "email_address", new_column_name="email")
