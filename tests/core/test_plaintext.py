"""What is left of an HTML document when nothing but text is shown."""

from __future__ import annotations

import time

import pytest

from emailhub.core.plaintext import from_html


@pytest.mark.parametrize(
    ("html", "text"),
    (
        ("<p>Hello <b>Ada</b></p><p>Bye</p>", "Hello Ada\n\nBye\n"),
        ("one<br>two<br/><br>three", "one\ntwo\n\nthree\n"),
        ("<div>a<div>b</div></div>c", "a\nb\nc\n"),
        ("<ul><li>One</li>\n <li>Two</li></ul>", "- One\n- Two\n"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\nc\n"),
        ("<h1> Much \n\t space </h1>", "Much space\n"),
        ("<title>no</title><style>p{}</style><script>x<y</script>yes<!-- <p>no -->", "yes\n"),
        ('<a href="https://x.test/?a=1&amp;b=2">see</a>', "see (https://x.test/?a=1&b=2)\n"),
        ("<a href=https://x.test>https://x.test</a> <a href='https://y.test'>y.test</a>", "https://x.test y.test\n"),
        ('<a href="mailto:a@x.test">Ada</a> <a href="#top">up</a>', "Ada (a@x.test) up\n"),
        ('<a href="https://x.test"><img src=x alt="Our logo"></a>', "Our logo (https://x.test)\n"),
        ('<a href="https://x.test"><img src=x></a>', "https://x.test\n"),
        ("1 < 2 &amp; &lt;b&gt; <3 &eacute;&#8364;", "1 < 2 & <b> <3 é€\n"),
        ("&#" + "1" * 5000 + ";", "&#" + "1" * 5000 + ";\n"),
        ("", ""),
        ("<p> </p><!-- never closed", ""),
        ("plain", "plain\n"),
    ),
)
def test_a_reader_of_the_text_sees_what_a_reader_of_the_html_sees(html: str, text: str) -> None:
    assert from_html(html) == text


@pytest.mark.parametrize(
    "piece",
    ("<a", "<", "<!--", "<p>", "<a href='", "<a href='x'>y", "<a>", "</a>", "<br>", "&", "<a href>", '<img alt="'),
)
def test_a_document_twice_as_long_takes_about_twice_as_long(piece: str) -> None:
    def seconds(size: int) -> float:
        document = piece * (size // len(piece))
        started = time.process_time()
        from_html(document)
        return time.process_time() - started

    assert seconds(320_000) < 30 * max(seconds(40_000), 0.001)
