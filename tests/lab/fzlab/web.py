# SPDX-License-Identifier: Apache-2.0
"""The web server of the resource network.

/get says who asked; /bytes?num=N[&chunk=M][&rate=R] sends N zero bytes, M at a time, R in a second at most.
"""
import http.server
import json
import socket
import socketserver
import sys
import time
from urllib.parse import parse_qs, urlsplit


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        url = urlsplit(self.path)
        if url.path == "/bytes":
            self.send_zeros(parse_qs(url.query))
            return
        body = (json.dumps({"url": self.path, "host": self.headers.get("Host"), "origin": self.client_address[0]})
                + "\n").encode()
        self.head(200 if url.path in ("/", "/get") else 404, "application/json", len(body))
        self.wfile.write(body)

    def send_zeros(self, query):
        try:
            left, size, rate = (int(query.get(key, [default])[0])
                                for key, default in (("num", ""), ("chunk", "65536"), ("rate", "0")))
        except ValueError:
            self.send_error(400)
            return
        self.head(200, "application/octet-stream", left)
        chunk = bytes(max(1, size))
        while left > 0:
            self.wfile.write(chunk[:left])
            left -= min(left, len(chunk))
            if rate:
                time.sleep(len(chunk) / rate)

    def head(self, status, kind, length):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def log_message(self, format, *args):
        print(self.client_address[0], format % args, flush=True)


class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
    daemon_threads = True

    def server_bind(self):
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        socketserver.TCPServer.server_bind(self)  # HTTPServer's looks its own name up, which takes a while here

    def handle_error(self, request, client_address):
        print(client_address[0], "connection ended:", sys.exc_info()[1], flush=True)


if __name__ == "__main__":
    with Server(("::", int(sys.argv[1])), Handler) as server:
        server.serve_forever()
