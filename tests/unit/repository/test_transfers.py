"""Transfer locks and info files (spec 02 §9)."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from annexshell.errors import BadClientUUID, StorageFailed, TransferInProgress
from annexshell.model.key import Key
from annexshell.model.payload import Validity
from annexshell.repository.content import Content
from annexshell.repository.filelock import holder_of, try_lock
from annexshell.repository.open import Repository
from annexshell.repository.space import roughly
from annexshell.repository.transfers import begin_download, running_downloads
from tests.support.content import (
    HELLO,
    OTHER_PEER,
    PEER,
    Log,
    begin,
    files_below,
    make_repository,
    mode_of,
    sha256_key,
    write_object,
)

KEY = sha256_key(HELLO)
ME = PEER.decode()


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return make_repository(tmp_path / "r")


@pytest.fixture
def content(repository: Repository) -> Content:
    return Content(repository)


def transfers(repository: Repository) -> list[str]:
    top = Path(repository.annex_dir, "transfer")
    return sorted(str(path.relative_to(top)) for path in files_below(top))


def test_a_reception_has_two_locks_and_an_info_file(
    content: Content, repository: Repository
) -> None:
    transfer = begin_download(content.annex, KEY, PEER, b"dir/file\nname")
    assert transfers(repository) == [
        f"download/{ME}/{KEY}",
        f"download/{ME}/lck.{KEY}",
        f"download/lck/lck.{KEY}",
    ]
    info = Path(content.annex.paths.transfer_info("download", ME, KEY))
    text = info.read_bytes()
    assert re.fullmatch(rb"[0-9]+(\.[0-9]+)?s\ndir/file name\n", text)
    transfer.progress(5 << 20)
    assert info.read_bytes() == text.replace(b"s\n", b"s 5242880\n")
    transfer.progress((5 << 20) + 1)
    assert info.read_bytes().startswith(text.split(b"\n")[0] + b" 5242880\n")
    assert [d.done for d in running_downloads(content.annex)] == [5 << 20]
    assert list(running_downloads(content.annex, besides=KEY)) == []
    transfer.close()
    transfer.close()
    assert transfers(repository) == []
    assert list(running_downloads(content.annex)) == []


def test_old_versions_lock_by_peer_alone(
    content: Content, repository: Repository
) -> None:
    path = content.annex.paths.transfer_lock("download", ME, KEY)
    os.makedirs(os.path.dirname(path))
    held = try_lock(path, exclusive=True)
    assert held is not None
    with pytest.raises(TransferInProgress):
        begin(content, KEY)
    # The first lock was given back.
    assert holder_of(content.annex.paths.download_lock(KEY)) is None
    begin(content, KEY, OTHER_PEER).close()
    held.close()
    begin(content, KEY).close()


def test_stale_files_are_in_nobodys_way(
    content: Content, repository: Repository
) -> None:
    for path in (
        content.annex.paths.download_lock(KEY),
        content.annex.paths.transfer_lock("download", ME, KEY),
        content.annex.paths.transfer_info("download", ME, KEY),
    ):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        Path(path).write_text("a stale file that is rather long\n" * 9)
    assert list(running_downloads(content.annex)) == []
    intake = begin(content, KEY)
    info = Path(content.annex.paths.transfer_info("download", ME, KEY))
    assert len(info.read_bytes()) < 40
    intake.close()
    assert transfers(repository) == []


@pytest.mark.parametrize("peer", [b"", b"..", b"lck", b"a/b", b"a" * 65, b"a\n"])
def test_d11_a_peer_names_no_other_directory(
    content: Content, repository: Repository, peer: bytes
) -> None:
    with pytest.raises(BadClientUUID):
        begin(content, KEY, peer)
    with pytest.raises(BadClientUUID):
        content.begin_upload(KEY, peer=peer)
    assert transfers(repository) == []


def test_uploads_do_not_exclude_each_other(
    content: Content, repository: Repository
) -> None:
    first = content.begin_upload(KEY, peer=PEER, name=b"name")
    second = content.begin_upload(KEY, peer=PEER)
    second.close()
    assert transfers(repository) == [f"upload/{ME}/{KEY}", f"upload/{ME}/lck.{KEY}"]
    first.close()
    assert transfers(repository) == []


def test_uploads_need_no_writing(content: Content, repository: Repository) -> None:
    Path(repository.annex_dir, "transfer").touch()
    content.begin_upload(KEY, peer=PEER).close()
    with pytest.raises(StorageFailed):
        begin(content, KEY)


def test_an_earlier_failure_is_forgotten_after_success(
    content: Content, repository: Repository
) -> None:
    failed = Path(content.annex.paths.failed_info("download", ME, KEY))
    failed.parent.mkdir(parents=True)
    failed.touch()
    with begin(content, KEY) as intake:
        assert not intake.finish(Validity.INVALID, Log().present)
    assert failed.exists()
    with begin(content, KEY) as intake:
        intake.write(HELLO)
        assert intake.finish(Validity.VALID, Log().present)
    assert transfers(repository) == []


def test_failures_leave_no_files_that_clients_could_make_any_number_of(
    content: Content, repository: Repository
) -> None:
    for data in (b"", b"hel", b"jello\n"):
        with begin(content, KEY) as intake:
            intake.write(data)
            assert not intake.finish(Validity.INVALID, Log().present)
    with begin(content, KEY) as intake:
        intake.write(b"hel")
    assert transfers(repository) == []


def test_info_files_are_shared(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "r", core_sharedRepository="0660")
    with begin(Content(repository), KEY):
        for path in files_below(Path(repository.annex_dir, "transfer")):
            assert mode_of(path) == 0o660
            assert mode_of(path.parent) == 0o2770


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (1, "1 B"),
        (999, "999 B"),
        (1500, "1.5 kB"),
        (99920000000000, "99.92 TB"),
        (10**30, "1000000000 ZB"),
    ],
)
def test_sizes_for_people(count: int, text: str) -> None:
    assert roughly(count) == text


# -- presence and reading ------------------------------------------------------------------


def test_reading_from_an_offset(content: Content, repository: Repository) -> None:
    write_object(repository, KEY, HELLO)
    for offset, length in ((0, 6), (4, 2), (6, 0), (99, 0)):
        opened = content.open_for_get(KEY, offset)
        assert opened is not None
        with opened:
            assert opened.length == length
            assert os.pread(opened.fd, 99, opened.offset) == HELLO[offset:]


@pytest.mark.parametrize("change", ["edit", "touch", "remove", "replace"])
def test_what_changed_while_it_was_read_is_not_vouched_for(
    content: Content, repository: Repository, change: str
) -> None:
    path = write_object(repository, KEY, HELLO)
    opened = content.open_for_get(KEY)
    assert opened is not None
    with opened:
        assert opened.still_valid()
        if change == "edit":
            with path.open("ab") as file:
                file.write(b"more")
        elif change == "touch":
            os.utime(path, ns=(0, 0))
        else:
            path.unlink()
            if change == "replace":
                path.write_bytes(HELLO)
        assert not opened.still_valid()


@pytest.mark.parametrize("kind", ["symlink", "dangling", "directory", "fifo"])
def test_only_regular_files_are_content(
    content: Content, repository: Repository, tmp_path: Path, kind: str
) -> None:
    path = Path(content.annex.paths.places(KEY)[0].object)
    path.parent.mkdir(parents=True)
    (tmp_path / "target").write_bytes(HELLO)
    if kind == "symlink":
        path.symlink_to(tmp_path / "target")
    elif kind == "dangling":
        path.symlink_to(tmp_path / "nothing")
    elif kind == "directory":
        path.mkdir()
    else:
        os.mkfifo(path)
    assert not content.present(KEY)
    assert content.open_for_get(KEY) is None
    assert content.lock_shared(KEY) is None


def test_the_second_place_is_searched_too(
    content: Content, repository: Repository
) -> None:
    place = content.annex.paths.places(KEY)[1]
    os.makedirs(place.directory)
    Path(place.object).write_bytes(HELLO)
    assert content.present(KEY)
    lock = content.lock_shared(KEY)
    assert lock is not None and lock.place == place
    lock.unlock()


def test_names_no_file_can_have_are_absent(content: Content) -> None:
    key = Key.parse(b"WORM--" + b"a" * 300)
    assert not content.present(key)
    assert content.lock_shared(key) is None
    assert content.open_for_get(key) is None


def test_not_knowing_is_not_absence(content: Content, repository: Repository) -> None:
    loop = Path(repository.annex_dir, "objects")
    loop.symlink_to(loop)
    with pytest.raises(StorageFailed):
        content.present(KEY)
