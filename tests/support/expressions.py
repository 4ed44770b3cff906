"""Generated preferred content expressions, every term with common and odd arguments."""

from __future__ import annotations

import random
from collections.abc import Sequence

import attrs

#: What a file's name is made of; each is also half of a glob that may match it.
NAMES = (
    "foo",
    "bar",
    "x.mp3",
    "X.MP3",
    ".hidden",
    "it's",
    "a`b",
    "a<b",
    "a>b",
    "<",
    "f{1}",
    "f+g",
    "a.b$c^d|e",
    "b\u00e4r",
    "cafe\u0301",
    "\u65e5\u672c",
    "\U0001f600",
    "two words",
    "tab\tbed",
    "two\nlines",
    "nbsp\u00a0x",
    "em\u2003space",
    "back\\slash",
    "back\\\\twice",
    "st*r",
    "wh?t",
    "br[a]cket",
    "clos]e",
    "not!",
    "-dash",
    "a=b",
    "#hash",
    "~tilde",
    "%41&c",
    "bad\udcff",
    "\udce9x",
    "zero\u200bwidth",
    "line\u2028sep",
    "x\u0085y",
    "public",
    "archive",
    "y" * 60,
)
FOLDERS = (
    "a",
    "a/b",
    "archive",
    "x/archive",
    "smallarchive",
    "d/smallarchive/e",
    "public",
    "a/public",
    "public/sub",
    "docs",
    "doc s",
    "b\u00e4r",
    "it's",
    "c\\d",
    "bad\udcff",
)
#: Brackets, and what else stands for more than itself in a glob; all can be compiled.
WILD = (
    "*",
    "?",
    "[a-c]",
    "[!a]",
    "[^a]",
    "[]a]",
    "[!]a]",
    "[a]b]",
    "[[]",
    "[*?]",
    "[a-]",
    "[-a]",
    "[/]",
    "[!/]",
    "[.]",
    "[\\]",
    "[\\a]",
    "[a^]",
    "['<]",
    "[\u00e0-\u00ff]",
    "[!\u65e5]",
    "[[:alpha:]]",
    "[[:space:]]",
    "[![:space:]]",
    "[[:upper:]a]",
    "[[:digit:][:punct:]]",
    "'",
    "`",
    "<",
    ">",
    "/",
    "//",
    "\\",
    "\\\\",
    "**",
    ".",
    "{a,b}",
    "+",
    "$",
    "^",
    "|",
)
#: In a glob the characters of a name that would make it one that cannot be compiled, or
#: that would end the word.
_WORDS = {"[": "[[]", " ": "?", "\t": "?", "\n": "?", "\u00a0": "?", "\u2003": "?"}
_WORDS |= {"(": "?", ")": "?"}

