"""Joining a study: the first worker makes it, and all others must mean the same search."""

import time
from collections.abc import Callable
from contextlib import suppress

import optuna
from optuna.exceptions import DuplicatedStudyError
from optuna.study import Study as OptunaStudy
from optuna.study import StudyDirection
from sqlalchemy.exc import SQLAlchemyError

from .storage import Storage
from .study import SearchError, Study

__all__ = ["Say", "join"]

MAKING = 2.0  # seconds that the maker of a study may take until its settings are there

Say = Callable[[str], object]


def join(study: Study, name: str, storage: Storage, say: Say) -> OptunaStudy:
    """The study in the storage, made there if need be."""
    settings = {**study.settings, "heartbeat": study.heartbeat}
    if name not in optuna.get_all_study_names(storage):
        with suppress(DuplicatedStudyError):  # others make it at this moment
            mine = optuna.create_study(study_name=name, storage=storage)
            mine.set_user_attr("settings", settings)
    shared = optuna.load_study(study_name=name, storage=storage)
    there = f"study {name!r} in this storage"
    if shared.directions != [StudyDirection.MINIMIZE]:
        directions = ", ".join(direction.name for direction in shared.directions)
        raise SearchError(
            f"{there} is to {directions}, and a worker minimises: name another storage"
        )
    begun = time.monotonic()
    while True:
        # In this order: a worker that makes a study has no trials before the settings.
        trials, written = shared.get_trials(deepcopy=False), shared.user_attrs.get("settings")
        if trials or written is not None or time.monotonic() - begun > MAKING:
            break
        time.sleep(0.01)
    if written is None and not trials:  # its maker may have died
        say(f"{there} has neither settings nor trials: it is made this search")
        with suppress(SQLAlchemyError):  # others do the same
            shared.set_user_attr("settings", settings)
    elif not isinstance(written, dict):
        raise SearchError(
            f"{there} was made by plain Optuna, and not by a worker: name another storage"
        )
    elif written != settings:
        different = "; ".join(
            f"{key}: {written.get(key)!r} there, {settings.get(key)!r} here"
            for key in dict.fromkeys([*written, *settings])
            if written.get(key) != settings.get(key)
        )
        raise SearchError(f"{there} has other settings ({different}): name another storage")
    return shared
