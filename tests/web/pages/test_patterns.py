"""The page that shows every component in every state."""

import re

from emailhub.core.delivery import State
from emailhub.core.status import Link
from tests.support.web_hub import WebHub
from tests.web.pages.reading import page, words_of


async def test_every_state_of_a_message_a_relay_and_the_queue_is_shown(hub: WebHub) -> None:
    html = await page(hub, "/patterns")
    text = words_of(html)
    shown = {State.SENT: "✓ sent", State.HELD: "? held"}
    for state in State:
        assert f"A message that is {state}" in text
        assert shown.get(state, str(state)) in text
    for word in ("closed", "open", "probing", "paused", "forced closed"):
        assert word in text, word
    for link in Link:
        assert link.value in text or link in {Link.OFF, Link.CONNECTING, Link.MISSING}, link
    assert len(re.findall(r'class="plot"', html)) == 4


async def test_what_is_shown_there_is_made_up_and_changes_nothing(hub: WebHub) -> None:
    html = await page(hub, "/patterns")
    forms = re.findall(r'<form[^>]*method="post"[^>]*action="([^"]+)"', html)
    assert set(forms) <= {"/theme", "/logout"}
    assert await hub.stored() == 0
