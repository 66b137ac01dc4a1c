"""hosts.yaml to an inventory, or every problem at once."""
