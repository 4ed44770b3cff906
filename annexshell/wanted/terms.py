"""The terms of expressions: what each one needs, and when it is true (spec 04 §3.3).

A maker takes the text behind the ``=`` and gives the test; what cannot be understood it
gives back as a `BadTerm`. With no key known, what needs one is false.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from annexshell.model.key import Key
from annexshell.wanted import balancing
from annexshell.wanted.compare import BadField, BadGlob, parse_metadata_test
from annexshell.wanted.effort import MEMBER
from annexshell.wanted.evidence import ALL, Evidence, Groups, groups, selector
from annexshell.wanted.expression import BadTerm, Instability, Term
from annexshell.wanted.globs import Glob, compile_glob
from annexshell.wanted.quantities import parse_number, parse_size

Test = Callable[[Evidence], bool]
Why = Callable[[Evidence], str]


@attrs.frozen
class Made:
    """What a maker gives."""

    test: Test
    why: Why | None = None


Maker = Callable[[str], Made | BadTerm]

PUBLIC = "public"
"""The preferreddir of who has none."""

_SECURE = frozenset(
    name + extension
    for name in (
        *(b"SHA%d" % bits for bits in (224, 256, 384, 512)),
        *(b"SHA3_%d" % bits for bits in (224, 256, 384, 512)),
        *(b"SKEIN%d" % bits for bits in (256, 512)),
        *(b"BLAKE2B%d" % bits for bits in (160, 224, 256, 384, 512)),
        *(b"BLAKE2S%d" % bits for bits in (160, 224, 256)),
        *(b"BLAKE2BP512", b"BLAKE2SP224", b"BLAKE2SP256", b"BLAKE3_256"),
    )
    for extension in (b"", b"E")
) | {b"GITBUNDLE"}


def _glob(text: str, *, path: bool = True) -> Glob | BadTerm:
    glob = compile_glob(text, path=path, ignore_case=False)
    return _bad_glob(text) if glob is None else glob


def _bad_glob(text: str) -> BadTerm:
    return BadTerm(f'glob that cannot be compiled, "{text}"')


def _include(text: str) -> Made | BadTerm:
    glob = _glob(text)
    if isinstance(glob, BadTerm):
        return glob
    matches, work = glob.matches, glob.work

    def test(evidence: Evidence) -> bool:
        file = evidence.facts.file
        if file is None:
            return False
        evidence.known.spend(work(file))
        return matches(file)

    return Made(test, _file_known)


def _exclude(text: str) -> Made | BadTerm:
    glob = _glob(text)
    if isinstance(glob, BadTerm):
        return glob
    matches, work = glob.matches, glob.work

    def test(evidence: Evidence) -> bool:
        file = evidence.facts.file
        if file is None:
            return True
        evidence.known.spend(work(file))
        return not matches(file)

    return Made(test, _file_known)


def _file_known(evidence: Evidence) -> str:
    return "no file known" if evidence.facts.file is None else ""


def _in_preferred_directory(evidence: Evidence) -> bool:
    file = evidence.facts.file
    if file is None:
        return False
    wanted = evidence.configuration.directories.get(evidence.uuid, PUBLIC)
    return file.split("/")[-2:-1] == [wanted]


def _directory_known(evidence: Evidence) -> str:
    if evidence.facts.file is None:
        return "no file known"
    wanted = evidence.configuration.directories.get(evidence.uuid, PUBLIC)
    return f"the directory is {wanted}"


def _size(
    text: str, holds: Callable[[int, int], bool], unknown: bool
) -> Made | BadTerm:
    limit = parse_size(text)
    if limit is None:
        return BadTerm("bad size")

    def test(evidence: Evidence) -> bool:
        if evidence.key is None:
            return False
        size = evidence.key.size
        return unknown if size is None else holds(size, limit)

    return Made(test, _size_known)


def _size_known(evidence: Evidence) -> str:
    if evidence.key is None:
        return "no key known"
    size = evidence.key.size
    return "the key has no size" if size is None else f"{size} bytes"


def _larger(text: str) -> Made | BadTerm:
    return _size(text, int.__gt__, False)


def _smaller(text: str) -> Made | BadTerm:
    return _size(text, int.__lt__, True)


def _copies(text: str) -> Made | BadTerm:
    among, separator, digits = _partitioned(text)
    if not separator and "=" in text:
        return BadTerm("bad value for copies")
    number = parse_number(digits)
    if number is None:
        return BadTerm("bad number for copies")
    chosen = selector(among) if separator == ":" else ALL
    within = groups(among)

    def counted(evidence: Evidence) -> int:
        if separator == "=":
            return evidence.within(evidence.copies(), within)
        return evidence.count(chosen)

    def test(evidence: Evidence) -> bool:
        return evidence.key is not None and counted(evidence) >= number

    return Made(test, lambda evidence: _counted(counted(evidence)))


def _partitioned(text: str) -> tuple[str, str, str]:
    """What is counted, the mark that ends it (both empty for all), and the number.

    The mark is ``:`` after one group, and ``=`` after several, with signs. Where it stands
    more than once it is none: what begins with a number is that number.
    """
    for separator in ":=":
        among, *numbers = text.split(separator)
        if len(numbers) == 1:
            return among, separator, numbers[0]
    return "", "", text


def _counted(number: int) -> str:
    return "1 copy" if number == 1 else f"{number} copies"


def _lacking(text: str, *, attributes: bool) -> Made | BadTerm:
    among, separator, digits = _partitioned(text)
    number = parse_number(digits)
    if number is None:
        return BadTerm("bad value for number of lacking copies")
    # A group's name can have signs in it where it is the only one.
    within = Groups(added=(among,)) if separator == ":" else groups(among)

    def counted(evidence: Evidence) -> int:
        return evidence.within(evidence.reliable(), within)

    def test(evidence: Evidence) -> bool:
        if evidence.key is None:
            return False
        return evidence.numcopies(attributes=attributes) - counted(evidence) >= number

    def why(evidence: Evidence) -> str:
        wanted = evidence.numcopies(attributes=attributes)
        return f"{_counted(counted(evidence))} of {wanted} wanted"

    return Made(test, why)


def _lackingcopies(text: str) -> Made | BadTerm:
    return _lacking(text, attributes=True)


def _approxlackingcopies(text: str) -> Made | BadTerm:
    return _lacking(text, attributes=False)


def _inbackend(text: str) -> Made:
    name = text.encode("utf-8", "surrogateescape")
    return Made(
        lambda evidence: evidence.key is not None and evidence.key.backend == name
    )


def _securehash(evidence: Evidence) -> bool:
    def secure(key: Key) -> bool:
        return key.backend in _SECURE

    if evidence.key is None:
        return False
    if evidence.key.backend != b"VURL":
        return secure(evidence.key)
    equivalents = evidence.facts.equivalents()
    evidence.known.spend(MEMBER * len(equivalents))
    return all(map(secure, equivalents))


def _metadata(text: str) -> Made | BadTerm:
    found = parse_metadata_test(text)
    if isinstance(found, BadField):
        return BadTerm(f'Illegal metadata field name, "{found.name}"')
    if isinstance(found, BadGlob):
        return _bad_glob(found.text)
    field, holds, work = found.field, found.holds, found.work

    def test(evidence: Evidence) -> bool:
        if evidence.key is None:
            return False
        values = evidence.facts.metadata().get(field, ())
        return any(evidence.worth(work, value) and holds(value) for value in values)

    return Made(test)


def _url(text: str) -> Made | BadTerm:
    glob = _glob(text, path=False)
    if isinstance(glob, BadTerm):
        return glob
    matches, work = glob.matches, glob.work

    def test(evidence: Evidence) -> bool:
        if evidence.key is None:
            return False
        urls = evidence.facts.urls()
        return any(evidence.worth(work, u) and matches(_plain_url(u)) for u in urls)

    return Made(test)


def _plain_url(url: str) -> str:
    """Without the mark of who downloads it."""
    for mark in ("yt:", "quvi:", ":"):
        if url.startswith(mark):
            return url[len(mark) :]
    return url


def _inallgroup(group: str) -> Made:
    def test(evidence: Evidence) -> bool:
        members = evidence.members(group)
        evidence.known.spend(MEMBER * len(members))
        return evidence.key is not None and (
            members.isdisjoint(evidence.question.absent)
            and members <= evidence.locations()
            if members
            else True
        )

    def why(evidence: Evidence) -> str:
        members = evidence.members(group)
        having = len(members & evidence.locations() - evidence.question.absent)
        return f"{having} of {len(members)} have it"

    return Made(test, why)


def _onlyingroup(group: str) -> Made:
    def test(evidence: Evidence) -> bool:
        if evidence.key is None:
            return False
        locations = evidence.locations()
        evidence.known.spend(2 * MEMBER * len(locations))
        having = locations - evidence.question.absent
        return bool(having) and having <= evidence.members(group)

    def why(evidence: Evidence) -> str:
        having = evidence.locations() - evidence.question.absent
        return f"{len(having & evidence.members(group))} of {len(having)} are in it"

    return Made(test, why)


def _unused(evidence: Evidence) -> bool:
    return (
        evidence.key is not None
        and evidence.facts.file is None
        and evidence.facts.unused()
    )


def _stands_for(name: str) -> Made:
    def why(evidence: Evidence) -> str:
        if evidence.expansions.of(name) is None or evidence.inside == name:
            return "nothing to stand for, so present"
        return ""

    return Made(lambda evidence: evidence.expanded(name), why)


_SIMPLE: dict[str, Made] = {
    "anything": Made(lambda evidence: True),
    "nothing": Made(lambda evidence: False),
    "inpreferreddir": Made(_in_preferred_directory, _directory_known),
    "securehash": Made(_securehash),
    "present": Made(Evidence.present),
    "unused": Made(_unused),
    "standard": _stands_for("standard"),
    "groupwanted": _stands_for("groupwanted"),
}

_VALUED: dict[str, Maker] = {
    "include": _include,
    "exclude": _exclude,
    "largerthan": _larger,
    "smallerthan": _smaller,
    "copies": _copies,
    "lackingcopies": _lackingcopies,
    "approxlackingcopies": _approxlackingcopies,
    "inbackend": _inbackend,
    "metadata": _metadata,
    "url": _url,
    "inallgroup": _inallgroup,
    "onlyingroup": _onlyingroup,
}

_UNSTABLE = {
    "present": Instability.SELF,
    "balanced": Instability.SELF,
    "sizebalanced": Instability.SELF,
    "standard": Instability.EXPANDED,
    "groupwanted": Instability.EXPANDED,
}


def term(word: str) -> Term | BadTerm:
    """The term that ``word`` is. Simple terms have no ``=``, the others may."""
    name, _, value = word.partition("=")
    made: Made | BadTerm
    if word in _SIMPLE:
        made = _SIMPLE[word]
    elif name in _VALUED:
        made = _VALUED[name](value)
    elif name in balancing.FAMILY:
        return balancing.term(name, value, word)
    else:
        return BadTerm(f'near "{word}"')
    if isinstance(made, BadTerm):
        return made
    unstable = _UNSTABLE.get(name, Instability.NONE)
    expands = unstable is Instability.EXPANDED
    return Term(name, word, made.test, made.why, unstable, expands=expands)
