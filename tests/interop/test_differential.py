"""git-annex-shell and annexshell on two copies of a repository, asked the same.

Sequences of requests are generated; after each of them the answers and what lies on the
disk for its key are compared, and at the end everything else: the objects and their
modes, the logs, git-annex's database, the work tree, what is left over, and what git-annex
says about all of it. What may differ is a list of named conditions; docs/differences.md
gives the reason of each.
"""

from __future__ import annotations

import glob
import itertools
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import attrs
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.support.client import Client, Repo
from tests.support.diskstate import Change, Entry, changes, disk, to_git_annex
from tests.support.operations import (
    FILES,
    KEYS,
    LARGE,
    MIDDLE,
    SMALL,
    Answers,
    Ask,
    Damage,
    Edit,
    Facts,
    Lock,
    Operation,
    Put,
    RemoveBefore,
    operations,
)
from tests.support.twins import CLOSED, FORMS, Form, Talk, Twins, annex_dir, make, twins
from tests.support.world import ROOT, World, remove_tree

Settings = tuple[tuple[str, str], ...]

SETTINGS: list[Settings] = [
    (),
    (),
    (),
    (("annex.securehashesonly", "true"),),
    (("annex.verify", "false"),),
    (("annex.thin", "true"),),
    (("annex.thin", "true"),),
    (("core.sharedRepository", "group"),),
    (("core.sharedRepository", "world"),),
    (("core.sharedRepository", "0660"),),
    (("annex.alwayscommit", "false"),),
    (("annex.private", "true"),),
]
ENVIRONMENTS: list[Settings] = [
    (),
    (),
    (),
    (),
    (),
    (),
    (("GIT_ANNEX_SHELL_READONLY", "1"),),
    (("GIT_ANNEX_SHELL_APPENDONLY", "1"),),
]
SHRINK = bool(os.environ.get("SHRINK_SEQUENCES"))
UNVERIFIABLE = frozenset(("worm", "url", "unknown", "empty-worm"))
INSECURE = frozenset(("sha1", "md5-unsized", "worm", "url", "unknown", "empty-worm"))


# -- what may differ in an answer, or in what one request leaves ------------------------------


@attrs.frozen
class Seen:
    """One operation on both copies: the state before and after it, and the answers."""

    form: Form
    config: Mapping[str, str]
    environment: Mapping[str, str]
    operation: Operation
    before: tuple[Facts, Facts]
    after: tuple[Facts, Facts]
    theirs: Answers
    ours: Answers

    @property
    def unverifiable(self) -> bool:
        return self.operation.key in UNVERIFIABLE

    @property
    def left_alone(self) -> bool:
        """Nothing of the key is different on our side after the operation."""
        return self.before[1][:2] == self.after[1][:2]

    def on(self, name: str) -> bool:
        return self.config.get(name) == "true"


def refused(answer: bytes) -> bool:
    return answer.split(b" ")[0] in (b"ERROR", b"FAILURE")


def alive(answers: Answers) -> bool:
    return bool(answers) and CLOSED not in answers


def complaint_ignored(seen: Seen) -> bool:
    return (
        isinstance(seen.operation, Put)
        and seen.theirs[:1] == seen.ours[:1]
        and seen.ours[0].startswith(b"ERROR ")
        and seen.theirs[1:] == [CLOSED]
        and alive(seen.ours)
        and seen.after[0] == seen.after[1]
    )


def upload_refused(seen: Seen) -> bool:
    return (
        isinstance(seen.operation, Put)
        and seen.on("annex.securehashesonly")
        and seen.operation.key in INSECURE
        and seen.theirs[0].startswith(b"PUT-FROM ")
        and seen.ours[0].startswith(b"ERROR annex.securehashesonly ")
        and alive(seen.ours)
        and seen.after[0].object is seen.after[1].object is None
    )


