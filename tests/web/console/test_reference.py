"""The API reference: our own page, complete, and asking nobody else for anything."""

import re

from tests.web.scene import Scene


def test_reference_names_every_operation_and_field_without_any_outside_address(
    scene: Scene,
) -> None:
    page = scene.browser().get("/api/docs")

    document = scene.browser().get("/api/openapi.json").json()
    assert page.status_code == 200
    for path in document["paths"]:
        assert f"<code>{path}</code>" in page.text
    for words in ("items[].external_id", "list of object, 1 to 500", "&#34;external_id&#34;"):
        assert words in page.text
    assert re.findall(r'(?:src|href)="(?!/)[^"]*"', page.text) == []


def test_bare_address_leads_to_the_console(scene: Scene) -> None:
    answer = scene.browser().get("/")

    assert (answer.status_code, answer.headers["location"]) == (307, "/hq")
