"""Deciding where content belongs, and room that is spoken for (spec 04 §9.2, §11)."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from annexshell.cluster.placing import Placer, View
from annexshell.model.ids import UUID
from annexshell.model.key import Key
from annexshell.placement.placer import RepositoryPlacer
from annexshell.repository.accounts import Accounts
from annexshell.repository.branch import Branch
from annexshell.repository.sizes import Deciding, RepoSizes
from annexshell.wanted import balanced
from annexshell.wanted.balanced import Space
from annexshell.wanted.parse import Parsed, parse
from tests.support.repositories import K_LOG, U1, U2, U3, K, Repo, plain_repo
from tests.unit.placement.looking import CLUSTER, Counting, of_uuids, pushed

NODES = (U2, U3)
ROOM = f"1s {U2.decode()} 150\n1s {U3.decode()} 150\n"


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return plain_repo(tmp_path / "repo")


@pytest.fixture
def placer(repo: Repo) -> Callable[[], RepositoryPlacer]:
    """Makes placers of one repository, each as of another session."""

    def made() -> RepositoryPlacer:
        repository = repo.open()
        return RepositoryPlacer(repository, Branch(repository))

    return made


Make = Callable[[], RepositoryPlacer]


def _key(number: int, size: int = 100) -> Key:
    return Key.parse(b"WORM-s%d--%d" % (size, number))


def _wanting(view: View) -> list[UUID]:
    return [node for node in NODES if view.wants(node)]


def _wanted(placer: Placer, key: Key = K, name: bytes = b"") -> list[UUID]:
    """Who wants it; nothing stays reserved."""
    found: list[UUID] = []

    def look(view: View) -> Collection[UUID]:
        found.extend(_wanting(view))
        return ()

    with placer.place(key, name, look):
        return found


def _left(placer: Placer, key: Key = K) -> list[int | None]:
    found: list[int | None] = []

    def look(view: View) -> Collection[UUID]:
        found.extend(view.left(node) for node in NODES)
        return ()

    with placer.place(key, b"", look):
        return found


def test_where_nothing_is_configured_all_want_all(repo: Repo, placer: Make) -> None:
    assert _wanted(placer()) == [U2, U3]
    pushed(repo, cluster=CLUSTER, preferred_content=of_uuids({U2: ""}))
    assert _wanted(placer()) == [U2, U3]
    assert _left(placer()) == [None, None]


def test_preferred_content_decides_by_the_name(repo: Repo, placer: Make) -> None:
    pushed(
        repo,
        cluster=CLUSTER,
        preferred_content=of_uuids({U2: "include=*.mp3", U3: "exclude=*.mp3"}),
    )
    one = placer()
    assert _wanted(one, name=b"a.mp3") == _wanted(one, name=b"./d/../a.mp3") == [U2]
    assert _wanted(one, name=b"foo") == [U3]
    # Without a name the one is false, the other true.
    assert _wanted(one) == [U3]
    # The top of the repository has a name, which is empty.
    pushed(repo, preferred_content=of_uuids({U2: "include=", U3: "include=?*"}))
    assert _wanted(one, name=b"d/..") == [U2]
    pushed(repo, preferred_content=of_uuids({U2: "nothing", U3: "nothing"}))
    assert _wanted(one, name=b"a.mp3") == []


def test_what_becomes_configured_in_a_session_counts(repo: Repo, placer: Make) -> None:
    pushed(repo, cluster=CLUSTER)
    one = placer()
    assert _wanted(one) == [U2, U3]
    pushed(repo, preferred_content=of_uuids({U2: "nothing"}))
    assert _wanted(one) == [U3]
    pushed(repo, preferred_content="")
    assert _wanted(one) == [U2, U3]


def test_holders_are_read_anew_for_each_upload(repo: Repo, placer: Make) -> None:
    copies = of_uuids({U2: "not copies=1", U3: "copies=1"})
    pushed(repo, cluster=CLUSTER, preferred_content=copies)
    one = placer()
    assert _wanted(one) == [U2]
    Branch(repo.open()).record(K, U1, True)
    assert _wanted(one) == [U3]


def test_a_fact_that_cannot_be_read_counts_as_wanted(
    repo: Repo, placer: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """And it is said once for an upload, not for each node."""
    copies = of_uuids({U2: "copies=1", U3: "copies=1"})
    pushed(repo, cluster=CLUSTER, preferred_content=copies)
    (repo.annex_dir / "journal" / K_LOG.replace(b"/", b"_").decode()).mkdir(
        parents=True
    )
    assert _wanted(placer()) == [U2, U3]
    (message,) = caplog.messages
    assert "not a regular" in message and "so all do" in message


@pytest.mark.parametrize(
    "expression, complaint, caret",
    [
        ("anything or bogus", "cannot be understood", "            ^~~~~"),
        ("include=[", "cannot be understood", "^~~~~~~~~"),
        ("not present", "is never met", ""),
    ],
)
def test_what_is_wrong_with_an_expression_is_said_once(
    repo: Repo,
    placer: Make,
    caplog: pytest.LogCaptureFixture,
    expression: str,
    complaint: str,
    caret: str,
) -> None:
    repo.git("config", "remote.disk.annex-uuid", U2.decode())
    wanted = of_uuids({U2: expression, U3: "anything"})
    pushed(repo, cluster=CLUSTER, preferred_content=wanted)
    one = placer()
    assert _wanted(one) == _wanted(one) == [U3]
    message, *marked = caplog.messages
    assert complaint in message and " disk " in message
    assert (not marked) == (complaint == "is never met")
    if marked:
        # The fault is pointed at, in the text that was set.
        assert marked == [f"    {expression}", f"    {caret}"]
    assert "annexshell-admin wanted check" in message
    # Another expression is another complaint, and who is no remote has a description.
    pushed(
        repo,
        preferred_content=of_uuids({U3: "more bogus\x1b[1m"}),
        uuid=of_uuids({U3: "the \x1bcellar"}),
    )
    caplog.clear()
    assert _wanted(one) == [U2]
    assert "\x1b" not in caplog.text and "cellar" in caplog.messages[0]


def test_one_upload_is_one_search_and_one_look_at_the_settings(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many nodes there are."""
    pushed(
        repo,
        cluster=CLUSTER,
        group=of_uuids({U2: "g", U3: "g"}),
        maxsize=ROOM,
        preferred_content=of_uuids(dict.fromkeys(NODES, "sizebalanced=g")),
        uuid=of_uuids({U2: "", U3: ""}),
    )
    done: list[str] = []
    search, source = balanced._emptiest, Branch.source

    def searched(members: frozenset[UUID], count: int, space: Space) -> list[UUID]:
        done.append("search")
        return search(members, count, space)

    def looked(self: Branch, paths: Iterable[bytes]) -> object:
        done.append("look")
        return source(self, paths)

    monkeypatch.setattr(balanced, "_emptiest", searched)
    monkeypatch.setattr(Branch, "source", looked)
    repository = repo.open()
    with closing(RepositoryPlacer(repository, Branch(repository))) as one:
        assert len(_wanted(one, _key(1))) == 1
        done.clear()
        assert len(_wanted(one, _key(2))) == 1
        assert sorted(done) == ["look", "search"]
        pushed(repo, preferred_content="", maxsize="")
        assert _wanted(one, _key(3)) == _wanted(one, _key(4)) == [U2, U3]


