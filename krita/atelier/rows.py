"""Lists in the form that the painter adds to: control layers, LoRAs, regions."""

from __future__ import annotations

from typing import Callable, Dict, List, Sequence, Tuple

from krita import Krita

from .core.offer import DETECTED
from .core.requests import Control, Lora, Region
from .core.tongue import mark, say
from .painting import groups, layers
from .qt import QtCore, QtWidgets
from .widgets import Changing, cross, percent

MODES: Dict[str, str] = {
    "scribble": mark("Scribble"),
    "line_art": mark("Line art"),
    "soft_edge": mark("Soft edges"),
    "canny_edge": mark("Sharp edges"),
    "depth": mark("Depth"),
    "normal": mark("Normals"),
    "pose": mark("Pose"),
    "segmentation": mark("Segmentation"),
    "blur": mark("Blurred picture"),
    "stencil": mark("Stencil"),
    "reference": mark("Reference picture"),
    "style": mark("Style of a picture"),
    "composition": mark("Composition of a picture"),
    "face": mark("Face"),
}
MOST_CONTROLS, MOST_OTHERS = 16, 32
"""The server takes so many control layers; of LoRAs and regions it takes twice as many as anybody uses."""


class Rows(QtWidgets.QWidget):
    """A title with a button that adds, and rows below it."""

    changed = QtCore.pyqtSignal()

    def __init__(self, name: str, title: str, most: int = MOST_OTHERS) -> None:
        super().__init__()
        self.setObjectName(name)
        self._most = most
        self.rows: List[QtWidgets.QWidget] = []
        self._column = QtWidgets.QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        head = QtWidgets.QHBoxLayout()
        head.addWidget(QtWidgets.QLabel(title), 1)
        self._add = QtWidgets.QToolButton()
        self._add.setObjectName("add_" + name)
        self._add.setText("+")
        self._add.setAccessibleName(say("Add: {what}", what=title))
        self._add.setToolTip(self._add.accessibleName())
        self._add.clicked.connect(lambda: self.add())
        head.addWidget(self._add)
        self._column.addLayout(head)

    def add(self) -> None:
        """One more row."""
        row = self.row()
        grid = row.layout()
        away = cross("remove", lambda: self._remove(row))
        away.setAccessibleName(say("Remove"))
        away.setToolTip(say("Remove"))
        grid.addWidget(away, 0, max(2, grid.columnCount() - 1))
        self.rows.append(row)
        self._column.addWidget(row)
        self._told()

    def row(self) -> QtWidgets.QWidget:
        """Makes a row, with a grid for a layout."""
        raise NotImplementedError

    def _remove(self, row: QtWidgets.QWidget) -> None:
        self.rows.remove(row)
        row.setParent(None)
        row.deleteLater()
        self._told()

    def _told(self) -> None:
        self._add.setEnabled(len(self.rows) < self._most)
        self.changed.emit()


def _row() -> Tuple[QtWidgets.QWidget, QtWidgets.QGridLayout]:
    row = QtWidgets.QWidget()
    grid = QtWidgets.QGridLayout(row)
    grid.setContentsMargins(0, 0, 0, 0)
    return row, grid


