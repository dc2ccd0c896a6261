"""The style sheet of a firm's own colour: made of the colour in its address, so it can be kept for ever."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.http import condition, require_safe

from users import brand

FOR_EVER = "public, max-age=31536000, immutable"


def tag_of(request: HttpRequest, colour: str) -> str:
    """The version of a style sheet."""
    return f'"brand-1-{colour}"'


@require_safe
@condition(etag_func=tag_of)
def style_sheet(request: HttpRequest, colour: str) -> HttpResponseBase:
    """The colours of the pages; 404 for what is no colour, or none that can be read."""
    try:
        text = brand.style_sheet(brand.parsed(f"#{colour}"))
    except (ValueError, brand.UnreadableColour) as error:
        raise Http404 from error
    return HttpResponse(text, content_type="text/css; charset=utf-8", headers={"Cache-Control": FOR_EVER})
