"""A real browser without a screen: Debian's Chromium, asked over its own debugging protocol."""

import asyncio
import base64
import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from tests.requirements import require

START_SECS, LIMIT_SECS = 30.0, 20.0
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
    *("--remote-debugging-port=0", "--window-size=1280,900"),
)
KEYS = {"Enter": (13, "\r"), "Tab": (9, ""), "ArrowDown": (40, "")}

Json = Any  # what Chromium says is untyped until a test looks at it


@dataclass(slots=True)
class Page:
    """One page, and what went wrong on it or left this machine."""

    socket: aiohttp.ClientWebSocketResponse
    complaints: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)  # every address that was requested
    said: list[str] = field(default_factory=list)  # what its scripts wrote to the console
    _last: int = 0

    async def tell(self, method: str, **params: Json) -> Json:
        """Give an order, and wait for its answer; what else is heard meanwhile is noted."""
        self._last += 1
        await self.socket.send_json({"id": self._last, "method": method, "params": params})
        async with asyncio.timeout(LIMIT_SECS):
            while True:
                heard = await self.socket.receive_json()
                if heard.get("id") == self._last:
                    assert "error" not in heard, heard
                    return heard["result"]
                self._note(heard)

    async def open(self, url: str) -> None:
        for domain in ("Page", "Runtime", "Network", "Log"):
            await self.tell(f"{domain}.enable")
        await self.tell("Page.navigate", url=url)

    async def value(self, expression: str) -> Json:
        """Evaluate JavaScript on the page."""
        done = await self.tell(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    async def until(self, expression: str) -> Json:
        """Evaluate it again and again until it is true."""
        async with asyncio.timeout(LIMIT_SECS):
            while not (value := await self.value(expression)):  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.02)
        return value

    async def press(self, key: str) -> None:
        code, text = KEYS[key]
        pressed = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        await self.tell("Input.dispatchKeyEvent", type="keyDown", text=text, **pressed)
        await self.tell("Input.dispatchKeyEvent", type="keyUp", **pressed)

    async def type(self, text: str) -> None:
        await self.tell("Input.insertText", text=text)

    async def screenshot(self, path: Path) -> None:
        taken = await self.tell("Page.captureScreenshot")
        path.write_bytes(base64.b64decode(taken["data"]))

    def _note(self, heard: Json) -> None:
        params = heard.get("params", {})
        match heard.get("method"):
            case "Network.requestWillBeSent":
                self.asked.append(params["request"]["url"])
            case "Runtime.consoleAPICalled":
                self.said.append(" ".join(str(each.get("value")) for each in params["args"]))
            case "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(params["exceptionDetails"]))
            case "Log.entryAdded" if params["entry"]["level"] == "error":
                self.complaints.append(params["entry"]["text"])
            case _:
                pass


@contextlib.asynccontextmanager
async def page(*flags: str) -> AsyncIterator[Page]:
    """Start a browser with one empty page; nothing of it is left afterwards."""
    profile = tempfile.mkdtemp(prefix="paas-test-browser-")
    command = [str(require("chromium")), *FLAGS, *flags, f"--user-data-dir={profile}", "about:blank"]
    process = await _start(command, profile)
    try:
        assert process.stderr is not None
        address = await _debugging_address(process.stderr)
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://{address}/json/list") as response:
                (target,) = [each for each in await response.json() if each["type"] == "page"]
            async with session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                yield Page(socket)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()
        shutil.rmtree(profile, ignore_errors=True)


async def _start(command: Sequence[str], temporary: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(  # noqa: TID251 - a test may fork
        *command,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "TMPDIR": temporary},  # a killed one leaves what it has there
    )


async def _debugging_address(said: asyncio.StreamReader) -> str:
    async with asyncio.timeout(START_SECS):
        async for line in said:
            _, found, rest = line.decode(errors="replace").partition("DevTools listening on ws://")
            if found:
                return rest.partition("/")[0]
    raise AssertionError("the browser did not start")
