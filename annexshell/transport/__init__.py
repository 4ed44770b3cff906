"""Links, channels and the moving of bytes: all of trio and of the system calls."""
