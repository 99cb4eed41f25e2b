"""Response policy zones, the samples written by us."""

from __future__ import annotations

import pytest

HEAD = "$TTL 300\n@ IN SOA localhost. root.localhost. ( 1 12h 15m 3w 2h )\n  IN NS localhost.\n"


def test_actions_that_block_and_pass(say):
    text = HEAD + (
        "a.example CNAME .\n*.b.example CNAME *.\nc.example 300 IN CNAME rpz-drop.\n"
        "d.example CNAME rpz-passthru.\n*.e.example IN 1h CNAME rpz-passthru.\nf.example A 0.0.0.0\n"
        "f.example AAAA ::\ng.example CNAME g.example.\n; a comment\nH.Example cname . ; another\n"
    )
    assert say("rpz", text) == [
        "exact a.example",
        "below b.example",
        "exact c.example",
        "allow exact d.example",
        "allow below e.example",
        "exact f.example",
        "exact f.example",
        "allow exact g.example",
        "exact h.example",
    ]


def test_actions_that_rewrite(say):
    text = (
        "a.example CNAME walled.garden.example.\nb.example CNAME rpz-tcp-only.\nc.example A 192.0.2.1\n"
        'd.example TXT "; not a comment"\ne.example CNAME rpz-passthru\nf.example CNAME *.garden.example.\n'
        "g.example MX 0 .\n"
    )
    assert say("rpz", text) == [
        "1:1 rpz-action-not-supported a.example",
        "2:1 rpz-action-not-supported b.example",
        "3:1 local-data c.example",
        "4:1 local-data d.example",
        "5:1 rpz-action-not-supported e.example",
        "6:1 rpz-action-not-supported f.example",
        "7:1 local-data g.example",
    ]


@pytest.mark.parametrize(
    "trigger",
    [
        "32.4.3.2.10.rpz-ip",
        "24.0.0.0.127.rpz-client-ip",
        "128.2.zz.3.2.2001.rpz-ip",
        "ns.example.com.rpz-nsdname",
        "8.0.0.0.10.rpz-nsip",
    ],
)
def test_triggers_that_are_not_question_names(say, trigger: str):
    assert say("rpz", f"{trigger} CNAME .") == [f"1:1 rpz-trigger-not-a-name {trigger}"]


def test_absolute_names_below_an_origin(say):
    text = (
        "$ORIGIN rpz.example.\n$TTL 1h\n@ SOA a. b. 1 2 3 4 5\n NS a.\nbad.com.rpz.example. CNAME .\n"
        "worse.com CNAME .\nelsewhere.com. CNAME .\n"
    )
    assert say("rpz", text) == [
        "exact bad.com",
        "exact worse.com",
        "7:1 outside-zone elsewhere.com.",
    ]


def test_the_zone_may_be_told_by_its_soa_alone(say):
    text = "rpz. IN SOA rpz. root.rpz. 6 7 8 9 10\nrpz. NS .\na.example CNAME *.\nb.com.rpz. CNAME ."
    assert say("rpz", text) == ["exact a.example", "exact b.com"]


def test_origins_within_the_zone_as_bind_writes_them(say):
    text = (
        "$ORIGIN .\nrpz.local IN SOA a. b. (\n  1 ; serial\n  2 3 4 5 )\n  NS a.\n$ORIGIN com.rpz.local.\n"
        "bad CNAME .\n*.bad CNAME .\n$ORIGIN rpz.local.\nworse.org CNAME .\n$ORIGIN net\nthird CNAME .\n"
    )
    assert say("rpz", text) == ["exact bad.com", "below bad.com", "exact worse.org", "exact third.net"]


def test_the_owner_is_inherited(say):
    assert say("rpz", "a.example A 0.0.0.0\n  AAAA ::\n") == ["exact a.example", "exact a.example"]


def test_records_at_the_apex_and_directives(say):
    text = "$ORIGIN rpz.example.\n@ A 0.0.0.0\n$INCLUDE /etc/passwd\n$GENERATE 1-30 host$ CNAME .\n"
    assert say("rpz", text) == [
        "2:1 local-data @",
        "3:1 unsupported-directive $INCLUDE",
        "4:1 unsupported-directive $GENERATE",
    ]


def test_a_wildcard_for_everything(say):
    assert say("rpz", "* CNAME .\n*.* CNAME .\na.*.example CNAME .") == [
        "1:1 whole-tld *",
        "2:1 whole-tld *.*",
        "3:3 wildcard-in-the-middle a.*.example",
    ]


def test_damage(say):
    text = "lonely\n CNAME .\na.example CNAME\nb..example CNAME .\n(\n)\nc.example CNAME ."
    assert say("rpz", text) == [
        "1:1 not-understood lonely",
        "exact lonely",
        "3:1 local-data a.example",
        "4:3 empty-label b..example",
        "exact c.example",
    ]


def test_a_quote_that_never_closes_costs_its_own_line_only(say):
    assert say("rpz", 'a.example CNAME "\nc.example CNAME .') == [
        "1:1 rpz-action-not-supported a.example",
        "exact c.example",
    ]


def test_quotes_that_never_close_cost_no_more_than_their_length(say):
    """Searching the other quote from each one took minutes: more than a test may take."""
    line = "a.example TXT " + '"\\' * 8000
    assert len(say("rpz", "\n".join([line] * 300))) == 300
