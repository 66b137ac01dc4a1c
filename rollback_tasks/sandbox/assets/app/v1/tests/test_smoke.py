import json
from urllib.request import urlopen


def test_the_application_is_healthy():
    with urlopen("http://localhost:8000/health", timeout=5) as answer:
        assert json.load(answer)["status"] == "ok"
