"""Repositories in which git-annex and we are asked who wants what (spec 04 §2 to §7).

A `Scenario` is the text of the logs and the files of one repository. It is written in
one go by plain git. One run of git-annex asks one node about all files, so that is the
unit: a case is a `Question` to one node, and has one answer for each file.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from annexshell.model.ids import UUID
from annexshell.model.key import Key
from annexshell.placement.configuration import Settings
from annexshell.placement.facts import BranchFacts
from annexshell.placement.judge import Judge
from annexshell.repository.branch import Branch
from annexshell.repository.journal import journal_name
from annexshell.repository.open import open_repository
from annexshell.repository.paths import MIXED, hash_directories
from annexshell.repository.sizes import RepoSizes
from tests.support.process import Result, run
from tests.support.world import remove_tree

#: The repository in which everybody is asked.
HERE = UUID(b"e0000000-0000-4000-8000-00000000000e")
#: Seconds; a run takes some hundredths of one. git-annex never ends where a glob cannot be
#: compiled, which is therefore not generated.
LIMIT = 30.0

_COMMITTER = b"committer peer <peer@example.invalid> 1 +0000\ndata 0\n"

Line = tuple[bytes, bytes]
"""The path of a log on the branch, and one line of its text."""


@attrs.frozen
class Scenario:
    """One repository. Lines stand in their logs in the order in which they stand here.

    A log that has lines in ``journal`` is read from there. ``objects`` are the keys whose
    content is here. ``rebalance`` is the option of that name of git-annex's commands.
    """

    branch: tuple[Line, ...] = ()
    journal: tuple[Line, ...] = ()
    files: tuple[tuple[bytes, Key], ...] = ()
    attributes: tuple[bytes, ...] = ()
    objects: tuple[Key, ...] = ()
    config: tuple[tuple[str, str], ...] = ()
    rebalance: bool = False

    def logs(self) -> Mapping[bytes, bytes]:
        """The text of each log on the branch."""
        return _joined(self.branch)

    def pending(self) -> Mapping[bytes, bytes]:
        """The text of each log in the journal."""
        return _joined(self.journal)

    def __str__(self) -> str:
        told = [f"branch  {_shown(path)}: {_shown(text)}" for path, text in self.branch]
        told += [
            f"journal {_shown(path)}: {_shown(text)}" for path, text in self.journal
        ]
        told += [f"file    {_shown(path)}: {key}" for path, key in self.files]
        told += [f"attributes: {_shown(line)}" for line in self.attributes]
        told += [f"content here: {key}" for key in self.objects]
        told += [f"config  {name}={value}" for name, value in self.config]
        return "\n".join([*told, f"rebalance: {self.rebalance}"])


@attrs.frozen
class Question:
    """Which files ``node`` wants to get, or may drop."""

    node: UUID
    drop: bool

    def __str__(self) -> str:
        return f"--want-{'drop' if self.drop else 'get'}-by={self.node.decode()}"


def _joined(lines: Sequence[Line]) -> Mapping[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for path, text in lines:
        found[path] = found.get(path, b"") + text + b"\n"
    return found


def _shown(raw: bytes) -> str:
    return repr(raw)[2:-1]


def write(scenario: Scenario, template: Path, place: Path, env: dict[str, str]) -> None:
    """Make the scenario's repository at ``place`` from a copy of an initialised one."""
    shutil.copytree(template, place, symlinks=True)
    git_dir = place / ".git"
    with open(git_dir / "config", "a", encoding="utf-8") as config:
        for name, value in scenario.config:
            section, _, variable = name.rpartition(".")
            config.write(f'[{section}]\n\t{variable} = "{value}"\n')
    with open(git_dir / "info/attributes", "ab") as attributes:
        attributes.writelines(line + b"\n" for line in scenario.attributes)
    for path, content in scenario.pending().items():
        name = os.fsdecode(journal_name(path))
        (git_dir / "annex/journal" / name).write_bytes(content)
    for key in scenario.objects:
        _write_object(git_dir, key)
    _write_files(scenario, place)
    stream = b"".join(_stream(scenario)) + b"done\n"
    words = ["git", "fast-import", "--quiet", "--force", "--done"]
    run(words, cwd=place, env=env, stdin=stream)
    run(["git", "read-tree", "main"], cwd=place, env=env)


