"""Logs of urls (spec 03 §4.9)."""

from __future__ import annotations

from annexshell.logs.urls import present_urls, urls_path
from annexshell.model.key import Key


def test_urls_are_given_as_they_stand() -> None:
    log = b"1s 1 http://a/b c\n1s 1 yt:http://d\n1s 1 :x\n1s 1 \xff\n2s 0 y\n1s 1 y\n"
    assert present_urls(log) == {"http://a/b c", "yt:http://d", ":x", "\udcff"}


def test_the_path_is_beside_the_location_log() -> None:
    key = Key.parse(b"WORM-s3-m123--__x_")
    assert urls_path(key) == b"704/192/WORM-s3-m123--__x_.log.web"