SIZES = (
    *("0", "1", "10", "99", "100", "101", "1000", "-1", "-5", "1k", "1kb", "1KiB"),
    *("0.1kb", "0.5", "1.5", "2.5", "1e2", "1e3kb", "0x64", "0o144", "100B", "1mb"),
    *("10kilobytes", "1kbit", "0.8kbit", "1Mi", "5.kb", "1,5kb", "10kb!!", "1mb/s"),
    *("9007199254740993", "1y", "1e", "1eb", "1gb", "999999999999999999999", "1MB"),
)
BAD_SIZES = ("", "x", ".5", "10foo", "1kbps", "1bit", "\uff11", "+5", "--5", "1e400x")
NUMBERS = ("0", "1", "2", "3", "1", "2", "-1", "4", "10", "1x", "0x2", "02", "1_000")
BAD_NUMBERS = (
    "",
    "x",
    "1.5",
    "+1",
    ":",
    "--1",
    "\u0661",
    "1:2",
    "1:2:3",
    "1=2",
    "1=2=3",
)
LEVELS = ("trusted", "untrusted", "semitrusted", "dead")
BACKENDS = ("SHA256E", "SHA256", "SHA1", "WORM", "URL", "VURL", "sha256e", "MD5E", "")
COMPARED = ("<", "<=", ">", ">=")
VALUES = (
    *("done", "DONE", "d*", "*", "1", "9", "10", "100", "1e1", "0x10", "-5", "1.10"),
    *("1.9", "abc", "beta", "STRASSE", "stra\u00dfe", "\u00c9t\u00e9", "\u00e9*", "?"),
    *("jane[[:space:]]smith", "\u212a", "[a-d]one", "!x", "it's", ".5", "1.", "", "K"),
    *("1e400", "-0", "0", "Infinity", "NaN", "1_0", "\uff11", "bad\udcff", "=x", "a/b"),
    *("\u03c3", "\u03a3", "\u03c2", "\u0130", "i", "I", "\u0131"),
)
FIELDS = ("tag", "pages", "Author", "ver", "\u00fcber", "x-y_z.1")
BAD_FIELDS = ("-x", "a!b", "", "a/b", "\u00b2")
URLS = ("http://example.com/foo", "http://x.example/v", "it's", "ipfs:xyz")
URL_GLOBS = (
    "http*",
    "*example.com/*",
    "*",
    "http://example.com/foo",
    "yt:*",
    ":*",
    "HTTP*",
)
SIMPLE = ("anything", "nothing", "present", "securehash", "inpreferreddir", "unused")
BALANCED = ("balanced", "fullybalanced", "sizebalanced", "fullysizebalanced")
#: Words that are no terms: the whole expression stands for `present` then.
BAD = (
    *("bogus", "AND", "Anything", "present=x", "in=here", "copies", "lackingcopies"),
    *("mimetype=*", "expected-present", "not=", "and=x", "=", "standard=x", "balanced"),
    *("accessedwithin=1d", "smallerthan", "inbackend", "metadata", "onlyingroup"),
    *("locked", "includesamecontent=foo", "preferreddir", "INCLUDE=*", "unused=1"),
)
#: The methods of `Terms` that make one, the more important ones several times.
KINDS = (
    *("copies", "copies", "lacking", "lacking", "balanced", "balanced", "balanced"),
    *("path_glob", "path_glob", "path_glob", "size", "metadata", "in_group", "url"),
    *("backend", "simple", "simple", "grouped"),
)
SPACES = (" ",) * 30 + ("  ", "\t", "\x0b", "\x0c", "\u00a0", "\u2003", "\u3000")
#: These are no white space to git-annex: what they part is one word.
NO_SPACES = ("\u0085", "\u2028", "\x1c", "\u180e", "\u200b", "\ufeff")


def glob_of(dice: random.Random, name: str) -> str:
    """A glob that may match ``name``."""
    chars = [_WORDS.get(char, char) for char in name]
    for _ in range(dice.choice((0, 0, 1, 1, 2))):
        at = dice.randrange(len(chars) + 1)
        width = dice.choice((0, 1, 1, 2))
        chars[at : at + width] = [dice.choice(WILD)]
    start, end = dice.choice((("", ""), ("", ""), ("*", ""), ("", "*"), ("*/", "")))
    return start + "".join(chars) + end


