"""Safe search and services while serving: reloads, a dead upstream, counts and events, explanations."""

from __future__ import annotations

from _ask import ask
from _endpoint import arrived, events, metric
from _engines import FRONT, MIDDLE, OPEN_V4, PRIMARY, STAFF, YANDEX
from _programs import until

GOOGLE = FRONT["forcesafesearch.google.com"][0]


def test_a_target_that_cannot_be_resolved_is_servfail(start, files, make_upstream):
    """Never the unfiltered answer: the engine's own is in the cache, since staff asked for it."""
    upstream = make_upstream()
    filterd = start(files.config(upstream))
    assert ask(filterd.v4, "www.google.kz", source=STAFF).data == [OPEN_V4]
    upstream.stop()
    for source in (PRIMARY, MIDDLE):
        for rdtype in ("A", "AAAA"):
            for tcp in (False, True):
                answer = ask(filterd.v4, "www.google.kz", rdtype, source=source, tcp=tcp)
                assert (answer.rcode, answer.data) == ("SERVFAIL", [])
    assert ask(filterd.v4, "yandex.kz", source=PRIMARY).data == [YANDEX], "an address needs no upstream"
    assert ask(filterd.v4, "www.google.kz", "HTTPS", source=PRIMARY).rcode == "NOERROR"
    assert ask(filterd.v4, "search.brave.com", source=PRIMARY).blocked, "blocking goes on"


def test_a_reload_takes_hold_of_what_is_remembered(start, files, upstream):
    filterd = start(files.config(upstream))
    for level, target in (("moderate", "restrictmoderate.youtube.com"), ("strict", "restrict.youtube.com")):
        files.write(safe_search={"youtube": level} if level == "strict" else {})
        filterd.reload()
        for _ in range(4):
            assert FRONT[target][0] in ask(filterd.v4, "www.youtube.com", source=MIDDLE).data


def test_r9_a_school_cannot_switch_off_what_is_locked(start, files, upstream):
    filterd = start(files.config(upstream))
    files.write(safe_search={"google": "off"})
    done = filterd.run("reload")
    assert done.returncode == 1
    assert "school.yaml:" in done.stderr
    assert "is locked at" in done.stderr
    assert "baseline.yaml:" in done.stderr
    assert ask(filterd.v4, "www.google.kz", source=MIDDLE).data == sorted(
        [GOOGLE, "forcesafesearch.google.com."]
    )


def test_r15_rewritten_lookups_are_counted_apart_and_are_no_events(start, files, upstream):
    filterd = start(files.config(upstream))
    for name, rdtype in (
        ("www.google.kz", "A"),
        ("www.google.kz", "HTTPS"),
        ("ya.ru", "A"),
        ("ya.ru", "AAAA"),
    ):
        for _ in range(5):  # fetched, from the cache, from memory
            ask(filterd.v4, name, rdtype, source=PRIMARY)
    for _ in range(3):
        ask(filterd.v4, "mektep.example", source=PRIMARY)
        ask(filterd.v4, "use-application-dns.net", source=PRIMARY)
    ask(filterd.v4, "search.brave.com", source=PRIMARY)
    arrived(filterd, ["search.brave.com"])

    def counted():
        found = {
            outcome: int(metric(filterd, "filterd_queries_total", group="primary", outcome=outcome))
            for outcome in ("rewritten", "allowed", "blocked", "canary")
        }
        return found if sum(found.values()) >= 27 else None

    assert until(counted, "all counts") == {"rewritten": 20, "allowed": 3, "blocked": 1, "canary": 3}
    assert {event["name"] for event in events(filterd)} == {"search.brave.com"}


def test_a_service_is_blocked_by_one_word(start, files, upstream):
    filterd = start(files.config(upstream))
    answer = ask(filterd.v4, "www.tiktok.com", source=STAFF)
    assert (answer.rcode, answer.blocked) == ("NXDOMAIN", True)
    assert answer.why == "category: social; rule: block service tiktok: tiktok.com (subtree)"
    arrived(filterd, ["www.tiktok.com"])
    (event,) = events(filterd, name="www.tiktok.com")
    assert (event["category"], event["reason"], event["layer"]) == ("social", "service", "school")
    files.write(services={"allow": ["tiktok"]})
    filterd.reload()
    assert ask(filterd.v4, "www.tiktok.com", source=PRIMARY).data == [OPEN_V4], "social networks are blocked"


def test_an_unknown_service_is_told_with_its_place(start, files, upstream):
    filterd = start(files.config(upstream))
    files.write(services={"block": ["tiktoc"]})
    done = filterd.run("reload")
    assert done.returncode == 1
    assert "unknown service 'tiktoc'" in done.stderr
    assert "did you mean 'tiktok'?" in done.stderr


def test_explain_tells_it_all(school):
    told = school.run("explain", "www.youtube.com", "--client", PRIMARY).stdout
    assert "group     primary" in told
    assert "youtube: strict (baseline)" in told
    assert (
        "safe_search: rewrite (safe_search), rule: safe search youtube: strict (restrict.youtube.com)" in told
    )
    assert "verdict   rewrite (safe_search)" in told
    assert "it is locked at " in told
    assert "teachers: allow (" in told
    assert "middle: rewrite (safe_search), rule: safe search youtube: moderate" in told
    told = school.run("explain", "www.tiktok.com", "--client", STAFF, "--type", "HTTPS").stdout
    assert "verdict   block (service), category social, rule: block service tiktok: tiktok.com" in told
