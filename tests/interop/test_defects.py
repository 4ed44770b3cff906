"""What git-annex-shell gets wrong, and the safe outcome here: one test a defect.

Each name says the outcome; the docstring says what git-annex-shell does (see
docs/defects.md). Run against git-annex-shell, these are the tests that fail.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from annexshell.model.key import Key
from annexshell.repository.open import open_repository
from annexshell.repository.paths import AnnexPaths
from tests.support.client import CLIENTS, HOW, Client, Repo, find_client
from tests.support.gateway import Gateway
from tests.support.process import run
from tests.support.session import on_pipes, p2pstdio, sha256_key
from tests.support.sshserver import SshServer
from tests.support.world import World, write_program

CONTENT = b"what the key stands for\n" * 50
KEY = sha256_key(CONTENT)


@pytest.fixture
def repo(world: World, current: Client, place: Path) -> Repo:
    return Repo.create(world, current, place / "repo")


@pytest.fixture
def bare(world: World, current: Client, place: Path) -> Repo:
    return Repo.create(world, current, place / "bare", bare=True)


def refused(answer: bytes) -> bool:
    """Whether an answer refuses the request and says so; b"" is a lost connection."""
    return answer.split(b" ")[0] in (b"ERROR", b"FAILURE")


# -- spec 02: the repository on disk ------------------------------------------------------


def test_put_over_an_edited_thin_object_keeps_the_good_content(
    world: World, current: Client, server: SshServer, repo: Repo, place: Path
) -> None:
    """D1: the content sent is thrown away, SUCCESS is sent, the last copy is lost."""
    repo.git("config", "annex.thin", "true")
    key = repo.add("file", CONTENT)
    repo.annex("unlock", "file")
    repo.git("commit", "--quiet", "-am", "unlock")
    me = repo.clone(server.url("ours", repo.path), place / "me")
    me.annex("get", "file")
    with (repo.path / "file").open("r+b") as edited:
        edited.write(b"EDITED")
    me.annex("move", "--to=origin", "--force", "file", check=False)
    copies = []
    if me.has(key):
        copies.append(me.object(key).read_bytes())
    if repo.has(key):
        copies.append(repo.object(key).read_bytes())
    assert CONTENT in copies
    assert (repo.path / "file").read_bytes().startswith(b"EDITED")


def test_unreadable_retention_stamp_still_holds(
    world: World, program: str, bare: Repo
) -> None:
    """D5: a stamp that cannot be parsed counts as none."""
    with on_pipes(world, program, bare) as session:
        session.greet()
        assert session.put(KEY, CONTENT) == b"SUCCESS", session.stderr
        stamp = bare.object(KEY.decode())
        stamp.parent.chmod(0o755)
        stamp.with_name(stamp.name + ".rtm").write_text("foo\n")
        assert refused(session.ask(b"REMOVE " + KEY))
        assert session.ask(b"CHECKPRESENT " + KEY) == b"SUCCESS"


def test_an_orderly_unlock_keeps_the_promise_to_an_earlier_locker(
    world: World, program: str, bare: Repo
) -> None:
    """D3: the second locker's unlock removes the stamp of the first, killed one."""
    with world.cold(), on_pipes(world, program, bare) as first:
        first.greet()
        assert first.put(KEY, CONTENT) == b"SUCCESS"
        assert first.ask(b"LOCKCONTENT " + KEY) == b"SUCCESS"
        first.process.kill()
        first.process.wait()
    with on_pipes(world, program, bare) as second:
        second.greet()
        assert second.ask(b"LOCKCONTENT " + KEY) == b"SUCCESS"
        second.say(b"UNLOCKCONTENT")
        assert refused(second.ask(b"REMOVE " + KEY))
        assert second.ask(b"CHECKPRESENT " + KEY) == b"SUCCESS"


def test_a_foreign_prefix_is_not_accepted_for_an_unverifiable_key(
    world: World, program: str, bare: Repo
) -> None:
    """D6: what another client left in annex/tmp becomes the beginning of our content."""
    key = b"WORM-s20-m1--unverifiable"
    right = b"12345678901234567890"
    with on_pipes(world, program, bare) as session:
        session.greet()
        assert session.ask(b"PUT f " + key) == b"PUT-FROM 0"
        assert session.ask(b"DATA 0\nINVALID") == b"FAILURE"
    partial = bare.path / "annex/tmp" / key.decode()
    partial.write_bytes(b"foreign!!!")
    with on_pipes(world, program, bare) as session:
        session.greet()
        answer = session.put(key, right)
        assert answer == b"SUCCESS" or refused(answer)
        if answer == b"SUCCESS":
            assert session.get(key) == (right, b"VALID")


