"""Every word that is shown is there in every language, with the same places for what is filled in."""

import ast
import re
import unittest
from pathlib import Path
from xml.etree import ElementTree

from world import API, World

from core import tongue

PACKAGE = Path(__file__).resolve().parent.parent / "atelier"
FILES = sorted((PACKAGE / "translations").glob("*.ts"))


def sources():
    """What `say` and `mark` are given, by the file that does it."""
    found = {}
    for path in sorted(PACKAGE.glob("**/*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("say", "mark"):
                for it in ast.walk(node.args[0]):
                    if isinstance(it, ast.Constant) and isinstance(it.value, str):
                        found.setdefault(path.stem, set()).add(it.value)
    return found


def places(text):
    return sorted(re.findall(r"{\w+}", text))


class Tongue(unittest.TestCase):
    def test_all_is_translated_and_nothing_else(self):
        wanted = set().union(*sources().values())
        for path in FILES:
            messages = ElementTree.parse(path).getroot().findall("context/message")
            known = {it.findtext("source"): it.find("translation") for it in messages}
            self.assertEqual(set(known), wanted, path.name)
            for source, translation in known.items():
                self.assertIsNone(translation.get("type"), source)
                self.assertEqual(places(translation.text), places(source), source)
                self.assertEqual("&" in translation.text, "&" in source, source)

    def test_a_language_is_chosen_as_people_name_it(self):
        for names, wanted in (
            (["zh_CN.UTF-8"], "zh_CN.ts"),
            (["zh-Hans-SG"], "zh_CN.ts"),
            (["zh_TW"], ""),
            (["en_GB", "zh_CN"], ""),
            (["de_DE", "zh_CN"], "zh_CN.ts"),
            ([], ""),
            (["C"], ""),
        ):
            self.assertEqual(tongue.file_for(names), wanted, names)

    def test_it_speaks(self):
        self.addCleanup(tongue.forget)
        tongue.learn(FILES[0].read_text(encoding="utf-8"))
        self.assertEqual(World().ready().session.words(), "已连接，用户：Mara")
        self.assertEqual(tongue.say("never said {x}", x=1), "never said 1")

    def test_the_sign_in_s_page_speaks_it_too(self):
        self.addCleanup(tongue.forget)
        tongue.learn(FILES[0].read_text(encoding="utf-8"))
        world = World(token=None)
        world.session.sign_in(world.now)
        world.until(lambda: world.pages)
        self.assertEqual(world.pages, [API + "/sign-in?code=abc&lang=zh-CN"])


if __name__ == "__main__":
    unittest.main()