def removal_refused(seen: Seen) -> bool:
    if isinstance(seen.operation, Lock):
        first, *rest = zip(seen.theirs[1:], seen.ours[1:], strict=True)
        return first[0] == CLOSED and refused(first[1]) and all(a == b for a, b in rest)
    return (
        isinstance(seen.operation, Ask | RemoveBefore)
        and seen.theirs == [CLOSED]
        and refused(seen.ours[0])
        and ".rtm" in seen.before[0].promises
        and seen.left_alone
    )


def promise_kept(seen: Seen) -> bool:
    """Another request, or the end of the session, is no UNLOCKCONTENT."""
    if not isinstance(seen.operation, Lock) or seen.operation.then == "unlock":
        return False
    same = seen.theirs == seen.ours or removal_refused(seen)
    kept = seen.after[1].promises == (".lck", ".rtl", ".rtm")
    return same and kept and seen.left_alone


def takes_less(seen: Seen) -> bool:
    """git-annex stored what ours did not take."""
    theirs, ours = seen.after
    silent = seen.theirs[1:] == seen.ours[1:] == []
    said = seen.theirs[-1] == b"SUCCESS" and seen.ours[-1] == b"FAILURE"
    gone = seen.before[1].object is None and ours.object is None
    return (
        isinstance(seen.operation, Put)
        and (said or silent)
        and gone
        and bool(seen.before[0].object is None and theirs.object is not None)
    )


def always_verified(seen: Seen) -> bool:
    return takes_less(seen) and seen.config.get("annex.verify") == "false"


def size_enforced(seen: Seen) -> bool:
    return takes_less(seen) and seen.operation.key == "wrong-size"


def sender_believed(seen: Seen) -> bool:
    """Content without a digest counts only if its sender vouches for it."""
    doubts = ("invalid", "bad and invalid", "no verdict", "lost verdict")
    how = seen.operation.how if isinstance(seen.operation, Put) else ""
    return takes_less(seen) and seen.unverifiable and how in doubts


def nothing_vouched_for(seen: Seen) -> bool:
    """No byte came, and no verdict: as when a sender lost the content."""
    how = seen.operation.how if isinstance(seen.operation, Put) else ""
    offer = b"PUT-FROM %d" % len(seen.operation.keyed.content)
    silent = how in ("no verdict", "lost verdict") and seen.ours[0] == offer
    return takes_less(seen) and silent


def starts_anew(seen: Seen) -> bool:
    """Content without a digest is never continued from what somebody else may have sent."""
    partial = seen.before[0].partial or b""
    return (
        isinstance(seen.operation, Put)
        and seen.unverifiable
        and bool(partial)
        and seen.theirs[0] == b"PUT-FROM %d" % len(partial)
        and seen.ours[0] == b"PUT-FROM 0"
        and seen.after[1].object in (None, *sent(seen.operation))
    )


def sent(operation: Put) -> list[bytes]:
    return [operation.data()]


def part_kept(seen: Seen) -> bool:
    """How much of a broken upload is there to be continued; it is right in any case."""
    if not isinstance(seen.operation, Put) or seen.theirs != seen.ours:
        return False
    theirs, ours = (facts.partial or b"" for facts in seen.after)
    data = seen.operation.data()
    broken = seen.operation.how in ("lost", "nothing", "error", "out of turn")
    whole = (
        seen.after[0][:1] + seen.after[0][2:] == seen.after[1][:1] + seen.after[1][2:]
    )
    return broken and whole and data.startswith(theirs) and data.startswith(ours)


def too_much_refused_early(seen: Seen) -> bool:
    """What is longer than the key is not written, so that a good part stays."""
    return (
        isinstance(seen.operation, Put)
        and seen.operation.how == "long"
        and seen.theirs == seen.ours
        and seen.after[0].partial is None
        and seen.after[1].partial == seen.before[1].partial
    )


