"""How the agent runs: under systemd, as root, and without root."""

import pwd
import signal
import socket
from pathlib import Path

from tests.harness import Agent, running
from tests.requirements import require, require_root
from tests.system.programs import ON_DEMAND_EXIT

NOBODY = 65534
WHO = ON_DEMAND_EXIT.replace(b"str(os.getpid())", b"str(os.getuid())")


async def test_systemd_is_told_when_it_is_ready_and_when_it_ends(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(10)
        async with running(environment={"NOTIFY_SOCKET": str(tmp_path / "notify")}) as agent:
            assert systemd.recv(100) == b"READY=1"

            assert agent.kill(signal.SIGTERM) == 0

            assert systemd.recv(100) == b"STOPPING=1"


async def test_apps_of_a_root_agent_run_as_another_user(agent: Agent) -> None:
    require_root()
    await agent.deploy("who", WHO)
    version = await agent.ask("GET", "/api/v1/version")

    assert int((await agent.get("who")).text) == pwd.getpwnam("paas-apps").pw_uid
    assert version["isolation"] == {"user": "paas-apps", "shares_agent_user": False}
    assert version["warnings"] == []


async def test_without_root_apps_share_the_agent_s_user_and_it_says_so() -> None:
    require_root()  # to become another user
    require("setpriv")
    async with running(uid=NOBODY) as agent:
        deployed = await agent.deploy("who", WHO, idle_timeout_secs=1)
        assert (await agent.get("who")).text == str(NOBODY)
        await agent.until_asleep(deployed["id"])
        assert (await agent.get("who")).status == 200

        version = await agent.ask("GET", "/api/v1/version")

        assert version["isolation"]["shares_agent_user"]
        assert "agent's own user" in version["warnings"][0]
        assert "agent's own user" in agent.log()
        assert version["limits"]["memory"] in ("rlimit", "cgroup v2")


async def test_an_app_of_a_root_agent_may_not_ask_its_api(agent: Agent) -> None:
    require_root()
    asking = b"""#!/usr/bin/env python3
import http.server, os, urllib.error, urllib.request
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        try:
            answer = urllib.request.urlopen(os.environ["API"] + "/api/v1/apps").status
        except urllib.error.HTTPError as error:
            answer = error.code
        self.send_response(200); self.end_headers(); self.wfile.write(str(answer).encode())
    def log_message(self, *arguments):
        pass
http.server.ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
"""
    await agent.deploy("asking", asking, env={"API": agent.api_url})

    assert (await agent.get("asking")).text == "403"
