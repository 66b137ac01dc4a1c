"""Pure decisions: target, verdict, guards, order."""
