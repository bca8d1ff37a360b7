"""artists and albums"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade():
    op.create_table(
        "artist",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_artist")),
        sa.UniqueConstraint("name", name=op.f("uq_artist_name")))
    op.create_table(
        "album",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("title", sa.String, nullable=False),
        sa.Column("stock", sa.Integer, nullable=False),
        sa.Column("artist_id", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_album")),
        sa.ForeignKeyConstraint(
            ["artist_id"], ["artist.id"], ondelete="CASCADE",
            name=op.f("fk_album_artist_id_artist")))
    op.create_index(op.f("ix_album_artist_id"), "album", ["artist_id"])


def downgrade():
    op.drop_table("album")
    op.drop_table("artist")
