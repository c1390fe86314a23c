"""The tests' browser opens pages that run script."""

from playwright.async_api import Page


async def test_a_page_runs_its_script(page: Page) -> None:
    await page.set_content("<title>before</title><script>document.title = 'after'</script>")
    assert await page.title() == "after"
