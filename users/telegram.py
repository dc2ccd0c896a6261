"""Asks Telegram's bot API: who a bot is, to write to a chat, and who wrote to it lately. Knows no rows.

The token is part of the address, so no error that is raised or logged here carries one. A chat is linked by a code
that is sent to the bot from there, which is looked for when the person says that they have sent it: nobody polls.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx
from django.conf import settings

ANSWER_S = 10.0
MOST_UPDATES = 100
LONGEST_TEXT = 4_000  # Telegram takes 4,096
BLOCKED = 403
TOO_MANY = 429


class TelegramRefusal(Exception):
    """Telegram did not do it. text: a sentence. status: of its answer; None: there was none.

    retry_after_s: the pause that it asks for. may_be_done: the answer was lost after the request was sent.
    """

    def __init__(
        self, text: str, *, status: int | None = None, retry_after_s: int = 0, may_be_done: bool = False
    ) -> None:
        self.text, self.status, self.retry_after_s, self.may_be_done = text, status, retry_after_s, may_be_done
        super().__init__(text)

    @property
    def is_of_chat(self) -> bool:
        """Whether it holds for this chat for good: the person blocked the bot, or the chat is gone."""
        return self.status == BLOCKED or (self.status == 400 and "chat not found" in self.text.lower())

    @property
    def is_of_bot(self) -> bool:
        """Whether it holds for every chat: the token is not one, or any more."""
        return self.status in (401, 404)


@dataclass(frozen=True)
class TelegramChat:
    """A chat as Telegram knows it. name: of the person or group."""

    number: str
    name: str


def call(token: str, method: str, values: dict[str, Any], *, seconds: float = ANSWER_S) -> Any:
    """The `result` of a method. Raises TelegramRefusal."""
    url = f"{settings.TELEGRAM_URL.rstrip('/')}/bot{token}/{method}"
    try:
        with httpx.Client(timeout=seconds, follow_redirects=False) as client:
            answer = client.post(url, json=values)
            body = answer.json()
    except (httpx.ConnectError, httpx.ConnectTimeout):
        raise TelegramRefusal("Telegram cannot be reached.") from None
    except httpx.TimeoutException:
        raise TelegramRefusal(f"Telegram did not answer within {seconds:g} seconds.", may_be_done=True) from None
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):
        raise TelegramRefusal("What Telegram answered cannot be read.", may_be_done=True) from None
    if isinstance(body, dict) and body.get("ok") is True:
        return body.get("result")
    raise refusal_of(answer.status_code, body if isinstance(body, dict) else {})


def refusal_of(status: int, body: dict[str, Any]) -> TelegramRefusal:
    """What an answer that is no success means."""
    said = body.get("description")
    parameters = body.get("parameters")
    pause = parameters.get("retry_after") if isinstance(parameters, dict) else 0
    pause_s = pause if isinstance(pause, int) and not isinstance(pause, bool) and 0 < pause <= 86_400 else 0
    words = " ".join(said.split())[:120] if isinstance(said, str) else f"{status}"
    if status in (401, 404):
        return TelegramRefusal("Telegram does not know the bot's token.", status=status)
    return TelegramRefusal(f"Telegram said: {words}", status=status, retry_after_s=pause_s)


def bot_name(token: str) -> str:
    """The user name of a bot. Raises TelegramRefusal."""
    result = call(token, "getMe", {})
    name = result.get("username") if isinstance(result, dict) else None
    if not isinstance(name, str) or not name:
        raise TelegramRefusal("What Telegram answered cannot be read.")
    return name[:64]


def send_text(token: str, chat: str, text: str, *, seconds: float = ANSWER_S) -> None:
    """Write to a chat, as it stands: no markup, no previews of links. Raises TelegramRefusal."""
    short = text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 1]}…"
    values = {"chat_id": chat, "text": short, "link_preview_options": {"is_disabled": True}}
    call(token, "sendMessage", values, seconds=seconds)


def chat_that_sent(token: str, code: str) -> TelegramChat | None:
    """The chat from which a code was sent to the bot, among its newest messages; None: none did.

    Older messages than these are forgotten by Telegram thereby, newer ones stay for others who are linking.
    """
    updates = call(
        token,
        "getUpdates",
        {"offset": -MOST_UPDATES, "limit": MOST_UPDATES, "timeout": 0, "allowed_updates": ["message"]},
    )
    for update in updates if isinstance(updates, list) else []:
        message = update.get("message") if isinstance(update, dict) else None
        if not isinstance(message, dict) or not isinstance(message.get("text"), str):
            continue
        chat = message.get("chat")
        # in a group the bot is named: /start@bot code
        if code in message["text"].split() and isinstance(chat, dict) and isinstance(chat.get("id"), int):
            name = chat.get("title") or chat.get("first_name") or chat.get("username") or ""
            return TelegramChat(str(chat["id"]), str(name)[:120])
    return None
