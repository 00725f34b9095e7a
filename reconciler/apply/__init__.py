"""Carries out a plan: which writes, in which order, with an intent before each and an outcome after.

Belongs here: the order of writes, the journal protocol, reading back, putting in force. Does not belong here: what
differs (``core``), how a request is sent (``clients``), tables (``store``). Takes client, store and clock as arguments.

    schedule   changes of one business -> ordered writes; pure
    settle     what open intents of an earlier run came to
    business   one business, serially, in a thread of its own
    run        all businesses, bounded, past failures, until a signal
"""
