"""What browsers are told at each door, whatever is answered."""

import pytest
from httpx import Response

from tests.web.scene import Scene, a_member, an_identity


def seals(answer: Response) -> dict[str, str | None]:
    """The headers that a door adds."""
    names = ("cache-control", "content-security-policy", "referrer-policy")
    assert answer.headers["x-content-type-options"] == "nosniff"
    return {name: answer.headers.get(name) for name in names}


@pytest.fixture
def frames(scene: Scene) -> str:
    """Ourselves and the platform may show the pages in a frame."""
    platform = scene.parts.settings.oauth_url.removesuffix("/oauth")
    return f"frame-ancestors 'self' {platform}"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/m", 303),
        ("/m/orders", 200),
        ("/m/coupons/none", 404),
        ("/m/nowhere", 404),
        ("/hq", 303),
        ("/hq/login", 200),
        ("/hq/nowhere", 404),
    ],
)
def test_no_answer_is_kept_framed_elsewhere_or_named_to_other_sites(
    scene: Scene, frames: str, path: str, status: int
) -> None:
    phone = scene.phone(an_identity(scene, a_member(scene)))

    answer = phone.get(path)

    assert answer.status_code == status
    assert seals(answer) == {
        "cache-control": "no-store",
        "content-security-policy": frames,
        "referrer-policy": "same-origin",
    }


def test_answer_to_a_form_can_be_gone_back_to(scene: Scene, frames: str) -> None:
    """Nothing else has it: Chromium says ERR_CACHE_MISS where it was told to keep no copy."""
    phone = scene.phone(an_identity(scene, a_member(scene)))

    answer = phone.post("/m/profile", data={"birthday": "2999-01-01"})

    assert answer.status_code == 422
    assert seals(answer) == {
        "cache-control": "private, no-cache",
        "content-security-policy": frames,
        "referrer-policy": "same-origin",
    }


def test_workbench_is_framed_by_the_platform_alone(scene: Scene, frames: str) -> None:
    answer = scene.guide().get("/guide")

    assert answer.status_code == 200
    assert seals(answer)["content-security-policy"] == frames


def test_other_answers_are_not_sealed(scene: Scene) -> None:
    for path in ("/healthz", "/static/member.css", "/mother"):
        assert "content-security-policy" not in scene.browser().get(path).headers
