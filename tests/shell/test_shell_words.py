"""The program as sshd starts it: exit statuses and texts (spec 01 §1, §2, §15)."""

from __future__ import annotations

from pathlib import Path

import pytest

import annexshell
from tests.support.shell import (
    UUID_HERE,
    environment,
    git,
    make_annex,
    run_shell,
    write_identity,
)

pytestmark = pytest.mark.usefixtures("both_ways")

ANSWER = f"annex.uuid={UUID_HERE}\ncore.gcrypt-id=\n".encode()
EMPTY = b"annex.uuid=\ncore.gcrypt-id=\n"
OTHER = "00000000-1111-4222-8333-444444444444"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path.resolve() / "home"
    home.mkdir()
    write_identity(home)
    make_annex(home / "r.git")
    return home


@pytest.mark.parametrize(
    "words",
    [
        "'configlist' '{}/r.git'",
        "configlist '~/r.git'",
        "configlist /~/r.git --uuid " + UUID_HERE,
        "configlist r",
        "configlist r.git -qv --debug",
        "configlist r.git -- autoinit=1 -- --uuid x",
        "'configlist' 'r.git",
    ],
)
def test_configlist_answers(home: Path, words: str) -> None:
    command = "git-annex-shell " + words.format(home)
    done = run_shell("-c", command, env=environment(home))
    assert (done.returncode, done.stdout, done.stderr) == (0, ANSWER, b"")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("true", b"not a command this account may run: true"),
        ("", b"this account serves git and git-annex only"),
        ("foo", b"foo"),
        ("scp -t /", b"scp -t /"),
        ("git-annex-shell configlist", b"bad parameters"),
        ("git-annex-shell configlist r --bogus", b"Invalid option `--bogus'"),
        ("git-annex-shell configlist none --bogus", b"Invalid option `--bogus'"),
        ("git-annex-shell configlist r --uuid", b"--uuid expects an argument"),
        ("git-annex-shell configlist r stray", b"takes no parameters"),
        ("git-annex-shell configlist  r", b"takes no parameters"),
        ("git-annex-shell p2pstdio r", b"missing UUID parameter"),
        ("git-annex-shell p2pstdio r a b", b"missing UUID parameter"),
        ("git-annex-shell p2pstdio r ../x", b"not a repository uuid: ../x"),
        ("git-annex-shell inannex r K", b"bad key (K)"),
        ("git-annex-shell notifychanges r stray", b"takes no parameters"),
        ("git-annex-shell lockcontent r K", b"may run: lockcontent r K"),
        (
            f"git-annex-shell configlist r --uuid {OTHER}",
            f"expected repository UUID {OTHER} but found UUID {UUID_HERE}".encode(),
        ),
        ("git-annex-shell configlist r --uuid ''", b"expected repository UUID  but"),
    ],
)
def test_refusals_exit_with_1_and_say_why(
    home: Path, command: str, said: bytes
) -> None:
    make_plain(home)
    done = run_shell("-c", command, env=environment(home))
    assert (done.returncode, done.stdout) == (1, b"")
    assert said in done.stderr
    assert done.stderr.startswith(b"annexshell: ")
    assert b"Traceback" not in done.stderr


def test_what_is_mended_at_the_server_exits_with_255(home: Path) -> None:
    """Any other status of configlist makes clients ignore the remote for good."""
    for words in ("configlist none", "configlist none stray", f"p2pstdio none {OTHER}"):
        command = "git-annex-shell " + words
        done = run_shell("-c", command, env=environment(home))
        assert (done.returncode, done.stdout) == (255, b"")
        assert b"no such directory" in done.stderr


def test_a_line_that_clients_show_where_they_would_initialise(home: Path) -> None:
    """They show nothing of stderr; what is no answer on stdout they do show."""
    command = "git-annex-shell 'configlist' 'none' '--' 'autoinit=1' '--'"
    done = run_shell("-c", command, env=environment(home))
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b"annexshell: no such directory")
    assert done.stdout.count(b"\n") == 1


def make_plain(home: Path) -> None:
    """So that the empty directory argument, which means home, is a repository."""
    make_annex(home, bare=False)


def test_no_words_at_all(home: Path) -> None:
    for arguments in ([], ["-c"]):
        done = run_shell(*arguments, env=environment(home))
        assert (done.returncode, done.stdout) == (1, b"")
        assert b"Usage: annexshell" in done.stderr


@pytest.mark.parametrize("word", ["--help", "-h", "--version"])
def test_the_operator_may_ask_what_there_is(home: Path, word: str) -> None:
    done = run_shell(word, env=environment(home))
    assert (done.returncode, done.stderr) == (0, b"")
    first = f"annexshell {annexshell.__version__}\n".encode()
    assert done.stdout.startswith(first) and b"dropkey" in done.stdout
    for words in (("-c", word), (word, "-c", "true")):
        done = run_shell(*words, env=environment(home))
        assert (done.returncode, done.stdout) == (1, b"")


def test_help_needs_no_repository(home: Path) -> None:
    done = run_shell(
        "-c", "git-annex-shell configlist none --help", env=environment(home)
    )
    assert done.returncode == 0
    assert b"Usage: annexshell configlist" in done.stdout


def test_nothing_for_a_directory_without_a_repository(home: Path) -> None:
    (home / "plain").mkdir()
    done = run_shell("configlist", "plain", env=environment(home))
    assert (done.returncode, done.stdout) == (0, EMPTY)
    assert b"not a git repository" in done.stderr
    for words, status in ((["stray"], 1), (["--uuid", UUID_HERE], 255)):
        done = run_shell("configlist", "plain", *words, env=environment(home))
        assert (done.returncode, done.stdout) == (status, b"")


