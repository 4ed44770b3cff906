"""sendkey and recvkey with a real rsync as the client (spec 02 §9, §10, §15)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from annexshell.model.key import Key
from annexshell.repository.filelock import try_lock
from annexshell.repository.open import Repository
from annexshell.repository.paths import AnnexPaths, ObjectPlace
from tests.support.content import (
    HELLO,
    HERE,
    PEER,
    files_below,
    make_repository,
    mode_of,
    object_path,
    sha256_key,
    tmp_path_of,
    write_object,
)
from tests.support.process import LIMIT
from tests.support.rsync import OURS, need_rsync, rsync
from tests.support.shell import Done, environment, run_shell, write_identity
from tests.support.world import write_program

KEY = sha256_key(HELLO)
SECRET = Key.parse(b"GPGHMACSHA1--80033552dbf841d95bb1f0c07b6866ae41c6238c")
"""As gcrypt clients name content: nothing in it can be verified."""
DONE = (0, 0)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    write_identity(tmp_path)
    return make_repository(tmp_path / "r.git", annex_diskreserve="1")


def command(name: str, key: Key, fields: str = f"remoteuuid={PEER.decode()}") -> str:
    words = f"'{name}' 'r.git' '{key}' --uuid {HERE}"
    return f"git-annex-shell {words} '--' '{fields}' '--'"


def receive(
    repository: Repository, key: Key, data: bytes, *options: str, **env: str
) -> tuple[tuple[int, int], Done]:
    """Have rsync send ``data``; the exit codes of shell and client."""
    home = Path(repository.path).parent
    (home / "source").write_bytes(data)
    words: list[str | Path] = [*options, home / "source", "dummy:"]
    asked = command("recvkey", key)
    code, done = rsync(asked, *words, place=home, env=environment(home, **env))
    return (code, done.returncode), done


def send(
    repository: Repository, key: Key, *options: str, **env: str
) -> tuple[tuple[int, int], bytes | None, Done]:
    """Have rsync fetch the key; the exit codes of both, and what arrived."""
    home = Path(repository.path).parent
    target = home / "target"
    words: list[str | Path] = [*options, "dummy:", target]
    asked = command("sendkey", key)
    code, done = rsync(asked, *words, place=home, env=environment(home, **env))
    return (code, done.returncode), read(target), done


def read(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def leftovers(repository: Repository) -> list[str]:
    """Files of transfers: locks, infos and content on its way."""
    found = []
    for folder in ("tmp", "transfer"):
        found += [p.name for p in files_below(Path(repository.annex_dir, folder))]
    return found


def journal(repository: Repository) -> list[bytes]:
    return [p.read_bytes() for p in files_below(Path(repository.annex_dir, "journal"))]


def place_of(repository: Repository, key: Key) -> ObjectPlace:
    return AnnexPaths.of(repository).places(key)[0]


def configure(repository: Repository, name: str, value: str) -> None:
    config = ["git", f"--git-dir={repository.git_dir}", "config", name, value]
    subprocess.run(config, check=True)


def fake_rsync(repository: Repository, body: str) -> dict[str, str]:
    """A program in rsync's place on the server's side; ``$last`` is the file."""
    folder = Path(repository.path).parent / "fake"
    folder.mkdir()
    write_program(folder / "rsync", f"for last; do :; done\n{body}")
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


def run(repository: Repository, name: str, key: Key, *words: str, **env: str) -> Done:
    """The shell alone, where no client has to be there."""
    home = Path(repository.path).parent
    return run_shell(name, "r.git", str(key), *words, env=environment(home, **env))


# -- recvkey -------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [KEY, SECRET], ids=str)
@pytest.mark.parametrize("version", ["8", "10"])
def test_content_is_received_stored_and_recorded(
    tmp_path: Path, key: Key, version: str
) -> None:
    write_identity(tmp_path)
    repository = make_repository(tmp_path / "r.git", version=version)
    codes, done = receive(repository, key, HELLO, GIT_ANNEX_VECTOR_CLOCK="7s")
    assert codes == DONE, done
    stored = object_path(repository, key)
    assert stored.read_bytes() == HELLO
    assert not mode_of(stored) & 0o222 and not mode_of(stored.parent) & 0o222
    assert journal(repository) == [b"7s 1 %b\n" % HERE.encode()]
    assert leftovers(repository) == []


def test_large_content_is_continued_where_it_stopped(repository: Repository) -> None:
    data = os.urandom(3_000_000)
    key = sha256_key(data)
    partial = tmp_path_of(repository, key)
    partial.parent.mkdir()
    partial.write_bytes(data[:2_000_000])
    codes, done = receive(repository, key, data, "--stats", "--no-whole-file")
    assert codes == DONE, done
    literal = [line for line in done.stdout.splitlines() if b"Literal data" in line]
    count = int(literal[0].split()[2].replace(b",", b""))
    assert 0 < count < 2_000_000
    assert object_path(repository, key).read_bytes() == data


def test_wrong_content_is_thrown_away(repository: Repository) -> None:
    codes, done = receive(repository, KEY, b"jello\n")
    assert codes[0] == 1 and b"Verification of content failed" in done.stderr
    assert leftovers(repository) == [] and journal(repository) == []
    codes, done = receive(repository, KEY, HELLO)
    assert codes == DONE, done


def test_a_bad_partial_of_the_same_time_and_size_is_not_believed(
    repository: Repository, tmp_path: Path
) -> None:
    """rsync leaves a file alone that looks like the source."""
    for key in (KEY, SECRET):
        partial = tmp_path_of(repository, key)
        partial.parent.mkdir(exist_ok=True)
        partial.write_bytes(b"jello\n")
        (tmp_path / "source").write_bytes(HELLO)
        os.utime(tmp_path / "source", (5, 5))
        os.utime(partial, (5, 5))
        words: list[str | Path] = ["-t", tmp_path / "source", "dummy:"]
        asked = command("recvkey", key)
        code, _ = rsync(asked, *words, place=tmp_path, env=environment(tmp_path))
        if key == KEY:
            assert code == 1 and leftovers(repository) == []
        else:
            assert code == 0 and object_path(repository, key).read_bytes() == HELLO


def test_good_content_is_never_replaced(repository: Repository) -> None:
    stored = write_object(repository, SECRET, b"first\n")
    before = stored.stat()
    codes, done = receive(repository, SECRET, b"second\n")
    assert codes == DONE, done
    assert stored.read_bytes() == b"first\n" and stored.stat().st_ino == before.st_ino
    assert leftovers(repository) == []
    # Without git-annex's log of it before, it is recorded now.
    assert len(journal(repository)) == 1


def test_damaged_content_is_replaced(repository: Repository) -> None:
    write_object(repository, KEY, b"trunc")
    codes, done = receive(repository, KEY, HELLO)
    assert codes == DONE, done
    assert place_of(repository, KEY).object == str(_stored(repository, KEY))
    assert _stored(repository, KEY).read_bytes() == HELLO


def _stored(repository: Repository, key: Key) -> Path:
    return Path(place_of(repository, key).object)


def test_a_client_that_sends_nothing_has_sent_no_content(
    repository: Repository,
) -> None:
    """rsync ends in good order where its list of files is empty."""
    for key in (KEY, SECRET):
        codes, done = receive(repository, key, HELLO, "--exclude=*")
        assert codes[0] == 1, done
        assert leftovers(repository) == [] and journal(repository) == []
        assert not _stored(repository, key).exists()


@pytest.mark.parametrize("sources", [["one", "two"], ["folder"]])
def test_a_client_that_sends_more_than_one_file_stores_none(
    repository: Repository, tmp_path: Path, sources: list[str]
) -> None:
    """With git-annex-shell the object is a directory of whatever files then."""
    (tmp_path / "folder").mkdir()
    for name in ("one", "two", "folder/three"):
        (tmp_path / name).write_text(name)
    asked = command("recvkey", SECRET)
    words = ["-r", *sources, "dummy:"]
    code, done = rsync(asked, *words, place=tmp_path, env=environment(tmp_path))
    assert code == 1 and done.returncode != 0, done
    assert leftovers(repository) == []
    assert not list(files_below(Path(repository.annex_dir, "objects")))


@pytest.mark.parametrize("key", [KEY, SECRET], ids=str)
def test_rsync_cannot_write_more_than_there_is_room_for(
    tmp_path: Path, key: Key
) -> None:
    """A key without a size says nothing about what comes; the reserve holds all the same."""
    disk = os.statvfs(tmp_path)
    reserve = disk.f_bavail * disk.f_frsize - 50_000_000
    repository = make_repository(tmp_path / "r.git", annex_diskreserve=str(reserve))
    body = 'head -c 200000000 /dev/zero >"$last"; exit 11'
    done = run(repository, "recvkey", key, **fake_rsync(repository, body))
    assert done.returncode == 1 and b"rsync ended with exit code 11" in done.stderr
    assert tmp_path_of(repository, key).stat().st_size <= 60_000_000


def test_a_full_disk_is_told_before_rsync_starts(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "r.git", annex_diskreserve="900 PB")
    done = run(repository, "recvkey", KEY, **fake_rsync(repository, "exit 0"))
    assert done.returncode == 1 and b"not enough free space" in done.stderr
    assert leftovers(repository) == []


def test_a_key_is_received_once_at_a_time(repository: Repository) -> None:
    paths = AnnexPaths.of(repository)
    lock = Path(paths.download_lock(KEY))
    lock.parent.mkdir(parents=True)
    held = try_lock(str(lock), exclusive=True)
    assert held is not None
    with held:
        done = run(repository, "recvkey", KEY, **fake_rsync(repository, "exit 0"))
    assert done.returncode == 1 and b"transfer already in progress" in done.stderr


@pytest.mark.parametrize("plant", ["symlink", "fifo", "directory"])
def test_what_is_planted_as_a_temporary_file_is_refused(
    repository: Repository, tmp_path: Path, plant: str
) -> None:
    victim, path = tmp_path / "victim", tmp_path_of(repository, KEY)
    victim.write_bytes(b"precious")
    path.parent.mkdir()
    if plant == "symlink":
        path.symlink_to(victim)
    elif plant == "fifo":
        os.mkfifo(path)
    else:
        path.mkdir()
    codes, done = receive(repository, KEY, HELLO)
    assert codes[0] == 1 and b"not a regular file" in done.stderr
    assert victim.read_bytes() == b"precious"
    assert not _stored(repository, KEY).exists()


def test_a_temporary_file_with_another_name_is_not_written_to(
    repository: Repository, tmp_path: Path
) -> None:
    victim, path = tmp_path / "victim", tmp_path_of(repository, KEY)
    victim.write_bytes(b"precious")
    path.parent.mkdir()
    os.link(victim, path)
    codes, done = receive(repository, KEY, HELLO)
    assert codes == DONE, done
    assert victim.read_bytes() == b"precious"


@pytest.mark.parametrize(
    "swap",
    [
        'rm "$last"; printf "hello\\n" >"$last"',
        'printf "hello\\n" >"$last"; mv "$last" "$last.x"; ln -s "$last.x" "$last"',
        'printf "hello\\n" >"$last"; ln "$last" "$last.x"',
        'rm "$last"',
    ],
)
@pytest.mark.parametrize("key", [KEY, SECRET], ids=str)
def test_a_temporary_file_swapped_meanwhile_is_not_stored(
    repository: Repository, swap: str, key: Key
) -> None:
    done = run(repository, "recvkey", key, **fake_rsync(repository, swap))
    assert done.returncode == 1 and b"replaced or linked" in done.stderr
    assert not _stored(repository, key).exists() and journal(repository) == []


def test_rsync_that_fails_stores_nothing_and_keeps_what_came(
    repository: Repository,
) -> None:
    body = 'printf hel >"$last"; exit 12'
    done = run(repository, "recvkey", KEY, **fake_rsync(repository, body))
    assert done.returncode == 1 and b"rsync ended with exit code 12" in done.stderr
    assert tmp_path_of(repository, KEY).read_bytes() == b"hel"
    assert leftovers(repository) == [tmp_path_of(repository, KEY).name]


# -- sendkey -------------------------------------------------------------------------------


def test_content_is_sent(repository: Repository) -> None:
    write_object(repository, KEY, HELLO)
    codes, got, done = send(repository, KEY, GIT_ANNEX_SHELL_READONLY="1")
    assert (codes, got) == (DONE, HELLO), done
    assert leftovers(repository) == []


@pytest.mark.parametrize("name", [b"a[b]*?", rb"a\[b", rb"a\b", b"*", b"-x y"])
def test_names_that_look_like_wildcards_are_plain_names(
    repository: Repository, name: bytes
) -> None:
    for text in (b"WORM-s5--other", b"WORM-s6--" + name):
        write_object(repository, Key.parse(text), b"hello\n"[: int(text[6:7])])
    codes, got, done = send(repository, Key.parse(b"WORM-s6--" + name))
    assert (codes, got) == (DONE, HELLO), done


def test_absent_content_is_not_sent(repository: Repository) -> None:
    codes, got, done = send(repository, KEY)
    assert codes[0] == 1 and codes[1] != 0 and got is None
    assert b"requested key is not present" in done.stderr


def test_content_that_changed_meanwhile_was_not_sent(repository: Repository) -> None:
    stored = write_object(repository, SECRET, HELLO)
    for change in ('echo more >>"$last"', 'rm -f "$last"'):
        env = fake_rsync(repository, change)
        done = run(repository, "sendkey", SECRET, **env)
        assert done.returncode == 1 and b"the content changed" in done.stderr
        (Path(env["PATH"].split(":")[0]) / "rsync").unlink()
        Path(env["PATH"].split(":")[0]).rmdir()
    assert not stored.exists()


def test_an_upload_can_be_seen_by_others(repository: Repository) -> None:
    write_object(repository, KEY, HELLO)
    body = f"find {repository.annex_dir}/transfer -type f >&2; exit 0"
    env = fake_rsync(repository, body)
    done = run(repository, "sendkey", KEY, "--", f"remoteuuid={PEER.decode()}", **env)
    assert done.returncode == 0
    assert f"transfer/upload/{PEER.decode()}/{KEY}".encode() in done.stderr
    for fields in ([], ["--", "remoteuuid=../x"], ["--", "remoteuuid=lck"]):
        done = run(repository, "sendkey", KEY, *fields, **env)
        assert (done.returncode, done.stderr) == (0, b"")


# -- both ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sendkey", "recvkey"])
def test_rsync_is_given_our_words_and_no_others(
    repository: Repository, name: str
) -> None:
    write_object(repository, KEY, HELLO)
    body = 'for word; do echo "$word"; done; printf "hello\\n" >"$last.x"; exit 12'
    env = fake_rsync(repository, body)
    client = "--delete --bwlimit=9 --bwlimit=x --bwlimit=1.5m --daemon --config=/x / ."
    done = run(repository, name, KEY, "--", "--", *client.split(), **env)
    start = ["--server", "-t", "--inplace", "-e.Lsf", "."]
    if name == "sendkey":
        end = [
            "--sender",
            "--timeout=601",
            "--bwlimit=9",
            "--bwlimit=1.5m",
            str(_stored(repository, KEY)),
        ]
    else:
        limits = ["--timeout=600", "--bwlimit=9", "--bwlimit=1.5m"]
        end = [*limits, str(tmp_path_of(repository, KEY))]
    assert done.stdout.decode().splitlines() == start + end


@pytest.mark.parametrize("name", ["sendkey", "recvkey"])
def test_rsync_inherits_the_connection_and_the_locks_of_a_reception(
    repository: Repository, name: str
) -> None:
    write_object(repository, KEY, HELLO)
    env = fake_rsync(repository, "ls -l /proc/self/fd >&2; exit 12")
    done = run(repository, name, KEY, "--", f"remoteuuid={PEER.decode()}", **env)
    targets = [line.rpartition(b" -> ") for line in done.stderr.splitlines()]
    ours = os.fsencode(repository.annex_dir)
    files = {to.removeprefix(ours) for _, arrow, to in targets if to.startswith(ours)}
    top, lock = b"/transfer/download/", b"/lck." + KEY.file_name
    wanted = {top + b"lck" + lock, top + PEER + lock} if name == "recvkey" else set()
    assert files == wanted


def begin(repository: Repository, body: str) -> tuple[subprocess.Popen[bytes], Path]:
    """A reception whose rsync has begun; it goes on when the path is written to.

    Another ``body`` must write to the file BEGUN.
    """
    home = Path(repository.path).parent
    begun, go = home / "begun", home / "go"
    os.mkfifo(begun)
    os.mkfifo(go)
    body = body or f"echo >{begun}; read line <{go}; exit 12"
    env = fake_rsync(repository, body.replace("BEGUN", str(begun)))
    process = subprocess.Popen(
        [*OURS, "recvkey", "r.git", str(KEY)],
        env=environment(home, **env),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    begun.read_bytes()
    return process, go


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("false", b"transfer already in progress"),
        ("true", b"with annex.pidlock one process at a time"),
    ],
)
def test_an_rsync_that_outlives_the_shell_keeps_the_reception_to_itself(
    repository: Repository, setting: str, said: bytes
) -> None:
    """It must not write beside the next one: its bytes would end up in the object."""
    configure(repository, "annex.pidlock", setting)
    process, go = begin(repository, "")
    process.kill()
    process.wait(timeout=60)
    done = run(repository, "recvkey", KEY)
    assert done.returncode == 1 and said in done.stderr
    go.write_text("\n")
    process.communicate(timeout=60)  # until rsync has closed its stderr as well
    codes, again = receive(repository, KEY, HELLO)
    assert codes == DONE, again


def test_an_rsync_has_ended_when_its_last_process_has(
    repository: Repository, tmp_path: Path
) -> None:
    """The one that writes the file is a child of the one that we started."""
    ended = tmp_path / "ended"
    busy = "n=0; while [ $n -lt 50000 ]; do n=$((n + 1)); done"
    body = f"({busy}; echo >>$last; echo >{ended}) >&- 2>&- & exit 12"
    done = run(repository, "recvkey", KEY, **fake_rsync(repository, body))
    assert done.returncode == 1 and b"rsync ended with exit code 12" in done.stderr
    assert ended.exists()


def test_a_signal_ends_rsync_and_then_the_shell_in_good_order(
    repository: Repository,
) -> None:
    program = (
        "import signal, sys; term = [signal.SIGTERM];"
        "signal.pthread_sigmask(signal.SIG_BLOCK, term);"
        'open("BEGUN", "w").close(); sys.exit(5 + signal.sigwait(term))'
    )
    process, _ = begin(repository, f"exec {sys.executable} -c '{program}'")
    process.terminate()
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 1 and b"rsync ended with exit code 20" in said
    assert leftovers(repository) == []


@pytest.mark.parametrize("name", ["sendkey", "recvkey"])
def test_a_server_without_rsync_says_so(repository: Repository, name: str) -> None:
    write_object(repository, KEY, HELLO)
    folder = Path(repository.path).parent / "only"
    folder.mkdir()
    for program in ("git",):
        found = [p for p in os.environ["PATH"].split(":") if _has(p, program)]
        (folder / program).symlink_to(Path(found[0]) / program)
    done = run(repository, name, KEY, PATH=str(folder))
    assert done.returncode == 1 and b"install rsync" in done.stderr
    assert leftovers(repository) == []


def _has(folder: str, program: str) -> bool:
    return os.access(os.path.join(folder, program), os.X_OK)


@pytest.mark.parametrize("name", ["sendkey", "recvkey"])
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 0, b""),
        (["bad"], 1, b"bad key (bad)"),
        ([str(KEY), str(KEY)], 1, b"takes one key"),
        ([str(KEY), "--", "remoteuuid="], 1, b"remoteuuid is empty"),
    ],
)
def test_words_that_name_no_transfer(
    repository: Repository, name: str, words: list[str], code: int, said: bytes
) -> None:
    write_object(repository, KEY, HELLO)
    env = environment(Path(repository.path).parent, **fake_rsync(repository, "exit 0"))
    done = run_shell(name, "r.git", *words, env=env)
    assert done.returncode == code and said in done.stderr


def test_append_only_accounts_may_receive(repository: Repository) -> None:
    codes, done = receive(repository, KEY, HELLO, GIT_ANNEX_SHELL_APPENDONLY="1")
    assert codes == DONE, done


@pytest.mark.parametrize("name", ["recvkey", "sendkey"])
def test_a_client_that_is_silent_holds_nothing(
    repository: Repository, name: str
) -> None:
    need_rsync()
    with open(repository.git_dir + "/config", "a", encoding="utf-8") as text:
        text.write("[annexshell]\n\tstall-timeout = 1s\n")
    if name == "sendkey":
        write_object(repository, KEY, HELLO)
    home = Path(repository.path).parent
    held, stays = os.pipe()
    with open(held, "rb") as stdin, open(stays, "wb"):
        # What the client would say is never said, and its end of the pipe stays open.
        done = subprocess.run(
            [*OURS, "-c", command(name, KEY)],
            env=environment(home),
            stdin=stdin,
            capture_output=True,
            timeout=LIMIT,
        )
    assert done.returncode == 1
    assert b"timeout" in done.stderr
    assert leftovers(repository) == []
