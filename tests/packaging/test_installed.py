"""What is handed out works by itself: the wheel in a fresh environment, the single file with nothing at all."""

import subprocess
import sys
from pathlib import Path

import pytest

import emailhub
from tests.packaging.hub import send_and_follow, serving
from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.nightly, pytest.mark.timeout(900)]


def _run(*command: str | Path, folder: Path) -> str:
    """What `command` prints with an empty environment in `folder`."""
    done = subprocess.run(command, cwd=folder, env={}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    folder = tmp_path / "empty"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment far from the checkout that holds the wheel and what the lock names; its folder."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    install = [folder / "venv/bin/python", "-m", "pip", "-qq", "install"]
    subprocess.run([*install, "--require-hashes", "-r", ROOT / "requirements.lock"], check=True, cwd=folder)
    subprocess.run([*install, "--no-index", "--no-deps", wheel], check=True, cwd=folder)
    return folder / "venv"


def test_the_wheel_alone_serves(installed: Path, empty: Path) -> None:
    where = _run(installed / "bin/python", "-c", "import emailhub; print(emailhub.__file__)", folder=empty)
    assert where.startswith(str(installed))
    port = free_port()
    with serving([installed / "bin/emailhub", "serve", "--port", str(port)], port, empty, {}) as client:
        send_and_follow(client)


@pytest.fixture(scope="module")
def binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The single executable, moved away from the checkout."""
    done = subprocess.run(["make", "binary"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    place = tmp_path_factory.mktemp("binary") / "emailhub"
    place.write_bytes((ROOT / "dist/emailhub").read_bytes())
    place.chmod(0o755)
    return place


def test_the_single_file_serves_from_an_empty_folder_with_an_empty_environment(binary: Path, empty: Path) -> None:
    port = free_port()
    with serving([binary, "serve", "--port", str(port)], port, empty, {}) as client:
        send_and_follow(client)
    assert (empty / "emailhub.db").exists()


def test_the_single_file_renders_templates_in_a_process_of_its_own(binary: Path, empty: Path) -> None:
    folder = empty / "templates/welcome"
    folder.mkdir(parents=True)
    (folder / "subject.txt").write_text("Welcome, {{ name }}")
    (folder / "body.html").write_text("<style>p { color: red }</style><p>Hello {{ name }}</p>")
    port, env = free_port(), {"EMAILHUB_TEMPLATES": "templates"}
    with serving([binary, "serve", "--port", str(port)], port, empty, env) as client:
        use = {"id": "welcome", "variables": {"name": "<Ada>"}}
        answer = client.post("/emails", json={"to": "ada@example.org", "template": use})
        assert answer.status_code == 200, answer.text
        made = client.get(f"/emails/{answer.json()['id']}").json()
    assert (made["subject"], made["template"]["id"]) == ("Welcome, <Ada>", "welcome")
    assert '<p style="color: red' in made["html"]
    assert "Hello &lt;Ada&gt;" in made["html"]


def test_the_single_file_knows_its_version_and_explains_itself(binary: Path, empty: Path) -> None:
    assert emailhub.__version__ in _run(binary, "--version", folder=empty)
    assert "serve" in _run(binary, "--help", folder=empty)
