"""What a forced command allows."""
