"""The Store of a repository on this machine."""
