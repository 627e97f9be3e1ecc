"""From a fresh clone to a built workspace: ``python3 -m tools.bootstrap``.

Standard library only, because it runs before anything is installed.
"""
