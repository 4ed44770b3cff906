"""What the client's words ask for (spec 01 §1.1, §1.2, §1.6).

The string of a forced command or login shell is taken apart by git-annex's own tiny
grammar, which is not a shell's: nothing is expanded, and nothing of it is ever given to a
shell.
"""

from __future__ import annotations

import os

from annexshell.errors import BadParameters, UnknownOption
from annexshell.model.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

OUR_NAMES = frozenset(("git-annex-shell", "annexshell"))
_SHORT_OPTIONS = {"F": "--fast", "q": "--quiet", "v": "--verbose", "d": "--debug"}
_FLAGS = frozenset(
    ("--force", "--fast", "--quiet", "--verbose", "--debug", "--no-debug", "--explain")
)
_VALUED = frozenset(("--uuid", "--debugfilter"))


class Builtin(NamedTuple):
    """One of git-annex-shell's commands on a directory."""

    command: str
    directory: str
    words: tuple[str, ...] = ()


class PassThrough(NamedTuple):
    """Anything else: perhaps a git command, in one string if it came over ssh."""

    words: tuple[str, ...]


class Parameters(NamedTuple):
    """The words after the directory. ``uuid`` is None if not given at all."""

    positional: tuple[str, ...] = ()
    uuid: str | None = None
    flags: frozenset[str] = frozenset()
    fields: tuple[tuple[str, str], ...] = ()
    rsync_options: tuple[str, ...] = ()

    def field(self, name: str) -> str | None:
        """The value of a field given after ``--``; the last one counts."""
        return dict(self.fields).get(name)


def unescape(text: str) -> list[str]:
    """The words of a single command string.

    Single spaces separate; both kinds of quotes keep everything up to the same quote; no
    other character means anything. An open quote ends with the text.
    """
    words: list[str] = []
    word: list[str] = []
    started, quote = False, ""
    for char in text:
        if quote:
            if char == quote:
                quote = ""
            else:
                word.append(char)
        elif char == " ":
            words.append("".join(word))
            word, started = [], False
        elif char in "'\"":
            quote, started = char, True
        else:
            word.append(char)
            started = True
    return [*words, "".join(word)] if started else words


def understand(
    arguments: Sequence[str], commands: Collection[str]
) -> Builtin | PassThrough:
    """What the arguments after the program's name ask for.

    ``commands`` are the built-in ones. Raises BadParameters where nothing is asked for, and
    for a built-in without a directory.
    """
    words = list(arguments)
    while True:
        while words and words[0] == "-c":
            del words[0]
        if not words:
            raise BadParameters(detail="no command was given")
        if len(words) > 1:
            if words[0] in commands:
                return Builtin(words[0], words[1], tuple(words[2:]))
            return PassThrough(tuple(words))
        if words[0] in commands:
            raise BadParameters(detail=f"{words[0]} needs a directory")
        inner = unescape(words[0])
        if not inner or os.path.basename(inner[0]) not in OUR_NAMES:
            return PassThrough((words[0],))
        words = inner[1:]


def parse_parameters(command: str, words: Sequence[str]) -> Parameters:
    """Options, fields and parameters of a built-in, in any order before the first ``--``.

    ``--help`` is found as a flag and ends the reading. Raises UnknownOption, and
    BadParameters for an option without its value.
    """
    options, fields, rsync = _sections(words)
    positional: list[str] = []
    flags: set[str] = set()
    uuid: str | None = None
    left = iter(options)
    for word in left:
        name, equals, value = word.partition("=")
        if name in _VALUED:
            given = value if equals else next(left, None)
            if given is None:
                raise BadParameters(detail=f"the option {name} expects an argument")
            # The first one counts, as in git-annex-shell.
            uuid = given if name == "--uuid" and uuid is None else uuid
        elif word in ("--help", "-h"):
            return Parameters(flags=frozenset(("--help",)))
        elif word.startswith("-") and word != "-":
            flags.update(_flags_of(command, word))
        else:
            positional.append(word)
    return Parameters(tuple(positional), uuid, frozenset(flags), fields, rsync)


def _flags_of(command: str, word: str) -> list[str]:
    if word in _FLAGS:
        return [word]
    letters = word[1:]
    if any(letter not in _SHORT_OPTIONS for letter in letters):
        raise UnknownOption(option=word, command=command)
    return [_SHORT_OPTIONS[letter] for letter in letters]


def _sections(
    words: Sequence[str],
) -> tuple[list[str], tuple[tuple[str, str], ...], tuple[str, ...]]:
    """Options, fields and rsync options, which two ``--`` divide."""
    sections: list[list[str]] = [[], [], []]
    at = 0
    for word in words:
        if word == "--" and at < 2:
            at += 1
        else:
            sections[at].append(word)
    pairs = (word.partition("=") for word in sections[1])
    fields = tuple((name, value) for name, equals, value in pairs if equals)
    return sections[0], fields, tuple(sections[2])