def test_a_subdirectory_does_not_answer_for_its_repository(home: Path) -> None:
    make_annex(home / "tree", bare=False)
    (home / "tree" / "sub").mkdir()
    done = run_shell("configlist", "tree/sub", env=environment(home))
    assert (done.returncode, done.stdout) == (0, EMPTY)


def test_the_name_we_are_called_by_does_not_matter(home: Path) -> None:
    start = (
        "import sys; sys.argv[0] = '-annexshell';"
        "from annexshell.cli.shell import main; sys.exit(main())"
    )
    words = "git-annex-shell 'configlist' 'r.git'"
    done = run_shell("-c", words, env=environment(home), start=start)
    assert (done.returncode, done.stdout) == (0, ANSWER)


def test_an_uninitialised_repository_is_left_as_it_is(home: Path) -> None:
    git("init", "-q", "--bare", home / "new")
    before = sorted(p.name for p in (home / "new").rglob("*"))
    done = run_shell("configlist", "new", env=environment(home))
    assert (done.returncode, done.stdout) == (0, EMPTY)
    assert sorted(p.name for p in (home / "new").rglob("*")) == before


def test_a_gcrypt_repository_is_told_and_not_initialised(home: Path) -> None:
    git("init", "-q", "--bare", home / "g")
    git("-C", home / "g", "config", "core.gcrypt-id", ":id:abc")
    for words in (
        ["--", "autoinit=1"],
        ["--uuid", "5e90acef-43a8-5c70-b3cf-bee689c12e2f"],
    ):
        done = run_shell("configlist", "g", *words, env=environment(home))
        assert done.stdout == b"annex.uuid=\ncore.gcrypt-id=:id:abc\n"
        assert done.returncode == 0
    done = run_shell("configlist", "g", "--uuid", OTHER, env=environment(home))
    assert done.returncode == 1
    assert b"but found uninitialized repository" in done.stderr


def test_a_config_that_git_cannot_read(home: Path) -> None:
    (home / "r.git" / "config").write_text("[broken\n")
    done = run_shell("configlist", "r", env=environment(home))
    assert (done.returncode, done.stdout) == (255, b"")
    assert b"failed to read git config of git repository in" in done.stderr
    assert b"bad config line 1 in file" in done.stderr


def test_nothing_of_the_client_reaches_a_shell(home: Path) -> None:
    for text in ("; touch pwned", "$(touch pwned)", "`touch pwned`", "| touch pwned"):
        for command in (
            f"git-annex-shell configlist {text}",
            f"git-annex-shell 'configlist' 'r' {text}",
            f"git-upload-pack 'r' {text}",
            f"git-upload-pack '{text}'",
            text,
        ):
            run_shell("-c", command, env=environment(home), cwd=home)
    assert not (home / "pwned").exists()


def test_names_that_are_no_text_in_any_locale(home: Path) -> None:
    name = b"caf\xc3\xa9\xff r"
    make_annex(home / name.decode(errors="surrogateescape"))
    command = b"git-annex-shell 'configlist' '" + name + b"'"
    for locale in ("C", "C.UTF-8", "POSIX"):
        env = {**environment(home), "LC_ALL": locale}
        assert run_shell("-c", command, env=env).stdout == ANSWER
        gone = run_shell("-c", command.replace(b"caf", b"gone"), env=env)
        assert gone.returncode == 255
        assert b"no such directory" in gone.stderr


def test_a_reader_that_is_gone_is_no_traceback(home: Path) -> None:
    start = (
        "import os, sys; r, w = os.pipe(); os.close(r); os.dup2(w, 1);"
        "from annexshell.cli.shell import main; sys.exit(main())"
    )
    done = run_shell("configlist", "r", env=environment(home), start=start)
    assert (done.returncode, done.stderr) == (1, b"")


def test_what_may_pass_is_told_apart_from_what_will_not(home: Path) -> None:
    start = (
        "import sys, errno, os; import annexshell.cli.configlist as c\n"
        "code = getattr(errno, os.environ['CODE'])\n"
        "def fail(path): raise OSError(code, 'told', path)\n"
        "c.open_repository = fail\n"
        "from annexshell.cli.shell import main; sys.exit(main())"
    )
    for name, said in (
        ("EIO", b"not reachable now"),
        ("EMFILE", b"overloaded"),
        ("ESTALE", b"mount its file system again"),
        ("EACCES", b"check owner and modes"),
    ):
        env = environment(home, CODE=name)
        done = run_shell("configlist", "r", env=env, start=start)
        assert (done.returncode, done.stdout) == (255, b"")
        assert b"told" in done.stderr and said in done.stderr


def test_a_mistake_of_ours_does_not_make_clients_ignore_the_remote(home: Path) -> None:
    start = (
        "import annexshell.cli.configlist as c, sys\n"
        "def fail(path): raise ZeroDivisionError('by zero')\n"
        "c.open_repository = fail\n"
        "from annexshell.cli.shell import main; sys.exit(main())"
    )
    done = run_shell("configlist", "r", env=environment(home), start=start)
    assert (done.returncode, done.stdout) == (255, b"")
    assert b"internal error (ZeroDivisionError): by zero" in done.stderr
    assert b"Traceback" not in done.stderr
