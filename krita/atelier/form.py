"""What the painter sets: a prompt and a button, or everything, by level."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Callable, List, Optional, Tuple

from krita import Krita

from . import canvas
from .core.groups import MOST_VARIANTS, Variants
from .core.levels import Level
from .core.offer import Checkpoint, Offer
from .core.requests import MOST_PICTURES, MOST_SEED, Fill, Kind, Sampling, Wish, readable
from .core.styles import STYLES
from .core.tongue import mark, say
from .qt import QtCore, QtGui, QtWidgets
from .rows import Controls, Loras, Regions
from .widgets import Changing, Policy, choice, lines, percent

KINDS = {
    Kind.GENERATE: (mark("Generate"), mark("A new picture from the prompt, as large as the canvas or the selection")),
    Kind.REFINE: (mark("Refine"), mark("The canvas or the selection painted again, as far as the strength says")),
    Kind.FILL: (mark("Fill"), mark("The selection painted anew so that it fits what is around it")),
    Kind.UPSCALE: (mark("Upscale"), mark("The canvas enlarged, and painted again as far as the strength says")),
    Kind.LIVE: (mark("Live"), mark("The canvas painted again after each stroke")),
}
FILLS = {
    Fill.FILL: mark("Fill"),
    Fill.EXPAND: mark("Expand the picture"),
    Fill.ADD_OBJECT: mark("Add an object"),
    Fill.REMOVE_OBJECT: mark("Remove an object"),
    Fill.REPLACE_BACKGROUND: mark("Replace the background"),
    Fill.KEEP: mark("Keep what is there"),
}
STRENGTH = {Kind.GENERATE: 100, Kind.REFINE: 60, Kind.FILL: 100, Kind.UPSCALE: 30, Kind.LIVE: 50}
SAMPLERS = "euler euler_ancestral heun dpmpp_2m dpmpp_2m_sde_gpu dpmpp_sde_gpu uni_pc_bh2 res_multistep ddim lcm".split()
SCHEDULERS = "normal karras exponential simple sgm_uniform beta ddim_uniform".split()
MOST_STEPS = 200
MOST_GUIDANCE = 30.0

_PAINTS = (Kind.GENERATE, Kind.REFINE, Kind.FILL)
_ALL = tuple(Kind)


class Form(QtWidgets.QWidget):
    """All fields; those that are not shown count as untouched."""

    changed = QtCore.pyqtSignal()
    """Something that the price may depend on."""

    def __init__(
        self,
        offer: Callable[[], Offer],
        loras: Callable[[], List[Tuple[str, Tuple[str, str]]]],
        detect: Callable[[str, str], None],
    ) -> None:
        super().__init__()
        self._offer = offer
        self._level = Level.SIMPLE
        self._strengths = dict(STRENGTH)
        self._shown: List[Tuple[QtWidgets.QWidget, Level, Tuple[Kind, ...]]] = []
        self._grid = QtWidgets.QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setColumnStretch(1, 1)
        self._kind = choice("kind", [(say(name), kind) for kind, (name, _) in KINDS.items()])
        self._kind.setAccessibleName(say("What to do"))
        self._prompt = lines("prompt", say("What to paint"), 4)
        self._negative = lines("negative", say("What not to paint"), 2)
        self._style = choice("style", [(say(it.name), it) for it in STYLES])
        self._model = Changing("checkpoint", self._checkpoints)
        self._fill = choice("fill", [(say(name), fill) for fill, name in FILLS.items()])
        self._strength = percent("strength", 100, 0, 100)
        self._factor = choice("factor", [(f"{it} ×", it) for it in (2.0, 1.5, 3.0, 4.0)])
        self._count = QtWidgets.QSpinBox()
        self._count.setObjectName("count")
        self._count.setRange(1, MOST_PICTURES)
        self._seeds = QtWidgets.QSpinBox()
        self._seeds.setObjectName("seeds")
        self._seeds.setRange(1, MOST_VARIANTS)
        self._seeds.setToolTip(say("So many variants, each with a seed of its own, painted beside all else"))
        self._prompts = lines("prompts", say("Variants of the prompt, one a line"), 2)
        self._seed = QtWidgets.QLineEdit()
        self._seed.setObjectName("seed")
        self._seed.setPlaceholderText(say("random"))
        self._seed.setValidator(QtGui.QRegularExpressionValidator(QtCore.QRegularExpression("[0-9]{0,10}"), self))
        self._sampler = choice("sampler", [(say("by the model"), None)] + [(it, it) for it in SAMPLERS])
        self._scheduler = choice("scheduler", [(say("by the model"), None)] + [(it, it) for it in SCHEDULERS])
        self._steps = QtWidgets.QSpinBox()
        self._steps.setObjectName("steps")
        self._steps.setRange(0, MOST_STEPS)
        self._guidance = QtWidgets.QDoubleSpinBox()
        self._guidance.setObjectName("guidance")
        self._guidance.setRange(0.0, MOST_GUIDANCE)
        self._guidance.setSingleStep(0.5)
        for box in (self._steps, self._guidance):
            box.setSpecialValueText(say("by the model"))
        self._raw = lines("raw", say("JSON to merge into the request"), 3)
        self._controls = Controls(lambda: self._offer().modes(self._checkpoint().arch), detect)
        self._loras = Loras(loras)
        self._regions = Regions()
        self._lay_out()
        self._kind.currentIndexChanged.connect(self._kind_chosen)
        self._strength.valueChanged.connect(self._strength_chosen)
        self._model.currentIndexChanged.connect(self._model_chosen)
        for told in (self._count.valueChanged, self._seeds.valueChanged, self._factor.currentIndexChanged, self._steps.valueChanged):
            told.connect(lambda _value: self.changed.emit())
        for rows in (self._controls, self._loras, self._regions):
            rows.changed.connect(self.changed)
        self._kind_chosen()

    def _lay_out(self) -> None:
        standard, expert = Level.STANDARD, Level.EXPERT
        self._wide(self._kind, standard, _ALL)
        self._wide(self._prompt, Level.SIMPLE, _ALL)
        self._wide(self._negative, standard, _ALL)
        self._narrow(say("St&yle"), self._style, standard, _ALL)
        self._narrow(say("&Model"), self._model, standard, _ALL)
        self._narrow(say("Sele&ction"), self._fill, standard, (Kind.FILL,))
        self._narrow(say("Si&ze"), self._factor, standard, (Kind.UPSCALE,))
        self._narrow(say("St&rength"), self._strength, standard, (Kind.REFINE, Kind.FILL, Kind.UPSCALE, Kind.LIVE))
        self._narrow(say("P&ictures"), self._count, standard, _PAINTS)
        self._narrow(say("S&eed"), self._seed, standard, _ALL)
        self._wide(self._loras, standard, _ALL)
        self._wide(self._controls, standard, (*_PAINTS, Kind.LIVE))
        self._wide(self._regions, expert, (*_PAINTS, Kind.LIVE))
        self._narrow(say("&Seeds"), self._seeds, expert, _PAINTS)
        self._wide(self._prompts, expert, _PAINTS)
        rendered = (*_PAINTS, Kind.UPSCALE)
        self._narrow(say("S&ampler"), self._sampler, expert, rendered)
        self._narrow(say("Sche&dule"), self._scheduler, expert, rendered)
        self._narrow(say("S&teps"), self._steps, expert, rendered)
        self._narrow(say("&Guidance"), self._guidance, expert, rendered)
        self._wide(self._raw, expert, _ALL)

    def _wide(self, widget: QtWidgets.QWidget, level: Level, kinds: Tuple[Kind, ...]) -> None:
        self._grid.addWidget(widget, self._grid.rowCount(), 0, 1, 2)
        self._shown.append((widget, level, kinds))

    def _narrow(self, name: str, widget: QtWidgets.QWidget, level: Level, kinds: Tuple[Kind, ...]) -> None:
        label = QtWidgets.QLabel(name)
        label.setBuddy(widget)
        widget.setAccessibleName(name.replace("&", ""))
        if not isinstance(widget, QtWidgets.QComboBox):  # which is narrower than what it offers
            widget.setSizePolicy(Policy.Preferred, Policy.Fixed)
        row = self._grid.rowCount()
        self._grid.addWidget(label, row, 0)
        self._grid.addWidget(widget, row, 1)
        self._shown += [(label, level, kinds), (widget, level, kinds)]

    # What is shown

    def set_level(self, level: Level) -> None:
        """Shows as much as this level has."""
        self._level = level
        self._show()

    def renew(self) -> None:
        """The server offers something else now."""
        self._model.renew()
        self._loras.renew()

    def _show(self) -> None:
        order, kind = list(Level), self.kind
        for widget, level, kinds in self._shown:
            widget.setVisible(order.index(level) <= order.index(self._level) and kind in kinds)
        self.changed.emit()

    def _kind_chosen(self) -> None:
        kind = self._kind.currentData()
        self._strength.setSpecialValueText(say("only enlarge") if kind is Kind.UPSCALE else "")
        self._strength.setMinimum(0 if kind is Kind.UPSCALE else 1)
        self._strength.setValue(self._strengths[kind])
        self._show()

    def _strength_chosen(self, value: int) -> None:
        self._strengths[self._kind.currentData()] = value
        self.changed.emit()

    def _model_chosen(self) -> None:
        self._controls.renew()
        self.changed.emit()

    def _checkpoints(self) -> List[Tuple[str, Checkpoint]]:
        return [(it.name.rsplit(".", 1)[0], it) for it in self._offer().checkpoints]

    def _checkpoint(self) -> Checkpoint:
        return self._model.currentData() or Checkpoint("", "sd15")

    def set_wish(self, wish: Wish) -> None:
        """Fills all fields in that a wish of before says something about; control layers and regions stay as they are."""
        self._strengths[wish.kind] = round(wish.strength * 100)
        self._kind.setCurrentIndex(list(KINDS).index(wish.kind))
        self._kind_chosen()
        self._prompt.setPlainText(wish.prompt)
        self._negative.setPlainText(wish.negative)
        self._style.setCurrentIndex(STYLES.index(wish.style))
        self._model.renew()
        names = [it.name for _, it in self._checkpoints()]
        if wish.checkpoint.name in names:
            self._model.setCurrentIndex(names.index(wish.checkpoint.name))
        self._count.setValue(wish.count)
        self._seeds.setValue(wish.variants.seeds)
        self._prompts.setPlainText("")
        self._seed.setText(str(wish.seed))
        self._sampler.setCurrentIndex(([None] + SAMPLERS).index(_one_of(SAMPLERS, wish.sampling.sampler)))
        self._scheduler.setCurrentIndex(([None] + SCHEDULERS).index(_one_of(SCHEDULERS, wish.sampling.scheduler)))
        self._steps.setValue(wish.sampling.steps or 0)
        self._guidance.setValue(wish.sampling.guidance or 0.0)
        self._loras.set_chosen(wish.loras)

    # What is wished

    @property
    def kind(self) -> Kind:
        """What is to be done; at the simple level the selection decides."""
        if self._level is not Level.SIMPLE:
            return self._kind.currentData()
        document = Krita.instance().activeDocument()
        return Kind.FILL if document is not None and canvas.selection(document) is not None else Kind.GENERATE

    @property
    def chose_seed(self) -> bool:
        """Whether the painter wants a picture again."""
        return bool(self._seed.text()) and self._level is not Level.SIMPLE

    def wish(self) -> Wish:
        """All that was set."""
        kind, prompt = self.kind, self._prompt.toPlainText().strip()
        if self._level is Level.SIMPLE:
            return Wish(kind, prompt, checkpoint=self._checkpoint(), seed=_random_seed())
        seed = self._seed.text()
        wish = Wish(
            kind=kind,
            prompt=prompt,
            negative=self._negative.toPlainText().strip(),
            style=self._style.currentData(),
            checkpoint=self._checkpoint(),
            strength=self._strength.value() / 100,
            count=self._count.value(),
            seed=min(int(seed), MOST_SEED) if seed else 0 if kind is Kind.LIVE else _random_seed(),
            fill=self._fill.currentData(),
            controls=self._controls.chosen() if kind is not Kind.UPSCALE else (),
            loras=self._loras.chosen(),
            factor=self._factor.currentData(),
        )
        if self._level is not Level.EXPERT:
            return wish
        sampling = Sampling(
            self._sampler.currentData(),
            self._scheduler.currentData(),
            self._steps.value() or None,
            self._guidance.value() or None,
        )
        varied = [it.strip() for it in self._prompts.toPlainText().splitlines() if it.strip()] if kind in _PAINTS else []
        variants = Variants(
            self._seeds.value() if kind in _PAINTS else 1,
            tuple(dict.fromkeys(([prompt] if prompt else []) + varied)) if varied else (),
        )
        regions = self._regions.chosen() if kind is not Kind.UPSCALE else ()
        return replace(wish, sampling=sampling, regions=regions, variants=variants, extra=readable(self._raw.toPlainText()))

    def button_words(self, live_is_on: bool) -> Tuple[str, str]:
        """Of the button that paints: its text, and what it does."""
        if self._level is Level.SIMPLE:
            return say("Paint"), say("A picture from the prompt, as large as the canvas, or what is selected anew")
        name, what = KINDS[self.kind]
        if self.kind is Kind.LIVE:
            name = mark("Stop live") if live_is_on else mark("Start live")
        return say(name), say(what)


def _one_of(known: List[str], name: Optional[str]) -> Optional[str]:
    return name if name in known else None


def _random_seed() -> int:
    return random.randint(0, MOST_SEED)