def damage_noticed(seen: Seen) -> bool:
    return (
        isinstance(seen.operation, Damage)
        and not seen.on("annex.thin")
        and seen.theirs == [b"SUCCESS"]
        and seen.ours == [b"FAILURE"]
        and seen.after[0] == seen.after[1]
    )


def edited_object_replaced(seen: Seen) -> bool:
    """The content takes the place of an object that was edited through its file."""
    wanted = seen.operation.keyed.content
    return (
        isinstance(seen.operation, Put)
        and seen.on("annex.thin")
        and seen.before[0].object not in (None, wanted)
        and seen.after[0].object == seen.before[0].object
        and seen.after[1].object == wanted
        and seen.ours[-1:] in ([b"SUCCESS"], [b"PUT-FROM 0"])
        and seen.after[1].files == seen.before[1].files
    )


DIFFERENCES: dict[str, Callable[[Seen], bool]] = {
    "Complaint about a refused upload": complaint_ignored,
    "Refused upload": upload_refused,
    "Refused removal": removal_refused,
    "Promise of a lock": promise_kept,
    "annex.verify": always_verified,
    "Size of a key": size_enforced,
    "Doubted content": sender_believed,
    "Nothing sent and no verdict": nothing_vouched_for,
    "Partial content that cannot be verified": starts_anew,
    "Part of a broken upload": part_kept,
    "Too much content": too_much_refused_early,
    "Damaged object": damage_noticed,
    "Edited thin object": edited_object_replaced,
}


# -- what may differ on the disk at the end ---------------------------------------------------


@attrs.frozen
class Remains:
    """One change at the end, and where it was found."""

    change: Change
    form: Form
    config: Mapping[str, str]

    @property
    def left_over(self) -> bool:
        return self.change.part == "leftovers"


def restaging(seen: Remains) -> bool:
    """git-annex refreshes git's index itself; ours notes what it is to refresh."""
    return seen.left_over and seen.change.name in ("restage.log", "restage.lck")


def failed_transfer(seen: Remains) -> bool:
    failed = seen.change.name.startswith("transfer/failed/")
    return seen.left_over and failed and seen.change.ours is None


def empty_partial(seen: Remains) -> bool:
    empty = seen.change.theirs == b"" and seen.change.ours is None
    return seen.left_over and seen.change.name.startswith("tmp/") and empty


def only_modes(theirs: object, ours: object) -> int:
    """The permissions that only one of two entries gives; 0 if more than that differs."""
    if not isinstance(theirs, Entry) or not isinstance(ours, Entry):
        return 0
    if theirs._replace(mode=ours.mode) != ours:
        return 0
    return int(theirs.mode, 8) ^ int(ours.mode, 8)


def shared_where_crippled(seen: Remains) -> bool:
    """git-annex leaves all modes alone; ours shares what is to be shared."""
    theirs, ours = seen.change.theirs, seen.change.ours
    if seen.form.name != "crippled" or not seen.form.shared:
        return False
    if seen.change.part != "objects" or theirs is None or ours is None:
        return False
    assert isinstance(theirs, tuple) and isinstance(ours, tuple)
    return theirs[0] == ours[0] or bool(only_modes(theirs[0], ours[0]))


def mode_of_file(seen: Remains) -> bool:
    """A file that is filled keeps the mode that it had, the executable bit too."""
    change, octal = seen.change, seen.form.shared.startswith("0")
    if change.name == "status":
        return octal and change.theirs == " M exec\n" and change.ours == ""
    more = only_modes(change.theirs, change.ours)
    group = more != 0 and more & ~0o022 == 0
    shared = octal or bool(seen.form.shared) and group
    return change.part == "work tree" and bool(more) and shared


REMAINS: dict[str, Callable[[Remains], bool]] = {
    "Files to restage": restaging,
    "Failed transfers": failed_transfer,
    "Empty partial files": empty_partial,
    "Modes of work tree files": mode_of_file,
    "Sharing where modes cannot be trusted": shared_where_crippled,
}


