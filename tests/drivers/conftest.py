"""A native driver, as this machine lets it be."""

from tests.contract.native import driver, open_root, rig, start_and_die

__all__ = ["driver", "open_root", "rig", "start_and_die"]
