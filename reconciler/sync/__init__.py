"""The runner's work: from a practice's visits to review requests, once each.

Belongs here: reading Nextech for a pass, recording decisions, sending what is planned, settling what nobody knows, the
passes themselves, the planner and the engine. Does not belong here: what is decided (``core.decide``), tables
(``store``), HTTP (``clients``), the command line. May import: its own modules, ``store``, ``clients``, ``core``,
``errors``; time and sleep are passed in.

    pseudonyms  keyed names of practices, appointments and patients
    extract     what a pass reads from Nextech, and how few requests that takes
    opt_outs    who opted out, from Birdeye's feed
    passes      a pass from its slot to its report
    deliver     planned rows are sent, at most once each
    outbox      the thread that groups durable commits
    settle      finds out about check-ins whose answer never came
    reminders   after the review requests of a pass: who takes part, and how it is left
    reminder_upserts   Birdeye is told of the practice's appointments
    reminder_requests  what patients asked for through Birdeye is done in Nextech, once
    engine      the port that carries out passes, and the engine for one machine
"""