def test_invalid_is_not_accepted_for_an_unverifiable_key(
    world: World, program: str, bare: Repo
) -> None:
    """D7: the sender says that what it sent is wrong, and it is stored."""
    key = b"WORM-s5-m1--changed-while-sent"
    with on_pipes(world, program, bare) as session:
        session.greet()
        assert session.ask(b"PUT f " + key) == b"PUT-FROM 0"
        session.write(b"DATA 5\nwrongINVALID\n")
        assert session.hear() == b"FAILURE"
        assert session.ask(b"CHECKPRESENT " + key) == b"FAILURE"


@pytest.mark.parametrize("verify", ["true", "false"])
def test_content_of_another_size_is_refused(
    world: World, program: str, bare: Repo, verify: str
) -> None:
    """D9: the size of a key is not enforced with annex.verify=false."""
    bare.git("config", "annex.verify", verify)
    key = KEY.replace(b"-s%d-" % len(CONTENT), b"-s%d-" % (len(CONTENT) - 1))
    with on_pipes(world, program, bare) as session:
        session.greet()
        assert session.put(key, CONTENT) == b"FAILURE"
        assert session.ask(b"CHECKPRESENT " + key) == b"FAILURE"


def test_a_truncated_object_is_no_copy(world: World, program: str, bare: Repo) -> None:
    """D10: it counts as present, and is locked as a copy for numcopies."""
    with on_pipes(world, program, bare) as session:
        session.greet()
        assert session.put(KEY, CONTENT) == b"SUCCESS"
        stored = bare.object(KEY.decode())
        stored.chmod(0o644)
        os.truncate(stored, 7)
        assert session.ask(b"CHECKPRESENT " + KEY) == b"FAILURE"
        assert session.ask(b"LOCKCONTENT " + KEY) == b"FAILURE"


def test_a_removal_leaves_no_second_copy(
    world: World, program: str, bare: Repo
) -> None:
    """02 §4.5: the copy found first goes; the other stays, logged as missing."""
    with on_pipes(world, program, bare) as session:
        session.greet()
        assert session.put(KEY, CONTENT) == b"SUCCESS"
        paths = AnnexPaths.of(open_repository(str(bare.path)))
        stored, other = (Path(p.object) for p in paths.places(Key.parse(KEY)))
        other.parent.mkdir(parents=True)
        shutil.copy(stored, other)
        assert session.ask(b"REMOVE " + KEY) == b"SUCCESS"
        assert session.ask(b"CHECKPRESENT " + KEY) == b"FAILURE"


def test_a_link_in_place_of_a_partial_file_is_not_followed(
    world: World, program: str, bare: Repo, place: Path
) -> None:
    """D11: the content is written to wherever the link points."""
    precious = place / "precious"
    precious.write_bytes(b"precious")
    (bare.path / "annex/tmp").mkdir(exist_ok=True)
    (bare.path / "annex/tmp" / KEY.decode()).symlink_to(precious)
    with on_pipes(world, program, bare) as session:
        session.greet()
        session.put(KEY, CONTENT)
    assert precious.read_bytes() == b"precious"


@pytest.mark.parametrize("client", ["..", "../../x", "a/b", ".", "x" * 300])
def test_a_client_uuid_never_becomes_a_path(
    world: World, program: str, bare: Repo, place: Path, client: str
) -> None:
    """D11: the uuid the client gives names a folder for transfer logs."""
    before = {path for path in bare.path.iterdir()}
    with on_pipes(world, program, bare, client=client) as session:
        if session.hear():
            session.put(KEY, CONTENT)
        session.end()
        assert "Traceback" not in session.stderr
    assert {path for path in bare.path.iterdir()} == before
    assert not (place / "x").exists()


