"""A person who signs in and answers without a browser: reads our pages as HTML, fills in their forms, keeps cookies."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from types import TracebackType
from urllib.parse import urljoin, urlsplit

import httpx2

__all__ = ["Form", "HeadlessUser", "Page"]

_MAX_REDIRECTS = 10


@dataclass(slots=True)
class Form:
    """A form: where it goes, its fields as they were filled in by the page, and its buttons (name, value)."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: list[tuple[str, str]] = field(default_factory=list)

    def has(self, name: str) -> bool:
        """Whether it has a field or button of this name."""
        return name in self.fields or any(name == button for button, _value in self.buttons)


@dataclass(slots=True, kw_only=True)
class Page:
    """A page as it came. ``left_to`` is set where the server sent the browser away to another origin."""

    url: str
    status: int
    text: str = ""
    title: str = ""
    forms: list[Form] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    left_to: str | None = None

    def asks_for(self, name: str) -> bool:
        """Whether a form of the page has a field or button of this name."""
        return any(form.has(name) for form in self.forms)

    def form_with(self, name: str) -> Form:
        """The form that has a field or button of this name. Raises ``LookupError``."""
        for form in self.forms:
            if form.has(name):
                return form
        raise LookupError(f"no form with {name!r} on {self.url} ({self.status}: {self.title})")


class _PageReader(HTMLParser):
    def __init__(self, page: Page) -> None:
        super().__init__()
        self._page = page
        self._form: Form | None = None
        self._in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        match tag:
            case "title":
                self._in_title = True
            case "a":
                self._page.links.append(attributes.get("href", ""))
            case "form":
                self._form = Form(attributes.get("action", ""))
                self._page.forms.append(self._form)
            case "input" | "button" if self._form is not None and attributes.get("name"):
                self._add_field(self._form, tag, attributes)
            case _:
                pass

    def _add_field(self, form: Form, tag: str, attributes: dict[str, str]) -> None:
        name, value = attributes["name"], attributes.get("value", "")
        if tag == "button" or attributes.get("type") == "submit":
            form.buttons.append((name, value))
        else:
            form.fields[name] = value

    def handle_endtag(self, tag: str) -> None:
        if tag == "title":
            self._in_title = False
        elif tag == "form":
            self._form = None

    def handle_data(self, data: str) -> None:
        self._page.text += data
        if self._in_title:
            self._page.title += data


class HeadlessUser:
    """One browser profile. It follows redirects within an origin and stops where one leads elsewhere."""

    def __init__(self, username: str = "", password: str = "") -> None:
        self._username = username
        self._password = password
        self._http = httpx2.AsyncClient(trust_env=False, timeout=10)

    async def __aenter__(self) -> "HeadlessUser":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def open(self, url: str) -> Page:
        """Go to a URL."""
        return await self._follow(await self._http.get(url))

    async def submit(self, page: Page, form: Form, **filled: str) -> Page:
        """Send a form, with these fields filled in."""
        return await self._follow(await self._http.post(urljoin(page.url, form.action), data={**form.fields, **filled}))

    async def sign_in(self, page: Page) -> Page:
        """Fill in the sign-in form."""
        form = page.form_with("password")
        return await self.submit(page, form, username=self._username, password=self._password)

    async def answer(self, page: Page, answer: str = "allow") -> Page:
        """Press ``allow`` or ``deny`` on the consent page."""
        return await self.submit(page, page.form_with("answer"), answer=answer)

    async def authorize(self, url: str, answer: str = "allow") -> str:
        """The whole way from the authorization URL to the URL at the client that the answer goes to.

        Raises ``LookupError`` where a page on the way is another than expected.
        """
        page = await self.open(url)
        if any("password" in form.fields for form in page.forms):
            page = await self.sign_in(page)
        page = await self.answer(page, answer)
        if page.left_to is None:
            raise LookupError(f"no answer for the client, but {page.status}: {page.title}")
        return page.left_to

    async def _follow(self, response: httpx2.Response) -> Page:
        for _ in range(_MAX_REDIRECTS):
            if not response.has_redirect_location:
                break
            location = response.headers["location"]
            target = urljoin(str(response.url), location)
            if urlsplit(target)[:2] != urlsplit(str(response.url))[:2]:
                return Page(url=str(response.url), status=response.status_code, left_to=location)
            if response.status_code in {307, 308}:
                raise LookupError(f"{response.url} has a browser send its form again (RFC 9700 §4.12)")
            response = await self._http.get(target)
        page = Page(url=str(response.url), status=response.status_code)
        reader = _PageReader(page)
        reader.feed(response.text)
        reader.close()
        return page
