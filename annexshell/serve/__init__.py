"""One client, from the first line to the last."""
