"""Putting a file in the place of another that somebody may edit (spec 02 §13.5)."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest

from annexshell.repository import exchange
from annexshell.repository.entries import Entry, work_file
from annexshell.repository.exchange import replace
from annexshell.repository.keysdb import Identity


@attrs.frozen
class Files:
    """A new file, and one that it shall replace."""

    top: Path
    new: Entry
    place: Entry
    seen: Identity

    @property
    def content(self) -> str:
        return (self.top / "place").read_text()

    def names(self) -> list[str]:
        return sorted(os.listdir(self.top))

    def renamed_over(self, content: str) -> None:
        (self.top / "edited").write_text(content)
        os.rename(self.top / "edited", self.top / "place")


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Files]:
    (tmp_path / "new").write_text("new")
    (tmp_path / "place").write_text("old")
    fd = os.open(tmp_path, os.O_RDONLY)
    seen = Identity.of((tmp_path / "place").stat())
    yield Files(tmp_path, Entry(fd, "new"), Entry(fd, "place"), seen)
    os.close(fd)


def before_each(
    monkeypatch: pytest.MonkeyPatch, *actions: Callable[[], object]
) -> None:
    """Have the nth action happen just before the nth exchange."""
    real = exchange._exchange
    left = list(actions)

    def wrapped(one: Entry, other: Entry) -> None:
        if left:
            left.pop(0)()
        real(one, other)

    monkeypatch.setattr(exchange, "_exchange", wrapped)


def nothing() -> None:
    """No action."""


def test_what_nobody_touched_is_replaced(files: Files) -> None:
    assert replace(files.new, files.place, files.seen)
    assert files.content == "new"
    assert files.names() == ["place"]


def test_the_old_file_may_be_discarded_in_another_way(files: Files) -> None:
    taken: list[Entry] = []
    assert replace(files.new, files.place, files.seen, discard=taken.append)
    assert taken == [files.new]
    assert (files.top / "new").read_text() == "old"


@pytest.mark.parametrize("way", ["in place", "renamed over", "other type"])
def test_an_edit_stays(files: Files, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    place = files.top / "place"

    def edit() -> None:
        if way == "in place":
            place.write_text("edit")
            os.utime(place, ns=(0, 0))
        elif way == "renamed over":
            files.renamed_over("edit")
        else:
            (files.top / "elsewhere").write_text("edit")
            place.unlink()
            place.symlink_to("elsewhere")

    before_each(monkeypatch, edit)
    assert not replace(files.new, files.place, files.seen)
    assert files.content == "edit"
    assert files.names() in (["place"], ["elsewhere", "place"])
    assert place.is_symlink() is (way == "other type")


def test_a_file_that_is_open_for_writing_stays(files: Files) -> None:
    with (files.top / "place").open("a") as file:
        assert not replace(files.new, files.place, files.seen)
        file.write(" and more")
    assert files.content == "old and more"
    assert files.names() == ["place"]


def test_readers_do_not_matter(files: Files) -> None:
    with (files.top / "place").open() as file:
        assert replace(files.new, files.place, files.seen)
        assert file.read() == "old"


def test_a_writer_of_our_own_does_not_matter(files: Files) -> None:
    with (files.top / "place").open("a"):
        assert replace(files.new, files.place, files.seen, may_be_written=True)
    assert files.content == "new"


def test_the_newest_edit_stays(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    before_each(
        monkeypatch,
        lambda: files.renamed_over("first edit"),
        lambda: files.renamed_over("second edit"),
    )
    assert not replace(files.new, files.place, files.seen)
    assert files.content == "second edit"
    assert files.names() == ["place"]


def test_of_three_edits_none_is_lost_that_might_count(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    before_each(
        monkeypatch,
        lambda: files.renamed_over("first edit"),
        lambda: files.renamed_over("second edit"),
        lambda: files.renamed_over("third edit"),
    )
    assert not replace(files.new, files.place, files.seen)
    kept, place = files.names()
    assert kept.startswith("annexshell-kept-")
    assert {files.content, (files.top / kept).read_text()} == {
        "second edit",
        "third edit",
    }


def test_an_edit_comes_back_although_ours_was_deleted(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    before_each(
        monkeypatch,
        lambda: files.renamed_over("edit"),
        (files.top / "place").unlink,
    )
    assert not replace(files.new, files.place, files.seen)
    assert files.content == "edit"
    assert files.names() == ["place"]


def test_what_cannot_be_put_back_is_not_deleted(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise OSError(errno.EIO, "the disk is gone")

    before_each(monkeypatch, lambda: files.renamed_over("edit"), fail)
    assert not replace(files.new, files.place, files.seen)
    assert (files.top / "new").read_text() == "edit"


@pytest.fixture
def without_exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that cannot have two files change places, as NFS."""

    def unsupported(*_: object) -> int:
        import ctypes

        ctypes.set_errno(errno.EINVAL)
        return -1

    monkeypatch.setattr(exchange, "_renameat2", lambda: unsupported)


def before_steps(
    monkeypatch: pytest.MonkeyPatch, **actions: Callable[[], object]
) -> None:
    """Have an action happen just before the nth link or rename, as ``link3``."""
    counted = {"link": 0, "rename": 0}

    def wrap(kind: str, real: Callable[[Entry, Entry], None]) -> None:
        def wrapped(source: Entry, target: Entry) -> None:
            counted[kind] += 1
            actions.get(f"{kind}{counted[kind]}", nothing)()
            real(source, target)

        monkeypatch.setattr(exchange, f"_{kind}", wrapped)

    wrap("link", exchange._link)
    wrap("rename", exchange._rename)


