"""Both remote APIs emulated on loopback: functions from request to response over a world, put on a socket.

Belongs here: the emulated APIs, their data, dialects, faults and the server. Shares no code with ``clients``, so that a
misreading of an API cannot hide in both. May import only ``errors`` and the standard library.
"""
