"""The catalogue of claims: each is declared once, and judged from the records alone.

``python -m lrsched.book.claims`` prints them all. Pages show one by :func:`conclude`, draw it by
:func:`draw`, and list all by :func:`overview`; :func:`table` has them as rows. A subject is a
module with a tuple ``CLAIMS``, which :mod:`lrsched.book.claims.catalogue` gathers.
"""

from .base import Cases, Claim
from .catalogue import (
    CLAIMS,
    claim,
    compare_with_page,
    conclude,
    count,
    draw,
    overview,
    table,
)

__all__ = ["CLAIMS", "Cases", "Claim", "claim", "compare_with_page", "conclude", "count", "draw",
           "overview", "table"]  # fmt: skip
