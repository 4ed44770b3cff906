"""Values without I/O: keys, uuids, clocks, payloads."""
