"""A server that a shadow may turn into: probes are content with it, and what it answers to an event is no HTTP."""

import os
import socketserver


class Garbage(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        asked = self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        if asked.startswith(b"GET"):
            self.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        else:
            self.wfile.write(os.urandom(4096))


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


if __name__ == "__main__":
    Server(("0.0.0.0", 3000), Garbage).serve_forever()  # noqa: S104 - a pod's port
