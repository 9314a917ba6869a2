# SPDX-License-Identifier: Apache-2.0
"""Web servers with TLS for the hosts of the service. Usage: outside.py CERTIFICATE KEY SKEW-FILE ADDRESS...
The file holds by how many seconds their clock is wrong."""
import email.utils
import http.server
import ssl
import sys
import threading
import time

CERTIFICATE, KEY, SKEW, *ADDRESSES = sys.argv[1:]


class Page(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):  # noqa: N802
        self.send_response(200)
        self.send_header("content-length", "3")
        self.end_headers()
        self.wfile.write(b"ok\n")

    def date_time_string(self, timestamp=None):
        with open(SKEW, encoding="ascii") as file:
            return email.utils.formatdate(time.time() + float(file.read()), usegmt=True)

    def log_message(self, *args):
        pass


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(CERTIFICATE, KEY)
for address in ADDRESSES:
    server = http.server.ThreadingHTTPServer((address, 443), Page)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
threading.Event().wait()
