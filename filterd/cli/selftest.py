"""``filterd selftest``: does the running filter do what its policy says, and since when."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

import click

from filterd.cli.root import EXIT_FAILED, config_options, overrides, root
from filterd.config.load import load_config
from filterd.errors import StartError


@root.command()
@click.option(
    "--server", metavar="ADDRESS:PORT", help="The filter to ask. Default: where the configuration listens."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each category.")
@click.option("--evidence", is_flag=True, help="Ask nothing; show the stored evidence, the newest last.")
@config_options
def selftest(server: str | None, as_json: bool, evidence: bool, **options: Any) -> None:
    """Ask the running filter for each category's canary, print a dated table and keep it as evidence.

    Then ask it for the learning sites and count those that answer.

    Status 0: every category answered as the policy of this machine's group says; 1: not.
    """
    from filterd.app.learning import Availability, availability, learning_sites  # noqa: PLC0415
    from filterd.app.policyfiles import policy_to_ask  # noqa: PLC0415 - a command loads only what it needs
    from filterd.app.selftest import Finding, selftest  # noqa: PLC0415
    from filterd.app.selftestlog import bare, evidence_of, store  # noqa: PLC0415
    from filterd.config.model import endpoint  # noqa: PLC0415

    config = load_config(options["config"], overrides(options["state"]))
    if evidence:
        _tell_evidence(config, as_json=as_json)
        return
    try:
        target = endpoint(server) if server else config.server().listen[0]
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--server") from error
    now = datetime.now(UTC)
    findings: list[Finding] = []
    learning = Availability()
    if not as_json:
        click.echo(f"self-test of {target} at {now:%Y-%m-%d %H:%M:%S} UTC")
        click.echo(f"{'category':<16}{'expected':<10}{'got':<10}{'ms':>7}  {'':6}sources")
    policy = policy_to_ask(config, at=time.time())
    empty = bare(config, policy.categories)

    def keep(error: str = "") -> None:
        found = evidence_of(
            config,
            target,
            findings,
            learning,
            bare=empty,
            school=policy.school,
            policy=policy.version,
            error=error,
        )
        try:
            store(config.state.selftests, found)
        except StartError as trouble:  # the answers count, whether or not this user may keep them
            click.echo(f"filterd: {trouble}", err=True)

    try:
        for finding in selftest(policy, target):
            findings.append(finding)
            click.echo(_as_json(finding, now, empty) if as_json else _as_line(finding, empty))
    except StartError as error:  # that nothing could be asked is evidence too
        keep(str(error))
        raise
    learning = availability(learning_sites(config, policy.categories), target)
    keep()
    failed = [finding for finding in findings if not finding.passed]
    if not as_json:
        click.echo(f"{len(findings) - len(failed)} of {len(findings)} as the policy says")
        click.echo(f"{learning.answered} of {learning.tested} learning sites answered")
    if failed:
        sys.exit(EXIT_FAILED)


def _tell_evidence(config: Any, *, as_json: bool) -> None:
    from dataclasses import asdict  # noqa: PLC0415

    from filterd.app.selftestlog import evidence  # noqa: PLC0415

    for one in reversed(list(evidence(config.state.selftests))):
        if as_json:
            click.echo(json.dumps(asdict(one), ensure_ascii=False))
            continue
        result = one.error or (f"FAILED: {', '.join(one.failed)}" if one.failed else "as the policy says")
        sites = f"learning sites {one.learning_answered}/{one.learning_tested}"
        click.echo(
            f"{one.at}  {one.tested} categories of {one.school}  index {one.index or '-'}  {result}  {sites}"
        )


def _as_line(finding: Any, empty: Collection[str]) -> str:
    category = finding.category
    mark = "ok" if finding.passed else "FAILED"
    sources = "" if category.id not in empty else "no source: only the canary is listed"
    return (
        f"{category.id:<16}{finding.expected:<10}{finding.got:<10}{finding.milliseconds:>7.1f}  "
        f"{mark:<6}{sources}"
    ).rstrip()


def _as_json(finding: Any, now: datetime, empty: Collection[str]) -> str:
    return json.dumps(
        {
            "at": now.isoformat(timespec="seconds"),
            "category": finding.category.id,
            "canary": finding.canary,
            "expected": finding.expected,
            "got": finding.got,
            "milliseconds": round(finding.milliseconds, 1),
            "passed": finding.passed,
            "has_source": finding.category.id not in empty,
        }
    )
