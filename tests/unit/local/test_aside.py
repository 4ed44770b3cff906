"""hooks/annex-content runs after content came or went, and nobody waits for it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from annexshell.local.store import LocalStore
from annexshell.model.ids import UUID
from annexshell.repository import hooks
from annexshell.repository.content import Content
from tests.support.async_tests import trio_test
from tests.support.content import PEER, make_repository
from tests.support.memory_store import key_of
from tests.support.sending import sent

CONTENT = b"some content"
K = key_of(CONTENT)


def hooked(path: Path, body: str) -> LocalStore:
    repository = make_repository(path)
    hook = path / "hooks" / "annex-content"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\n" + body)
    hook.chmod(0o755)
    return LocalStore(repository, UUID(PEER))


@trio_test
async def test_it_runs_once_for_all_that_changed_in_between(tmp_path: Path) -> None:
    """In the repository, without arguments or input; also for content that went."""
    log = tmp_path / "log"
    store = hooked(tmp_path / "r", f'echo "$PWD $#" >>{log}; cat >>{log}\n')
    for content in (b"one", b"other"):
        assert (await sent(store, key_of(content), content)).ok
    assert not log.exists()
    await store.settle()
    await store.aclose()
    line = f"{os.path.realpath(tmp_path / 'r')} 0\n"
    assert log.read_text() == line
    assert (await store.remove(key_of(b"one"))).ok
    await store.aclose()
    assert log.read_text() == line * 2


@trio_test
async def test_it_does_not_run_for_what_changed_nothing(tmp_path: Path) -> None:
    store = hooked(tmp_path / "r", f"touch {tmp_path}/ran\n")
    assert not (await sent(store, K, b"other content")).ok
    assert (await store.remove(K)).ok
    assert not await store.present(K)
    await store.settle()
    await store.aclose()
    assert not (tmp_path / "ran").exists()


@trio_test
async def test_settling_does_not_wait_for_it(tmp_path: Path) -> None:
    """It waits for us instead, at the other end of a pipe, and runs again at the end."""
    fifo, log = tmp_path / "fifo", tmp_path / "log"
    os.mkfifo(fifo)
    store = hooked(tmp_path / "r", f"cat {fifo}; echo ran >>{log}\n")
    assert (await sent(store, K, CONTENT)).ok
    await store.settle()
    assert (await store.remove(K)).ok
    await store.settle()
    assert not log.exists()
    fifo_end = os.open(fifo, os.O_RDWR)
    fifo.unlink()
    fifo.write_bytes(b"")
    os.close(fifo_end)
    await store.aclose()
    assert log.read_text() == "ran\nran\n"


@trio_test
async def test_what_hangs_is_ended_and_what_fails_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(hooks, "CONTENT_LIMIT", 0.1)
    store = hooked(tmp_path / "r", "sleep 1000\n")
    assert (await sent(store, K, CONTENT)).ok
    await store.aclose()
    assert "timed out" in caplog.text
    (tmp_path / "r/hooks/annex-content").write_text("#!/bin/sh\nexit 3\n")
    monkeypatch.setattr(hooks, "CONTENT_LIMIT", 60.0)
    assert (await store.remove(K)).ok
    await store.aclose()
    assert "exit 3" in caplog.text


def test_the_hook_of_somebody_else_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooked(tmp_path / "r", f"touch {tmp_path}/ran\n")
    monkeypatch.setattr(hooks, "may_run_programs_of", lambda _: False)
    annex = Content(make_repository(tmp_path / "other")).annex
    theirs = hooks.Hooks(str(tmp_path / "r"), annex.config)
    theirs.content_changed(str(tmp_path))
    assert not (tmp_path / "ran").exists()
    monkeypatch.setattr(hooks, "may_run_programs_of", lambda _: True)
    theirs.content_changed(str(tmp_path))
    assert (tmp_path / "ran").exists()