def test_a_key_too_long_to_be_logged_is_refused(
    world: World, program: str, bare: Repo
) -> None:
    """D12: it is stored, but its log cannot be written: nobody knows where it is."""
    key = b"WORM-s5-m1--" + b"n" * 241
    with on_pipes(world, program, bare) as session:
        session.greet()
        answer = session.put(key, b"12345")
        if answer == b"SUCCESS":
            session.end()
            assert bare.whereis(key.decode()) == {bare.uuid}
        else:
            assert refused(answer)
            assert session.ask(b"CHECKPRESENT " + key) == b"FAILURE"


# -- refusals that end the whole connection ------------------------------------------------


def test_a_refused_removal_leaves_the_connection(
    world: World, program: str, current: Client, bare: Repo
) -> None:
    """01 §16.12: REMOVE of locked content kills the connection."""
    with on_pipes(world, program, bare) as session:
        session.greet()
        assert session.put(KEY, CONTENT) == b"SUCCESS"
        with on_pipes(world, str(current.shell), bare) as locker:
            locker.greet()
            assert locker.ask(b"LOCKCONTENT " + KEY) == b"SUCCESS"
            assert refused(session.ask(b"REMOVE " + KEY))
            assert session.ask(b"CHECKPRESENT " + KEY) == b"SUCCESS"


@pytest.mark.parametrize(
    ("setting", "value", "key"),
    [
        ("annex.diskreserve", "1000tb", KEY),
        ("annex.securehashesonly", "true", b"WORM-s5-m1--insecure"),
    ],
)
def test_a_refused_upload_leaves_the_connection(
    world: World, program: str, bare: Repo, setting: str, value: str, key: bytes
) -> None:
    """01 §5.3: the connection is closed, often only after the bytes were sent."""
    bare.git("config", setting, value)
    with on_pipes(world, program, bare) as session:
        session.greet()
        assert session.ask(b"PUT f " + key).startswith(b"ERROR ")
        session.say(b"ERROR expected PUT_FROM or ALREADY_HAVE")
        assert session.ask(b"CHECKPRESENT " + KEY) == b"FAILURE"


def test_a_busy_upload_leaves_the_connection(
    world: World, program: str, bare: Repo
) -> None:
    """01 §5.3: a second upload of a key is accepted, then the connection closed."""
    with on_pipes(world, program, bare) as one:
        one.greet()
        assert one.ask(b"PUT f " + KEY) == b"PUT-FROM 0"
        one.write(b"DATA %d\n%s" % (len(CONTENT), CONTENT[:100]))
        # Ours waits for the first one, but not for ever if that stands still.
        bare.git("config", "annexshell.stall-timeout", "1")
        with on_pipes(world, program, bare) as two:
            two.greet()
            answer = two.ask(b"PUT f " + KEY)
            if answer.startswith(b"PUT-FROM "):
                offset = int(answer.split()[1])
                two.write(b"DATA %d\n" % (len(CONTENT) - offset))
                two.write(CONTENT[offset:] + b"VALID\n")
                answer = two.hear()
            assert refused(answer), two.stderr
            if answer.startswith(b"ERROR"):
                two.say(b"ERROR expected PUT_FROM or ALREADY_HAVE")
            assert two.ask(b"CHECKPRESENT " + KEY) == b"FAILURE"
        one.write(CONTENT[100:] + b"VALID\n")
        assert one.hear() == b"SUCCESS", one.stderr


# -- spec 01: the proxy -------------------------------------------------------------------


