"""A rehearsal: the deployed commit serves in a throwaway cloud, and this tree is released over it.

    baseline ─► load, locks, traffic: what happens meanwhile ─► facts ─► findings ─► report

What is here looks on and judges; the commands that are rehearsed are the tasks' own, called by
infra/tasks/rehearsing.py. Nothing here prints, or knows that the cloud is an emulator.
"""