@attrs.frozen
class Terms:
    """Makes the terms and expressions of one repository."""

    dice: random.Random
    groups: Sequence[str]
    paths: Sequence[str]
    kinds: Sequence[str]
    backends: Sequence[str]
    fields: Sequence[str]
    values: Sequence[str]

    def group(self) -> str:
        if self.dice.random() < 0.08:
            return self.dice.choice(("nogroup", "", "Trusted", "trusted", "g"))
        return self.dice.choice(self.groups)

    def number(self) -> str:
        if self.dice.random() < 0.02:
            return self.dice.choice(BAD_NUMBERS)
        return self.dice.choice(NUMBERS)

    def combined(self) -> str:
        """Several groups, with signs; the number follows after another mark."""
        signs = ("+", "-", "-", "+", "--", "+-", "-+")
        text = self.dice.choice(("", "", "-", "+", "="))
        for _ in range(self.dice.randrange(1, 4)):
            text += self.group() + self.dice.choice(signs)
        return text[: -self.dice.choice((1, 1, 1, 2))] + "="

    def copies(self) -> str:
        if self.dice.random() < 0.15:
            return f"copies={self.combined()}{self.number()}"
        kind = self.dice.random()
        if kind < 0.35:
            return f"copies={self.number()}"
        if kind < 0.7:
            return f"copies={self.group()}:{self.number()}"
        level = self.dice.choice(LEVELS) + self.dice.choice(("", "+", "+"))
        return f"copies={level}:{self.number()}"

    def lacking(self) -> str:
        name = self.dice.choice(("lackingcopies", "approxlackingcopies"))
        if self.dice.random() < 0.15:
            return f"{name}={self.combined()}{self.number()}"
        if self.dice.random() < 0.4:
            return f"{name}={self.group()}:{self.number()}"
        return f"{name}={self.number()}"

    def balanced(self) -> str:
        argument = self.dice.choice(
            ("", "", f":{self.number()}", f":{self.number()}", ":lackingcopies")
        )
        group = self.group() if self.dice.random() < 0.5 else self.groups[0]
        return f"{self.dice.choice(BALANCED)}={group}{argument}"

    def path_glob(self) -> str:
        name = self.dice.choice(("include", "include", "exclude"))
        if self.dice.random() < 0.15:
            argument = self.dice.choice(("*", "*.mp3", "*/*", "", "*'*", "foo"))
        else:
            argument = glob_of(self.dice, self.dice.choice(self.paths))
        return f"{name}={argument}"

    def size(self) -> str:
        name = self.dice.choice(("largerthan", "smallerthan"))
        bad = self.dice.random() < 0.04
        return f"{name}={self.dice.choice(BAD_SIZES if bad else SIZES)}"

    def metadata(self) -> str:
        bad = self.dice.random() < 0.04
        field = self.dice.choice(BAD_FIELDS if bad else self.fields)
        field = self.dice.choice((field, field, field.upper(), field.lower()))
        value = self.dice.choice(self.values)
        if self.often_glob():
            value = glob_of(self.dice, value)
        kind = self.dice.random()
        if kind < 0.05:
            return f"metadata={field}"
        if kind < 0.55:
            return f"metadata={field}={value}"
        return f"metadata={field}{self.dice.choice(COMPARED)}{value}"

    def often_glob(self) -> bool:
        return self.dice.random() < 0.3

    def backend(self) -> str:
        return (
            f"inbackend={self.dice.choice((*BACKENDS, *self.backends, *self.backends))}"
        )

    def url(self) -> str:
        if self.often_glob():
            return f"url={glob_of(self.dice, self.dice.choice(URLS))}"
        return f"url={self.dice.choice(URL_GLOBS)}"

    def in_group(self) -> str:
        return f"{self.dice.choice(('inallgroup', 'onlyingroup'))}={self.group()}"

    def simple(self) -> str:
        return self.dice.choice(SIMPLE)

    def grouped(self) -> str:
        return self.dice.choice(("standard", "groupwanted"))

    def term(self) -> str:
        if self.dice.random() < 0.012:
            return self.dice.choice(BAD)
        kind = self.dice.choice(self.kinds)
        made: str = getattr(self, kind)()
        return made

    def expression(self) -> str:
        """One expression: most are what people write, some are words without order."""
        kind = self.dice.random()
        if kind < 0.04:
            return self.dice.choice(("", " ", "()", "not", "or", "not ()", "( ) ("))
        if kind < 0.3:
            return self.term()
        if kind < 0.42:
            return self._spaced(self._soup())
        return self._spaced(self._tree(self.dice.randrange(1, 4)).split(" "))

    def _soup(self) -> list[str]:
        words = ("(", ")", "not", "and", "or", "(", ")")
        return [
            self.dice.choice(words) if self.dice.random() < 0.5 else self.term()
            for _ in range(self.dice.randrange(2, 10))
        ]

    def _tree(self, depth: int) -> str:
        if depth == 0 or self.dice.random() < 0.2:
            return self.term()
        negated = "not " * self.dice.choice((0, 0, 0, 0, 1, 1, 2))
        parts = [self._tree(depth - 1) for _ in range(self.dice.choice((1, 2, 2, 3)))]
        joined = parts[0]
        for part in parts[1:]:
            word = self.dice.choice((" and ", " or ", " or ", " and ", " "))
            joined += word + part
        if self.dice.random() < 0.7 or negated:
            joined = f"( {joined} )"
        return negated + joined

    def _spaced(self, words: Sequence[str]) -> str:
        text = ""
        for word in words:
            bare = text.endswith("(") or word in ("(", ")") or text.endswith(")")
            if not (bare and self.dice.random() < 0.6):
                text += self.dice.choice(SPACES)
            text += word
        if self.dice.random() < 0.02:
            text += self.dice.choice(NO_SPACES) + self.term()
        return text if self.dice.random() < 0.1 else text.strip(" ")
