"""Renders templates in processes of their own, which can do nothing but that, and end when they exceed their bounds."""

from emailhub.adapters.renderer.bounds import Bounds
from emailhub.adapters.renderer.renderer import ProcessRenderer

__all__ = ["Bounds", "ProcessRenderer"]
