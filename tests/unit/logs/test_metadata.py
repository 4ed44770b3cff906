"""Metadata logs: what git-annex was seen to read in them."""

from __future__ import annotations

from annexshell.logs.metadata import current_metadata, metadata_path
from annexshell.model.key import Key
from tests.support.rows import each_of


@each_of(
    [
        (b"1s f +a +b -a\n", {"f": {"b"}}),
        (b"1s f +a -a\n", {}),
        (b"1s f -a +a\n", {"f": {"a"}}),
        (b"1s f +a\n1s f -a\n", {}),
        (b"1s f -a\n1s f +a\n", {"f": {"a"}}),
        # Of lines of one time the one that comes later by its fields and values counts.
        (b"1s f +a g +b\n1s f -a\n", {"f": {"a"}, "g": {"b"}}),
        (b"1s g +b f -a\n1s F +a\n", {"g": {"b"}}),
        (b"1s f +a +b\n1s f -a\n", {"f": {"a", "b"}}),
        (b"5s f +a\n3s f -a\n", {"f": {"a"}}),
        (b"1s f +a\n2s F -a\n", {}),
        (b"1s F +a f +b\n", {"f": {"a", "b"}}),
        (b"1s ss +a \xc3\x9f +b\n", {"ss": {"a", "b"}}),
        (b"1s f +a f -a\n", {}),
        (b"1s f +A +a\n", {"f": {"A", "a"}}),
        (b"1s f +!eCB5 +c\n", {"f": {"x y", "c"}}),
        (b"1s f +!### +c g +d\n", {"+!###": {"c"}, "g": {"d"}}),
        (b"1s f +b +!### g +c\n", {"f": {"b"}, "g": {"c"}}),
        (b"1s f +!YQ +c\n", {"+!yq": {"c"}}),
        (b"1s f +!YQ==# -b g +e\n", {"f": {"a"}, "g": {"e"}}),
        (b"1s f +!YWJjYQ==####\n", {"f": {"abca"}}),
        (b"1s f +!YWJj= g +e\n", {"g": {"e"}}),
        (b"1s f +!YWJj\n", {"f": {"abc"}}),
        (b"1s f +!YWI= f -!YWI=zz g +e\n", {"g": {"e"}}),
        (b"1s f +!\n", {"f": {""}}),
        (b"1s f +!_-8= g +e\n", {"g": {"e"}}),
        (b"1s f +!/+8=\n", {"f": {"\udcff\udcef"}}),
        (b"1s f +\xff\n", {"f": {"\udcff"}}),
        (b"1s +a f +b\n", {"f": {"b"}}),
        (b"1s -f +a\n", {"-f": {"a"}}),
        (b"1s f +-a ++b\n", {"f": {"-a", "+b"}}),
        (b"1s  f +a\n", {"f": {"a"}}),
        (b"1s f  +a\n", {"": {"a"}}),
        (b"1s f +a \n", {"f": {"a"}}),
        (b"1s f + g +x\n", {"f": {""}, "g": {"x"}}),
        (b"1s g +e \xff +d h +i\n", {"g": {"e"}}),
        (b"1s f +a\tb\r\n", {"f": {"a\tb"}}),
        (b"1 f +a", {"f": {"a"}}),
        (b"x f +a\n1s f\n1s \n1s\n", {}),
        (b"", {}),
    ],
)
def test_the_values_that_count(content: bytes, fields: dict[str, set[str]]) -> None:
    assert current_metadata(content) == fields


def test_the_path_is_beside_the_location_log() -> None:
    key = Key.parse(b"WORM-s3-m123--__x_")
    assert metadata_path(key) == b"704/192/WORM-s3-m123--__x_.log.met"
    one_level = metadata_path(key, one_level=True)
    assert one_level == b"704/WORM-s3-m123--__x_.log.met"
