"""Real deployment hosts on this machine, to try and to drill."""
