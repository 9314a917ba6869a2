#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""HTTPS server of linux_http.c: DNS over HTTPS and what can go wrong with it. Arguments: address, certificate, key."""
import base64
import http.server
import itertools
import ssl
import sys
import threading

TYPE = "application/dns-message"
# www.example.com A, the text that a client must send; and the answer to AAAA, TTL 3709
VECTOR_TEXT = "AAABAAABAAAAAAAAA3d3dwdleGFtcGxlA2NvbQAAAQAB"
VECTOR_ANSWER = bytes.fromhex("00008180000100010000000003777777076578616d706c6503636f6d00001c0001c00c001c000100000e7d0010"
                              "20010db8abcd00120001000200030004")
numbers = itertools.count(1)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self):
        self.number = next(numbers)  # of this connection
        super().setup()

    def log_message(self, *args):
        pass

    def send(self, status, body=b"", content_type=None, **headers):
        self.send_response_only(status)
        if content_type:
            self.send_header("Content-Type", content_type)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def dns_answer(self):
        """The query with QR set and the number of the connection behind it; ValueError: it is no proper request."""
        path, _, text = self.path.partition("?dns=")
        if self.headers.get_all("accept") != [TYPE] or "=" in text or "+" in text or "/" in text:
            raise ValueError("headers or encoding")
        query = bytearray(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if query[:2] != b"\0\0":
            raise ValueError("id is not 0")
        query[2] |= 0x80
        return path, bytes(query) + bytes([self.number])

    def do_GET(self):
        if self.path == "/move":
            self.send(307, Location="/elsewhere?x=1")
            return
        if self.path == "/vector-text?dns=" + VECTOR_TEXT:
            self.send(200, VECTOR_ANSWER.replace(b"\x1c", b"\x01", 1), TYPE)
            return
        if self.path.startswith("/vector-answer?"):
            self.send(200, VECTOR_ANSWER, TYPE)
            return
        if self.path == "/big":
            self.send(200, b"z" * 70000, "text/plain")
            return
        try:
            path, answer = self.dns_answer()
        except ValueError as error:
            self.send(400, str(error).encode(), "text/plain")
            return
        if path == "/dns-query":
            self.send(200, answer, TYPE)
        elif path == "/charset":
            self.send(200, answer, TYPE + "; charset=utf-8")
        elif path == "/bad-type":
            self.send(200, answer, TYPE + "s")
        elif path == "/no-type":
            self.send(200, answer)
        elif path == "/bad-status":
            self.send(500, answer, TYPE)
        elif path == "/bad-answer":
            self.send(200, answer[:13] + b"x" + answer[14:], TYPE)
        elif path == "/silence":
            self.rfile.read(1)  # until the other side goes
            self.close_connection = True
        elif path == "/once":
            self.send(200, answer, TYPE)
            self.close_connection = True
        else:
            self.send(404)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/limit":
            self.send(429, b"later", "text/plain", Retry_After="7")
            return
        unwanted = [name for name in self.headers if name.lower() not in
                    ("host", "authorization", "content-type", "content-length")]
        said = f"{self.headers['authorization']} {self.headers['content-type']} {unwanted} "
        self.send(200, said.encode() + body, "text/plain")


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address, cert, key):
        super().__init__((address, 443), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def handle_error(self, request, client_address):
        pass


if __name__ == "__main__":
    server = Server(*sys.argv[1:4])
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print("ready", flush=True)
    sys.stdin.read()  # until the test ends
