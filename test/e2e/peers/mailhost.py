"""A mail host that notes what it hears and says what the test wants: SMTP or LMTP, on an address or a socket of this host.

Each transaction is noted when its content is whole: {"hello", "peer", "from", "to", "content"}. answer(recipient, count) is what
is said of a recipient after the dot, by LMTP to each, by SMTP to the first; None: the connection is dropped there.
"""

import os
import socket
import socketserver
import threading


class MailHost:
    def __init__(self, at, is_lmtp, answer=lambda recipient, count: "250 2.0.0 taken", extensions=("PIPELINING", "8BITMIME")):
        self.is_lmtp, self.answer, self.extensions = is_lmtp, answer, extensions
        self.transactions, self.answers, self.hellos, self.unknown = [], [], [], []
        self.lock = threading.Lock()
        host = self

        class Handler(socketserver.StreamRequestHandler):
            def finish(self):
                try:
                    super().finish()
                except OSError:
                    pass

            def handle(self):
                try:
                    host.converse(self)
                except OSError:
                    pass  # the client went away

        kind = socketserver.UnixStreamServer if isinstance(at, str) else socketserver.TCPServer
        kind = type("Server", (socketserver.ThreadingMixIn, kind), {"daemon_threads": True, "allow_reuse_address": True})
        self.server = kind(at, Handler)
        if isinstance(at, str):
            os.chmod(at, 0o666)
        self.port = None if isinstance(at, str) else self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def converse(self, connection):
        say = lambda text: connection.wfile.write(text.encode() + b"\r\n")
        note = {"peer": connection.client_address[0] if connection.client_address else "", "hello": ""}
        say("220 host.test here")
        while True:
            line = connection.rfile.readline().decode("utf-8", "replace").rstrip("\r\n")
            verb = line.upper()[:4]
            if not line or verb == "QUIT":
                say("221 bye")
                return
            if verb == ("LHLO" if self.is_lmtp else "EHLO"):
                note["hello"] = line[5:]
                self.hellos.append(line[5:])
                lines = ["host.test", *self.extensions]
                for text in lines[:-1]:
                    say("250-" + text)
                say("250 " + lines[-1])
            elif verb == "MAIL":
                note.update({"from": line, "to": [], "refused": []})
                say("250 2.1.0 ok")
            elif verb == "RCPT":
                recipient = line.partition("<")[2].partition(">")[0]
                is_known = not recipient.startswith("nobody@")
                note["to"] += [recipient] * is_known
                say("250 2.1.5 ok" if is_known else "550 5.1.1 no such user")
            elif verb == "DATA" and note.get("to"):
                say("354 go on")
                if not self.take(connection, note, say):
                    return
            elif verb == "DATA":
                say("503 5.5.1 no recipient")
            elif verb == "RSET":
                say("250 2.0.0 ok")
            else:
                self.unknown.append(line)
                say("500 5.5.1 what?")

    def take(self, connection, note, say):
        content = b""
        while True:
            line = connection.rfile.readline()
            if not line:
                return False
            if line == b".\r\n":
                break
            content += line[1:] if line.startswith(b".") else line
        with self.lock:
            self.transactions.append({**note, "content": content})
            for recipient in note["to"] if self.is_lmtp else note["to"][:1]:
                reply = self.answer(recipient, sum(r == recipient for r, _ in self.answers))
                self.answers.append((recipient, reply))
                if reply is None:
                    connection.connection.shutdown(socket.SHUT_RDWR)
                    return False
                say(reply)
        return True
