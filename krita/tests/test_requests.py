"""Requests beside captured ones, sizes, and what is in the zip."""

import ast
import hashlib
import json
import subprocess
import sys
import tempfile
import unittest
import zipfile
from pathlib import Path

from world import RESOURCES

from core.levels import FINE_PICTURES_UNTIL_EXPERT, PICTURES_UNTIL_STANDARD, Level, Use
from core.offer import Checkpoint, Offer
from core.requests import (
    INLINE,
    Control,
    Fill,
    Kind,
    Lora,
    Region,
    Sampling,
    Wish,
    add_controls,
    add_regions,
    build,
    detect,
    enlarge,
    join,
    merged,
    readable,
    split,
    with_pictures,
)
from core.sizes import Rect, around, extent
from core.styles import STYLES

HERE = Path(__file__).resolve().parent
WIRE = HERE.parent.parent / "workflow/tests/wire"
OFFER = Offer.parse(RESOURCES)
CANVAS = Rect(0, 0, 512, 512)
UPSCALER = "4x_NMKD-Superscale-SP_178000_G.pth"
DREAMSHAPER = OFFER.checkpoints[0]


def captured(name):
    return json.loads((WIRE / f"{name}.json").read_text())["input"]["workflow"]


def shape(value):
    """A document without its values."""
    if isinstance(value, dict):
        return {key: shape(it) for key, it in value.items()}
    return type(value).__name__


