"""`zhiyin brand`, `operator`, `account`, `joining-gift`, `api-key`: what a deployment is told."""

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click
from pydantic import ValidationError
from sqlmodel import select

from content import ready_pieces
from fatigue import policies
from store import accounts, api_keys, binding, clock
from store.accounts import AccountForm, CallbackMode, Platform
from store.coupons import CouponPlan
from store.organisation import Brand, OperatorRole, add_operator, operator_left
from web.entrance import read_settings, record
from web.errors import first_problem

# What a column of whole numbers holds.
_INTEGER_MAX = 2**31 - 1


def _written(_context: click.Context, _argument: click.Parameter, word: str) -> str:
    """Refuse a code or name of which nothing can be read."""
    if not word.strip():
        raise click.BadParameter("it is empty.")
    return word


@click.command("brand")
@click.argument("code", callback=_written)
@click.argument("name", callback=_written)
@click.option("--timezone", default="Asia/Shanghai", show_default=True)
def brand(code: str, name: str, timezone: str) -> None:
    """Add a brand, with the ready content pieces and the default policy of the gate."""
    try:
        ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as unknown:
        raise click.BadParameter(f"{timezone} is no time zone; try Asia/Shanghai.") from unknown
    with record(read_settings()) as database, database.transaction() as session:
        if session.exec(select(Brand).where(Brand.code == code)).first() is not None:
            raise click.ClickException(f"The brand {code} is there already.")
        session.add(Brand(code=code, name=name, timezone=timezone))
        ready_pieces.seed(session, now=clock.now())
        policies.seed(session, now=clock.now())
    click.echo(f"The brand {code} is there. Next: zhiyin account, zhiyin import shops.")


@click.command("operator")
@click.argument("login", callback=_written)
@click.argument("name", callback=_written)
@click.option(
    "--role",
    type=click.Choice([role.value for role in OperatorRole]),
    help="viewer looks, operator runs campaigns, admin also changes the gate and sees mobiles."
    " The first one is an admin.",
)
@click.password_option(help="Asked for when it is not given.")
def operator(login: str, name: str, password: str, role: str | None) -> None:
    """Let a person into the HQ console; a known login gets the new name and password."""
    wanted = OperatorRole(role) if role else None
    with record(read_settings()) as database, database.transaction() as session:
        added = add_operator(session, login, name, password, role=wanted)
        given = added.role
    click.echo(f"{login} can log in at /hq, as {given}.")


@click.command("operator-left")
@click.argument("login")
def operator_gone(login: str) -> None:
    """Shut the HQ console for a person, at once; `zhiyin operator` opens it again."""
    with record(read_settings()) as database, database.transaction() as session:
        operator_left(session, login)
    click.echo(f"{login} sees nothing at /hq any more.")


@click.command("account")
@click.argument("platform", type=click.Choice([platform.value for platform in Platform]))
@click.argument("code")
@click.option("--name", required=True)
@click.option("--brand", "brand_code", required=True, help="The brand that the account speaks for.")
@click.option("--app-id", required=True, help="appid of WeChat, or corp id of WeCom.")
@click.option(
    "--mode",
    type=click.Choice([mode.value for mode in CallbackMode]),
    default=CallbackMode.SAFE.value,
    show_default=True,
    help="How WeChat is told to send callbacks; WeCom knows only safe.",
)
@click.option("--original-id", default="", help="The gh_… id of an official account.")
@click.option(
    "--agent-id", type=click.IntRange(1, _INTEGER_MAX), help="The agent id of a WeCom app."
)
@click.option("--notice-template-id", default="", help="Template of subscription notices.")
@click.option("--secret", prompt=True, hide_input=True)
@click.option("--token", prompt=True, hide_input=True)
@click.option("--aes-key", prompt=True, hide_input=True, help="EncodingAESKey, 43 characters.")
def account(platform: str, code: str, brand_code: str, **fields: str | int | None) -> None:
    """Register an official account or a WeCom app; its callback door is /PLATFORM/CODE."""
    settings = read_settings()
    with record(settings) as database, database.transaction() as session:
        row = session.exec(select(Brand).where(Brand.code == brand_code)).first()
        if row is None:
            raise click.ClickException(f"There is no brand {brand_code}; add it: zhiyin brand.")
        try:
            form = AccountForm.model_validate(
                {**fields, "brand_id": row.id, "platform": platform, "code": code}
            )
        except ValidationError as error:
            field, sentence = first_problem(error)
            raise click.ClickException(f"{field}: {sentence}") from None
        accounts.register(session, form, secret_key=settings.secret, now=clock.now())
    click.echo(f"Enter this callback address there: {settings.public_url}/{platform}/{code}")


@click.command("joining-gift")
@click.argument("brand_code", metavar="BRAND")
@click.option("--plan", "plan_code", help="Code of the coupon plan of which one coupon is given.")
@click.option("--points", type=click.IntRange(0, _INTEGER_MAX), default=0, show_default=True)
def joining_gift(brand_code: str, plan_code: str | None, points: int) -> None:
    """Say what a brand gives to who joins, once per mobile; without options, nothing any more."""
    with record(read_settings()) as database, database.transaction() as session:
        row = session.exec(select(Brand).where(Brand.code == brand_code)).first()
        if row is None:
            raise click.ClickException(f"There is no brand {brand_code}; add it: zhiyin brand.")
        plan = session.exec(select(CouponPlan).where(CouponPlan.code == plan_code)).first()
        if plan_code is not None and plan is None:
            raise click.ClickException(f"There is no coupon plan {plan_code}; import it first.")
        plan_id = plan.id if plan is not None else None
        binding.offer(session, row.id, coupon_plan_id=plan_id, points=points)
    given = [f"a coupon of {plan_code}"] if plan_code else []
    given += [f"{points} points"] if points else []
    click.echo(f"Who joins {brand_code} gets {' and '.join(given) or 'nothing'}.")


@click.command("api-key")
@click.argument("source", callback=_written)
def api_key(source: str) -> None:
    """Issue the API key of an outside system; an earlier one of SOURCE stops working."""
    with record(read_settings()) as database, database.transaction() as session:
        key = api_keys.issue(session, source, now=clock.now())
    click.echo(f"Authorization: Bearer {key}")


COMMANDS = (brand, operator, operator_gone, account, joining_gift, api_key)
