"""DNS over HTTP/1.1 (RFC 9112), by h11: one request after the other on a connection, as HTTP/1.1 has it."""

from __future__ import annotations

import h11

from filterd.server import doh
from filterd.server.clients import Client
from filterd.server.doh import BadRequest
from filterd.server.http import HttpConnection, date_header
from filterd.server.streams import StreamListener


class Http1Connection(HttpConnection):
    """One HTTP/1.1 connection."""

    def __init__(self, listener: StreamListener, client: Client, path: bytes) -> None:
        super().__init__(listener, client, path)
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=doh.MAX_HEADERS)
        self._message: bytes | None = None  # of a GET
        self._body = bytearray()
        self._unfinished = False  # a request has begun to come
        self._waiting = False  # it is with the handler

    def _take(self, data: bytes) -> None:
        self._http.receive_data(data)
        self._unfinished = self._unfinished or not self._waiting
        self._next()

    def _busy(self) -> bool:
        return self._waiting

    def _owed(self) -> bool:
        return self._unfinished and not self._waiting

    def _begun(self) -> bool:
        """Return whether a part of a request is here."""
        return bool(self._http.trailing_data[0]) or self._http.their_state is h11.SEND_BODY

    def _next(self) -> None:
        try:
            while not self._waiting and self._transport is not None and not self._transport.is_closing():
                event = self._http.next_event()
                if event is h11.NEED_DATA:
                    self._unfinished = self._begun()
                    if self._http.they_are_waiting_for_100_continue:
                        self._write(h11.InformationalResponse(status_code=100, headers=[]))
                    return
                if isinstance(event, h11.ConnectionClosed | type):
                    return
                self._on(event)
        except h11.RemoteProtocolError as error:
            self._refuse(BadRequest(431 if error.error_status_hint == 431 else 400))
            self._listener.count("malformed")
        except BadRequest as error:
            self._refuse(error)
            self._listener.count("requests_refused")

    def _on(self, event: h11.Event) -> None:
        if isinstance(event, h11.Request):
            self._message, self._body = None, bytearray()
            headers = [(bytes(name), bytes(value)) for name, value in event.headers]
            self._note_request()
            self._message = doh.check_head(event.method, event.target, headers, self._path)
        elif isinstance(event, h11.Data):
            self._body += event.data
            if len(self._body) > doh.MAX_BODY:
                raise BadRequest(413)
        elif isinstance(event, h11.EndOfMessage):
            self._unfinished, self._waiting = False, True
            if self._transport is not None:
                self._transport.pause_reading()
            self._serve(bytes(self._body) if self._message is None else self._message, self._answered)

    def _answered(self, reply: bytes | None) -> None:
        self._waiting = False
        if reply is None:
            self._listener.count("requests_refused")
            self._refuse(BadRequest(400))
            return
        headers = [*doh.reply_headers(reply), date_header()]
        if self._closing:
            headers.append((b"connection", b"close"))
        self._write(h11.Response(status_code=200, headers=headers, reason=b"OK"))
        self._write(h11.Data(data=reply))
        self._write(h11.EndOfMessage())
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            self._closing = True
            return
        self._http.start_next_cycle()
        if self._transport is not None and self._writable:
            self._transport.resume_reading()
        # Not from here: a client that sent a thousand requests at once would make this call itself as often.
        self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        if not self._closing:
            self._next()
        self._settle()

    def _refuse(self, error: BadRequest) -> None:
        """Answer with an error and close: what is left of such a request is not worth reading."""
        self._closing, self._unfinished = True, False
        if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            headers = [*error.headers, date_header(), (b"connection", b"close")]
            self._write(h11.Response(status_code=error.status, headers=headers))
            self._write(h11.Data(data=error.body))
            self._write(h11.EndOfMessage())

    def _write(self, event: h11.Event) -> None:
        data = self._http.send(event)
        if data and self._transport is not None:
            self._transport.write(data)
