"""Settings: ``reconciler.yaml`` and ``RECONCILER_…`` variables, and the only reader of the environment and of secrets.

    values    what is set, as frozen values
    load      file and variables -> values, every one checked
    hosts     where credentials may go
    secrets   secret references -> values

Everything that decides where credentials may go comes from variables only: a pull request edits files.
May import ``core`` and ``errors``.
"""
