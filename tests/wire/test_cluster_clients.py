"""Clients of a cluster that say what may not be said there (spec 01 §7.4, §8.8)."""

from __future__ import annotations

import pytest

from tests.support.cluster_script import CLIENT, H1, H2, clustered


def test_a_client_that_talks_nonsense_stays_connected() -> None:
    nonsense = [b"FOO", b"", b"checkpresent K", b"PUT /abs K", b"DATA x", b"PUT K"]
    unexpected = [b"SUCCESS", b"VALID", b"DATA 5", b"SUCCESS-PLUS a b", b"PUT-FROM 0"]
    script = CLIENT
    for line in nonsense:
        script += f">> {line.decode()}\n<< ERROR unknown command\n"
    for line in unexpected:
        script += f">> {line.decode()}\n<< ERROR unexpected command\n"
    clustered(script + ">> BYPASS {FAR} nonsense\n>> LOCKCONTENT {K}\n<< FAILURE")


@pytest.mark.parametrize("word", ["CONNECT git-upload-pack", "NOTIFYCHANGE"])
def test_a_cluster_has_no_git_repository(word: str) -> None:
    clustered(
        CLIENT + f">> {word}\n<| ERROR {word.split()[0]} is not available on this"
    )


def test_a_client_that_does_not_send_what_it_put_harms_nobody() -> None:
    log = clustered(
        CLIENT
        + """
        >> PUT f {K}
        << PUT-FROM 0
        >> CHECKPRESENT {K}
        << ERROR expected DATA
        >> LOCKCONTENT {K}
        << FAILURE
        """,
        H1 + ">> PUT f {K}\n<< PUT-FROM 0\n>> ERROR the client sent nothing",
        H2 + ">> PUT f {K}\n<< PUT-FROM 0\n>> ERROR the client sent nothing",
    )
    assert not log.records
