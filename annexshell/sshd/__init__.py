"""An embedded ssh server."""