@pytest.mark.usefixtures("without_exchange")
class TestWithoutExchange:
    def test_what_nobody_touched_is_replaced(self, files: Files) -> None:
        taken: list[Entry] = []
        assert replace(files.new, files.place, files.seen, discard=taken.append)
        assert files.content == "new"
        assert taken == [files.new]
        assert (files.top / "new").read_text() == "old"
        assert files.names() == ["new", "place"]

    @pytest.mark.parametrize("step", ["link1", "link2", "rename1"])
    @pytest.mark.parametrize("way", ["in place", "renamed over", "link", "directory"])
    def test_an_edit_stays(
        self, files: Files, monkeypatch: pytest.MonkeyPatch, way: str, step: str
    ) -> None:
        place = files.top / "place"

        def edit() -> None:
            if way == "in place":
                place.write_text("edit")
                os.utime(place, ns=(0, 0))
            elif way == "renamed over":
                files.renamed_over("edit")
            else:
                place.unlink()
                if way == "link":
                    place.symlink_to("edit")
                else:
                    (place / "edit").mkdir(parents=True)

        before_steps(monkeypatch, **{step: edit})
        if way == "directory" and step != "rename1":
            with pytest.raises(PermissionError):
                replace(files.new, files.place, files.seen)
        else:
            assert not replace(files.new, files.place, files.seen)
        assert files.names() == ["place"]
        if way == "link":
            assert os.readlink(place) == "edit"
        elif way == "directory":
            assert (place / "edit").is_dir()
        else:
            assert files.content == "edit"

    def test_a_file_that_is_open_for_writing_stays(self, files: Files) -> None:
        with (files.top / "place").open("a") as file:
            assert not replace(files.new, files.place, files.seen)
            file.write(" and more")
        assert files.content == "old and more"
        assert files.names() == ["place"]
        with (files.top / "place").open("a"):
            seen = Identity.of((files.top / "place").stat())
            (files.top / "new").write_text("new")
            assert replace(files.new, files.place, seen, may_be_written=True)
        assert files.content == "new"

    def test_a_file_made_while_the_place_was_empty_stays(
        self, files: Files, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before_steps(monkeypatch, link3=lambda: files.renamed_over("another"))
        assert not replace(files.new, files.place, files.seen)
        assert files.content == "another"
        assert files.names() == ["place"]

    def test_of_two_edits_both_stay(
        self, files: Files, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before_steps(
            monkeypatch,
            rename1=lambda: files.renamed_over("first edit"),
            link3=lambda: files.renamed_over("second edit"),
        )
        assert not replace(files.new, files.place, files.seen)
        assert files.content == "second edit"
        kept, _ = files.names()
        assert kept.startswith("annexshell-kept-")
        assert (files.top / kept).read_text() == "first edit"

    @pytest.mark.parametrize("step", ["link1", "link2", "rename1", "link3"])
    def test_what_fails_leaves_the_file(
        self, files: Files, monkeypatch: pytest.MonkeyPatch, step: str
    ) -> None:
        def fail() -> None:
            raise OSError(errno.EIO, "the disk is gone")

        before_steps(monkeypatch, **{step: fail})
        with pytest.raises(OSError, match="the disk is gone"):
            replace(files.new, files.place, files.seen)
        assert files.content == "old"
        assert files.names() == ["place"]

    @pytest.mark.parametrize(
        ("step", "edited"),
        [
            ("rename1", False),
            ("link3", False),
            ("rename2", False),
            ("rename1", True),
            ("link3", True),
        ],
    )
    def test_a_crash_leaves_an_edit_under_some_name(
        self, files: Files, monkeypatch: pytest.MonkeyPatch, step: str, edited: bool
    ) -> None:
        class Killed(BaseException):
            """Nothing of ours runs after it."""

        def die() -> None:
            raise Killed

        actions: dict[str, Callable[[], object]] = {step: die}
        if edited:
            files.renamed_over("edit")
        before_steps(monkeypatch, **actions)
        with pytest.raises(Killed):
            replace(files.new, files.place, files.seen)
        left = {(files.top / n).read_text() for n in files.names() if n != "new"}
        assert ("edit" if edited else "old") in left

    def test_without_links_nothing_changes(
        self, files: Files, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse() -> None:
            raise PermissionError(errno.EPERM, "no hard links here")

        before_steps(monkeypatch, link1=refuse)
        with pytest.raises(PermissionError):
            replace(files.new, files.place, files.seen)
        assert files.content == "old"
        assert files.names() == ["place"]


def test_a_file_that_is_gone_is_not_made_again(files: Files) -> None:
    (files.top / "place").unlink()
    with pytest.raises(FileNotFoundError):
        replace(files.new, files.place, files.seen)
    assert files.names() == []


def test_work_files_are_reached_through_real_directories_only(tmp_path: Path) -> None:
    (tmp_path / "real/below").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "other/below").mkdir(parents=True)
    (tmp_path / "other/.git").touch()
    (tmp_path / "file").touch()
    for path, found in (
        (b"f", True),
        (b"real/below/f", True),
        (b"link/below/f", False),
        (b"other/below/f", False),
        (b"other/f", False),
        (b"missing/f", False),
        (b"file/f", False),
    ):
        with work_file(str(tmp_path), path) as place:
            assert (place is not None) is found, path