def test_choosing_that_fails_reserves_nothing(repo: Repo, placer: Make) -> None:
    pushed(repo, cluster=CLUSTER, maxsize=ROOM, uuid=of_uuids({U2: "", U3: ""}))

    def fail(view: View) -> Collection[UUID]:
        assert view.left(U2) == 150
        raise ZeroDivisionError

    one, other = placer(), placer()
    with pytest.raises(ZeroDivisionError):
        one.place(K, b"", fail)
    assert _left(other) == [150, 150]


def test_what_is_left_is_by_maxsize_and_what_is_there(repo: Repo, placer: Make) -> None:
    key = _key(1)
    path = Branch(repo.open()).location_path(key)
    pushed(
        repo,
        cluster=CLUSTER,
        maxsize=f"1s {U2.decode()} 70\n",
        uuid=of_uuids({U2: "", U3: ""}),
    )
    assert _left(placer()) == [70, None]
    repo.commit({path: b"1s 1 %b\n1s 1 %b\n" % (U2, U3)})
    assert _left(placer()) == [-30, None]


def test_room_is_spoken_for_until_it_is_given_up(repo: Repo, placer: Make) -> None:
    pushed(repo, cluster=CLUSTER, maxsize=ROOM, uuid=of_uuids({U2: "", U3: ""}))
    one, other = placer(), placer()
    room = one.place(_key(1), b"", lambda view: [U2])
    assert _left(other) == [50, 150]
    room.add([U3])
    assert _left(other) == [50, 50]
    room.close()
    room.close()
    assert _left(other) == [150, 150]
    room = one.place(_key(2), b"", lambda view: [U3])
    one.close()
    assert _left(other) == [150, 150]
    room.close()