def _write_object(git_dir: Path, key: Key) -> None:
    name = os.fsdecode(key.file_name)
    folder = git_dir / "annex/objects" / hash_directories(key, MIXED) / name
    folder.mkdir(parents=True)
    (folder / name).touch()


def _write_files(scenario: Scenario, place: Path) -> None:
    for path, key in scenario.files:
        file = os.path.join(os.fsencode(place), path)
        os.makedirs(os.path.dirname(file), exist_ok=True)
        os.symlink(_target(path, key), file)


def _target(path: bytes, key: Key) -> bytes:
    up = b"../" * path.count(b"/")
    return up + b".git/annex/objects/aa/bb/%b/%b" % (key.file_name, key.file_name)


def _stream(scenario: Scenario) -> Iterator[bytes]:
    yield b"commit refs/heads/git-annex\n" + _COMMITTER
    for path, content in scenario.logs().items():
        yield _imported(b"100644", path, content)
    yield b"commit refs/heads/main\n" + _COMMITTER
    for path, key in scenario.files:
        yield _imported(b"120000", path, _target(path, key))


def _imported(mode: bytes, path: bytes, content: bytes) -> bytes:
    quoted = b"".join(b"\\%03o" % byte for byte in path)
    return b'M %b inline "%b"\ndata %d\n%b\n' % (mode, quoted, len(content), content)


@attrs.frozen
class Reference:
    """The real git-annex. ``env`` finds it."""

    template: Path
    env: dict[str, str]

    @classmethod
    def create(cls, template: Path, env: dict[str, str]) -> Reference:
        """With a fresh repository at ``template``, whose branch is then replaced."""
        template.mkdir(parents=True)
        for words in (
            ["git", "init", "--quiet", "."],
            ["git", "config", "annex.uuid", HERE.decode()],
            ["git-annex", "init", "--quiet", "here"],
        ):
            run(words, cwd=template, env=env)
        shutil.rmtree(template / ".git/hooks")
        for name in ("index", "index.lck"):
            (template / ".git/annex" / name).unlink()
        return cls(template, env)

    def write(self, scenario: Scenario, place: Path) -> None:
        write(scenario, self.template, place, self.env)

    def find(self, scenario: Scenario, question: Question, place: Path) -> Result:
        """What `git annex find` prints: the names of the files, a NUL after each."""
        words = ["git-annex", "find", "--print0", str(question)]
        words += ["--rebalance"] * scenario.rebalance
        return run(words, cwd=place, env=self.env, limit=LIMIT)

    def answer(
        self, scenario: Scenario, question: Question, place: Path
    ) -> frozenset[bytes]:
        """The files for which the answer is yes."""
        said = self.find(scenario, question, place)
        return frozenset(said.stdout.split(b"\0")[:-1])

    def explanation(self, scenario: Scenario, question: Question, place: Path) -> str:
        """The terms and their values, as git-annex tells them."""
        words = ["git-annex", "find", "--debug", "--debugfilter=Messages.explain"]
        words += ["--print0", str(question)]
        words += ["--rebalance"] * scenario.rebalance
        return run(words, cwd=place, env=self.env, limit=LIMIT, check=False).err


_PARTS = ("branch", "journal", "files", "attributes", "objects", "config")


def shrunk(scenario: Scenario, fails: Callable[[Scenario], bool]) -> Scenario:
    """A scenario that still fails, and of which hardly anything can be left out."""
    before = None
    while before != scenario:
        before = scenario
        for field in _PARTS:
            scenario = _fewer(scenario, field, fails)
        plain = attrs.evolve(scenario, rebalance=False)
        scenario = plain if scenario.rebalance and fails(plain) else scenario
        for field in ("branch", "journal"):
            scenario = _shorter_lines(scenario, field, fails)
    return scenario


def _fewer(
    scenario: Scenario, field: str, fails: Callable[[Scenario], bool]
) -> Scenario:
    parts: tuple[Any, ...] = getattr(scenario, field)

    def still_fails(rest: Sequence[Any]) -> bool:
        return fails(_with(scenario, field, rest))

    return _with(scenario, field, _least(parts, still_fails))


