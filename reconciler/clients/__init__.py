"""What speaks to the remote systems: one transport, and one client per API on top of it.

Here belong: requests, their outcomes, and the reading of answers into values of ``core``. Not here: what an answer means
for a plan (``core``), what is read when (``observe``), what is written in which order (``apply``), anything that
remembers (``store``). Only ``transport`` and its parts ``wire`` and ``failures`` know the HTTP library. A client never
reads the clock or the environment: both are passed in. May import ``core`` and ``errors``.
"""
