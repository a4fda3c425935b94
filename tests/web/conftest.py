"""A simulated service, a mount of the real program with its web page, and a real Chromium."""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time
import urllib.request

import pytest
from playwright.sync_api import sync_playwright

BINARY = os.environ.get("CLMSFS_TEST_BINARY", "target/debug/clmsfs")
SCREENSHOTS = pathlib.Path(os.environ.get("CLMSFS_WEB_SCREENSHOTS", "target/web-screenshots"))
# Only ever used up by a failure.
PATIENCE = 60

QUICK = "queued = '200ms'\nrunning = '300ms'\nraster_size = 1200\n"


def until(what, look):
    """Looks again and again until there is something."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"{what}: not within {PATIENCE} s")


class World:
    """The service and the mount."""

    def __init__(self, folder):
        self.folder = folder
        self.point = folder / "clms"
        self.point.mkdir()
        keep = {name: value for name, value in os.environ.items() if not name.startswith(("CLMSFS_", "XDG_"))}
        self.environment = keep | {"HOME": str(folder)}
        scenario = folder / "scenario.toml"
        scenario.write_text(QUICK)
        self.simulator = self._start(
            "simulate", "--listen", "127.0.0.1:0", "--key-out", folder / "key.json", "--scenario", scenario
        )
        self.api = json.loads(self.simulator.stdout.readline())["api"]
        self.mount = self._start(
            "mount", self.point, "--api-url", self.api, "--credentials", folder / "key.json",
            "--cache-dir", folder / "cache", "--cache-size", "200MB", "--free-space-floor", "16MB",
            "--poll-min", "50ms", "--poll-max", "200ms", "--web-listen", "127.0.0.1:0",
        )  # fmt: skip
        assert self.mount.stdout.readline() == f"mounted {self.point}\n", self.log("mount")
        self.link = json.loads(self.run("web", "--json"))["link"]
        self.address = self.link.split("/?")[0]
        until("the catalogue", lambda: json.loads(self.run("status", "--json"))["datasets"] > 10)

    def _start(self, verb, *arguments):
        errors = open(self.folder / f"{verb}.log", "w")
        return subprocess.Popen(
            [BINARY, verb, *map(str, arguments)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True, env=self.environment,
        )  # fmt: skip

    def log(self, verb):
        return (self.folder / f"{verb}.log").read_text()

    def run(self, *arguments):
        """A verb that talks to the mount."""
        command = [BINARY, *arguments, "--mount", str(self.point)]
        return subprocess.run(command, check=True, text=True, capture_output=True, env=self.environment).stdout

    def order(self, product):
        """Begins a fetch and does not wait for it."""
        command = [BINARY, "fetch", "--no-wait", product, "--mount", str(self.point)]
        code = subprocess.run(command, capture_output=True, env=self.environment).returncode
        assert code == 3, f"exit code {code} does not mean 'not ready yet'"

    def scenario(self, text):
        """Changes how the service behaves from now on."""
        address = self.api.removesuffix("/api") + "/_simulator/scenario"
        urllib.request.urlopen(urllib.request.Request(address, text.encode(), method="PUT")).close()

    def state(self, product):
        return os.getxattr(self.point / product, "user.clmsfs.state").decode()

    def product(self, path):
        """The address of a product's page."""
        return f"{self.address}/datasets/{path}"

    def end(self):
        self.mount.terminate()
        code = self.mount.wait(PATIENCE)
        self.simulator.terminate()
        self.simulator.wait(PATIENCE)
        assert code == 0 and "panicked" not in self.log("mount"), self.log("mount")
        assert str(self.point) not in pathlib.Path("/proc/self/mounts").read_text()
        # the secret of the page outlives a mount, so that browsers need no new link; of this one nobody will ask again
        secret = self.link.split("token=")[1]
        for folder in (pathlib.Path("/run/clmsfs"), pathlib.Path(tempfile.gettempdir(), f"clmsfs-{os.geteuid()}")):
            for file in folder.glob("*.web-token"):
                if file.read_text() == secret:
                    file.unlink()


@pytest.fixture(scope="session")
def world():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="clmsfs-web-"))
    world = None
    try:
        world = World(folder)
        yield world
    finally:
        if world:
            world.end()
        else:
            subprocess.run(["fusermount3", "-uzq", str(folder / "clms")], check=False)
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def chromium():
    with sync_playwright() as playwright:
        # Chromium's own sandbox needs another user than root
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def visit(world, chromium):
    """Opens windows that were let in by the link; whatever any of them complains about is a failure."""
    contexts, complaints = [], []

    def complain(message):
        # that a page is missing is what one of the tests wants
        wanted = "no-such-page" in message.location.get("url", "")
        if message.type in ("error", "warning") and not wanted:
            complaints.append(message.text)

    def open_window(script=True, width=1280, height=900, scheme="light"):
        context = chromium.new_context(
            java_script_enabled=script, viewport={"width": width, "height": height}, color_scheme=scheme,
            reduced_motion="reduce",
        )  # fmt: skip
        contexts.append(context)
        context.set_default_timeout(PATIENCE * 1000)
        context.set_default_navigation_timeout(PATIENCE * 1000)
        page = context.new_page()
        page.on("console", complain)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: request.url.startswith(world.address) or complaints.append(request.url))
        page.goto(world.link)
        assert page.url == world.address + "/", "the secret does not stay in the address"
        return page

    yield open_window
    for context in contexts:
        context.close()
    assert not complaints, complaints
