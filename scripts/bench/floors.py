"""Floors: ratios that were reached once and must not be lost again. They only rise.

floors.json: {"name of a goal": ratio}. They lie well below what is usually measured, since a run on a shared machine
is noisy; what falls below is a regression and no bad day.
"""

import json
import os
import subprocess

from world import ROOT

NAME = "scripts/bench/floors.json"


def _floors():
    with open(os.path.join(ROOT, NAME), encoding="ascii") as file:
        return json.load(file)


def below(rows):
    """What was measured below its floor, as sentences."""
    held = _floors()
    return [f"{row.name}: {row.ratio:.2f} is below its floor {held[row.name]:.2f}" for row in rows
            if row.ratio is not None and held.get(row.name) is not None and row.ratio < held[row.name]]


def lowered():
    """Floors that are lower than those last committed, as sentences. Without git there is nothing to compare with."""
    try:
        done = subprocess.run(["git", "-C", ROOT, "show", f"HEAD:{NAME}"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return []
    if done.returncode != 0:
        return []
    now = _floors()
    return [f"{name}: the floor was lowered from {floor} to {now.get(name)}"
            for name, floor in json.loads(done.stdout).items()
            if floor is not None and (now.get(name) is None or now[name] < floor)]