def test_four_uploads_at_once_fill_two_nodes(repo: Repo, placer: Make) -> None:
    """Spec 04 §9.2: room for one each, and then nobody wants any more."""
    pushed(
        repo,
        cluster=CLUSTER,
        maxsize=ROOM,
        uuid=of_uuids({U2: "", U3: ""}),
        group=of_uuids({U2: "g", U3: "g"}),
        preferred_content=of_uuids({U2: "balanced=g", U3: "balanced=g"}),
    )
    chosen: list[list[UUID]] = []
    with ExitStack() as held:
        for number in range(4):

            def choose(view: View) -> list[UUID]:
                chosen.append(_wanting(view))
                return chosen[-1]

            held.enter_context(placer().place(_key(number), b"", choose))
    assert sorted(chosen[:2]) == [[U2], [U3]]
    assert chosen[2:] == [[], []]


def test_all_nodes_are_judged_by_the_same_sizes(repo: Repo, placer: Make) -> None:
    """git-annex counts the key for one before it judges the next, which then wants it too."""
    pushed(
        repo,
        cluster=CLUSTER,
        maxsize=ROOM,
        uuid=of_uuids({U2: "", U3: ""}),
        group=of_uuids({U2: "g", U3: "g"}),
        preferred_content=of_uuids({U2: "sizebalanced=g", U3: "sizebalanced=g"}),
    )
    for nodes in (NODES, NODES[::-1]):
        found: list[bool] = []

        def choose(view: View) -> list[UUID]:
            wanting = [node for node in nodes if view.wants(node)]
            found.extend(view.wants(node) for node in NODES)
            return wanting

        with placer().place(_key(1), b"", choose):
            assert found == [False, True]


