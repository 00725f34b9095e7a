"""The use cases as plain functions over clients, store and clock. The command line is a skin over them.

Belongs here: opening what a use case needs, and the order of its steps. Does not belong here: rules (``core``),
rendering (``report``), options and exit (``cli``). May import every row below.

    session    settings -> open client, store and keys
    planning   declarations, records and live state -> a plan
    applying   a plan -> writes, under the lock
"""
