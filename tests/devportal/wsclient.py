# SPDX-License-Identifier: Apache-2.0
"""A plain WebSocket client and a runner for fz-devportal, with nothing but the standard library."""
import base64, hashlib, json, os, select, socket, struct, subprocess, tempfile, time, urllib.parse


def get(port, target, headers=None, method="GET", body=b"", family="127.0.0.1"):
    """One HTTP exchange: status, headers (lower case), body, and the socket with what was read beyond."""
    s = socket.create_connection((family, port), timeout=5)
    lines = [f"{method} {target} HTTP/1.1", "Host: portal"]
    lines += [f"{k}: {v}" for k, v in (headers or {}).items()]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    s.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
    data = b""
    while b"\r\n\r\n" not in data:
        more = s.recv(65536)
        if not more:
            raise EOFError("closed before an answer")
        data += more
    head, rest = data.split(b"\r\n\r\n", 1)
    first, *fields = head.decode().split("\r\n")
    answer = {f.split(":", 1)[0].lower(): f.split(":", 1)[1].strip() for f in fields}
    want = int(answer.get("content-length", 0))
    while len(rest) < want:
        rest += s.recv(65536)
    return int(first.split()[1]), answer, rest, s, first


class Refused(Exception):
    def __init__(self, status, headers, body):
        super().__init__(f"{status} {body!r}")
        self.status, self.headers, self.body = status, headers, body

    @property
    def code(self):
        return json.loads(self.body)["code"]


class Closed(Exception):
    """The other side ended the connection; `code` of its close frame, or None."""
    code = None


AGENTS = {
    "client": "Debian/12.0.0 headless-client/1.5.12 (x86_64; 6.1.0)",
    "gateway": "Debian/12.0.0 gateway/1.6.1 (x86_64; 6.1.0)",
    "relay": "Debian/12.0.0 relay/0.1.0 (x86_64; 6.1.0)",
}


def key(byte):
    return base64.b64encode(bytes([byte]) * 32).decode()


