"""Stores of others whose locations we record."""
