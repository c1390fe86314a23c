"""Two people at a page who have less than others: a keyboard and no mouse, or a mouse and no script."""

from __future__ import annotations

import re
from typing import Protocol

from playwright.async_api import Locator, Page, expect

_MOST_TABS = 300


class Hands(Protocol):
    """What a person does to a page. Each waits until it can."""

    page: Page

    async def press(self, name: str, within: str = "") -> None:
        """The button, link or menu whose words are `name`, in the first element that `within` (CSS) finds."""

    async def fill(self, field: str, text: str) -> None:
        """Write into the field that CSS finds."""

    async def choose(self, field: str, value: str) -> None:
        """The option with this value."""

    async def tick(self, field: str) -> None:
        """Tick the box or radio button that CSS finds."""


def _pressable(page: Page, name: str, within: str) -> Locator:
    root = page.locator(within or "body").first
    words = re.compile(rf"^\s*{re.escape(name)}\s*$")
    return root.locator("button, a, summary").filter(has_text=words).filter(visible=True).first


class Keyboard:
    """Tab, Enter, space, arrows and letters."""

    def __init__(self, page: Page) -> None:
        self.page = page

    async def press(self, name: str, within: str = "") -> None:
        await self._reach(_pressable(self.page, name, within))
        await self.page.keyboard.press("Enter")

    async def fill(self, field: str, text: str) -> None:
        await self._reach(self.page.locator(field).first)
        await self.page.keyboard.press("Control+a")
        await self.page.keyboard.type(text)

    async def choose(self, field: str, value: str) -> None:
        chosen = self.page.locator(field).first
        await self._reach(chosen)
        await self.page.keyboard.press("Home")
        for _ in range(await chosen.locator("option").count()):
            if await chosen.input_value() == value:
                return
            await self.page.keyboard.press("ArrowDown")
        raise AssertionError(f"{field} has no option {value}")

    async def tick(self, field: str) -> None:
        box = self.page.locator(field).first
        if await box.get_attribute("type") == "checkbox":
            await self._reach(box)
            await self.page.keyboard.press("Space")
            return
        await self._reach(self.page.locator(f"[name='{await box.get_attribute('name')}']:checked"))
        while not await box.is_checked():
            await self.page.keyboard.press("ArrowDown")

    async def _reach(self, wanted: Locator) -> None:
        """Press Tab until it has the focus, and see that this can be seen."""
        await expect(wanted).to_be_visible()
        for _ in range(_MOST_TABS):
            if await wanted.evaluate("el => el === document.activeElement"):
                assert await wanted.evaluate(
                    "el => getComputedStyle(el).outlineStyle !== 'none' || getComputedStyle(el).boxShadow !== 'none'"
                ), f"nobody sees that {wanted} has the focus"
                return
            await self.page.keyboard.press("Tab")
        raise AssertionError(f"not reached with {_MOST_TABS} tabs: {wanted}")


class Mouse:
    """Clicks and letters; for a page without script."""

    def __init__(self, page: Page) -> None:
        self.page = page

    async def press(self, name: str, within: str = "") -> None:
        await _pressable(self.page, name, within).click()

    async def fill(self, field: str, text: str) -> None:
        await self.page.locator(field).first.fill(text)

    async def choose(self, field: str, value: str) -> None:
        await self.page.locator(field).first.select_option(value)

    async def tick(self, field: str) -> None:
        await self.page.locator(field).first.check()
