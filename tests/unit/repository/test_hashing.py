"""What verifies a key (spec 02 §3): digests by backend, equivalent keys, nothing at all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from annexshell.errors import BranchUnreadable, NotVerifiable
from annexshell.logs.equivalent import equivalent_path
from annexshell.model.key import Key
from annexshell.repository.hashing import Check, Verifier, check_of
from annexshell.repository.open import Repository
from tests.support.digests import HELLO, HELLO_DIGESTS, LONG, LONG_DIGESTS
from tests.support.repositories import Repo, plain_repo

INSECURE = ("SHA1", "MD5", "XXH3")
VURL = Key.parse(b"VURL-s6--http://example.com/hello")


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return plain_repo(tmp_path / "r.git")


@pytest.fixture
def repository(repo: Repo) -> Repository:
    return repo.open()


def check(repository: Repository, key: str) -> Check:
    return check_of(repository, Key.parse(key.encode()))


def verdict(repository: Repository, key: str, data: bytes) -> bool:
    verifier = Verifier(check(repository, key))
    for start in range(0, len(data), 1000):
        verifier.update(data[start : start + 1000])
    return verifier.ok()


@pytest.mark.thorough
@pytest.mark.parametrize("backend", HELLO_DIGESTS)
def test_vectors(repository: Repository, backend: str) -> None:
    digest = HELLO_DIGESTS[backend]
    for key in (
        f"{backend}-s6--{digest}",
        f"{backend}--{digest}",
        f"{backend}E-s6--{digest}.txt",
        f"{backend}-s6--{digest}.txt",
        f"{backend}-s6--\\{digest}",
    ):
        assert verdict(repository, key, HELLO), key
        assert not verdict(repository, key, b"hallo\n"), key
        assert check(repository, key).secure is (backend not in INSECURE)
    assert not verdict(repository, f"{backend}-s6--{digest.upper()}", HELLO)
    assert not verdict(repository, f"{backend}-s6--{digest[:-1]}", HELLO)
    assert not verdict(repository, f"{backend}-s6--", HELLO)


@pytest.mark.thorough
@pytest.mark.parametrize("backend", LONG_DIGESTS)
def test_vectors_of_a_longer_content(repository: Repository, backend: str) -> None:
    key = f"{backend}-s5000--{LONG_DIGESTS[backend]}"
    assert verdict(repository, key, LONG)
    assert not verdict(repository, key, LONG[:-1])
    assert not verdict(repository, key, LONG[:-1] + b"\0")


def test_d9_the_size_counts_also_when_the_digest_matches(
    repository: Repository,
) -> None:
    assert not verdict(repository, f"SHA256-s7--{HELLO_DIGESTS['SHA256']}", HELLO)


def test_bundles_have_their_digest_last(repository: Repository) -> None:
    digest = HELLO_DIGESTS["SHA256"]
    assert verdict(repository, f"GITBUNDLE-s6--uuid-{digest}", HELLO)
    assert not verdict(repository, f"GITBUNDLE-s6--uuid-\\{digest}", HELLO)
    assert not verdict(repository, f"GITBUNDLE-s6--{digest}-uuid", HELLO)
    assert check(repository, f"GITBUNDLE-s6--uuid-{digest}").secure


@pytest.mark.parametrize(
    "backend",
    "WORM URL SHA257 sha256 GITMANIFEST GIT FOO WORME URLE VURLE GITBUNDLEE".split(),
)
def test_what_nobody_can_verify_is_held_to_its_size(
    repository: Repository, backend: str
) -> None:
    key = f"{backend}-s6--x"
    found = check(repository, key)
    assert not found.verifies
    assert not found.secure
    assert verdict(repository, key, b"123456")
    assert not verdict(repository, key, b"12345")
    assert not verdict(repository, key, b"1234567")


@pytest.mark.parametrize(
    ("backend", "module"),
    [("BLAKE3_256", "blake3"), ("BLAKE3_256E", "blake3"), ("XXH3", "xxhash")],
)
def test_a_missing_module_is_not_made_up_for_by_trust(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, backend: str, module: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(NotVerifiable, match=f"{module} is missing; install it"):
        check(repository, f"{backend}-s6--x")


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("backend", "module"),
    [("SHA256", ""), ("BLAKE3_256", "blake3"), ("XXH3", "xxhash")],
)
def test_only_what_a_key_needs_is_loaded(repo: Repo, backend: str, module: str) -> None:
    program = (
        "import sys\n"
        "from annexshell.model.key import Key\n"
        "from annexshell.repository import intake, objects, hashing\n"
        "from annexshell.repository.open import open_repository\n"
        f"key = Key.parse(b'{backend}-s6--{HELLO_DIGESTS[backend]}')\n"
        f"check = hashing.check_of(open_repository({str(repo.path.resolve())!r}), key)\n"
        f"verifier = hashing.Verifier(check)\n"
        f"verifier.update({HELLO!r})\n"
        "assert verifier.ok()\n"
        "rare = 'blake3 xxhash subprocess pygit2 annexshell.repository.branch"
        " annexshell.repository.external annexshell.repository.skein'\n"
        "print(*(sys.modules.keys() & set(rare.split())))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == module


# -- VURL -------------------------------------------------------------------------------------


def sha256(size: int = 6) -> bytes:
    return f"SHA256-s{size}--{HELLO_DIGESTS['SHA256']}".encode()


def md5(name: str = HELLO_DIGESTS["MD5"]) -> bytes:
    return f"MD5-s6--{name}".encode()


def record(repo: Repo, *keys: bytes, status: bytes = b"1") -> Repository:
    """Commit the equivalent keys of VURL to the git-annex branch."""
    lines = b"".join(b"1s %b %b\n" % (status, key) for key in keys)
    repo.commit({equivalent_path(VURL): lines}, parents=())
    return repo.open()


def accepts(repository: Repository, data: bytes) -> bool:
    return verdict(repository, str(VURL), data)


@pytest.mark.parametrize(
    "lines", [(), (b"not a key",), (b"VURL--http://example.com/other",)]
)
def test_without_equivalent_keys_there_is_nothing_to_verify(
    repo: Repo, lines: tuple[bytes, ...]
) -> None:
    repository = record(repo, *lines)
    found = check_of(repository, VURL)
    assert (found.verifies, found.secure) == (False, True)
    assert accepts(repository, b"123456")
    assert not accepts(repository, b"12345")


def test_an_equivalent_key_that_is_none_any_more(repo: Repo) -> None:
    assert not check_of(record(repo, sha256(), status=b"0"), VURL).verifies


def test_one_equivalent_key_has_to_match(repo: Repo) -> None:
    wrong = md5("0" * 32)
    for keys in ((sha256(),), (wrong, sha256()), (sha256(7),), (b"URL--x", md5())):
        repository = record(repo, *keys)
        assert check_of(repository, VURL).verifies
        assert accepts(repository, HELLO), keys
        assert not accepts(repository, b"hallo\n"), keys
    assert not accepts(record(repo, wrong), HELLO)


def test_all_equivalent_keys_have_to_be_secure(repo: Repo) -> None:
    assert check_of(record(repo, sha256()), VURL).secure
    assert not check_of(record(repo, sha256(), md5()), VURL).secure
    assert not check_of(record(repo, sha256(), b"WORM-s6--x"), VURL).secure


def test_equivalent_keys_that_nobody_can_verify_match_nothing(repo: Repo) -> None:
    repository = record(repo, b"URL--x", b"WORM-s6--x")
    with pytest.raises(NotVerifiable, match="none of its equivalent keys"):
        check_of(repository, VURL)


def test_the_journal_counts(repo: Repo) -> None:
    name = equivalent_path(VURL).replace(b"_", b"__").replace(b"/", b"_")
    repo.put_journal(name, b"2s 1 %b\n" % sha256())
    assert not accepts(repo.open(), b"hallo\n")
    assert accepts(repo.open(), HELLO)


def test_a_branch_that_cannot_be_read_is_not_an_empty_one(repo: Repo) -> None:
    record(repo, sha256())
    for path in (repo.path / "objects").glob("??/*"):
        path.unlink()
    with pytest.raises(BranchUnreadable):
        check_of(repo.open(), VURL)


def test_an_equivalent_key_without_its_module_is_not_needed_if_another_matches(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "blake3", None)
    repository = record(repo, b"BLAKE3_256-s6--x", sha256())
    assert accepts(repository, HELLO)
    assert not check_of(repository, VURL).secure
    with pytest.raises(NotVerifiable, match="blake3 is missing"):
        check_of(record(repo, b"BLAKE3_256-s6--x"), VURL)


def test_equal_digests_are_computed_once(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    import hashlib

    sizes = [sha256(size) for size in (6, 7)]
    extended = b"SHA256E-s6--%b.txt" % b"0" * 64
    found = check_of(record(repo, *sizes, extended, md5()), VURL)
    started: list[str] = []
    new = hashlib.new

    def counting(name: str, usedforsecurity: bool) -> object:
        started.append(name)
        return new(name, usedforsecurity=usedforsecurity)

    monkeypatch.setattr(hashlib, "new", counting)
    Verifier(found)
    assert sorted(started) == ["md5", "sha256"]
