"""What the pages of the book need beside the lab: editions, records, verdicts, tables, style.

``pip install 'lrsched[book]'``. The rest of the package never imports it.
"""

from .display import described, overview, quiet, show, spread, table
from .editions import Plan, SweepPlan, edition, plan
from .records import experiment, keep, planned_sweep, record, record_table
from .style import use_style
from .verdicts import Findings, decide, judged, together, verdict

__all__ = [
    "Findings",
    "Plan",
    "SweepPlan",
    "decide",
    "described",
    "edition",
    "experiment",
    "judged",
    "keep",
    "overview",
    "plan",
    "planned_sweep",
    "quiet",
    "record",
    "record_table",
    "show",
    "spread",
    "table",
    "together",
    "use_style",
    "verdict",
]
