"""The tables of the results store, and the version row that guards them."""

from __future__ import annotations

import sqlalchemy as sa

from lossnets.errors import StoreError

SCHEMA_VERSION = 1

metadata = sa.MetaData()

meta = sa.Table(
    "lossnets_meta",
    metadata,
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

runs = sa.Table(
    "lossnets_runs",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("identity", sa.String(64), nullable=False, index=True),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("status", sa.String(16), nullable=False, index=True),
    sa.Column("config", sa.Text, nullable=False),
    sa.Column("loss", sa.Text, nullable=False),  # a copy from config, so that plain SQL can filter
    sa.Column("benchmark", sa.Text, nullable=False),  # likewise
    sa.Column("owner", sa.Text),
    sa.Column("lease_until", sa.Float),
    sa.Column("started", sa.Float, nullable=False),
    sa.Column("seconds", sa.Float, nullable=False, default=0.0),
    sa.Column("group_size", sa.Integer, nullable=False, default=1),
    sa.Column("environment", sa.Text, nullable=False, default="{}"),
    sa.Column("facts", sa.Text, nullable=False, default="{}"),
    sa.Column("error_type", sa.Text),
    sa.Column("error_message", sa.Text),
    sa.UniqueConstraint("identity", "attempt"),  # two processes cannot start one attempt
)

scores = sa.Table(
    "lossnets_scores",
    metadata,
    sa.Column("run_id", sa.ForeignKey("lossnets_runs.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("split", sa.Text, nullable=False),
    sa.Column("value", sa.Double),
    sa.Column("unit", sa.Text, nullable=False),
    sa.Column("higher_is_better", sa.Boolean, nullable=False),
    sa.Column("low", sa.Double),
    sa.Column("high", sa.Double),
    sa.Column("n", sa.Integer, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
)

items = sa.Table(
    "lossnets_items",
    metadata,
    sa.Column("run_id", sa.ForeignKey("lossnets_runs.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("names", sa.Text, nullable=False),
    sa.Column("arrays", sa.LargeBinary, nullable=False),  # a compressed .npz
)


def prepare(connection: sa.Connection, where: str) -> None:
    """Create the tables where there are none; refuse tables that this version does not understand.

    Runs inside the caller's transaction, which must hold a lock against a second creator.

    Raises:
        StoreError: the database belongs to another program, or to a newer lossnets.
    """
    names = sa.inspect(connection).get_table_names()
    if meta.name not in names:
        if names and connection.dialect.name == "sqlite":
            raise StoreError(
                f"{where} is a database of another program "
                f"(it has the tables {', '.join(sorted(names)[:5])}). Give another path for the store."
            )
        metadata.create_all(connection)
        connection.execute(meta.insert().values(key="schema", value=str(SCHEMA_VERSION)))
        return
    check(connection, where)


def check(connection: sa.Connection, where: str) -> None:
    """Refuse a database that is no results store, or one of a version that this one does not read.

    Raises:
        StoreError: the database belongs to another program, or to a newer lossnets.
    """
    if meta.name not in sa.inspect(connection).get_table_names():
        raise StoreError(f"{where} is a database, but no results store of lossnets. Give another path.")
    found = connection.scalar(sa.select(meta.c.value).where(meta.c.key == "schema"))
    if found != str(SCHEMA_VERSION):
        raise StoreError(
            f"{where} has results schema {found}; this lossnets reads schema {SCHEMA_VERSION}. "
            "Upgrade it (pip install -U 'lossnets[bench]'), or give another path for the store."
        )
