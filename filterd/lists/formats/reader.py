"""A whole list, in any format but UT1's folders, as rules and rejected lines with their numbers.

The only place that knows both line numbers and formats. Never opens a file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import BinaryIO, Final

from filterd.errors import ListError
from filterd.lists.formats.adblock import adblock
from filterd.lists.formats.detect import HEAD, detect
from filterd.lists.formats.lines import blocks, numbered
from filterd.lists.formats.plain import Item, LineParser, domains, hosts
from filterd.lists.formats.rpz import Rpz
from filterd.lists.formats.servers import Unbound, dnsmasq
from filterd.lists.rule import SUBTREE, Fault, Reason, Rejected, Rule
from filterd.wire import names

FORMATS: Final = ("domains", "hosts", "adblock", "wildcard", "dnsmasq", "unbound", "rpz", "auto")

Guard = Callable[[bytes], Reason | None]


def parse(
    stream: BinaryIO, form: str, *, scope: int = SUBTREE, guard: Guard | None = None
) -> Iterator[Rule | Rejected]:
    """Yield what each line of a list says.

    Args:
        stream: the list, opened in binary mode.
        form: one of FORMATS.
        scope: what a bare name means in ``domains``, ``hosts`` and the hosts lines of ``adblock``.
        guard: returns the reason why a name may not stand in this list, or None.

    Raises:
        ListError: the format is unknown. Never for what the list holds.
    """
    for _, item in parse_blocks(blocks(stream), form, scope=scope, guard=guard):
        yield item


def parse_blocks(
    source: Iterable[bytes], form: str, *, scope: int = SUBTREE, guard: Guard | None = None
) -> Iterator[tuple[int, Rule | Rejected]]:
    """Yield (line number, what it says) of a list that comes in pieces; else as ``parse``."""
    if form == "auto":
        form, source = _detected(source)
    line_parser = _line_parser(form, scope)
    number = 0
    line: bytes | Fault = b""
    for number, line in numbered(source):
        if isinstance(line, Fault):
            yield number, line.at(number)
            continue
        for item in line_parser(line):
            if isinstance(item, Fault):
                yield number, item.at(number)
            elif guard is not None and (reason := guard(item.name)) is not None:
                yield number, _refused(number, line, item, reason)
            else:
                yield number, item
    for item in _last(line_parser):
        if guard is not None and isinstance(item, Rule) and (reason := guard(item.name)) is not None:
            yield number, _refused(number, b"", item, reason)
        else:
            yield number, item.at(number) if isinstance(item, Fault) else item


def _line_parser(form: str, scope: int) -> LineParser:
    makers: dict[str, Callable[[], LineParser]] = {
        "domains": lambda: domains(scope),
        "wildcard": lambda: domains(SUBTREE),
        "hosts": lambda: hosts(scope),
        "adblock": lambda: adblock(scope),
        "dnsmasq": lambda: dnsmasq,
        "unbound": Unbound,
        "rpz": Rpz,
    }
    if form not in makers:
        raise ListError(f"unknown list format {form!r}", remedy=f"known: {', '.join(FORMATS)}")
    return makers[form]()


def _last(line_parser: LineParser) -> Sequence[Item]:
    """Return what a parser that looks one line ahead still holds at the end."""
    finish: Callable[[], Sequence[Item]] | None = getattr(line_parser, "finish", None)
    return () if finish is None else finish()


def _detected(source: Iterable[bytes]) -> tuple[str, Iterable[bytes]]:
    rest = iter(source)
    head = b""
    while len(head) < HEAD and (block := next(rest, b"")):
        head += block
    return detect(head), chain((head,), rest)


def _refused(number: int, line: bytes, rule: Rule, reason: Reason) -> Rejected:
    text = names.to_text(rule.name)
    at = line.lower().find(text.encode())
    return Rejected(number, max(at, 0) + 1, text, reason)
