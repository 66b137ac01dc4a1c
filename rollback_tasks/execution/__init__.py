"""Effects, only through ports: gather, perform, journal, lock."""
