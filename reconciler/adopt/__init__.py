"""Live state to a declaration whose plan is empty.

Belongs here: what of an observation can be declared, in which words, what is said of the rest, and the receipts that an
import records. Does not belong here: reading the API, files, the store, printing. Takes observations as arguments. May
import ``core``, ``report``.
"""
