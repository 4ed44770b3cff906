"""Whether a reception gets on, by what it leaves on the disk, and who it is."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from annexshell.errors import TransferInProgress
from annexshell.model.duration import SLOWEST
from annexshell.repository.content import Content
from annexshell.repository.filelock import try_lock
from annexshell.repository.intake import Intake
from annexshell.repository.waiting import Watch, describe_holder
from tests.support.content import (
    HELLO,
    OTHER_PEER,
    PEER,
    begin,
    make_repository,
    sha256_key,
)

KEY = sha256_key(HELLO)
PATIENCE = 10.0


@pytest.fixture
def content(tmp_path: Path) -> Content:
    return Content(make_repository(tmp_path / "r"))


@pytest.fixture
def intake(content: Content) -> Iterator[Intake]:
    with begin(content, KEY, OTHER_PEER) as intake:
        yield intake


def test_a_reception_gets_on_while_its_file_grows(
    content: Content, intake: Intake
) -> None:
    watch = Watch(content.annex, KEY, PATIENCE)
    assert watch.gets_on(100)
    assert watch.gets_on(109)
    intake.write(b"h")
    assert watch.gets_on(115)
    assert watch.gets_on(124)
    assert not watch.gets_on(126)


def test_a_reception_gets_on_while_its_info_changes(
    content: Content, intake: Intake
) -> None:
    """A downloader that has another temporary file than ours tells its progress there."""
    watch = Watch(content.annex, KEY, PATIENCE)
    assert watch.gets_on(0)
    peer = OTHER_PEER.decode()
    os.utime(content.annex.paths.transfer_info("download", peer, KEY), (1, 1))
    assert watch.gets_on(15)
    assert not watch.gets_on(26)


def test_what_is_there_may_take_its_time_to_be_hashed(
    content: Content, intake: Intake
) -> None:
    os.truncate(content.annex.paths.tmp(KEY), 100 * SLOWEST)
    watch = Watch(content.annex, KEY, PATIENCE)
    assert watch.gets_on(0)
    assert watch.gets_on(109)
    assert not watch.gets_on(111)


def test_others_who_wait_are_no_progress(content: Content, tmp_path: Path) -> None:
    """A git-annex that knows the old lock alone holds it: both of us try in vain."""
    lock = content.annex.paths.transfer_lock("download", PEER.decode(), KEY)
    os.makedirs(os.path.dirname(lock))
    held = try_lock(lock, exclusive=True)
    assert held is not None
    watch = Watch(content.annex, KEY, PATIENCE)
    for now in range(0, 20, 5):
        assert watch.gets_on(now) == (now < PATIENCE)
        with pytest.raises(TransferInProgress):
            content.begin_intake(KEY, peer=PEER)
    held.close()


def test_looks_become_rare_but_not_too_rare(content: Content) -> None:
    watch = Watch(content.annex, KEY, PATIENCE)
    pauses = [watch.pause() for _ in range(10)]
    assert pauses == sorted(pauses)
    assert pauses[0] < 0.1 and pauses[-1] == 0.5


def test_a_person_is_told_once(content: Content) -> None:
    watch = Watch(content.annex, KEY, PATIENCE)
    told = []
    for _ in range(10):
        told.append(watch.becomes_long())
        watch.pause()
    assert told.count(True) == 1 and not told[0]


def test_who_holds_it_is_said(content: Content, intake: Intake) -> None:
    intake.write(b"hel")
    with pytest.raises(TransferInProgress) as raised:
        content.begin_intake(KEY, peer=PEER)
    said = str(raised.value)
    assert f"from repository {OTHER_PEER.decode()}" in said
    assert re.search(r"since [0-9-]{10} [0-9:]{8} UTC", said)
    assert "3 bytes so far" in said
    assert "another session" in said


def test_who_holds_it_when_little_can_be_known(
    content: Content, intake: Intake
) -> None:
    info = content.annex.paths.transfer_info("download", OTHER_PEER.decode(), KEY)
    Path(info).write_bytes(b"nonsense\n")
    assert "since an unknown time" in describe_holder(content.annex, KEY)
    os.unlink(info)
    assert describe_holder(content.annex, KEY) == "another session, 0 bytes so far"
    intake.close()
    assert describe_holder(content.annex, KEY) == "another session"
