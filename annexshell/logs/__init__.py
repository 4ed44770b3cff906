"""The texts of the git-annex branch, pure: bytes in, values or bytes out."""
