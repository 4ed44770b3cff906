"""The texts of the git-annex branch, parsed and merged without I/O."""
