"""The command line: parse, build settings, call one function of ``workflow``, render, exit.

Here belong commands, options, what is printed where, and the way from an exception to an exit code. Rules about
declarations, plans or syncs do not: they are in ``workflow`` and below. May import every other part, but a module that
``--help`` loads (``main``, ``options``, ``console``, ``errors``) imports nothing heavier than click: no httpx, SQLAlchemy, rich, deepdiff
or pydantic, which cost more than the rest of a start.
"""