def _with(scenario: Scenario, field: str, parts: Sequence[Any]) -> Scenario:
    changes: dict[str, Any] = {field: tuple(parts)}
    return attrs.evolve(scenario, **changes)


def _shorter_lines(
    scenario: Scenario, field: str, fails: Callable[[Scenario], bool]
) -> Scenario:
    lines: list[Line] = list(getattr(scenario, field))
    for number, (path, text) in enumerate(lines):

        def still_fails(words: Sequence[bytes]) -> bool:
            changed = [*lines]
            changed[number] = (path, b" ".join(words))
            return fails(_with(scenario, field, changed))

        words = text.replace(b"(", b" ( ").replace(b")", b" ) ").split()
        if still_fails(words):
            lines[number] = (path, b" ".join(_least(words, still_fails)))
    return _with(scenario, field, lines)


def _least(
    parts: Sequence[Any], fails: Callable[[Sequence[Any]], bool]
) -> Sequence[Any]:
    """As few of the parts as can be, big pieces being tried first."""
    size = len(parts)
    while size > 0:
        start = 0
        while start < len(parts):
            rest = [*parts[:start], *parts[start + size :]]
            if fails(rest):
                parts = rest
            else:
                start += size
        size //= 2
    return parts


@attrs.frozen
class Answers:
    """The files for which the answer to a question is yes.

    We are asked in a repository that git-annex has not looked at yet, and again in what
    it leaves behind: a database of sizes, and at times no journal.
    """

    question: Question
    before: frozenset[bytes]
    theirs: frozenset[bytes]
    after: frozenset[bytes]

    @property
    def agree(self) -> bool:
        return self.before == self.theirs == self.after

    def __str__(self) -> str:
        told = [f"{self.question}", f"git-annex: {sorted(self.theirs)}"]
        told.append(f"ours before it: {sorted(self.before)}")
        return "\n".join([*told, f"ours after it:  {sorted(self.after)}"])


def ask_both(
    reference: Reference,
    scenario: Scenario,
    questions: Sequence[Question],
    place: Path,
    *,
    keep: bool = False,
) -> list[Answers]:
    """Ask git-annex and us in a new repository at ``place``."""
    if place.exists():
        remove_tree(place)
    reference.write(scenario, place)
    before = our_answers(scenario, questions, place)
    theirs = [reference.answer(scenario, question, place) for question in questions]
    after = our_answers(scenario, questions, place)
    if not keep:
        remove_tree(place)
    return list(map(Answers, questions, before, theirs, after))


def our_answers(
    scenario: Scenario, questions: Sequence[Question], place: Path
) -> list[frozenset[bytes]]:
    ours = Ours(scenario, place)
    try:
        return [ours.answer(question) for question in questions]
    finally:
        ours.close()


class Ours:
    """Our own answers about one repository, by what lies there when it is opened."""

    def __init__(self, scenario: Scenario, place: Path) -> None:
        self._repository = open_repository(os.path.realpath(place))
        self._branch = Branch(self._repository)
        settings = Settings(self._repository, self._branch)
        configuration, preferences = settings.current()
        if scenario.rebalance:
            configuration = attrs.evolve(configuration, rebalance=True)
        self._judge = Judge(configuration, preferences)
        self._files = scenario.files
        self._sizes = RepoSizes(self._repository, self._branch)

    def answer(self, question: Question) -> frozenset[bytes]:
        """The files for which the answer is yes."""
        return frozenset(
            path for path, key in self._files if self._yes(question, path, key)
        )

    def _yes(self, question: Question, path: bytes, key: Key) -> bool:
        facts = BranchFacts(
            self._repository,
            self._branch,
            self._judge.configuration,
            key,
            path.decode("utf-8", "surrogateescape"),
            self._sizes.current,
        )
        if question.drop:
            return self._judge.wants_to_drop(question.node, facts)
        return self._judge.wants(question.node, facts, default=False)

    def close(self) -> None:
        self._sizes.close()
