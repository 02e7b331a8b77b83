"""An engine's address: one request out, JSON back, and every way of failing by its name.

Redirects, cookies, proxies and `.netrc` are not used: what was named is what is asked. Certificates are checked, against the
engine's own authority where its file names one. No text that a person may see, and nothing that is kept, holds a secret.
"""

from __future__ import annotations

import base64
import ssl
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from qrelkit.core.errors import InputError, RateLimited, Rejected, Unreachable
from qrelkit.net.hosts import Resolver, address
from qrelkit.retrievers.engines.config import AuthConfig, EngineConfig

if TYPE_CHECKING:
    from aiohttp import ClientSession
    from yarl import URL

ANSWER_BYTES = 64 * 2**20
FORM = "application/x-www-form-urlencoded"
_AGAIN = (408, 425, 500, 502, 504)
_SECRET_PARAMS = ("key", "token", "password", "secret", "auth")


class Web:
    """Sends requests to one address. Raises InputError for one that may not be asked, or that holds a secret."""

    def __init__(
        self, config: EngineConfig, folder: Path, allow_hosts: Collection[str] | None, environment: Mapping[str, str]
    ) -> None:
        try:
            self.base = address(config.url, allow_hosts)
        except InputError as error:
            raise InputError(str(error).replace("base_url", "url", 1)) from None
        for name in self.base.query:
            if any(word in name.lower() for word in _SECRET_PARAMS):
                raise InputError(f"url of {self.base.host}: the parameter {name!r} may be a secret; it goes into `auth:`")
        self._config, self._closed, self._environment = config, allow_hosts is not None, environment
        self._ca_file = folder / config.ca_file if config.ca_file else None
        self._session: ClientSession | None = None
        self._secrets: tuple[str, ...] = ()

    async def send(
        self, method: str, url: URL, body: bytes | Sequence[tuple[str, str]] | None = None, content_type: str = ""
    ) -> Any:
        """The JSON of the answer. Raises Unreachable and RateLimited for what may be asked again, Rejected for what may not."""
        from aiohttp import ClientError, ClientSSLError, FormData

        session = self._session = self._session or self._open()
        data: Any = FormData(body, charset="utf-8") if isinstance(body, Sequence) and not isinstance(body, bytes) else body
        headers = {"Content-Type": content_type} if content_type and isinstance(body, bytes) else {}
        try:
            async with session.request(method, url, data=data, headers=headers, allow_redirects=False) as response:
                raw = await self._whole(response)
                status, fields = response.status, response.headers
        except (ClientSSLError, ssl.SSLError) as error:
            said = f"{self.place}: its certificate is not trusted ({self.hidden(str(error))})"
            raise Rejected(f"{said}; `ca_file:` names an authority of your own", fatal=True) from None
        except TimeoutError:
            raise Unreachable(f"{self.place}: no whole answer within {self._config.timeout_s:g} s") from None
        except (ClientError, OSError) as error:
            raise Unreachable(f"{self.place}: {self.hidden(str(error) or type(error).__name__)}") from None
        if status != 200:
            raise self._refused(status, fields, raw)
        try:
            return orjson.loads(raw)
        except ValueError:
            raise Unreachable(f"{self.place}: answered what is no JSON: {self._start(raw)}") from None

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    @property
    def place(self) -> str:
        """Host and port, for people."""
        return self.base.authority

    def hidden(self, text: str) -> str:
        """The text without secrets."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    async def _whole(self, response: Any) -> bytes:
        raw = bytearray()
        async for piece in response.content.iter_any():
            raw += piece
            if len(raw) > ANSWER_BYTES:
                raise Rejected(f"{self.place}: an answer is larger than {ANSWER_BYTES // 2**20} MB; ask for fewer fields")
        return bytes(raw)

    def _refused(self, status: int, fields: Mapping[str, str], raw: bytes) -> Exception:
        said = f"{self.place}: HTTP {status}: {reason(self._plain(raw)) or self._start(raw)}"
        if status in (429, 503):
            return RateLimited(said, retry_after_s(fields.get("Retry-After", "")))
        if status in _AGAIN:
            return Unreachable(said)
        if status in (401, 403):
            return Rejected(f"{said} (is `auth:` right?)", fatal=True)
        if 300 <= status < 400:
            return Rejected(f"{self.place}: HTTP {status} leads elsewhere, and redirects are not followed; name it", fatal=True)
        return Rejected(said, fatal=status in (404, 405, 407))

    def _plain(self, raw: bytes) -> bytes:
        """An answer in which nothing repeats a secret."""
        for secret in self._secrets:
            raw = raw.replace(secret.encode(), b"***")
        return raw

    def _start(self, raw: bytes) -> str:
        return self._plain(raw)[:120].decode("utf-8", "replace") or "nothing"

    def _open(self) -> ClientSession:
        from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector

        config = self._config
        authorization, self._secrets = authorized(config.auth, self._environment)
        resolver: Any = Resolver(self._closed, config.connect_timeout_s)
        limits = ClientTimeout(total=config.timeout_s, sock_connect=config.connect_timeout_s)
        return ClientSession(
            connector=TCPConnector(limit=config.at_once, resolver=resolver, ssl=self._tls()),
            cookie_jar=DummyCookieJar(),
            headers={"Accept": "application/json", **config.headers, **authorization},
            timeout=limits,
            trust_env=False,
        )

    def _tls(self) -> ssl.SSLContext | bool:
        if self.base.scheme == "http":
            return True
        try:
            return ssl.create_default_context(cafile=str(self._ca_file) if self._ca_file else None)
        except (OSError, ssl.SSLError) as error:
            raise InputError(f"ca_file {self._ca_file}: is no file of certificates in PEM ({error})") from None


def authorized(auth: AuthConfig, environment: Mapping[str, str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """The header that says who asks, and every form of the secret in it."""
    if auth.password_env:
        password = secret_of(auth.password_env, environment)
        coded = base64.b64encode(f"{auth.user}:{password}".encode()).decode()
        return {"Authorization": f"Basic {coded}"}, (coded, password)
    if auth.api_key_env:
        key = secret_of(auth.api_key_env, environment)
        header = {auth.api_key_header: key} if auth.api_key_header else {"Authorization": f"ApiKey {key}"}
        return header, (key,)
    if auth.bearer_env:
        key = secret_of(auth.bearer_env, environment)
        return {"Authorization": f"Bearer {key}"}, (key,)
    return {}, ()


def secret_of(name: str, environment: Mapping[str, str]) -> str:
    """A secret from the environment; InputError, by its name, where there is none or it is no header."""
    value = environment.get(name, "").strip()
    if not value:
        raise InputError(f"auth: the environment variable {name} is not set")
    if not value.isprintable():
        raise InputError(f"auth: the environment variable {name} holds a control character")
    return value


def retry_after_s(said: str) -> float | None:
    """Seconds of a Retry-After, which says a number or a date (counted from now); None where it says neither."""
    try:
        return max(0.0, float(said))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(said) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None


def reason(raw: bytes) -> str:
    """Why an engine says that it failed: OpenSearch's, Elasticsearch's and Solr's errors in one line; "" for others."""
    try:
        said: Any = orjson.loads(raw)
    except ValueError:
        return ""
    error = said.get("error") if isinstance(said, dict) else None
    if isinstance(error, dict):
        causes = error.get("root_cause") or [error]
        first = causes[0] if isinstance(causes[0], dict) else error
        return str(first.get("reason") or first.get("msg") or error.get("reason") or error.get("msg") or "")[:300]
    return str(error or "")[:300]
