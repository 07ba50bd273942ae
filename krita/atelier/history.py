"""The list of what the painter has asked for before, and what is done with one of it."""

from __future__ import annotations

import time
from typing import Any, Callable, List, Optional

from . import canvas
from .core.history import LONGEST_SEARCH, History, Past, Sheet
from .core.tongue import say
from .qt import QtCore, QtGui, QtWidgets
from .strip import THUMBNAIL
from .widgets import Words, button

_Role = QtCore.Qt.ItemDataRole.UserRole
_MARGIN = QtWidgets.QStyle.PixelMetric.PM_FocusFrameHMargin
_WRAPPED = QtCore.Qt.TextFlag.TextWordWrap
FRESH = 15.0
"""Seconds in which the list is not asked for anew when it is looked at again."""

QUIET = 500
"""Milliseconds without a key until what was typed is searched for."""
LONGEST = 60
"""Characters of a name that are shown in the list."""


class Page(QtWidgets.QWidget):
    """What is seen of the history; it asks for the list when it is looked at, and never else."""

    def __init__(
        self,
        history: Callable[[], Optional[History]],
        do: Callable[[Callable[[History], None]], None],
        again: Callable[[Past], None],
        bring: Callable[[Past], None],
        browse: Callable[[str], None],
    ) -> None:
        super().__init__()
        self._history, self._do, self._browse = history, do, browse
        self._looked = 0.0
        self._listed: Any = None
        side = max(THUMBNAIL // 2, 3 * self.fontMetrics().lineSpacing())
        self._blank = QtGui.QPixmap(side, side)
        self._blank.fill(QtCore.Qt.GlobalColor.transparent)
        self._list = QtWidgets.QListWidget()
        self._list.setObjectName("history")
        self._list.setAccessibleName(say("What was painted before; Enter uses its settings again"))
        self._list.setIconSize(QtCore.QSize(side, side))
        self._list.setWordWrap(True)
        self._list.setResizeMode(QtWidgets.QListView.ResizeMode.Adjust)
        self._list.setItemDelegate(_Entry(self._list))
        self._list.setSpacing(3)
        self._list.setHorizontalScrollBarPolicy(QtCore.Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._list.setMinimumHeight(4 * side)
        self._list.itemActivated.connect(lambda item: again(item.data(_Role)))
        self._list.currentItemChanged.connect(lambda now, _before: self._look_at(now))
        self._search = QtWidgets.QLineEdit()
        self._search.setObjectName("search")
        self._search.setPlaceholderText(say("Search the prompts"))
        self._search.setAccessibleName(say("Search the prompts"))
        self._search.setMaxLength(LONGEST_SEARCH)
        self._search.setClearButtonEnabled(True)
        self._typing = QtCore.QTimer(self)
        self._typing.setSingleShot(True)
        self._typing.timeout.connect(lambda: self._do(lambda it: it.search(self._search.text())))
        self._search.textChanged.connect(lambda _text: self._typing.start(QUIET))
        self._words = Words("history_words")
        self._more = button("more", say("Show more"), lambda: self._do(lambda it: it.more()))
        self._again = button("use_again", say("Use these settings"), lambda: self._with_current(again))
        self._bring = button("bring", say("Get the pictures"), lambda: self._with_current(bring))
        self._keep = button("keep", say("Keep"), self._keep_current)
        self._sheets = button("sheets", say("Contact sheets"), lambda: self._do(lambda it: it.sheets(self._offer)))
        self._sheets.setToolTip(say("All variants of a group on one picture, which the browser shows"))
        self._menu = QtWidgets.QMenu(self)
        self._menu.setObjectName("sheets_menu")
        self._again.setToolTip(say("Fills the form in as it was when this was painted"))
        self._bring.setToolTip(say("Puts the pictures of this entry among the results, to be applied once more"))
        column = QtWidgets.QVBoxLayout(self)
        column.addWidget(self._search)
        column.addWidget(self._list, 1)
        for widget in (self._words, self._more, self._again, self._bring, self._keep, self._sheets):
            column.addWidget(widget)
        self._later = QtCore.QTimer(self)
        self._later.timeout.connect(self._look_again)
        self._later.start(round(FRESH * 1000))
        self.refresh()

    def showEvent(self, event: Any) -> None:  # noqa: N802, Qt's name
        """Somebody looks."""
        super().showEvent(event)
        self.look()

    def look(self) -> None:
        """Asks for the list, unless that was just done."""
        if self._history() is not None and time.monotonic() - self._looked >= FRESH:
            self._looked = time.monotonic()
            self._do(lambda it: it.look())

    def _look_again(self) -> None:
        history = self._history()
        if self.isVisible() and history is not None and history.problem is not None:
            self.look()

    def forget(self) -> None:
        """Somebody else is here, or nobody: the list is asked for anew when it is looked at."""
        self._looked = 0.0
        self._search.blockSignals(True)
        self._search.clear()
        self._search.blockSignals(False)

    def refresh(self) -> None:
        """Shows what is known."""
        history = self._history()
        entries = history.entries if history is not None else []
        small = history.thumbnails if history is not None else {}
        listed = [(it, history.name(it) if history is not None else "", small.get(it.task)) for it in entries]
        if listed != self._listed:
            chosen = self._current
            self._listed = listed
            self._list.blockSignals(True)
            self._list.clear()
            for entry in listed:
                self._list.addItem(self._item(*entry))
            rows = [row for row, it in enumerate(entries) if chosen is not None and it.task == chosen.task]
            self._list.setCurrentRow(rows[0] if rows else -1)
            self._list.blockSignals(False)
        self._words.setText(history.words() if history is not None else "")
        self._words.setVisible(bool(self._words.text()))
        self._more.setVisible(history is not None and history.goes_on)
        self._choose()

    @property
    def _current(self) -> Optional[Past]:
        item = self._list.currentItem()
        return item.data(_Role) if item is not None else None

    def _look_at(self, item: Optional["QtWidgets.QListWidgetItem"]) -> None:
        if item is not None:
            self._do(lambda it: it.choose(item.data(_Role)))
        self._choose()

    def _choose(self) -> None:
        past, history = self._current, self._history()
        free = history is not None and not history.busy
        self._more.setEnabled(free)
        self._search.setEnabled(history is not None)
        self._sheets.setEnabled(free)
        self._again.setEnabled(free and past is not None)
        has_pictures = past is not None and past.pictures > 0
        self._bring.setEnabled(free and has_pictures)
        self._keep.setEnabled(free and has_pictures)
        kept = past is not None and past.kept
        self._keep.setText(say("Keep no longer") if kept else say("Keep"))
        self._keep.setToolTip(
            say("The pictures go when their days are over")
            if kept
            else say("The pictures stay until you keep them no longer, and not for some days only")
        )

    def _keep_current(self) -> None:
        past = self._current
        if past is not None:
            self._do(lambda it: it.keep(past, not past.kept))

    def _offer(self, sheets: List[Sheet]) -> None:
        """Lets the painter choose one."""
        self._menu.clear()
        for sheet in sheets:
            text = f"{_moment(sheet.created)} · {sheet.words()}"
            short = text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
            action = self._menu.addAction(short.replace("&", "&&"))
            action.triggered.connect(lambda _checked=False, url=sheet.url: self._browse(url))
        if sheets and self.isVisible():
            self._menu.popup(self._sheets.mapToGlobal(QtCore.QPoint(0, self._sheets.height())))

    def _with_current(self, act: Callable[[Past], None]) -> None:
        if self._current is not None:
            act(self._current)

    def _item(self, past: Past, name: str, file: Optional[bytes]) -> "QtWidgets.QListWidgetItem":
        text = _moment(past.created)
        short = name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"
        item = QtWidgets.QListWidgetItem(f"{short}\n{text}")
        image = canvas.decode(file) if file is not None else None
        # Without a picture too the text has the picture's height, or a font from elsewhere would be cut off.
        item.setIcon(QtGui.QIcon(QtGui.QPixmap.fromImage(image) if image is not None else self._blank))
        item.setToolTip(name)
        item.setData(_Role, past)
        return item


class _Entry(QtWidgets.QStyledItemDelegate):
    """A row as high as its words are beside the picture; by itself Qt lets them have all of the list's width, and cuts them off."""

    def sizeHint(self, option: Any, index: Any) -> QtCore.QSize:  # noqa: N802, Qt's name
        """In pixels, of a row."""
        view: Any = self.parent()
        hint, margin = super().sizeHint(option, index), view.style().pixelMetric(_MARGIN) + 1
        width = view.viewport().width() - 2 * view.spacing() - view.iconSize().width() - 6 * margin
        words = view.fontMetrics().boundingRect(0, 0, width, 0, _WRAPPED, index.data())
        return QtCore.QSize(hint.width(), max(hint.height(), words.height() + 2 * margin))


def _moment(at: float) -> str:
    """A time, seconds since 1970, as it is written here."""
    when = QtCore.QDateTime.fromMSecsSinceEpoch(round(at * 1000))
    return QtCore.QLocale().toString(when, QtCore.QLocale.FormatType.ShortFormat)
