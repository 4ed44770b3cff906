"""Whatever a client calls its keys and files, a line is a line, and is JSON."""

from __future__ import annotations

import base64
import json

from hypothesis import example, given
from hypothesis import strategies as st

from annexshell.repository.audit import LONGEST, line_of

any_bytes = st.binary(max_size=300) | st.binary(min_size=1000, max_size=9000)
any_text = st.text(max_size=300) | st.text(
    st.characters(max_codepoint=0x10FFFF, exclude_categories=()), max_size=1000
)
names = st.sampled_from(("key", "file", "service", "client", "uuid", "proxied"))


@given(
    st.dictionaries(names, any_bytes), any_text, st.dictionaries(any_bytes, any_text)
)
@example({"file": b"\n\r\x00\x7f\xff\xe2\x80\xa8"}, "\ud800\udcff\u2028", {})
@example({"key": b"\xf0\x9f\x98\x80" * 8000}, "\U0001f600" * 5000, {})
def test_any_names_give_one_line_of_bounded_length(
    fields: dict[str, bytes], reason: str, nodes: dict[bytes, str]
) -> None:
    line = line_of({**fields, "bytes": 1, "reason": reason, "nodes": nodes})
    assert len(line) <= LONGEST
    assert line.endswith(b"}\n")
    # Nothing that ends a line for anybody, or moves a terminal's cursor.
    assert all(0x20 <= byte < 0x7F for byte in line[:-1])
    read = json.loads(line)
    assert read["bytes"] == 1


@given(st.dictionaries(names, st.binary(min_size=1, max_size=200), max_size=3))
def test_names_of_usual_length_can_be_read_back(fields: dict[str, bytes]) -> None:
    read = json.loads(line_of(dict(fields)))
    assert "cut" not in read
    for name, value in fields.items():
        encoded = read.get(f"{name}_base64")
        if encoded is None:
            assert read[name].encode() == value
        else:
            assert base64.b64decode(encoded) == value
