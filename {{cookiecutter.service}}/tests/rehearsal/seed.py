"""What `invoke rehearse` puts into the deployed service before it releases
this tree over it: the more like production, the more a rehearsal tells.

Run with the service's own Python. SERVICE_URL is where it answers, and the
settings lead to its database. A line that it prints and that begins with a
slash is a path that is called during the release.
"""{% if cookiecutter.__entity %}

import os

import httpx

PATH = "/{{ cookiecutter.__entity_path }}/"
COUNT = 20


def main() -> None:
    """Adds some, and has each of them read."""
    with httpx.Client(base_url=os.environ["SERVICE_URL"], timeout=60) as client:
        for number in range(COUNT):
            answer = client.post(PATH, json={"name": f"Rehearsed {number}"})
            answer.raise_for_status()
            print(PATH + answer.json()["data"]["id"])


if __name__ == "__main__":
    main()
{%- endif %}
