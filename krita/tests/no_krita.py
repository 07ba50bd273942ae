"""As much of Krita's module as the extension needs to be looked at without one."""

import sys
import types

try:
    from PyQt6 import QtCore, QtWidgets
except ImportError:
    from PyQt5 import QtCore, QtWidgets


class Krita(QtCore.QObject):
    """As much of Krita as there is without one."""

    settings = {}
    one = None

    @staticmethod
    def instance():
        Krita.one = Krita.one or Krita()
        return Krita.one

    def readSetting(self, _group, name, default):
        return self.settings.get(name, default)

    def writeSetting(self, _group, name, value):
        self.settings[name] = value

    def activeDocument(self):
        return None

    def documents(self):
        return []

    def addDockWidgetFactory(self, _factory):
        pass


module = types.ModuleType("krita")
module.Krita = Krita
module.DockWidget = QtWidgets.QDockWidget
module.DockWidgetFactory = lambda *_: None
module.DockWidgetFactoryBase = types.SimpleNamespace(DockRight=0)
sys.modules["krita"] = module
