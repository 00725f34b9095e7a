"""The pure core: values in, values out.

Belongs here: what a declaration means, what differs, what a plan holds, what a sync decides. Does not belong here:
clocks, files, sockets, databases, environment, logging, random numbers. May import: pydantic, deepdiff and the short
list of the standard library that ``tests/test_architecture.py`` names.
"""
