"""The one table of keys: it feeds the shortcuts, the menu, the help and the log.

Letters and signs are those of the windows this one replaces; `,` `.` and `x` mean one thing while scaling and another
while placing, as they did there, so each action says at which stage it applies.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sedmview.model import GRADES, Stage
from sedmview.presenter import Presenter

BOTH = (Stage.SCALE, Stage.PLACE)
SCALE = (Stage.SCALE,)
PLACE = (Stage.PLACE,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """Something the observer can do.

    Attributes
    ----------
    ident : str
        Stable name, for the log.
    title : str
        What it does, for menu and help.
    keys : tuple of str
        As Qt writes key sequences.
    stages : tuple of Stage
        When it applies.
    run : callable
    """

    ident: str
    title: str
    keys: tuple[str, ...]
    stages: tuple[Stage, ...]
    run: Callable[[Presenter], None]


ACTIONS: tuple[Action, ...] = (
    Action(ident="scale.widen", title="wider scale", keys=(">",), stages=BOTH, run=lambda p: p.rescale("widen", 1.25)),
    Action(
        ident="scale.narrow", title="narrower scale", keys=("<",), stages=BOTH, run=lambda p: p.rescale("widen", 0.8)
    ),
    Action(
        ident="scale.raise", title="raise the dark end", keys=(".",), stages=SCALE, run=lambda p: p.rescale("low", 1)
    ),
    Action(
        ident="scale.lower", title="lower the dark end", keys=(",",), stages=SCALE, run=lambda p: p.rescale("low", -1)
    ),
    Action(ident="scale.accept", title="accept the scale", keys=("X",), stages=SCALE, run=Presenter.accept_scale),
    Action(ident="scale.default", title="default scale", keys=("Q",), stages=SCALE, run=Presenter.default_scale),
    Action(ident="scale.again", title="back to scaling", keys=("Esc",), stages=PLACE, run=Presenter.back_to_scale),
    Action(ident="target.none", title="no object visible", keys=("N",), stages=BOTH, run=Presenter.no_object),
    Action(ident="aperture.smaller", title="smaller", keys=("Z",), stages=PLACE, run=lambda p: p.resize(-0.2)),
    Action(ident="aperture.larger", title="larger", keys=("X",), stages=PLACE, run=lambda p: p.resize(0.2)),
    Action(ident="aperture.flatter", title="flatter", keys=("[",), stages=PLACE, run=lambda p: p.reshape(-0.1)),
    Action(ident="aperture.rounder", title="rounder", keys=("]",), stages=PLACE, run=lambda p: p.reshape(0.1)),
    Action(ident="aperture.left", title="turn counter-clockwise", keys=(",",), stages=PLACE, run=lambda p: p.turn(10)),
    Action(ident="aperture.right", title="turn clockwise", keys=(".",), stages=PLACE, run=lambda p: p.turn(-10)),
    Action(ident="aperture.centre", title="centre on the object", keys=("C",), stages=PLACE, run=Presenter.centre),
    Action(ident="aperture.sky", title="sky on or off", keys=("Y",), stages=PLACE, run=Presenter.toggle_sky),
    Action(
        ident="aperture.point",
        title="point source or extended",
        keys=("P",),
        stages=PLACE,
        run=Presenter.toggle_point_source,
    ),
    Action(ident="aperture.swap", title="other aperture (A or B)", keys=("Tab",), stages=PLACE, run=Presenter.swap),
    Action(ident="nudge.east", title="0.1 arcsec East", keys=("Left",), stages=PLACE, run=lambda p: p.nudge(0.1, 0)),
    Action(ident="nudge.west", title="0.1 arcsec West", keys=("Right",), stages=PLACE, run=lambda p: p.nudge(-0.1, 0)),
    Action(ident="nudge.north", title="0.1 arcsec North", keys=("Up",), stages=PLACE, run=lambda p: p.nudge(0, 0.1)),
    Action(ident="nudge.south", title="0.1 arcsec South", keys=("Down",), stages=PLACE, run=lambda p: p.nudge(0, -0.1)),
    *(
        Action(
            ident=f"grade.{grade}",
            title=f"{grade} {meaning}",
            keys=(str(grade),),
            stages=PLACE,
            run=lambda p, grade=grade: p.grade(grade),  # type: ignore[misc]
        )
        for grade, meaning in GRADES.items()
    ),
    Action(ident="target.save", title="save", keys=("Ctrl+S",), stages=PLACE, run=Presenter.save),
    Action(ident="edit.undo", title="undo", keys=("U", "Ctrl+Z"), stages=BOTH, run=Presenter.undo),
    Action(ident="edit.redo", title="redo", keys=("Ctrl+Shift+Z",), stages=BOTH, run=Presenter.redo),
    Action(ident="picture.window", title="next wavelength range", keys=("W",), stages=BOTH, run=Presenter.next_window),
    Action(ident="target.next", title="next target", keys=("PgDown",), stages=BOTH, run=lambda p: p.step(1)),
    Action(ident="target.previous", title="previous target", keys=("PgUp",), stages=BOTH, run=lambda p: p.step(-1)),
    Action(ident="help", title="this help", keys=("?", "F1"), stages=BOTH, run=Presenter.toggle_help),
)


def keys() -> list[str]:
    """Every key of the table once."""
    return list(dict.fromkeys(key for action in ACTIONS for key in action.keys))


def action_for(key: str, stage: Stage) -> Action | None:
    """What a key does at a stage."""
    return next((action for action in ACTIONS if key in action.keys and stage in action.stages), None)


def press(presenter: Presenter, key: str) -> Action | None:
    """Do what a key stands for now; returns what was done."""
    action = action_for(key, presenter.stage)
    if action is not None:
        action.run(presenter)
    return action


def help_text() -> list[tuple[str, list[tuple[str, str]]]]:
    """Groups of (keys, title) for the help overlay."""
    groups = (("Scaling", SCALE), ("Placing and grading", PLACE), ("Always", BOTH))
    return [
        (name, [("  ".join(action.keys), action.title) for action in ACTIONS if action.stages == stages])
        for name, stages in groups
    ]
