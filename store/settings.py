"""Settings: the environment `ZHIYIN_*` or `.env`, read once at the edge and passed down."""

import os
import secrets
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from tempfile import NamedTemporaryFile
from zoneinfo import ZoneInfo

from pydantic import Field, PositiveFloat, PositiveInt, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from redis.connection import parse_url

from store.errors import Refusal

_SECRET_BYTES = 32
_DATABASES = ("postgresql://", "postgresql+psycopg://")
_QUEUES = ("redis://", "rediss://", "unix://")


class EmptySecret(Refusal):
    """The file with the deployment's secret is there and empty, so everybody could sign."""

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(
            f"{path} is empty: put the secret back from a backup, or delete the file if nothing"
            " was sealed with it yet."
        )


class Settings(BaseSettings):
    """Everything a deployment can set. With nothing set, servers are embedded under `var_dir`."""

    model_config = SettingsConfigDict(env_prefix="ZHIYIN_", env_file=".env", extra="ignore")

    database_url: str | None = None
    redis_url: str | None = None
    public_url: str = "http://127.0.0.1:8000"
    secret_key: str | None = None
    wechat_api_url: str = "https://api.weixin.qq.com"
    wecom_api_url: str = "https://qyapi.weixin.qq.com"
    oauth_url: str = "https://open.weixin.qq.com"
    # The script with which the sidebar speaks to WeCom; a deployment may serve its own copy.
    wecom_sdk_url: str = "https://wwcdn.weixin.qq.com/node/open/js/wecom-jssdk-2.0.2.js"
    # How many times a new account's calls a day WeChat allows this one.
    wechat_daily_factor: PositiveFloat = 1.0
    # A callback signed further away from our clock is refused.
    callback_fresh_seconds: PositiveInt = 3600
    # The SMS provider: without its address no code is sent and no mobile can be bound.
    sms_api_url: str = ""
    sms_key_id: str = ""
    sms_secret: str = Field(default="", repr=False)
    sms_signature: str = ""
    # Without the model of sentences only the words of the house are understood.
    embedding_enabled: bool = True
    # A server that speaks OpenAI's protocol; without its address and model none is asked.
    llm_base_url: str = ""
    llm_api_key: str = Field(default="", repr=False)
    llm_model: str = ""
    # For one answer: the seconds in all, and how often the model may ask back.
    llm_seconds: PositiveFloat = 15.0
    llm_turns: PositiveInt = 4
    timezone: str = "Asia/Shanghai"
    var_dir: Path = Path("var")

    @field_validator("database_url")
    @classmethod
    def _postgres(cls, url: str | None) -> str | None:
        # Clouds hand out the short name, too.
        if url and url.startswith("postgres://"):
            url = url.replace("postgres://", "postgresql://", 1)
        if url and not url.startswith(_DATABASES):
            raise ValueError("write it as postgresql://user:password@host:5432/name")
        return url

    @field_validator("redis_url")
    @classmethod
    def _redis(cls, url: str | None) -> str | None:
        if url and not url.startswith(_QUEUES):
            raise ValueError("write it as redis://host:6379/0, rediss://… or unix://…")
        if url:
            parse_url(url)  # type: ignore[no-untyped-call]  # redis leaves it without types
        return url

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except OSError as fault:
            # "Asia" is a folder of zones.
            raise ValueError(
                f"{name} is no time zone; write a name such as Asia/Shanghai"
            ) from fault
        return name

    @field_validator("public_url", "wechat_api_url", "wecom_api_url", "oauth_url", "sms_api_url")
    @classmethod
    def _no_trailing_slash(cls, url: str) -> str:
        return url.rstrip("/")

    @property
    def has_model(self) -> bool:
        """A language model is set."""
        return bool(self.llm_base_url and self.llm_model)

    @cached_property
    def secret(self) -> str:
        """The key that signs sessions and seals credentials; made under `var_dir` when unset."""
        if self.secret_key:
            return self.secret_key
        path = self.var_dir / "secret_key"
        if not path.exists():
            _make_secret(path)
        secret = path.read_text()
        if not secret:
            raise EmptySecret(path)
        return secret


def _make_secret(path: Path) -> None:
    """Write the key beside its place first: it is there as a whole or not at all, and only once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile("w", dir=path.parent, prefix="secret_key.") as written:
        written.write(secrets.token_hex(_SECRET_BYTES))
        written.flush()
        with suppress(FileExistsError):
            os.link(written.name, path)