class Device:
    """One device on its channel."""

    def __init__(self, port, role, token, external_id=None, public_key=None, v1=False, agent=None, extra=None, join=True,
                 payload=None, header="x-authorization"):
        query = {}
        if external_id is not None:
            query.update(external_id=external_id, name=external_id)
        query.update(extra or {})
        if public_key is not None:
            query["public_key"] = public_key
        path = f"/{role}/websocket" if v1 or role == "relay" else f"/{role}/v2/websocket"
        nonce = base64.b64encode(os.urandom(16)).decode()
        headers = {
            "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": nonce,
        }
        if token is not None:
            headers[header] = f"Bearer {token}"
        headers["user-agent"] = AGENTS[role] if agent is None else agent
        status, answer, rest, self.sock, _ = get(port, path + "?" + urllib.parse.urlencode(query), headers)
        if status != 101:
            self.sock.close()
            raise Refused(status, answer, rest)
        want = base64.b64encode(hashlib.sha1((nonce + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
        assert answer["sec-websocket-accept"] == want
        assert answer["connection"].lower() == "upgrade" and answer["upgrade"].lower() == "websocket", answer
        assert "sec-websocket-extensions" not in answer and "sec-websocket-protocol" not in answer, answer
        self.role, self.buf, self.ref, self.replies = role, rest, 0, {}
        if join:
            ref = self.send("phx_join", payload)
            assert self.reply(ref) == ("ok", {})
            self.init = self.wait("init")

    def _frame(self, opcode, data):
        mask = os.urandom(4)
        length = len(data)
        head = bytes([0x80 | opcode])
        head += bytes([0x80 | length]) if length < 126 else bytes([0x80 | 126]) + struct.pack("!H", length) \
            if length < 65536 else bytes([0x80 | 127]) + struct.pack("!Q", length)
        self.sock.sendall(head + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(data)))

    def send(self, event, payload, topic=None):
        ref, self.ref = self.ref, self.ref + 1
        self.send_text(json.dumps({"topic": topic or self.role, "event": event, "payload": payload, "ref": ref}))
        return ref

    def send_text(self, text):
        self._frame(1, text.encode())

    def _need(self, n, until):
        while len(self.buf) < n:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self.sock], [], [], left)[0]:
                raise TimeoutError
            try:
                more = self.sock.recv(65536)
            except ConnectionError:
                more = b""
            if not more:
                raise Closed("stream ended")
            self.buf += more

    def receive(self, timeout=10):
        """The next message as a dict."""
        until = time.monotonic() + timeout
        self._need(2, until)
        opcode, size, start = self.buf[0] & 15, self.buf[1], 2
        assert size & 0x80 == 0, "server frames are not masked"
        assert self.buf[0] & 0x70 == 0, "no extension bits"
        if size == 126:
            self._need(4, until)
            size, start = struct.unpack("!H", self.buf[2:4])[0], 4
        elif size == 127:
            self._need(10, until)
            size, start = struct.unpack("!Q", self.buf[2:10])[0], 10
        self._need(start + size, until)
        data, self.buf = self.buf[start:start + size], self.buf[start + size:]
        if opcode == 8:
            end = Closed("close frame")
            end.code = struct.unpack("!H", data[:2])[0] if len(data) >= 2 else None
            raise end
        assert opcode == 1, opcode
        return json.loads(data)

    def wait(self, event, timeout=10):
        """The payload of the next push, which must be this event."""
        message = self.receive(timeout)
        assert message["event"] == event, message
        assert message["ref"] is None and message["topic"] == self.role, message
        return message["payload"]

    def reply(self, ref, topic=None):
        message = self.receive()
        assert message["event"] == "phx_reply" and message["ref"] == ref, message
        assert message["topic"] == (topic or self.role), message
        return message["payload"]["status"], message["payload"]["response"]

    def ask(self, event, payload, topic=None):
        return self.reply(self.send(event, payload, topic), topic)

    def silent(self, seconds=0.15):
        try:
            message = self.receive(seconds)
        except TimeoutError:
            return
        raise AssertionError(f"unexpected {message}")

    def ended(self, timeout=10):
        """Reads to the end; the code of the close frame or None."""
        try:
            while True:
                self.receive(timeout)
        except Closed as end:
            return end.code

    def close(self):
        self.sock.close()


class Portal:
    """fz-devportal as a child, with a configuration, on a free port."""

    def __init__(self, program, config, *options):
        self.program, self.dir = program, tempfile.mkdtemp(prefix="fz-devportal-")
        self.socket = os.path.join(self.dir, "admin")
        self.options = options
        with open(os.path.join(self.dir, "config.json"), "w") as f:
            json.dump(config, f)
        self.start()

    def start(self):
        path = os.path.join(self.dir, "config.json")
        with open(os.path.join(self.dir, "log"), "w") as log:
            self.process = subprocess.Popen([self.program, "-c", path, "-l", "127.0.0.1:0", "-s", self.socket, *self.options],
                                            stdout=subprocess.PIPE, stderr=log, text=True)
        line = self.process.stdout.readline()
        assert line.startswith("fz-devportal: ready on "), (line, self.log())
        self.port = int(line.rsplit(":", 1)[1])

    def log(self):
        with open(os.path.join(self.dir, "log")) as f:
            return f.read()

    def ctl(self, *words, status=0):
        done = subprocess.run([self.program, "ctl", "--socket", self.socket, "--json", *words], capture_output=True,
                              text=True, timeout=30)
        assert done.returncode == status, (words, done.returncode, done.stdout, done.stderr)
        return json.loads(done.stdout) if done.stdout.strip() else done.stderr.strip()

    def end(self):
        self.process.terminate()
        status = self.process.wait(10)
        self.process.stdout.close()
        assert status == 0, (status, self.log())

    def stop(self):
        self.end()
        for name in os.listdir(self.dir):
            os.unlink(os.path.join(self.dir, name))
        os.rmdir(self.dir)