# -- comparing --------------------------------------------------------------------------------


def template(
    world: World, client: Client, path: Path, form: Form, shared: str = ""
) -> Repo:
    """What is copied for each sequence; with a work tree it has files and one content."""
    if shared:
        form = attrs.evolve(form, shared=shared)
    repo = make(world, client, path, form)
    if form.bare:
        return repo
    for name, content in (
        ("d/locked", SMALL),
        ("unlocked", SMALL),
        ("exec", MIDDLE),
        ("absent", LARGE),
    ):
        repo.add(name, content)
    repo.annex("unlock", "--quiet", "unlocked", "exec")
    (repo.path / "exec").chmod(0o755)
    repo.git("add", "--all")
    repo.git("commit", "--quiet", "-m", "files")
    repo.annex("drop", "--force", "--quiet", "exec", "absent")
    for name, files in FILES.items():
        assert {repo.key(file) for file in files} == {KEYS[name].text.decode()}
    return repo


class Comparison:
    """One sequence on both copies."""

    def __init__(
        self,
        pair: Twins,
        form: Form,
        config: Mapping[str, str],
        environment: Mapping[str, str],
    ) -> None:
        self.pair = pair
        self.form = form
        self.config = config
        self.environment = environment
        #: Keys of which the copies are known to differ; they are not looked at any more.
        self.aside: set[str] = set()

    def failure(self, what: object) -> AssertionError:
        facts = f"{self.form}, {dict(self.config)}, {dict(self.environment)}"
        return AssertionError(f"{what}\n{facts}\n{self.pair.conversation()}")

    def facts(self, operation: Operation) -> tuple[Facts, Facts]:
        files = () if self.form.bare else FILES.get(operation.key, ())
        theirs, ours = (Facts.of(t, operation.keyed, files) for t in self.pair)
        return theirs, ours

    def do(self, operation: Operation) -> None:
        """Do it twice, and compare."""
        if operation.key in self.aside:
            return
        if isinstance(operation, Lock) and self.form.version != "10":
            # Ours would keep such a lock, and its session, for ten minutes.
            operation = attrs.evolve(operation, then="unlock")
        if isinstance(operation, Edit) and not self.may_edit:
            return
        before = self.facts(operation)
        answers = []
        for talk in self.pair:
            talk.lines.append(f"## {operation}")
            answers.append(operation.play(talk))
        after = self.facts(operation)
        if self.log_corrected(operation, before[1]):
            self.aside.add(operation.key)
        if answers[0] == answers[1] and after[0] == after[1]:
            return
        seen = Seen(
            self.form,
            self.config,
            self.environment,
            operation,
            before,
            after,
            answers[0],
            answers[1],
        )
        if not any(applies(seen) for applies in DIFFERENCES.values()):
            raise self.failure(seen)
        if after[0] != after[1] or isinstance(operation, Damage):
            self.aside.add(operation.key)

    @property
    def may_edit(self) -> bool:
        """Whether git-annex would not take an edited file in (see docs/differences.md)."""
        thin = self.config.get("annex.thin") == "true"
        return thin and self.form.name != "crippled"

    def log_corrected(self, operation: Operation, before: Facts) -> bool:
        """A removal finds absent content that the log has: ours corrects the log.

        With annex.thin an object that was edited through its file is no content.
        """
        removes = isinstance(operation, RemoveBefore) or (
            isinstance(operation, Ask) and operation.word == "REMOVE"
        )
        edited = before.object not in (None, operation.keyed.content)
        return removes and edited and self.config.get("annex.thin") == "true"

    def finish(self) -> None:
        """End both sessions, in order, and compare everything."""
        for talk in self.pair:
            talk.ask(b"CHECKPRESENT " + KEYS["unknown"].text)
            talk.end()
        if any("internal error" in line for line in self.pair.ours.lines):
            raise self.failure("an internal error")
        theirs, ours = (disk(talk.repo) for talk in self.pair)
        self.judge(changes(theirs, ours))
        for name in self.aside:
            for talk in self.pair:
                give_up(talk, name)
        theirs, ours = (to_git_annex(talk.repo) for talk in self.pair)
        self.judge(changes(theirs, ours))

    def judge(self, found: list[Change]) -> None:
        wrong = [
            change
            for change in found
            if not self.is_aside(change)
            and not any(allowed(self.remains(change)) for allowed in REMAINS.values())
        ]
        if wrong:
            raise self.failure("\n".join(map(str, wrong)))

    def remains(self, change: Change) -> Remains:
        shared = self.config.get("core.sharedRepository", "")
        form = attrs.evolve(self.form, shared=shared)
        return Remains(change, form, self.config)

    def is_aside(self, change: Change) -> bool:
        for name in self.aside:
            keyed = KEYS[name]
            if keyed.file_name in change.name or keyed.text.decode() in change.name:
                return True
            if change.part == "work tree" and change.name in FILES.get(name, ()):
                return True
        return False


