"""Whether bytes may go from descriptor to descriptor without coming to us."""

from __future__ import annotations

allowed = True
"""``annexshell.zerocopy``, for the whole process. Where it is False every byte is read and
written, and arrives as it would otherwise."""
