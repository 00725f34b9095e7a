"""The front door: a folder of YAML files to declarations, or to problems in the user's words.

Belongs here: reading files safely, strict YAML, the shape of a declaration, which files a command's arguments name. Does
not belong here: what rules hold between fields (``core.lint``), resolving secrets, the network, printing. May import
``core``; ``yaml`` is imported nowhere else.
"""

from reconciler.declarations.directory import File, Loaded, load, problems_of_selected

__all__ = ["File", "Loaded", "load", "problems_of_selected"]
