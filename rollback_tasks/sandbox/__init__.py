"""Real deployment hosts on this machine, to try rollbacks on and to drill."""
