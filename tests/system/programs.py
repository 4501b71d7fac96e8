"""Programs for whole-agent tests, as text."""

SLOW = b"""#!/bin/sh
sleep 1.5
exec python3 -m http.server --bind "$HOST" "$PORT"
"""

EXITS = b"""#!/bin/sh
echo "cannot find the database"
exit 3
"""

# Starts well, and ends with the code that the path names.
ON_DEMAND_EXIT = b"""#!/usr/bin/env python3
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path.startswith("/exit/"):
            os._exit(int(self.path.rpartition("/")[2]))
        self.send_response(200); self.end_headers(); self.wfile.write(str(os.getpid()).encode())
    def log_message(self, *arguments):
        print(*arguments, flush=True)
print("started", os.getpid(), flush=True)
http.server.ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
"""

# Listens at once; its health path answers well only after a while.
LATE_HEALTH = b"""#!/usr/bin/env python3
import http.server, os, time
began = time.monotonic()
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        well = time.monotonic() - began > 1.0
        self.send_response(200 if well else 503); self.end_headers()
        self.wfile.write(b"well" if well else b"not yet")
    def log_message(self, *arguments):
        pass
http.server.ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
"""
