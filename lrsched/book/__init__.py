"""What the pages of the book need beside the lab: editions, records, verdicts, tables, style.

``pip install 'lrsched[book]'``. The rest of the package never imports it.
"""

from .display import quiet, table
from .editions import Plan, edition, plan
from .experiments import experiment, keep, sweep
from .records import record, record_table
from .style import use_style
from .verdicts import Findings, judged, verdict

__all__ = [
    "Findings",
    "Plan",
    "edition",
    "experiment",
    "judged",
    "keep",
    "plan",
    "quiet",
    "record",
    "record_table",
    "sweep",
    "table",
    "use_style",
    "verdict",
]