class Controls(Rows):
    """Layers that guide the picture."""

    def __init__(self, modes: Callable[[], Tuple[str, ...]], detect: Callable[[str, str], None]) -> None:
        super().__init__("controls", say("Control layers"), MOST_CONTROLS)
        self._modes, self._detect = modes, detect

    def row(self) -> QtWidgets.QWidget:
        """What a layer shows, which one it is, and how strongly it guides."""
        row, grid = _row()
        row.mode = Changing("mode", lambda: [(say(MODES[it]), it) for it in self._modes()])
        row.layer = Changing("layer", lambda: list(reversed(layers(Krita.instance().activeDocument()))))
        row.strength = percent("control_strength", 100, 5, 200)
        for widget, name in ((row.mode, say("Kind")), (row.layer, say("Layer")), (row.strength, say("Strength"))):
            widget.setAccessibleName(name)
            widget.setToolTip(name)
        row.detect = QtWidgets.QToolButton()
        row.detect.setObjectName("detect")
        row.detect.setText("⟳")
        row.detect.setToolTip(say("Make this layer of the canvas: a hidden layer, to be chosen here"))
        row.detect.setAccessibleName(row.detect.toolTip())
        row.detect.clicked.connect(lambda: self._detect(row.mode.currentData(), row.mode.currentText()))
        row.mode.currentIndexChanged.connect(lambda _index: self._can_detect(row))
        self._can_detect(row)
        grid.addWidget(row.mode, 0, 0, 1, 2)
        grid.addWidget(row.layer, 1, 0)
        grid.addWidget(row.strength, 1, 1)
        grid.addWidget(row.detect, 1, 2)
        grid.setColumnStretch(0, 1)
        return row

    @staticmethod
    def _can_detect(row: QtWidgets.QWidget) -> None:
        row.detect.setEnabled(row.mode.currentData() in DETECTED)

    def renew(self) -> None:
        """Another model knows other kinds of layers."""
        for row in self.rows:
            row.mode.renew()

    def chosen(self) -> Tuple[Control, ...]:
        """As requests name them."""
        return tuple(
            Control(it.mode.currentData(), it.layer.currentData(), it.strength.value() / 100)
            for it in self.rows
            if it.mode.currentData() and it.layer.currentData()
        )


class Loras(Rows):
    """Small files that change the model."""

    def __init__(self, offered: Callable[[], List[Tuple[str, Tuple[str, str]]]]) -> None:
        super().__init__("loras", say("LoRAs"))
        self._offered = offered

    def row(self) -> QtWidgets.QWidget:
        """Which one, and how strongly it acts."""
        row, grid = _row()
        row.lora = Changing("lora", self._offered)
        row.strength = percent("lora_strength", 100, -200, 200)
        for widget, name in ((row.lora, say("LoRA")), (row.strength, say("Strength"))):
            widget.setAccessibleName(name)
            widget.setToolTip(name)
        grid.addWidget(row.lora, 0, 0)
        grid.addWidget(row.strength, 0, 1)
        grid.setColumnStretch(0, 1)
        return row

    def set_chosen(self, loras: Sequence[Lora]) -> None:
        """These in place of what was chosen, as far as they are offered."""
        for row in list(self.rows):
            self._remove(row)
        offered = [data for _, data in self._offered()]
        for it in loras[: self._most]:
            if (it.name, it.hash) in offered:
                self.add()
                self.rows[-1].lora.setCurrentIndex(offered.index((it.name, it.hash)))
                self.rows[-1].strength.setValue(round(it.strength * 100))

    def renew(self) -> None:
        """There are others now."""
        for row in self.rows:
            row.lora.renew()

    def chosen(self) -> Tuple[Lora, ...]:
        """As requests name them."""
        return tuple(
            Lora(it.lora.currentData()[0], it.strength.value() / 100, it.lora.currentData()[1])
            for it in self.rows
            if it.lora.currentData()
        )


class Regions(Rows):
    """Groups of the picture with words of their own."""

    def __init__(self) -> None:
        super().__init__("regions", say("Regions from groups"))

    def row(self) -> QtWidgets.QWidget:
        """Which group, and what is there."""
        row, grid = _row()
        row.group = Changing("group", lambda: list(reversed(groups(Krita.instance().activeDocument()))))
        row.prompt = QtWidgets.QLineEdit()
        row.prompt.setObjectName("region_prompt")
        row.prompt.setPlaceholderText(say("What is there"))
        row.group.setAccessibleName(say("Group"))
        row.prompt.setAccessibleName(say("What is there"))
        grid.addWidget(row.group, 0, 0)
        grid.addWidget(row.prompt, 1, 0, 1, 3)
        grid.setColumnStretch(0, 1)
        return row

    def chosen(self) -> Tuple[Region, ...]:
        """From the lowest to the uppermost, each group once."""
        prompts = {it.group.currentData(): it.prompt.text().strip() for it in self.rows if it.group.currentData()}
        order = [name for _, name in groups(Krita.instance().activeDocument())] if prompts else []
        return tuple(Region(it, prompts[it]) for it in order if it in prompts)
