"""Alembic's side of the schema: ``env`` and one file per version in ``versions``.

To change the schema: edit ``schema.py``, add its version to ``schema.VERSIONS``, add ``versions/rNNNN_what.py`` with
``revision = "NNNN"`` and the version before it as ``down_revision``. A migration writes its statements out and never
imports ``schema``, which will have moved on. A test compares what the migrations make with ``schema.METADATA``.
"""
