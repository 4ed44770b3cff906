"""Disk: git-annex's repository formats and locks, as blocking Python without trio."""
