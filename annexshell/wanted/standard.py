"""What ``standard`` stands for in each of the standard groups (spec 04 §4)."""

from __future__ import annotations

_CLIENT = (
    "(include=* and ((exclude=*/archive/* and exclude=archive/*)"
    " or (not (copies=archive:1 or copies=smallarchive:1))))"
    " or approxlackingcopies=1"
)
_ARCHIVE = "(not (copies=archive:1 or copies=smallarchive:1)) or approxlackingcopies=1"

STANDARD: dict[str, str] = {
    "client": _CLIENT,
    "transfer": (
        f"(not (inallgroup=client and copies=client:2) and ({_CLIENT}))"
        " or approxlackingcopies=1"
    ),
    "backup": "anything",
    "incrementalbackup": (
        "((not copies=backup:1) and (not copies=incrementalbackup:1))"
        " or approxlackingcopies=1"
    ),
    "archive": _ARCHIVE,
    "smallarchive": (
        f"((include=*/archive/* or include=archive/*) and ({_ARCHIVE}))"
        " or approxlackingcopies=1"
    ),
    "source": "not (copies=1)",
    "manual": f"present and ({_CLIENT})",
    "public": "inpreferreddir",
    "unwanted": "not anything",
}
"""Each group's expression."""
