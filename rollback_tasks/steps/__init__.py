"""Pure: one file for each reversible unit of work."""
