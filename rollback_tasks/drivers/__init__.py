"""Pure: what to say to a tool, and how to read its answer."""
