"""Integration sources as data: one file per EMR. May import only from ``core``."""
