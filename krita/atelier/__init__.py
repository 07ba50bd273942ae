"""Atelier's extension for Krita: paints with a studio's own GPUs."""

from krita import DockWidgetFactory, DockWidgetFactoryBase, Krita

from .docker import Docker

Krita.instance().addDockWidgetFactory(DockWidgetFactory("atelier", DockWidgetFactoryBase.DockRight, Docker))
