"""What the pages of the book need beside the lab: editions, records, verdicts, tables, style.

``pip install 'lrsched[book]'``. The rest of the package never imports it.
"""

from .display import described, overview, quiet, show, spread, table
from .editions import Plan, edition, plan
from .experiments import experiment, keep, sweep
from .records import record, record_table
from .style import use_style
from .trials import TRIALS, trial
from .verdicts import Findings, decide, judged, together, verdict

__all__ = [
    "TRIALS",
    "Findings",
    "Plan",
    "decide",
    "described",
    "edition",
    "experiment",
    "judged",
    "keep",
    "overview",
    "plan",
    "quiet",
    "record",
    "record_table",
    "show",
    "spread",
    "sweep",
    "table",
    "together",
    "trial",
    "use_style",
    "verdict",
]
