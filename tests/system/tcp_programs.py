"""Programs that speak no HTTP, as text."""

# Greets with its process id if GREETS is set, then answers each line with itself; on the line "end", leaves.
LINES = b"""#!/usr/bin/env python3
import os, socketserver
class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        if "GREETS" in os.environ:
            self.wfile.write(b"hello from %d\\n" % os.getpid())
        for line in self.rfile:
            self.wfile.write(os.environ.get("NAME", "").encode() + line)
        self.wfile.write(b"bye")
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 5
Server((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
"""

# Answers HTTP with what a line to the app "database" gives, by the address that its environment names.
ASKS_DATABASE = b"""#!/usr/bin/env python3
import http.server, os, socket, urllib.parse
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        url = urllib.parse.urlsplit(os.environ.get("PAAS_MY_DATABASE_URL", ""))
        if url.scheme != "tcp":
            self.send_error(500, "no database is known"); return
        with socket.create_connection((url.hostname, url.port), timeout=30) as line:
            line.sendall(self.path.encode() + b"\\n")
            answer = line.makefile("rb").readline()
        self.send_response(200); self.end_headers(); self.wfile.write(answer)
    def log_message(self, *arguments):
        pass
http.server.ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
"""

# Shows its environment.
ENVIRONMENT = b"""#!/usr/bin/env python3
import http.server, json, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(json.dumps(dict(os.environ)).encode())
    def log_message(self, *arguments):
        pass
http.server.ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
"""

# Answers with what the app "other" answers to curl.
ASKS_BY_CURL = b"""#!/usr/bin/env python3
import http.server, os, subprocess
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        said = subprocess.run(["curl", "-sS", os.environ["PAAS_OTHER_URL"]], capture_output=True)
        self.send_response(200 if said.returncode == 0 else 502); self.end_headers()
        self.wfile.write(said.stdout or said.stderr)
    def log_message(self, *arguments):
        pass
http.server.ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
"""