class Requests(unittest.TestCase):
    def like(self, name, workflow, but=()):
        """Each key that we send is one of the captured request, with a value of the same type."""
        real = shape(captured(name))
        for key, value in shape(workflow).items():
            for inner, kind in value.items() if isinstance(value, dict) else [(None, value)]:
                where = f"{key}.{inner}" if inner else key
                known = real.get(key, {}).get(inner) if inner else real.get(key)
                if where not in but:
                    self.assertEqual(kind, known, where)

    def test_generate(self):
        wish = Wish(Kind.GENERATE, "a red square", style=STYLES[1], checkpoint=DREAMSHAPER, count=3, seed=5)
        workflow, _ = build(wish, OFFER, (512, 512), None)
        self.like("01_generate", workflow, but=("models.version",))
        self.assertEqual((workflow["kind"], workflow["batch_count"]), ("generate", 3))
        self.assertEqual(workflow["images"], captured("01_generate")["images"])

    def test_refine(self):
        wish = Wish(Kind.REFINE, "x", strength=0.6, checkpoint=DREAMSHAPER)
        workflow, _ = build(wish, OFFER, (512, 512), None, (512, 512))
        self.like("02_refine", workflow, but=("models.version",))
        self.assertEqual(workflow["sampling"]["start_step"], 8)
        self.assertEqual(workflow["images"], captured("02_refine")["images"])

    def test_fill_is_as_captured(self):
        area = around(Rect(100, 100, 200, 200), CANVAS, 1.0, "sd15")
        wish = Wish(Kind.FILL, "x", checkpoint=DREAMSHAPER)
        workflow, _ = build(wish, OFFER, area.context.size, area, area.context.size)
        self.like("03_inpaint", workflow, but=("models.version",))
        self.assertEqual(workflow["inpaint"], captured("03_inpaint")["inpaint"])
        self.assertEqual(workflow["kind"], "inpaint")

    def test_each_fill_has_the_servers_word(self):
        fills = "none neutral blur border replace inpaint green".split()
        modes = "automatic fill expand add_object remove_object replace_background custom".split()
        for fill in Fill:
            self.assertIn(fill.value[0], modes)
            self.assertIn(fill.value[1], fills)

    def test_less_than_all_of_a_selection_is_refined(self):
        area = around(Rect(100, 100, 200, 200), CANVAS, 0.5, "sd15")
        wish = Wish(Kind.FILL, "x", strength=0.5, checkpoint=DREAMSHAPER)
        workflow, _ = build(wish, OFFER, area.context.size, area, area.context.size)
        self.assertEqual(workflow["kind"], "refine_region")
        self.assertEqual(workflow["sampling"]["start_step"], 10)

    def test_live_is_short(self):
        wish = Wish(Kind.LIVE, "x", strength=0.5, checkpoint=DREAMSHAPER, count=4)
        workflow, _ = build(wish, OFFER, (512, 512), None, (512, 512))
        self.assertLessEqual(workflow["sampling"]["total_steps"], 8)
        self.assertEqual(workflow["models"]["loras"], [{"name": "hyper.safetensors", "strength": 1.0}])
        self.assertEqual(workflow["batch_count"], 1)

    def test_upscale_is_as_captured(self):
        offer = Offer.parse({**RESOURCES, "resources": {"upscaler-default-all": UPSCALER, "controlnet-blur-sd15": "b"}})
        tiled, target = enlarge(Wish(Kind.UPSCALE, "", checkpoint=DREAMSHAPER, strength=0.3), offer, (512, 512))
        real = captured("06_upscale_tiled")
        self.like("06_upscale_tiled", tiled, but=("models.version", "conditioning.negative", "conditioning.style"))
        for key in ("images", "upscale", "color_match"):
            self.assertEqual(tiled[key], real[key])
        self.assertEqual(tiled["sampling"]["start_step"], real["sampling"]["start_step"])
        self.assertEqual(tiled["conditioning"]["control"], real["conditioning"]["control"])
        self.assertEqual(target, (1024, 1024))
        simple, _ = enlarge(Wish(Kind.UPSCALE, "", checkpoint=DREAMSHAPER, strength=0.0), offer, (1024, 1024))
        real = captured("07_upscale_simple")
        self.assertEqual(simple, {key: real[key] for key in simple})
        self.assertEqual(set(real) - set(simple), {"image_data"})

    def test_control_layers_and_loras_are_as_captured(self):
        loras = (Lora("mine.safetensors", 0.7, "base64sha256="),)
        wish = Wish(Kind.GENERATE, "cat", checkpoint=Checkpoint("sdxl.safetensors", "sdxl"), loras=loras)
        workflow, _ = build(wish, OFFER, (512, 512), None)
        add_controls(workflow, (Control("scribble", "a", 0.8, 0.7), Control("reference", "b", 0.5)), 0)
        real = json.loads((WIRE / "09_control_layers_lora.json").read_text())
        self.assertEqual(workflow["models"]["loras"], real["models"]["loras"])
        self.assertEqual(workflow["conditioning"]["control"], real["conditioning"]["control"])

    def test_a_control_layer_of_the_canvas_is_as_captured(self):
        real = json.loads((WIRE / "08_control_image.json").read_text())
        made = detect("pose", (512, 512))
        self.assertEqual({**made, "inpaint": real["inpaint"]}, {key: real[key] for key in made})
        self.assertEqual(set(real) - set(made), {"image_data"})

    def test_regions_are_as_captured(self):
        wish = Wish(Kind.FILL, "a red square", checkpoint=DREAMSHAPER, regions=(Region("a", "blue sky"),))
        workflow, _ = build(wish, OFFER, (512, 512), None)
        add_regions(workflow, wish, [CANVAS, Rect(0, 0, 256, 512)], 2)
        self.assertEqual(workflow["conditioning"]["regions"], captured("05_inpaint")["conditioning"]["regions"])

    def test_what_an_expert_sets(self):
        own = Sampling("euler", "simple", 30, 3.0)
        workflow, _ = build(Wish(Kind.REFINE, "x", strength=0.5, sampling=own), OFFER, (512, 512), None, (512, 512))
        wanted = {"sampler": "euler", "scheduler": "simple", "cfg_scale": 3.0, "total_steps": 30, "seed": 0}
        self.assertEqual(workflow["sampling"], {**wanted, "start_step": 15})
        both = merged(workflow, {"sampling": {"seed": 5}, "nsfw_filter": 0.5, "batch_count": 2})
        self.assertEqual(both["sampling"], {**wanted, "start_step": 15, "seed": 5})
        self.assertEqual((both["nsfw_filter"], both["batch_count"]), (0.5, 2))
        self.assertEqual(readable("  "), "{}")
        for text in ("{", "[]", "3", "NaN", '{"a": NaN}', "[" * 100_000):
            self.assertRaises(ValueError, readable, text)

    def test_removing_needs_no_words(self):
        workflow, _ = build(Wish(Kind.FILL, "", fill=Fill.REMOVE_OBJECT), OFFER, (512, 512), None)
        self.assertEqual(workflow["conditioning"]["positive"], "background scenery")

    def test_the_layers_that_an_offer_knows(self):
        offer = Offer(resources={"controlnet-scribble-sd15": "a", "controlnet-universal-sdxl": "b"})
        self.assertEqual(offer.modes("sd15"), ("scribble",))
        self.assertIn("pose", offer.modes("sdxl"))
        self.assertNotIn("stencil", offer.modes("sdxl"))
        self.assertEqual(offer.modes("flux"), ())
        reference = Offer(resources={"ip_adapter-reference-sd15": "a", "ip_adapter-reference-illu": "b"})
        self.assertEqual(reference.modes("sd15"), ("reference", "style", "composition"))
        self.assertEqual(reference.modes("illu_v"), ("reference", "style", "composition"))

    def test_levels_are_suggested_once(self):
        use = Use()
        for _ in range(PICTURES_UNTIL_STANDARD):
            self.assertIsNone(use.suggestion(Level.SIMPLE))
            use.painted(Wish(Kind.GENERATE, "x"), False)
        self.assertIs(use.suggestion(Level.SIMPLE), Level.STANDARD)
        self.assertIsNone(use.suggestion(Level.STANDARD))
        use.suggested(Level.STANDARD)
        again = Use(json.loads(json.dumps(use.keep())))
        self.assertIsNone(again.suggestion(Level.SIMPLE))
        for _ in range(FINE_PICTURES_UNTIL_EXPERT):
            again.painted(Wish(Kind.GENERATE, "x", loras=(Lora("a"),)), False)
        self.assertIs(again.suggestion(Level.STANDARD), Level.EXPERT)
        self.assertIsNone(again.suggestion(Level.EXPERT))
        for stored in ([], {"pictures": "x", "suggested": 3}, {"suggested": [None]}):
            self.assertIsNone(Use(stored).suggestion(Level.SIMPLE))

    def test_pictures_travel_along_or_lie_in_the_bucket(self):
        blob, offsets = join([b"abc", b"de"])
        self.assertEqual(split(blob, offsets), (b"abc", b"de"))
        inline = json.loads(with_pictures({}, blob, offsets, None))["input"]["workflow"]["image_data"]
        self.assertEqual(inline, {"base64": "YWJjZGU=", "offsets": [0, 3]})
        placed = json.loads(with_pictures({}, blob, offsets, "ab"))["input"]["workflow"]["image_data"]
        self.assertEqual(placed, {"s3_object": "ab", "offsets": [0, 3]})
        self.assertLess(INLINE, 16 * 1024)

    def test_offsets_that_do_not_fit(self):
        for offsets in (None, [], [1], [0, 0], [0, 9], [0, -1], [0, "1"], [0.0], [True], {"0": 1}):
            self.assertIsNone(split(b"abcde", offsets), offsets)

    def test_an_offer_of_garbage(self):
        for document in ({}, {"checkpoints": 3, "resources": [], "loras": {}}, {"checkpoints": {"a": {"arch": 3}}}):
            self.assertEqual(Offer.parse(document).checkpoints, ())
        self.assertIsNone(Offer().checkpoint("a"))