def test_remove_before_is_never_weakened_for_an_old_node(
    world: World, program: str, gateway: Gateway, openssh: SshServer
) -> None:
    """01 §16.8: a node that knows no time limit is sent a plain REMOVE."""
    oldest = CLIENTS[-1]
    if find_client(oldest, world) is None:
        pytest.skip(f"git-annex {oldest} is not here: {HOW[oldest]}")
    node = gateway.add_ssh_node("old", openssh, "reference2023")
    gateway.publish()
    with on_pipes(world, program, gateway.repo, node.uuid) as session:
        session.greet()
        assert session.put(KEY, CONTENT) == b"SUCCESS", session.stderr
        assert refused(session.ask(b"REMOVE-BEFORE 1 " + KEY))
        assert session.ask(b"CHECKPRESENT " + KEY) == b"SUCCESS"
    assert node.has(KEY.decode())


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
@pytest.mark.parametrize("kind", ["path", "ssh"])
def test_bytes_go_through_the_proxy_unchanged(
    world: World,
    program: str,
    gateway: Gateway,
    openssh: SshServer,
    locale: str,
    kind: str,
) -> None:
    """01 §16.9: bytes beyond ASCII are encoded twice, and kill it in the C locale."""
    if kind == "path":
        node = gateway.add_path_node("node")
    else:
        node = gateway.add_ssh_node("node", openssh, "ours")
    gateway.publish()
    key = b"WORM-s5-m1--caf\xc3\xa9\xff"
    proxied = on_pipes(world, program, gateway.repo, node.uuid, LC_ALL=locale)
    with proxied as session:
        session.greet()
        assert session.put(key, b"12345", b"gr\xc3\xbcn/\xff") == b"SUCCESS"
        assert session.get(key) == (b"12345", b"VALID")
    found = [os.fsencode(path.name) for path in node.path.glob("annex/objects/*/*/*/*")]
    assert key in found


def test_a_link_does_not_lead_out_of_the_allowed_directory(
    world: World, program: str, current: Client, place: Path
) -> None:
    """01 §16.10: the path is compared as text, and then followed through links."""
    for path in (place / "p/r", place / "q/r"):
        Repo.create(world, current, path)
    (place / "q/sub").mkdir()
    (place / "p/link").symlink_to(place / "q/sub")
    env = world.env(current.bin, GIT_ANNEX_SHELL_DIRECTORY=str(place / "p/r"))
    asked = f"{place}/p/link/../r"
    for command in (
        f"git-annex-shell 'configlist' '{asked}'",
        f"git-upload-pack '{asked}'",
    ):
        done = run([program, "-c", command], cwd=place, env=env, check=False)
        other = Repo(world, current, place / "q/r").uuid
        assert done.code != 0 and other not in done.all, done


def test_a_confined_gateway_still_reaches_its_nodes(
    world: World, program: str, gateway: Gateway
) -> None:
    """01 §16.10: the restriction is handed on to the node, which refuses."""
    node = gateway.add_path_node("node")
    gateway.publish()
    allowed = {"GIT_ANNEX_SHELL_DIRECTORY": str(gateway.repo.path)}
    with on_pipes(world, program, gateway.repo, node.uuid, **allowed) as session:
        session.greet()
        assert session.put(KEY, CONTENT) == b"SUCCESS", session.stderr
    command = p2pstdio(node.path, node.uuid)
    env = world.env(gateway.repo.client.bin, **allowed)
    direct = run([program, "-c", command], cwd=node.path, env=env, check=False)
    assert direct.code == 1 and "Only allowed to access" in direct.err, direct


def test_a_refusing_node_does_not_end_the_connection(
    world: World, program: str, gateway: Gateway, openssh: SshServer
) -> None:
    """01 §16.13: an ERROR of the node to PUT is fatal to the whole session."""
    node = gateway.add_ssh_node("node", openssh, "readonly")
    gateway.publish()
    with on_pipes(world, program, gateway.repo, node.uuid) as session:
        session.greet()
        assert session.ask(b"PUT f " + KEY).startswith(b"ERROR ")
        session.say(b"ERROR expected PUT_FROM or ALREADY_HAVE")
        assert session.ask(b"CHECKPRESENT " + KEY) == b"FAILURE", session.stderr


def test_an_unreachable_node_is_named_and_the_connection_stays(
    world: World, program: str, gateway: Gateway, place: Path
) -> None:
    """01 §7.2: the client only sees the end of the connection."""
    node = gateway.add_path_node("node")
    gateway.publish()
    uuid = node.uuid
    shutil.move(node.path, place / "away")
    with on_pipes(world, program, gateway.repo, uuid) as session:
        session.greet()
        assert session.ask(b"CHECKPRESENT " + KEY).startswith(b"ERROR "), session.stderr
        shutil.move(place / "away", node.path)
        assert session.ask(b"CHECKPRESENT " + KEY) == b"FAILURE", session.stderr


