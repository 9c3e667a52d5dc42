"""HTTP: read a request, let it have its effect, answer; or misbehave."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any

from ._router import Answer


@dataclass
class Request:
    """One request that arrived.

    Attributes:
        method: GET, POST, PATCH, PUT or DELETE.
        path: As it was sent, without the query.
        query: Every parameter with all its values.
        headers: By lower-case name.
        body: Decompressed.
        size: Bytes on the wire.
        status: What was answered; None when nothing was.
    """

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes = field(repr=False)
    size: int
    status: int | None = None


class Listener(ThreadingHTTPServer):
    """A listening socket on the loopback interface and its open connections."""

    daemon_threads = True
    allow_reuse_address = True
    # a client opens many at once when it has been kept waiting
    request_queue_size = 128

    def __init__(self, port: int, serve: Callable[[Handler], None]) -> None:
        self.serve = serve
        self._open: dict[threading.Thread, socket.socket] = {}
        super().__init__(("127.0.0.1", port), Handler)
        self._thread = threading.Thread(
            target=self.serve_forever, args=(0.02,), name="langsmith-server", daemon=True
        )
        self._thread.start()

    def server_bind(self) -> None:
        """As `HTTPServer`, without asking the name service for a name of the machine."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        """A thread per connection, which is remembered so that it can be ended."""
        thread = threading.Thread(
            target=self._serve_connection, args=(request, client_address), daemon=True
        )
        self._open[thread] = request
        thread.start()

    def _serve_connection(self, request: Any, client_address: Any) -> None:
        try:
            self.process_request_thread(request, client_address)
        finally:
            self._open.pop(threading.current_thread(), None)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up is no news; anything else is a bug of this server."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)

    def close(self) -> None:
        """Refuse new connections, end the open ones, and leave no thread behind."""
        self.shutdown()
        self.server_close()
        self._thread.join()
        for thread, connection in list(self._open.items()):
            with suppress(OSError):  # the client may have been quicker
                connection.shutdown(socket.SHUT_RDWR)
            thread.join(5.0)


class Handler(BaseHTTPRequestHandler):
    """One connection; the work is done by `Listener.serve`."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body leave together
    server: Listener

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is printed: `LangSmithServer.requests` tells."""

    def _serve(self) -> None:
        self.server.serve(self)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _serve  # noqa: N815 - http.server's names

    def read_body(self) -> bytes:
        """The body as it is on the wire; one that breaks off ends the connection."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            stated = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(stated)
            if len(body) < stated:
                raise ConnectionResetError("the client hung up in the middle")
            return body
        body = b""
        while size := int(self.rfile.readline().split(b";")[0] or b"0", 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def send(self, answer: Answer, headers: dict[str, str]) -> None:
        """Answer; a client that does not wait for it is no error."""
        body = b"" if answer.status == 204 else answer.body()
        self.send_response(answer.status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", answer.content_type)
        if answer.status != 204:
            self.send_header("Content-Length", str(len(body)))
        try:
            self.end_headers()
            self.wfile.write(body)
            self.wfile.flush()
        except OSError:
            self.close_connection = True

    def drop(self) -> None:
        """Hang up without an answer."""
        self.close_connection = True
