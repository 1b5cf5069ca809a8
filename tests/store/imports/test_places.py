"""Where shops are and how guides are added: columns that a file may leave out."""

from tests.store.imports.bringing import Bring, Look

_SHOPS = "code,name,city,region,address,opens_at,closes_at,district,phone,latitude,longitude\n"
_GUIDES = "userid,name,shop_code,role,contact_url\n"


def test_shop_lands_with_its_place(bring: Bring, look: Look) -> None:
    bring("shops", _SHOPS + "S1,一店,杭州,,,,,西湖区,0571-88886666,30.274085,120.15507\n")

    assert look("SELECT district, phone, latitude, longitude FROM shops") == [
        ("西湖区", "0571-88886666", 30.274085, 120.15507)
    ]


def test_degrees_that_are_none_are_refused(bring: Bring) -> None:
    report = bring(
        "shops", _SHOPS + "S1,一店,,,,,,,,91,120\nS2,二店,,,,,,,,30,181\nS3,三店,,,,,,,,北,东\n"
    )

    assert report.added == 0
    assert len(report.complaints) == 3


def test_half_a_place_is_left_out(bring: Bring, look: Look) -> None:
    bring("shops", _SHOPS + "S1,一店,,,,,,,,30.27,\n")

    assert look("SELECT latitude, longitude FROM shops") == [(None, None)]


def test_link_of_a_guide_must_be_a_web_page(bring: Bring, look: Look) -> None:
    bring("shops", _SHOPS + "S1,一店,,,,,,,,,\n")

    report = bring(
        "guides",
        _GUIDES
        + "wang,王姐,S1,,https://work.weixin.qq.com/ca/abc\nsun,孙姐,S1,,javascript:alert(1)\n",
    )

    assert report.added == 1
    assert look("SELECT contact_url FROM guides") == [("https://work.weixin.qq.com/ca/abc",)]
