"""gcryptsetup, and the repositories that it makes (spec 02 §14.5)."""

from __future__ import annotations

from pathlib import Path

import pytest

from annexshell.model.key import Key
from annexshell.repository.filelock import try_lock
from tests.support.content import files_below
from tests.support.rsync import rsync
from tests.support.shell import Done, environment, git, make_annex, run_shell

ID = ":id:abc"
UUID = "5e90acef-43a8-5c70-b3cf-bee689c12e2f"
KEY = Key.parse(b"GPGHMACSHA1--80033552dbf841d95bb1f0c07b6866ae41c6238c")
SECRET = b"encrypted"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path.resolve()
    git("init", "-q", "--bare", home / "g.git")
    return home


def shell(home: Path, *words: str, **env: str) -> Done:
    return run_shell(*words, env=environment(home, **env))


def setting(home: Path, name: str) -> str:
    lines = git("-C", home / "g.git", "config", "--list").splitlines()
    return "".join(line for line in lines if line.startswith(f"{name}="))


@pytest.fixture
def gcrypt(home: Path) -> Path:
    done = shell(home, "gcryptsetup", "g.git", ID)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    return home


def test_a_bare_repository_is_set_up(gcrypt: Path) -> None:
    assert setting(gcrypt, "core.gcrypt-id") == f"core.gcrypt-id={ID}"
    assert setting(gcrypt, "receive.denynonfastforwards").endswith("=false")
    done = shell(gcrypt, "configlist", "g.git", "--uuid", UUID)
    answer = f"annex.uuid=\ncore.gcrypt-id={ID}\n"
    assert (done.returncode, done.stdout.decode()) == (0, answer)


def test_the_same_id_again_is_fine(gcrypt: Path) -> None:
    before = (gcrypt / "g.git/config").read_bytes()
    assert shell(gcrypt, "gcryptsetup", "g.git", ID).returncode == 0
    assert (gcrypt / "g.git/config").read_bytes() == before


@pytest.mark.parametrize("gcrypt_id", [":id:a b'\"", "-", "--global=1"])
def test_any_text_can_be_an_id(home: Path, gcrypt_id: str) -> None:
    done = shell(home, "gcryptsetup", "g.git", gcrypt_id)
    if gcrypt_id.startswith("--"):
        assert done.returncode == 1 and b"Invalid option" in done.stderr
        return
    assert done.returncode == 0, done.stderr
    stored = git("-C", home / "g.git", "config", "-z", "core.gcrypt-id")
    assert stored == gcrypt_id + "\0"


@pytest.mark.parametrize("end", ["\n", "\r"])
def test_an_id_is_one_line(home: Path, end: str) -> None:
    before = (home / "g.git/config").read_bytes()
    done = shell(home, "gcryptsetup", "g.git", f":id:x{end}annex.uuid=forged")
    assert done.returncode == 1 and b"one line" in done.stderr
    assert (home / "g.git/config").read_bytes() == before


def test_configlist_prints_two_lines(gcrypt: Path) -> None:
    git("-C", gcrypt / "g.git", "config", "core.gcrypt-id", ":id:x\nannex.uuid=forged")
    done = shell(gcrypt, "configlist", "g.git")
    assert done.stdout == b"annex.uuid=\ncore.gcrypt-id=:id:x\n"


def test_who_may_not_push_may_not_say_how_others_do(home: Path) -> None:
    before = (home / "g.git/config").read_bytes()
    done = shell(home, "gcryptsetup", "g.git", ID, GIT_ANNEX_SHELL_LIMITED="1")
    assert done.returncode == 1
    assert b"Action blocked by GIT_ANNEX_SHELL_LIMITED" in done.stderr
    assert (home / "g.git/config").read_bytes() == before


def test_without_an_id_nothing_is_done(home: Path) -> None:
    before = (home / "g.git/config").read_bytes()
    assert shell(home, "gcryptsetup", "g.git").returncode == 0
    assert (home / "g.git/config").read_bytes() == before


def test_another_id_is_refused(gcrypt: Path) -> None:
    done = shell(gcrypt, "gcryptsetup", "g.git", ":id:other")
    assert done.returncode == 1 and b"gcryptsetup uuid mismatch" in done.stderr
    assert setting(gcrypt, "core.gcrypt-id") == f"core.gcrypt-id={ID}"


@pytest.mark.parametrize("words", [("",), (ID, ":id:b")])
def test_only_one_id_is_taken(home: Path, words: tuple[str, ...]) -> None:
    """git-annex-shell takes the last one, and forgets the first."""
    done = shell(home, "gcryptsetup", "g.git", *words)
    assert done.returncode == 1 and b"takes one gcrypt id" in done.stderr
    assert setting(home, "core.gcrypt-id") == ""


