"""Nextech to Birdeye, declared in git: validate, plan, apply, drift, and the syncs themselves.

The map, highest row first; a part imports from its own row's own part and from rows below:

    __main__                                      python -m reconciler
    cli                                           click commands, no rules
    workflow                                      the use cases as plain functions
    declarations observe apply adopt sync sandbox web     the edges
    settings clock report clients store           what the edges stand on
    core                                          values in, values out; no I/O of any kind
    errors                                        the exception tree with its exit codes
"""

__version__ = "0.1.0"
