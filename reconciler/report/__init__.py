"""How results look: plans, problems and drift as text, Markdown, HTML, JSON and what CI services read.

Belongs here: values in, text out. Does not belong here: deciding anything, printing, terminals, files, exit codes (those
follow from results, never from a format). May import ``core`` and ``errors``, and only the standard library that
``tests/test_architecture.py`` names.
"""