def test_what_a_node_says_is_no_uuid_is_not_recorded(
    world: World, program: str, gateway: Gateway, openssh: SshServer, place: Path
) -> None:
    """01 §16.14: any text a node sends becomes a location."""
    node = gateway.add_ssh_node("node", openssh, "ours")
    gateway.publish()
    fake = place / "fake"
    fake.mkdir()
    write_program(
        fake / "ssh",
        f"echo AUTH-SUCCESS {node.uuid}\nread version\necho VERSION 4\n"
        'while read -r word rest; do case "$word" in\n'
        "REMOVE) echo SUCCESS-PLUS aa ../bb 11111111-2222-4333-8444-555555555555;;\n"
        "CHECKPRESENT) echo SUCCESS;; esac; done",
    )
    env = world.env(gateway.repo.client.bin)
    env["PATH"] = f"{fake}:{env['PATH']}"
    session = on_pipes(world, program, gateway.repo, node.uuid, PATH=env["PATH"])
    with session:
        session.greet()
        answer = session.ask(b"REMOVE " + KEY)
        assert answer.split()[0] in (b"SUCCESS", b"SUCCESS-PLUS"), session.stderr
        assert b"aa" not in answer.split() and b"../bb" not in answer
        session.end()
    branch = gateway.repo.git("grep", "-e", " aa", "git-annex", check=False)
    assert branch.code == 1 and branch.out == "", branch


def test_an_empty_cluster_never_says_it_has_something(
    world: World, current: Client, gateway: Gateway, openssh: SshServer, place: Path
) -> None:
    """01 §16.1: ALREADY-HAVE though nobody holds it; move destroys the last copy."""
    gateway.add_path_node("node")
    gateway.publish()
    repo = gateway.repo
    repo.annex("initcluster", "cluster")
    repo.git("config", "remote.node.annex-cluster-node", "cluster")
    repo.annex("updatecluster")
    repo.git("config", "--unset", "remote.node.annex-cluster-node")
    repo.annex("updatecluster")
    me = gateway.repo.clone(openssh.url("ours", gateway.repo.path), place / "me")
    key = me.add("last", CONTENT)
    me.annex("move", "--to=origin-cluster", "last", check=False)
    assert me.has(key)


# -- spec 03: the git-annex branch -----------------------------------------------------------


def test_a_push_while_the_journal_is_dirty_loses_no_line(
    world: World, program: str, openssh: SshServer, bare: Repo, place: Path
) -> None:
    """03 §11.1: the next git-annex overwrites the pushed lines with the journal's."""
    me = bare.clone(openssh.url("ours", bare.path), place / "me")
    key = me.add("file", CONTENT)
    me.annex("sync", "--no-content", "origin")
    with world.cold(), on_pipes(world, program, bare) as session:
        session.greet()
        assert session.put(key.encode(), CONTENT) == b"SUCCESS", session.stderr
        session.process.kill()  # what it journalled stays, uncommitted
        session.process.wait()
    elsewhere = "11111111-2222-4333-8444-555555555555"
    me.annex("setpresentkey", key, elsewhere, "1")
    me.annex("merge")  # commits it
    me.git("grep", "--quiet", "-e", elsewhere, "git-annex")
    # The journal is settled before git moves anything: what was journalled comes first,
    # and who pushes to the branch itself is told so, as after any other's push. Clients
    # push to synced/git-annex besides, which always works.
    refused = me.git("push", "--quiet", "origin", "git-annex", check=False)
    assert refused.code != 0 and "fetch first" in refused.err
    me.git("push", "--quiet", "origin", "+git-annex:synced/git-annex")
    bare.annex("merge")  # git-annex's own, over what we left
    bare.annex("setpresentkey", key, me.uuid, "1")
    held = bare.git("grep", "-h", "-e", "", "git-annex", "--", f"*/{key}.log").out
    assert {elsewhere, bare.uuid} <= set(held.split()), held


def test_what_was_stored_is_on_the_branch_when_the_session_ended(
    world: World, program: str, bare: Repo
) -> None:
    """A client that fetches right after its session sees what it did."""
    with on_pipes(world, program, bare) as session:
        session.greet()
        assert session.put(KEY, CONTENT) == b"SUCCESS", session.stderr
        assert session.end().code == 0
    assert (
        bare.uuid in bare.git("grep", "-h", bare.uuid, "git-annex", "--", "*.log").out
    )
    assert [path.name for path in (bare.path / "annex/journal").glob("*.log")] == []
