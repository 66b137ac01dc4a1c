"""Pure values: what the rooms hand to each other."""
