"""What a person does first: opens /docs in a browser and creates an item through it."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support import expected_conditions as conditions
from selenium.webdriver.support.ui import WebDriverWait

from infra.emulator.postgres import Server
from infra.project import find_uv
from tests.conftest import Bake
from tests.end_to_end.processes import free_port, running, wait_for

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
SECONDS = 60

pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="Chromium and its driver are not installed"
)


@pytest.fixture
def url(baked: Bake) -> Iterator[str]:
    """A running service's address."""
    service = baked()
    with Server(password="only for this test", durable=False) as database:
        database.create_database("orders")
        settings = {
            "DATABASE__HOST": database.host,
            "DATABASE__PORT": str(database.port),
            "DATABASE__PASSWORD": database.password,
            "PORT": str(free_port()),
        }
        service.passes("alembic", "-c", "db/alembic.ini", "upgrade", "head", **settings)
        address = f"http://127.0.0.1:{settings['PORT']}"
        command = [find_uv(), "run", "app"]
        with running(command, service.folder, {**service.variables, **settings}) as process:
            wait_for(f"{address}/health", process)
            yield address


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[webdriver.Chrome]:
    """A browser that can reach this machine alone."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for argument in (
        "--headless=new",
        "--no-sandbox" if hasattr(os, "geteuid") and os.geteuid() == 0 else "--incognito",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        f"--user-data-dir={tmp_path}",
        "--window-size=1200,1600",
    ):
        options.add_argument(argument)
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


def test_an_item_is_created_through_the_page(url: str, browser: webdriver.Chrome) -> None:
    waiting = WebDriverWait(browser, SECONDS)

    def click(selector: str) -> None:
        """Clicks once it can be clicked."""
        found = conditions.element_to_be_clickable((By.CSS_SELECTOR, selector))
        waiting.until(found).click()

    browser.get(f"{url}/docs")
    post = "#operations-items-create_item_items__post"
    click(f"{post} .opblock-summary-control")
    click(f"{post} .try-out__btn")
    click(f"{post} .execute")
    status = f"{post} .live-responses-table tr.response .response-col_status"
    shown = waiting.until(conditions.visibility_of_element_located((By.CSS_SELECTOR, status)))
    assert shown.text.split()[0] == "201"
    page = httpx.get(f"{url}/items/").json()
    assert page["total"] == 1
