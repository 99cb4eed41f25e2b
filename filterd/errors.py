"""The exception tree; imports nothing of ours and holds no logic.

FilterdError                 everything raised on purpose; carries a remedy for a person
├── WireError                bytes that are not what they claim (wire/)
│   ├── DropPacket           answer with silence: not a query, or too short to be one
│   ├── QueryRefused         answer with an rcode: FORMERR, NOTIMP, REFUSED, BADVERS
│   ├── BadName              a name that cannot be a domain name
│   └── BadAnswer            a reply from upstream that is malformed or does not fit the question
├── SourceError              a file a person wrote is wrong: file, line, column, remedy
│   ├── ConfigError          configuration (config/)
│   ├── PolicyError          a policy layer or the categories (rules/)
│   └── ListError            a list or its catalogue (lists/)
├── FetchError               a list or bundle could not be fetched (lists/)
├── BundleError              a bundle is not what the region signed, or an older one (lists/)
├── DomainIndexError         the compiled index is missing, cut, or of another format (rules/, lists/)
├── UpstreamError            no upstream gave a usable answer (resolver/)
│   └── UpstreamTimeout      ... within the time allowed
├── OutboxError              the outbox on the box cannot be used (events/)
├── StoreError               the endpoint's store cannot be used (monitor/)
├── ReportError              a report cannot be made or signed as asked (monitor/reports/)
├── PaperworkError           what a person wants to note or change at the endpoint is not allowed (monitor/)
└── StartError               cannot start: port in use, no permission, missing file (server/, app)
"""

from __future__ import annotations

from pathlib import Path


class FilterdError(Exception):
    """Base of all errors raised on purpose.

    Args:
        message: what is wrong, in one line.
        remedy: what a person can do about it, in one line; may be empty.
    """

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} ({self.remedy})" if self.remedy else self.message


class WireError(FilterdError):
    """Bytes that are not what they claim to be."""


class DropPacket(WireError):
    """Answer with silence (QR=1, under 12 bytes)."""


class QueryRefused(WireError):
    """Answer the query with an error.

    Args:
        message: the reason, for logs and counters.
        rcode: extended RCODE to answer with (RFC 6895), 0-4095.
        reason: short stable label for the counter, e.g. ``"qdcount"``.
    """

    def __init__(self, message: str, *, rcode: int, reason: str) -> None:
        super().__init__(message)
        self.rcode = rcode
        self.reason = reason


class BadName(WireError):
    """A name that cannot be a domain name (RFC 1035 section 2.3.4, RFC 5890)."""


class BadAnswer(WireError):
    """A reply that is malformed or does not fit the question (RFC 5452 section 9)."""


class SourceError(FilterdError):
    """A file a person wrote is wrong.

    Args:
        message: what is wrong.
        file: the file, if known.
        line: 1-based line, 0 if unknown.
        column: 1-based column, 0 if unknown.
        remedy: what to write instead.
    """

    def __init__(
        self,
        message: str,
        *,
        file: Path | str | None = None,
        line: int = 0,
        column: int = 0,
        remedy: str = "",
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.file = file
        self.line = line
        self.column = column

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part)
        text = super().__str__()
        return f"{place}: {text}" if place else text


class ConfigError(SourceError):
    """The configuration is wrong."""


class PolicyError(SourceError):
    """A policy layer or the catalogue of categories is wrong."""


class ListError(SourceError):
    """A list or the catalogue of lists is wrong as a whole (a single bad line is counted, not raised)."""


class FetchError(FilterdError):
    """A list or bundle could not be fetched; what was there before stays."""


class BundleError(FilterdError):
    """A bundle is damaged, not signed by a key that is trusted here, or older than the one in force."""


class DomainIndexError(FilterdError):
    """The compiled domain index is missing, cut short, or of another format."""


class UpstreamError(FilterdError):
    """No upstream gave a usable answer."""


class UpstreamTimeout(UpstreamError):
    """No upstream answered within the time allowed."""


class OutboxError(FilterdError):
    """The outbox on the box cannot be used."""


class StoreError(FilterdError):
    """The endpoint's store cannot be used."""


class ReportError(FilterdError):
    """A report cannot be made, found or signed as it was asked for."""


class PaperworkError(FilterdError):
    """What a person wants to note or change at the endpoint cannot be so: unknown, forbidden, out of turn."""


class StartError(FilterdError):
    """The program cannot start: port in use, no permission, missing file."""