def test_an_annex_is_refused(home: Path) -> None:
    make_annex(home / "r.git")
    done = shell(home, "gcryptsetup", "r.git", ID)
    assert done.returncode == 1
    assert b"this repository already has a git-annex uuid!" in done.stderr


def test_a_work_tree_is_refused(home: Path) -> None:
    git("init", "-q", home / "tree")
    done = shell(home, "gcryptsetup", "tree", ID)
    assert done.returncode == 1
    assert b"cannot use gcrypt in a non-bare repository" in done.stderr


@pytest.mark.parametrize("variable", ["READONLY", "APPENDONLY"])
def test_restricted_accounts_may_not_set_up(home: Path, variable: str) -> None:
    name = f"GIT_ANNEX_SHELL_{variable}"
    done = shell(home, "gcryptsetup", "g.git", ID, **{name: "1"})
    assert done.returncode == 1 and f"blocked by {name}".encode() in done.stderr
    assert setting(home, "core.gcrypt-id") == ""


@pytest.mark.parametrize("uuid", [None, UUID])
def test_content_of_a_gcrypt_repository(gcrypt: Path, uuid: str | None) -> None:
    """No uuid, no version, no location log; objects in the lower hash directories."""
    asked = [] if uuid is None else ["--uuid", uuid]
    words = " ".join(["g.git", str(KEY), *asked, "-- remoteuuid=abc --"])
    (gcrypt / "source").write_bytes(SECRET)
    env = environment(gcrypt)

    def over(name: str, *files: str) -> tuple[int, int]:
        command = f"git-annex-shell {name} {words}"
        code, done = rsync(command, *files, place=gcrypt, env=env)
        return code, done.returncode

    assert shell(gcrypt, "inannex", "g.git", str(KEY), *asked).returncode == 1
    assert over("recvkey", "source", "dummy:") == (0, 0)
    assert shell(gcrypt, "inannex", "g.git", str(KEY), *asked).returncode == 0
    annex = gcrypt / "g.git/annex"
    stored = [p.relative_to(annex).as_posix() for p in files_below(annex / "objects")]
    assert stored == [f"objects/173/93a/{KEY}/{KEY}"]
    assert over("sendkey", "dummy:", "target") == (0, 0)
    assert (gcrypt / "target").read_bytes() == SECRET
    done = shell(gcrypt, "dropkey", "g.git", "--quiet", "--force", str(KEY), *asked)
    assert (done.returncode, done.stderr) == (0, b"")
    assert shell(gcrypt, "inannex", "g.git", str(KEY), *asked).returncode == 1
    assert not (annex / "journal").exists()
    assert git("-C", gcrypt / "g.git", "for-each-ref") == ""


@pytest.mark.parametrize(
    "command", ["inannex", "dropkey", "sendkey", "recvkey", "gcryptsetup"]
)
def test_another_uuid_is_refused(gcrypt: Path, command: str) -> None:
    other = "00000000-1111-4222-8333-444444444444"
    done = shell(gcrypt, command, "g.git", "--force", str(KEY), "--uuid", other)
    said = f"expected repository UUID {other} but found uninitialized repository"
    assert done.returncode == 1 and said.encode() in done.stderr


def test_a_gcrypt_repository_is_not_initialised(gcrypt: Path) -> None:
    done = shell(gcrypt, "configlist", "g.git", "--", "autoinit=1")
    assert done.stdout.decode() == f"annex.uuid=\ncore.gcrypt-id={ID}\n"


def stored(home: Path) -> Path:
    """The content of a key, placed by hand; there is no sentinel file yet."""
    path = home / f"g.git/annex/objects/173/93a/{KEY}/{KEY}"
    path.parent.mkdir(parents=True)
    path.write_bytes(SECRET)
    return path


def test_content_is_locked_by_its_own_file(gcrypt: Path) -> None:
    """Without a version the old way of locking holds (spec 02 §7.2)."""
    path = stored(gcrypt)
    words = ["g.git", "--uuid", UUID, "--force", str(KEY)]
    shared = try_lock(str(path), exclusive=False)
    assert shared is not None
    with shared:
        assert shell(gcrypt, "inannex", *words).returncode == 0
        done = shell(gcrypt, "dropkey", *words)
    assert done.returncode == 1 and b"content is locked" in done.stderr
    path.chmod(0o644)  # as whoever removes it does; others than root need to
    exclusive = try_lock(str(path), exclusive=True)
    assert exclusive is not None
    with exclusive:
        assert shell(gcrypt, "inannex", *words).returncode == 100
        assert shell(gcrypt, "dropkey", *words).returncode == 1
    assert path.read_bytes() == SECRET
    assert shell(gcrypt, "dropkey", *words).returncode == 0
    assert not path.parent.exists()
    assert (gcrypt / "g.git/annex/sentinal").exists()
    assert not list(files_below(gcrypt / "g.git/annex/objects"))
