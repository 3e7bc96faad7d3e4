"""The least that a plan can take: Python, what a plan imports, and its dependent round trips.

Arguments: how many round trips, and the address to ask.
"""

import sys

import urllib3

import infra.apply
import infra.plan
import infra.reporter
import infra.stack
import infra.tasks  # noqa: F401

pool = urllib3.PoolManager()
for _ in range(int(sys.argv[1])):
    pool.request("GET", sys.argv[2], headers={"Authorization": "Bearer local"})
