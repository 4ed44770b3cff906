"""Stores of git remotes."""
