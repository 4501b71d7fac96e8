"""The page at /docs in a real browser, steered by its keyboard; and who may not have it."""

from http import HTTPStatus

import pytest

from tests import browser
from tests.api.conftest import Api
from tests.browser import Page

ANSWER = "document.querySelector('details[open] [aria-label=Answer]').textContent"
IS_DONE = "document.querySelectorAll('details[open] button')[1].disabled"
STATUS = "document.querySelector('details[open] form [role=status]').textContent"


async def opened(page: Page, api: Api, name: str = "") -> None:
    await page.open(f"{api.url}/docs#{name}")
    await page.until("document.querySelectorAll('details').length > 20")


async def test_every_operation_is_shown_and_nothing_is_asked_of_others(api: Api) -> None:
    async with browser.page() as page:
        await opened(page, api)

        shown = await page.value("[...document.querySelectorAll('details')].map((each) => each.id)")
        await page.value("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        await page.until(
            "document.querySelectorAll('form').length >= document.querySelectorAll('details').length"
        )
        links = await page.value(
            "[...document.querySelectorAll('main a[href^=\"#\"]')]"
            ".filter((each) => !document.getElementById(each.hash.slice(1))).length"
        )
        _, described = await api.ask("GET", "/openapi.json")

    names = [each["operationId"] for path in described["paths"].values() for each in path.values()]
    assert sorted(shown) == sorted(names)
    assert links == 0
    assert page.complaints == []
    assert {url for url in page.asked if not url.startswith((f"{api.url}/", "data:"))} == set()


async def test_an_app_is_made_by_keyboard(api: Api) -> None:
    async with browser.page() as page:
        await opened(page, api, "create_app")
        await page.until("document.activeElement.tagName === 'SUMMARY'")
        proposed = await page.until("document.querySelector('details[open] textarea')?.value")
        await page.value("document.querySelector('details[open] textarea').select()")
        await page.value("document.querySelector('details[open] textarea').focus()")
        await page.type('{"name": "it\'s-no-app"}')
        await page.press("Tab")
        await page.press("Enter")
        await page.until(f"{STATUS} !== ''")
        refused = await page.until(f"{IS_DONE} && {STATUS}")
        command = await page.value("document.querySelector('details[open] form pre').textContent")
        await page.value("document.querySelector('details[open] textarea').select()")
        await page.value("document.querySelector('details[open] textarea').focus()")
        await page.type('{"name": "made-here"}')
        await page.press("Tab")
        await page.press("Enter")
        await page.until(f"{IS_DONE} && {STATUS}.startsWith('201')")
        answer = await page.value(f"JSON.parse({ANSWER})")
        focused = await page.value("document.activeElement.textContent")

    assert focused == "Send"
    assert proposed == '{\n  "name": ""\n}'
    assert refused == "422 Unprocessable Entity, application/json"
    assert command.endswith("""-d '{"name": "it'\\''s-no-app"}'""")
    assert (await api.ask("GET", "/api/v1/apps/default/made-here"))[1]["id"] == answer["id"]


async def test_events_are_shown_as_they_come_until_they_are_stopped(api: Api) -> None:
    async with browser.page() as page:
        await opened(page, api, "events")
        form = await page.until("!!document.querySelector('details[open] form')")
        await page.value("document.querySelector('details[open] select').value = 'text/event-stream'")
        await page.value("document.querySelector('details[open] button').click()")
        await page.until(f"{STATUS}.endsWith('0 events so far')")
        app = await api.app("seen")
        await page.until(f"{STATUS}.endsWith(': 1 events so far')")
        event = await page.value(f"JSON.parse({ANSWER})")
        await page.value("document.querySelectorAll('details[open] button')[1].click()")
        stopped = await page.until(f"{STATUS}.endsWith('; stopped') && {STATUS}")

    assert form
    assert (event["kind"], event["app_id"]) == ("app.created", app["id"])
    assert stopped.startswith("200 OK, text/event-stream")


async def test_the_page_is_dark_where_its_reader_is_and_filters_what_it_shows(api: Api) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    async with browser.page() as page:
        await opened(page, api)
        light = await page.value(ground)
        dark_scheme = [{"name": "prefers-color-scheme", "value": "dark"}]
        await page.tell("Emulation.setEmulatedMedia", features=dark_scheme)
        dark = await page.value(ground)
        await page.value("document.getElementById('filter').focus()")
        await page.type("post promote")
        left = await page.value(
            "[...document.querySelectorAll('details')].filter((each) => each.checkVisibility())"
            ".map((each) => each.id)"
        )
        foreign = await page.value("fetch('http://127.0.0.1:9/').then(() => 'sent', (error) => error.name)")
        await page.value(
            "document.body.append(Object.assign(document.createElement('script'), {text: 'window.ran = 1'}))"
        )
        ran = await page.value("window.ran ?? null")

    assert (light, dark) == ("rgb(255, 255, 255)", "rgb(20, 23, 28)")
    assert left == ["promote_deployment"]
    assert (foreign, ran) == ("TypeError", None)
    assert all("Content Security Policy" in each for each in page.complaints), page.complaints


@pytest.mark.parametrize("path", ["/docs", "/docs/page.js", "/docs/page.css"])
async def test_no_page_of_others_may_have_it(api: Api, path: str) -> None:
    own, _ = await _head(api, path, {})
    by_origin, _ = await _head(api, path, {"Origin": "http://evil.example"})
    by_site, _ = await _head(api, path, {"Sec-Fetch-Site": "cross-site"})
    by_name, _ = await _head(api, path, {"Host": "evil.example"})

    assert own == HTTPStatus.OK
    assert {by_origin, by_site, by_name} == {HTTPStatus.FORBIDDEN}


async def test_only_parts_of_the_page_are_read(api: Api) -> None:
    _, policy = await _head(api, "/docs", {})

    status, error = await api.ask("GET", "/docs/..%2Fserver.py")

    assert (status, error["code"]) == (HTTPStatus.NOT_FOUND, "FILE_NOT_FOUND")
    assert policy.startswith("default-src 'none'; script-src 'self';")


async def _head(api: Api, path: str, headers: dict[str, str]) -> tuple[int, str]:
    async with api.client.get(api.url + path, headers=headers) as response:
        return response.status, response.headers.get("Content-Security-Policy", "")
