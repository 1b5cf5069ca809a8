"""`zhiyin guide left`, `back` and `missing`, `department`: what a person says about guides."""

import click
from sqlmodel import select

from store import accounts, clock, departures, directory
from store.accounts import Platform
from store.errors import Refusal
from store.organisation import Shop
from web.entrance import read_settings, record

_ACTOR = "cli"


@click.group("guide")
def guide() -> None:
    """Guides who leave or come back, and guides whom WeCom does not show any more."""


@guide.command("left")
@click.argument("userid")
@click.option("--to", help="Userid of who takes everything over; else the shop shares it out.")
def left(userid: str, to: str | None) -> None:
    """Hand over members, tasks, codes and WeCom contacts of a guide who leaves now."""
    with record(read_settings()) as database, database.transaction() as session:
        try:
            leaver = directory.guide_of(session, userid)
            heir = directory.guide_of(session, to).id if to else None
            departures.begin(session, leaver.id, successor_id=heir, actor=_ACTOR, now=clock.now())
        except Refusal as refusal:
            raise click.ClickException(str(refusal)) from None
    click.echo(f"{userid} has left and sees nothing any more; a worker hands everything over.")


@guide.command("back")
@click.argument("userid")
def back(userid: str) -> None:
    """Put a guide who had left in post again; what was handed over stays where it is."""
    with record(read_settings()) as database, database.transaction() as session:
        try:
            known = directory.guide_of(session, userid)
            departures.come_back(session, known.id, actor=_ACTOR, now=clock.now())
            directory.seen(session, [known.id], now=clock.now())
        except Refusal as refusal:
            raise click.ClickException(str(refusal)) from None
    click.echo(f"{userid} is in post.")


@guide.command("missing")
def missing() -> None:
    """List guides in post whom WeCom's directory does not show."""
    with record(read_settings()) as database, database.transaction() as session:
        found = directory.missing(session)
    for one, since in found:
        click.echo(f"{one.userid}  {one.name}  not shown since {since:%Y-%m-%d %H:%M} UTC")
    if not found:
        click.echo("WeCom shows every guide in post.")


@click.command("department")
@click.argument("number", type=click.IntRange(min=1))
@click.argument("shop_code", metavar="SHOP")
def department(number: int, shop_code: str) -> None:
    """Say that a department of WeCom is a shop: its people become the shop's guides."""
    with record(read_settings()) as database, database.transaction() as session:
        shop = session.exec(select(Shop).where(Shop.code == shop_code)).first()
        if shop is None:
            raise click.ClickException(f"There is no shop {shop_code}; import the shops first.")
        try:
            corp = accounts.of_brand(session, shop.brand_id, Platform.WECOM)
        except Refusal as refusal:
            raise click.ClickException(str(refusal)) from None
        directory.stands_for(session, corp.app_id, number, shop)
    click.echo(f"Department {number} is {shop_code}; the next look at the directory follows it.")


COMMANDS = (guide, department)
