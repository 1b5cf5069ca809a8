"""Filling the sandbox: accounts, apps and people in bulk, and finding them again."""

from datetime import datetime

from sandbox import grants
from sandbox.forms import ContactForm, FollowerForm, PeopleForm, RegisterForm
from sandbox.grants import Trigger
from sandbox.state import Account, Customer, Follower, Guide, Link, WecomApp, World


class Unknown(Exception):  # noqa: N818 -- an everyday answer, not a fault
    """Somebody or something that the sandbox has not been told of."""

    def __init__(self, noun: str, wanted: str) -> None:
        self.noun, self.wanted = noun, wanted
        super().__init__(f"The sandbox knows no {noun} {wanted!r}; register it first.")


def register(world: World, form: RegisterForm) -> dict[str, int]:
    """Set up accounts and apps."""
    with world.wechat.lock, world.wecom.lock:
        for account in form.accounts:
            known = world.wechat.accounts.get(account.appid)
            fresh = Account(**account.model_dump())
            # What the product has made through the API outlives a change of the settings.
            fresh.belongings = known.belongings if known else fresh.belongings
            world.wechat.accounts[account.appid] = fresh
        for one in form.apps:
            app = WecomApp(**one.model_dump())
            world.wecom.apps[app.owner] = app
    return {"accounts": len(form.accounts), "apps": len(form.apps)}


def add_people(world: World, form: PeopleForm, *, now: datetime) -> dict[str, int]:
    """Set up followers, guides and customers; someone known already is replaced or gets one more
    guide.
    """
    with world.wechat.lock, world.wecom.lock:
        for follower in form.followers:
            _add_follower(world, follower, now=now)
        for guide in form.guides:
            known = guide.model_dump(exclude={"name"})
            world.wecom.guides[guide.userid] = Guide(name=guide.name or guide.userid, **known)
        for userid, contacts in form.contacts.items():
            find_guide(world, userid)
            for contact in contacts:
                _add_contact(world, userid, contact, now=now)
    counts = {"followers": len(form.followers), "guides": len(form.guides)}
    return {**counts, "contacts": sum(len(contacts) for contacts in form.contacts.values())}


def _add_follower(world: World, form: FollowerForm, *, now: datetime) -> None:
    appid = find_account(world, form.appid).appid
    since = now if form.is_subscribed else None
    world.wechat.followers[form.openid] = Follower(
        form.openid,
        appid,
        form.unionid,
        form.nickname,
        form.is_subscribed,
        since,
        mobile=form.mobile,
    )
    if form.has_written:
        grants.open_window(world.wechat.followers[form.openid], Trigger.MESSAGE, now=now)


def _add_contact(world: World, userid: str, form: ContactForm, *, now: datetime) -> None:
    customer = world.wecom.customers.setdefault(
        form.external_userid, Customer(form.external_userid)
    )
    customer.name, customer.unionid = form.name or customer.name, form.unionid or customer.unionid
    if userid not in customer.links:
        world.wecom.contacts_of[userid].append(form.external_userid)
    customer.links[userid] = Link(created_at=now, last_chat_at=form.last_chat_at or now)


def unlink(world: World, userid: str, external_userid: str) -> None:
    """End a contact, as when the guide deletes the customer."""
    with world.wecom.lock:
        customer = find_customer(world, external_userid)
        if customer.links.pop(userid, None) is not None:
            world.wecom.contacts_of[userid].remove(external_userid)


def find_account(world: World, appid: str) -> Account:
    """The account of an appid; the only one when none is named. Refuses `Unknown`."""
    accounts = world.wechat.accounts
    if not appid and len(accounts) == 1:
        return next(iter(accounts.values()))
    if appid not in accounts:
        raise Unknown("official account", appid)
    return accounts[appid]


def find_app(world: World, agentid: int | None) -> WecomApp:
    """The app of an agentid; the first one with a door when none is named. Refuses `Unknown`."""
    for app in world.wecom.apps.values():
        if app.agentid == agentid or (agentid is None and app.door_url):
            return app
    raise Unknown("WeCom app with a door", str(agentid))


def find_follower(world: World, openid: str) -> Follower:
    """The follower of an openid. Refuses `Unknown`."""
    if openid not in world.wechat.followers:
        raise Unknown("follower", openid)
    return world.wechat.followers[openid]


def find_guide(world: World, userid: str) -> Guide:
    """The guide of a userid. Refuses `Unknown`."""
    if userid not in world.wecom.guides:
        raise Unknown("guide", userid)
    return world.wecom.guides[userid]


def find_customer(world: World, external_userid: str) -> Customer:
    """The customer of an external_userid. Refuses `Unknown`."""
    if external_userid not in world.wecom.customers:
        raise Unknown("customer", external_userid)
    return world.wecom.customers[external_userid]
