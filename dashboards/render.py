"""From a template and its values to an answer, in the viewer's language.

There is one Jinja environment per language, made at start: translations are installed into an environment, not passed
to a template, and switching them per request in a shared one would show a page in two languages under load.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from dashboards.assets import Assets
from dashboards.formats import Formats
from dashboards.i18n import HTML_LANG, LANGUAGES, choose, translations
from dashboards.reasons import reason
from dashboards.viewer import CHAIN_READERS, MEMBER_READERS, STORE_READERS, Viewer
from server.access.api import CSRF_FIELD
from server.access.models import Locale
from server.stores.models import Store

#: Beginnings of the addresses on which a chain is set up and looked after; their tabs lead from one to the other.
_SETTING_UP: Final = ("/admin", "/setup", "/jobs")
TEMPLATES: Final = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class Link:
    """An entry of the navigation."""

    href: str
    label: str
    current: bool


def environment(locale: Locale, assets: Assets) -> Environment:
    """The templates in one language. An unknown name in a template is an error, not a blank."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        # An upgrade changes templates under a running process, whose code still is the old one.
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    texts = translations(locale)
    made.install_gettext_callables(texts.gettext, texts.ngettext, newstyle=True)  # type: ignore[attr-defined]
    made.globals.update(
        asset=assets.url,
        plotly_url=assets.plotly_url,
        style_guards=assets.style_guards,
        fmt=Formats(locale),
        locale=locale,
        html_lang=HTML_LANG[locale],
        languages=LANGUAGES,
        csrf_field=CSRF_FIELD,
        reason=reason,
    )
    return made


class Renderer:
    """Makes every page. One per application."""

    def __init__(self, assets: Assets) -> None:
        self.assets = assets
        self._environments: dict[Locale, Environment] = {locale: environment(locale, assets) for locale in LANGUAGES}

    def page(
        self,
        request: Request,
        template: str,
        viewer: Viewer | None,
        *,
        status: int = 200,
        stores: list[Store] | None = None,
        address: str | None = None,
        **values: Any,
    ) -> HTMLResponse:
        """An HTML answer.

        Args:
            viewer: whose language and navigation it gets; None for somebody not signed in.
            address: where a change of language leads back to; the request's own address when left out, which will not
                do where that answers to submitted forms only.
            stores: the viewer's stores, where the page knows them; a manager's appear in the navigation.
        """
        locale = viewer.locale if viewer else choose(request)
        environment = self._environments[locale]
        html = environment.get_template(template).render(
            viewer=viewer,
            path=request.url.path,
            address=address or request.url.path + (f"?{request.url.query}" if request.url.query else ""),
            links=self._links(request, viewer, locale, stores or []) if viewer else [],
            **values,
        )
        return HTMLResponse(html, status_code=status, headers={"Content-Language": HTML_LANG[locale]})

    def _links(self, request: Request, viewer: Viewer, locale: Locale, stores: list[Store]) -> list[Link]:
        gettext = translations(locale).gettext
        path = request.url.path
        links: list[Link] = []
        if viewer.scope.has_role(*CHAIN_READERS):
            links.append(Link("/hq", gettext("Chain"), path == "/hq" or path.startswith("/hq/")))
        if viewer.scope.role == "manager":
            names = {store.store_id: store.name for store in stores}
            for store_id in sorted(viewer.session.user.stores)[:4]:
                href = f"/stores/{store_id}"
                links.append(Link(href, names.get(store_id, store_id), path == href))
        if viewer.scope.has_role("admin", "hq"):
            links.append(Link("/facts", gettext("Events"), path == "/facts"))
        if viewer.scope.has_role(*STORE_READERS):
            where = "/imports/conflicts" if viewer.scope.role == "region" else "/imports"
            links.append(Link(where, gettext("Imports"), path.startswith("/imports")))
            links.append(Link("/members/value", gettext("Loyalty"), path.startswith("/members")))
        if viewer.scope.has_role(*CHAIN_READERS):
            links.append(Link("/silences", gettext("Silences"), path == "/silences"))
        if viewer.scope.has_role("admin", "hq"):
            links.append(Link("/admin/stores", gettext("Setting up"), path.startswith(_SETTING_UP)))
        if viewer.scope.has_role(*MEMBER_READERS):
            links.append(Link("/desk", gettext("Members"), path.startswith("/desk")))
        return links
