"""The independent check: a plan is recomputed from its schedule with numpy, without the model, before it is used."""

from gridopt.verify.check import Finding, verify
from gridopt.verify.ledger import Ledger, Line, bill
from gridopt.verify.replay import Trace, replay

__all__ = ["Finding", "Ledger", "Line", "Trace", "bill", "replay", "verify"]