def give_up(talk: Talk, name: str) -> None:
    """Make both copies alike for a key, as if its content had never come."""
    keyed, annex = KEYS[name], annex_dir(talk.repo)
    for place in (annex / "objects").glob(f"**/{glob.escape(keyed.file_name)}"):
        if place.is_dir():
            remove_tree(place)
    (annex / "tmp" / keyed.file_name).unlink(missing_ok=True)
    for file in FILES.get(name, ()):
        talk.repo.git("checkout", "--quiet", "--", file, check=False)
    uuid = talk.repo.git("config", "annex.uuid").out.strip()
    talk.repo.annex("setpresentkey", keyed.text.decode(), uuid, "0")


def compare(
    pair: Twins,
    form: Form,
    config: Mapping[str, str],
    environment: Mapping[str, str],
    todo: list[Operation],
) -> None:
    comparison = Comparison(pair, form, config, environment)
    for operation in todo:
        comparison.do(operation)
    comparison.finish()


# -- the tests ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def templates(world: World, current: Client) -> Iterator[Callable[[Form, str], Repo]]:
    """Makes what is copied, once for each form and each way to share."""
    made: dict[tuple[str, str], Repo] = {}
    top = world.place / "templates"

    def get(form: Form, shared: str) -> Repo:
        named = (form.name, shared)
        if named not in made:
            path = top / f"{form}-{shared}"
            made[named] = template(world, current, path, form, shared)
        return made[named]

    yield get
    if top.exists():
        remove_tree(top)


SEQUENCES = st.lists(operations, min_size=10, max_size=25)
#: One example takes a second or two, so there are fewer than of other properties.
EXAMPLES = max(6, settings().max_examples // 50)


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_both_answer_and_leave_the_same(
    templates: Callable[[Form, str], Repo],
    world: World,
    current: Client,
    program: str,
    place: Path,
    form: Form,
) -> None:
    number = itertools.count()

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example],
        # Finding a shorter sequence takes minutes: for a person who looks for the cause.
        phases=tuple(Phase) if SHRINK else (Phase.explicit, Phase.generate),
    )
    @given(st.sampled_from(SETTINGS), st.sampled_from(ENVIRONMENTS), SEQUENCES)
    def sequence(
        config: Settings, environment: Settings, todo: list[Operation]
    ) -> None:
        here = place / str(next(number))
        origin = templates(form, dict(config).get("core.sharedRepository", ""))
        programs = (str(current.shell), program)
        with twins(origin, here, programs, dict(config), dict(environment)) as pair:
            compare(pair, form, dict(config), dict(environment), todo)

    sequence()


def test_every_difference_has_its_reason() -> None:
    text = (ROOT / "docs/differences.md").read_text()
    for name in (*DIFFERENCES, *REMAINS):
        assert f"| {name} |" in text
