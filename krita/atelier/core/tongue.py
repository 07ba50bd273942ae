"""The painter's language. English is in the code; others are files of Qt Linguist in `translations/`."""

from __future__ import annotations

from typing import Any, Dict, Sequence
from xml.etree import ElementTree

_words: Dict[str, str] = {}
_language = ""


def mark(text: str) -> str:
    """Words that `say` will be asked for."""
    return text


def say(text: str, **values: Any) -> str:
    """These words in the painter's language."""
    return _words.get(text, text).format(**values)


def learn(document: str) -> None:
    """Takes the finished translations of a `.ts` file in place of what was known."""
    global _language
    _words.clear()
    root = ElementTree.fromstring(document)
    _language = root.get("language", "").replace("_", "-")
    for message in root.iter("message"):
        source, translation = message.findtext("source"), message.find("translation")
        if source and translation is not None and translation.text and translation.get("type") is None:
            _words[source] = translation.text


def language() -> str:
    """The language that was learned, as web pages name it (BCP 47); empty for English."""
    return _language


def forget() -> None:
    """English again."""
    global _language
    _words.clear()
    _language = ""


def file_for(languages: Sequence[str]) -> str:
    """The name of the file for the first of these languages that there is one for; empty for English."""
    for language in languages:
        parts = language.replace("-", "_").split(".")[0].split("_")
        if parts[0] == "en" or parts[0] == "C":
            return ""
        if parts[0] == "zh" and not {"TW", "HK", "MO", "Hant"} & set(parts):
            return "zh_CN.ts"
    return ""