class Sizes(unittest.TestCase):
    def test_of_the_captured_kinds(self):
        self.assertEqual(extent((512, 512), "sd15", True).initial, (512, 512))
        self.assertEqual(extent((256, 256), "sd15", True).desired, (512, 512))
        self.assertEqual(extent((1024, 1536), "sd15", True).initial, (512, 768))
        self.assertEqual(extent((1024, 1536), "sd15", True).desired, (1024, 1536))

    def test_of_any_canvas(self):
        for arch in ("sd15", "sdxl", "flux"):
            for width in (1, 7, 300, 512, 777, 1024, 4000, 16384):
                for height in (1, 64, 999, 2048, 16384):
                    for two in (True, False):
                        it = extent((width, height), arch, two)
                        for side in it.initial + it.desired:
                            self.assertTrue(16 <= side <= 4096 and side % 16 == 0, (width, height, it))
                        self.assertEqual(it.target, (width, height))

    def test_around_any_selection(self):
        canvas = Rect(0, 0, 700, 300)
        for x, y, width, height in ((0, 0, 1, 1), (699, 299, 1, 1), (0, 0, 700, 300), (100, 50, 60, 200)):
            chosen = Rect(x, y, width, height)
            for strength in (0.01, 0.5, 1.0):
                it = around(chosen, canvas, strength, "sd15")
                for inner, outer in ((chosen, it.bounds), (it.bounds, it.context), (it.context, canvas)):
                    self.assertEqual(inner.grown(0, outer), inner)


class Package(unittest.TestCase):
    def test_the_zip_holds_what_it_should_and_always_the_same(self):
        with tempfile.TemporaryDirectory() as folder:
            made = [Path(folder) / name for name in ("one.zip", "two.zip")]
            for path in made:
                command = [sys.executable, str(HERE.parent / "build.py"), str(path)]
                subprocess.run(command, check=True, capture_output=True)
            self.assertEqual(made[0].read_bytes(), made[1].read_bytes())
            names = zipfile.ZipFile(made[0]).namelist()
        self.assertEqual(sorted(names), (HERE / "contents.txt").read_text().split())

    def test_the_python_of_krita_5_1_reads_it(self):
        for path in (HERE.parent / "atelier").glob("**/*.py"):
            ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 8))

    def test_what_is_carried_is_what_was_published(self):
        carried = {
            "h11-0.16.0-py3-none-any.whl": H11,
            "wsproto-1.2.0-py3-none-any.whl": WSPROTO,
        }
        folder = HERE.parent / "atelier/carried"
        found = {it.name: hashlib.sha256(it.read_bytes()).hexdigest() for it in folder.iterdir()}
        self.assertEqual(found, carried)


H11 = "63cf8bbe7522de3bf65932fda1d9c2772064ffb3dae62d55932da54b31cb6c86"
WSPROTO = "b9acddd652b585d75b20477888c56642fdade28bdfd3579aa24a4d2c037dd736"

if __name__ == "__main__":
    unittest.main()
