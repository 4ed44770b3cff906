"""The P2P protocol without I/O: messages, grammar, parser, conversation."""
