"""What the pages of the book need beside the lab: editions, records, verdicts, tables, style.

``pip install 'lrsched[book]'``. The rest of the package never imports it.
"""

from .display import quiet, table
from .editions import Plan, SweepPlan, edition, plan
from .records import experiment, keep, planned_sweep, record, record_table
from .style import use_style
from .verdicts import Findings, judged, verdict

__all__ = [
    "Findings",
    "Plan",
    "SweepPlan",
    "edition",
    "experiment",
    "judged",
    "keep",
    "plan",
    "planned_sweep",
    "quiet",
    "record",
    "record_table",
    "table",
    "use_style",
    "verdict",
]
