"""How fast annexshell is beside git-annex-shell: run ``make bench``."""
