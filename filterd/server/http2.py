"""DNS over HTTP/2 (RFC 9113), by h2: what browsers speak.

Every way to make a server work for nothing is bounded: streams at once and in all, resets, frames that carry
no request, header fields, bodies, replies that wait for a window that the client does not open.
"""

from __future__ import annotations

from functools import partial

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

from filterd.server import doh
from filterd.server.clients import Client
from filterd.server.doh import BadRequest, Headers
from filterd.server.http import HttpConnection, date_header
from filterd.server.streams import StreamListener

MAX_RESETS = 100  # of streams that the client opened and took back (CVE-2023-44487)
MAX_IDLE_FRAMES = 500  # frames without a request behind them ...
FRAMES_A_REQUEST = 10  # ... and so many more for each request
MAX_PENDING = 1 << 20  # bytes of replies that wait for the client's window

_CODES = h2.errors.ErrorCodes
_SETTINGS = h2.settings.SettingCodes


class _Asked:
    """A request that is still coming, or with the handler."""

    __slots__ = ("body", "message", "whole")

    def __init__(self) -> None:
        self.message: bytes | None = None  # of a GET
        self.body = bytearray()
        self.whole = False


class Http2Connection(HttpConnection):
    """One HTTP/2 connection."""

    def __init__(self, listener: StreamListener, client: Client, path: bytes) -> None:
        super().__init__(listener, client, path)
        config = h2.config.H2Configuration(client_side=False, header_encoding=None)
        self._http = h2.connection.H2Connection(config)
        self._http.local_settings = h2.settings.Settings(
            client=False,
            initial_values={
                _SETTINGS.MAX_CONCURRENT_STREAMS: self._limits.pipelined,
                _SETTINGS.MAX_HEADER_LIST_SIZE: doh.MAX_HEADERS,
            },
        )
        self._http.decoder.max_header_list_size = doh.MAX_HEADERS
        self._asked: dict[int, _Asked] = {}
        self._pending: dict[int, bytes] = {}  # bodies that wait for the client's window
        self._resets = 0
        self._frames = 0

    def _begin(self) -> None:
        self._http.initiate_connection()
        self._flush()

    def _busy(self) -> bool:
        return any(asked.whole for asked in self._asked.values())

    def _owed(self) -> bool:
        return bool(self._pending) or any(not asked.whole for asked in self._asked.values())

    def _good_bye(self) -> None:
        self._end(_CODES.NO_ERROR)

    def _take(self, data: bytes) -> None:
        try:
            for event in self._http.receive_data(data):
                self._on(event)
        except h2.exceptions.ProtocolError:  # DenialOfServiceError is one: header fields, continuations
            self._flush()
            self._cut()
            return
        except Exception:  # noqa: BLE001  what a library did not foresee ends the connection, not the loop
            self._handler.counters["handler_errors"] += 1
            self._cut()
            return
        if self._frames > MAX_IDLE_FRAMES + FRAMES_A_REQUEST * self._requests or self._resets > MAX_RESETS:
            self._end(_CODES.ENHANCE_YOUR_CALM)
            self._cut()
            return
        self._flush()

    def _on(self, event: h2.events.Event) -> None:
        self._frames += 1
        match event:
            case h2.events.RequestReceived():
                self._on_request(event)
            case h2.events.DataReceived():
                self._on_data(event)
            case h2.events.StreamEnded():
                self._on_end(event.stream_id)
            case h2.events.StreamReset():
                # Only what the client takes back; the lookup itself goes on, for the cache and its limits.
                self._resets += event.remote_reset
                self._asked.pop(event.stream_id, None)
                self._pending.pop(event.stream_id, None)
            case h2.events.WindowUpdated() | h2.events.RemoteSettingsChanged():
                self._send_pending()
            case h2.events.ConnectionTerminated():
                self._closing = True
            case _:
                pass

    def _on_request(self, event: h2.events.RequestReceived) -> None:
        stream = event.stream_id
        if self._closing:
            self._reset(stream, _CODES.REFUSED_STREAM)
            return
        asked = self._asked[stream] = _Asked()
        headers = [(bytes(name), bytes(value)) for name, value in event.headers]
        pseudo = dict(headers[:4])
        try:
            asked.message = doh.check_head(
                pseudo.get(b":method", b""), pseudo.get(b":path", b""), headers, self._path
            )
        except BadRequest as error:
            self._refuse(stream, error)
        self._note_request()

    def _on_data(self, event: h2.events.DataReceived) -> None:
        self._http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        asked = self._asked.get(event.stream_id)
        if asked is None:
            return
        asked.body += event.data
        if len(asked.body) > doh.MAX_BODY:
            self._refuse(event.stream_id, BadRequest(413))

    def _on_end(self, stream: int) -> None:
        asked = self._asked.get(stream)
        if asked is None:
            return
        asked.whole = True
        message = bytes(asked.body) if asked.message is None else asked.message
        self._serve(message, partial(self._answered, stream))

    def _answered(self, stream: int, reply: bytes | None) -> None:
        if stream not in self._asked:  # taken back meanwhile
            return
        if reply is None:
            self._refuse(stream, BadRequest(400))
            return
        self._respond(stream, 200, doh.reply_headers(reply), reply)

    def _refuse(self, stream: int, error: BadRequest) -> None:
        self._listener.count("requests_refused")
        asked = self._asked.get(stream)
        self._respond(stream, error.status, error.headers, error.body)
        if asked is not None and not asked.whole and stream not in self._pending:
            self._reset(stream, _CODES.NO_ERROR)  # the rest is not wanted (RFC 9113 section 8.1)

    def _respond(self, stream: int, status: int, headers: Headers, body: bytes) -> None:
        self._asked.pop(stream, None)
        try:
            self._http.send_headers(stream, [(b":status", str(status).encode()), date_header(), *headers])
        except h2.exceptions.ProtocolError:  # the stream or the connection is over
            return
        self._pending[stream] = body
        self._send_pending()
        self._flush()
        if sum(map(len, self._pending.values())) > MAX_PENDING:
            self._end(_CODES.ENHANCE_YOUR_CALM)
            self._cut()

    def _send_pending(self) -> None:
        for stream, body in tuple(self._pending.items()):
            try:
                rest = self._send_some(stream, body)
            except h2.exceptions.ProtocolError:
                rest = b""
            if rest:
                self._pending[stream] = rest
            else:
                del self._pending[stream]

    def _send_some(self, stream: int, body: bytes) -> bytes:
        """Send what the client's window takes; return the rest."""
        while True:
            room = min(self._http.local_flow_control_window(stream), self._http.max_outbound_frame_size)
            if room <= 0:
                return body
            part, body = body[:room], body[room:]
            self._http.send_data(stream, part, end_stream=not body)
            if not body:
                return b""

    def _reset(self, stream: int, code: h2.errors.ErrorCodes) -> None:
        try:
            self._http.reset_stream(stream, code)
        except h2.exceptions.ProtocolError:  # it is closed already
            return

    def _end(self, code: h2.errors.ErrorCodes) -> None:
        try:
            self._http.close_connection(code)
        except h2.exceptions.ProtocolError:
            return
        self._flush()

    def _flush(self) -> None:
        data = self._http.data_to_send()
        if data and self._transport is not None:
            self._transport.write(data)
