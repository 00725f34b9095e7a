"""What is remembered between runs: receipts, configurations in force, journal, audit chain, locks, keys.

Belongs here: tables, their migrations, and functions that turn rows into values of ``core.records`` and back, on SQLite
and PostgreSQL alike. Does not belong here: what a record means, HTTP, the environment, the clock. May import: ``core``,
``errors``, SQLAlchemy, Alembic, cryptography.

    database    open_store, Store: connections, transactions, clear refusals
    schema      the tables
    migrations  how a database gets there
    receipts    what was last sent, per object
    in_force    the configuration that the runner works from, with its history
    journal     intents and outcomes of writes, and runs
    drift       since when a difference has been seen
    counts      weekly counts per location
    leases      locks with a heartbeat and a fencing token
    audit       the hash chain
    keys        key files, check values, rotation
    crypto      fingerprints and sealed payloads
    maintenance check and copy
"""
