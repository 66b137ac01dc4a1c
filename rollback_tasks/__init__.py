"""Roll a dockerized PostgreSQL application back to its last good state, over SSH."""

__version__ = "0.1.0"