def test_sessions_that_decide_at_once_do_so_one_after_the_other(
    repo: Repo, placer: Make
) -> None:
    pushed(
        repo,
        cluster=CLUSTER,
        maxsize=ROOM,
        uuid=of_uuids({U2: "", U3: ""}),
        group=of_uuids({U2: "g", U3: "g"}),
        preferred_content=of_uuids({U2: "sizebalanced=g", U3: "sizebalanced=g"}),
    )
    chosen: list[list[UUID]] = []
    placers = [placer() for _ in range(6)]

    def upload(number: int) -> None:
        def choose(view: View) -> list[UUID]:
            chosen.append(_wanting(view))
            return chosen[-1]

        placers[number].place(_key(number), b"", choose)

    threads = [threading.Thread(target=upload, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(chosen) == [[], [], [], [], [U2], [U3]]
    for one in placers:
        one.close()


def test_room_is_spoken_for_before_anybody_else_decides(
    repo: Repo, placer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between letting others decide and saying what we chose they would choose it too."""
    pushed(repo, cluster=CLUSTER, maxsize=ROOM, uuid=of_uuids({U2: "", U3: ""}))
    announced: list[tuple[Key, set[UUID]]] = []
    when_let_go: list[object] = []
    announce, deciding = Accounts.announce, RepoSizes.deciding

    def noted(accounts: Accounts, key: Key, uuids: Collection[UUID]) -> None:
        announce(accounts, key, uuids)
        announced.append((key, set(uuids)))

    @contextmanager
    def watched(sizes: RepoSizes) -> Iterator[Deciding]:
        with deciding(sizes) as found:
            yield found
            when_let_go.extend(announced)

    monkeypatch.setattr(Accounts, "announce", noted)
    monkeypatch.setattr(RepoSizes, "deciding", watched)
    with placer().place(_key(1), b"", lambda view: [U2]):
        assert when_let_go == announced == [(_key(1), {U2})]


def test_who_is_no_node_by_the_branch_is_counted_too(repo: Repo, placer: Make) -> None:
    pushed(repo, maxsize=ROOM, uuid=of_uuids({U2: "", U3: ""}))
    one, other = placer(), placer()

    def choose(view: View) -> list[UUID]:
        assert view.left(U2) == 150
        return [U2]

    with one.place(_key(1), b"", choose):
        assert _left(other) == [50, 150]


def test_logs_are_not_read_again_where_nothing_changed(repo: Repo) -> None:
    pushed(repo, cluster=CLUSTER, preferred_content=of_uuids({U2: "copies=1"}))
    branch = Counting(repo.open())
    one = RepositoryPlacer(repo.open(), branch)
    _wanted(one)
    branch.reads.clear()
    assert _wanted(one) == [U3]
    assert branch.reads == {K_LOG: 1}


_LOOK = """
import sys
from annexshell.model.key import Key
from annexshell.placement.placer import RepositoryPlacer
from annexshell.repository.branch import Branch
from annexshell.repository.open import open_repository
repository = open_repository(sys.argv[1])
placer = RepositoryPlacer(repository, Branch(repository))
uuid = sys.argv[2].encode()
with placer.place(Key.parse(b"WORM-s5--a"), b"a", lambda view: [view.wants(uuid)] and [uuid]):
    print(*(name for name in sys.modules if name.startswith(("annexshell.", "sqlite3"))))
"""


@pytest.mark.thorough
@pytest.mark.parametrize(
    "expression, loads, leaves",
    [
        (
            "",
            "annexshell.placement.placer",
            ("annexshell.wanted", "annexshell.repository.siz", "sqlite3"),
        ),
        ("copies=1", "annexshell.wanted", ("annexshell.repository.siz", "sqlite3")),
        ("balanced=g", "sqlite3", ()),
    ],
)
def test_only_what_is_needed_is_loaded(
    repo: Repo, expression: str, loads: str, leaves: tuple[str, ...]
) -> None:
    """Nor is anything of the sizes on disk where they do not count."""
    pushed(repo, cluster=CLUSTER, group=of_uuids({U2: "g"}))
    if expression:
        pushed(repo, preferred_content=of_uuids({U2: expression}))
    words = [sys.executable, "-c", _LOOK, str(repo.path.resolve()), U2.decode()]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    names = done.stdout.split()
    assert any(name.startswith(loads) for name in names)
    assert [name for name in names if leaves and name.startswith(leaves)] == []
    assert (repo.annex_dir / "reposize").exists() is not bool(leaves)


# -- what whoever pushes can do ------------------------------------------------------------


def test_too_large_a_log_of_a_key_is_not_looked_through(
    repo: Repo, placer: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """It counts as wanted, which is said once in a session, not with every upload."""
    terms = of_uuids({U2: "metadata=a=b", U3: "nothing"})
    pushed(repo, cluster=CLUSTER, preferred_content=terms)
    repo.commit({K_LOG + b".met": b"1s a" + b" +c" * 400_000 + b"\n"})
    one = placer()
    for _ in range(3):
        assert _wanted(one) == [U2]
    (message,) = caplog.messages
    assert ".met log has over 1048576 bytes" in message and "so all do" in message


def test_too_much_work_for_a_key_ends(
    repo: Repo,
    placer: Make,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All nodes together may take so much; the others count as wanting it."""
    terms = " or ".join(f"include=*{n}*" for n in range(100))
    pushed(repo, cluster=CLUSTER, preferred_content=of_uuids({U2: terms, U3: terms}))
    assert _wanted(placer(), name=b"a") == []
    monkeypatch.setattr("annexshell.wanted.effort.MOST_WORK", 1_000_000)
    one = placer()
    for _ in range(2):
        assert _wanted(one, name=b"a" * 5000) == [U2, U3]
    (message,) = caplog.messages
    assert "too much work" in message


def test_nodes_that_are_not_asked_cost_nothing(
    repo: Repo, placer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand of them may be in cluster.log."""
    pushed(
        repo,
        cluster=CLUSTER,
        preferred_content=of_uuids({U2: "include=a", U3: "include=b"}),
    )
    read: list[str] = []

    def noted(text: str) -> Parsed:
        read.append(text)
        return parse(text)

    monkeypatch.setattr("annexshell.wanted.preferences.parse", noted)
    with placer().place(K, b"a", lambda view: [n for n in [U2] if view.wants(n)]):
        assert "include=b" not in read and "include=a" in read


def test_a_choice_is_shared_by_all_nodes(
    repo: Repo, placer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is worked out once, however many are asked about."""
    members = dict.fromkeys((U2, U3), "g")
    chosen = dict.fromkeys((U2, U3), "fullybalanced=g")
    pushed(
        repo,
        cluster=CLUSTER,
        preferred_content=of_uuids(chosen),
        group=of_uuids(members),
    )
    made: list[Collection[UUID]] = []

    def picked(members: Collection[UUID], count: int, space: Space) -> list[UUID]:
        made.append(members)
        return sorted(members)

    monkeypatch.setattr("annexshell.wanted.balanced._with_room", picked)
    one = placer()
    assert len(_wanted(one)) == 1
    assert len(made) == 1
