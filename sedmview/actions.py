"""The one table of keys: it feeds the shortcuts, the menus, the help and the log.

Letters and signs are those of the windows this one replaces; `,` `.` and `X` mean one thing while scaling and another
while placing, as they did there, so each action says at which stage it applies. `<` and `>` are shifted keys on many
keyboards: their fine steps, and those of `,` `.` `[` `]`, are with Ctrl; those of letters and arrows with Shift.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sedmd.core.quality import QUALITIES
from sedmview.model import Stage
from sedmview.presenter import Presenter
from sedmview.targets import Filter

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
    repeats : bool
        A key held down does it again and again.
    """

    ident: str
    title: str
    keys: tuple[str, ...]
    stages: tuple[Stage, ...]
    run: Callable[[Presenter], object]
    repeats: bool = False

    @property
    def menu(self) -> str:
        """The menu it stands in."""
        return self.ident.partition(".")[0].capitalize()


def _do(
    ident: str,
    title: str,
    keys: str,
    stages: tuple[Stage, ...],
    run: Callable[[Presenter], object],
    repeats: bool = False,
) -> Action:
    return Action(ident=ident, title=title, keys=tuple(keys.split()), stages=stages, run=run, repeats=repeats)


def _grade(grade: int, meaning: str) -> Action:
    return _do(f"grade.{grade}", f"{grade} {meaning}", str(grade), BOTH, lambda p: p.saving.grade(grade))


def _jump(number: int) -> Action:
    title = "to the object of this number" if number == 1 else f"to object {number}"
    # digits alone are grades
    return _do(f"aperture.object-{number}", title, f"Alt+{number}", BOTH, lambda p: p.placing.jump(number))


ACTIONS: tuple[Action, ...] = (
    _do("scale.widen", "wider scale", ">", BOTH, lambda p: p.looking.rescale("widen", 1.25), True),
    _do("scale.narrow", "narrower scale", "<", BOTH, lambda p: p.looking.rescale("widen", 0.8), True),
    _do("scale.widen-fine", "a little wider", "Ctrl+>", BOTH, lambda p: p.looking.rescale("widen", 1.05), True),
    _do("scale.narrow-fine", "a little narrower", "Ctrl+<", BOTH, lambda p: p.looking.rescale("widen", 1 / 1.05), True),
    _do("scale.raise", "raise the dark end", ".", SCALE, lambda p: p.looking.rescale("low", 1), True),
    _do("scale.lower", "lower the dark end", ",", SCALE, lambda p: p.looking.rescale("low", -1), True),
    _do("scale.raise-fine", "raise it a little", "Ctrl+.", SCALE, lambda p: p.looking.rescale("low", 0.2), True),
    _do("scale.lower-fine", "lower it a little", "Ctrl+,", SCALE, lambda p: p.looking.rescale("low", -0.2), True),
    _do("scale.accept", "accept the scale", "X", SCALE, lambda p: p.looking.accept_scale()),
    _do("scale.default", "default scale", "Q", SCALE, lambda p: p.looking.default_scale()),
    _do("scale.again", "back to scaling", "Esc", PLACE, lambda p: p.looking.back_to_scale()),
    _do("scale.limits", "next automatic limits", "A", BOTH, lambda p: p.looking.next_limits()),
    _do("scale.stretch", "next stretch", "T", BOTH, lambda p: p.looking.next_stretch()),
    _do("scale.colours", "next colours", "M", BOTH, lambda p: p.looking.next_colours()),
    _do("scale.invert", "invert the colours", "I", BOTH, lambda p: p.looking.invert()),
    _do("picture.window", "next wavelength range", "W", BOTH, lambda p: p.looking.next_window()),
    _do("picture.redder", "range to the red", "Ctrl+Right", BOTH, lambda p: p.looking.shift_window(0.5), True),
    _do("picture.bluer", "range to the blue", "Ctrl+Left", BOTH, lambda p: p.looking.shift_window(-0.5), True),
    _do("picture.sky", "sky strip on or off", "K", BOTH, lambda p: p.looking.toggle_sky_curve()),
    _do("picture.residual", "data minus model, or data", "D", BOTH, lambda p: p.looking.toggle_residual()),
    _do("picture.pointer", "spectrum under the pointer", "H", BOTH, lambda p: p.looking.toggle_pointer_spectrum()),
    _do("picture.lines", "next line markers", "L", BOTH, lambda p: p.looking.next_lines()),
    _do("picture.smoothing", "next smoothing of the spectrum", "B", BOTH, lambda p: p.drawing.next_smoothing()),
    _do("picture.contours", "contours on or off", "G", BOTH, lambda p: p.drawing.toggle_contours()),
    _do("picture.beside", "saved before; best template", "V", BOTH, lambda p: p.drawing.next_beside()),
    _do("picture.finder", "finder chart large or small", "E", BOTH, lambda p: p.drawing.toggle_finder()),
    _do("picture.range", "whole field, usual range; all", "Home", BOTH, lambda p: p.drawing.whole_range()),
    _do("picture.compare", "spectrum from a file, or none", "O", BOTH, lambda p: p.spectra.toggle_comparison()),
    _do("aperture.suggestion", "take the suggestion", "S", BOTH, lambda p: p.placing.accept_suggestion()),
    *(_jump(number) for number in range(1, 5)),
    _do("aperture.smaller", "smaller", "Z", PLACE, lambda p: p.placing.resize(-0.2), True),
    _do("aperture.larger", "larger", "X", PLACE, lambda p: p.placing.resize(0.2), True),
    _do("aperture.smaller-fine", "a little smaller", "Shift+Z", PLACE, lambda p: p.placing.resize(-0.05), True),
    _do("aperture.larger-fine", "a little larger", "Shift+X", PLACE, lambda p: p.placing.resize(0.05), True),
    _do("aperture.flatter", "flatter", "[", PLACE, lambda p: p.placing.reshape(-0.1), True),
    _do("aperture.rounder", "rounder", "]", PLACE, lambda p: p.placing.reshape(0.1), True),
    _do("aperture.flatter-fine", "a little flatter", "Ctrl+[", PLACE, lambda p: p.placing.reshape(-0.02), True),
    _do("aperture.rounder-fine", "a little rounder", "Ctrl+]", PLACE, lambda p: p.placing.reshape(0.02), True),
    _do("aperture.left", "turn counter-clockwise", ",", PLACE, lambda p: p.placing.turn(10), True),
    _do("aperture.right", "turn clockwise", ".", PLACE, lambda p: p.placing.turn(-10), True),
    _do("aperture.left-fine", "turn a little ccw", "Ctrl+,", PLACE, lambda p: p.placing.turn(1), True),
    _do("aperture.right-fine", "turn a little cw", "Ctrl+.", PLACE, lambda p: p.placing.turn(-1), True),
    _do("aperture.east", "0.1 arcsec East", "Left", PLACE, lambda p: p.placing.nudge(0.1, 0), True),
    _do("aperture.west", "0.1 arcsec West", "Right", PLACE, lambda p: p.placing.nudge(-0.1, 0), True),
    _do("aperture.north", "0.1 arcsec North", "Up", PLACE, lambda p: p.placing.nudge(0, 0.1), True),
    _do("aperture.south", "0.1 arcsec South", "Down", PLACE, lambda p: p.placing.nudge(0, -0.1), True),
    _do("aperture.east-fine", "0.02 arcsec East", "Shift+Left", PLACE, lambda p: p.placing.nudge(0.02, 0), True),
    _do("aperture.west-fine", "0.02 arcsec West", "Shift+Right", PLACE, lambda p: p.placing.nudge(-0.02, 0), True),
    _do("aperture.north-fine", "0.02 arcsec North", "Shift+Up", PLACE, lambda p: p.placing.nudge(0, 0.02), True),
    _do("aperture.south-fine", "0.02 arcsec South", "Shift+Down", PLACE, lambda p: p.placing.nudge(0, -0.02), True),
    _do("aperture.swap", "other aperture, A or B", "Tab", PLACE, lambda p: p.placing.swap()),
    _do("aperture.centre", "centre on the object", "C", PLACE, lambda p: p.placing.centre()),
    _do("aperture.sky", "sky subtraction on or off", "Y", PLACE, lambda p: p.placing.toggle_sky()),
    _do("aperture.point", "point source or extended", "P", PLACE, lambda p: p.placing.toggle_point_source()),
    _do("aperture.fit", "PSF and host fit, or aperture", "F", PLACE, lambda p: p.placing.toggle_fit()),
    *(_grade(grade, meaning) for grade, meaning in QUALITIES.items()),
    _do("grade.no-object", "no target visible", "N", BOTH, lambda p: p.saving.no_object()),
    _do("target.confirm", "save; then next target", "Return Enter", BOTH, lambda p: p.saving.confirm()),
    _do("target.save", "save", "Ctrl+S", BOTH, lambda p: p.saving.save()),
    _do("target.redo", "redo a saved target", "R", BOTH, lambda p: p.saving.redo_target()),
    _do("target.partial", "use half of a pair alone", "Shift+P", BOTH, lambda p: p.saving.use_partial()),
    _do("target.next", "next target", "PgDown", BOTH, lambda p: p.opening.step(1)),
    _do("target.previous", "previous target", "PgUp", BOTH, lambda p: p.opening.step(-1)),
    _do("target.reload", "read it from disk again", "F5", BOTH, lambda p: p.opening.reopen()),
    _do("look.position", "copy RA and Dec, degrees", "Ctrl+C", BOTH, lambda p: p.elsewhere.copy_degrees()),
    _do("look.sexagesimal", "copy RA and Dec, hh:mm:ss", "Ctrl+Shift+C", BOTH, lambda p: p.elsewhere.copy_hours()),
    _do("look.page", "open the saved page (PDF)", "Ctrl+O", BOTH, lambda p: p.elsewhere.open_page()),
    _do("look.night", "open the night's web page", "Ctrl+P", BOTH, lambda p: p.elsewhere.open_night()),
    _do("look.cutout", "open a survey's picture", "Ctrl+L", BOTH, lambda p: p.elsewhere.open_cutout()),
    _do("look.marshal", "open the marshal's page", "Ctrl+M", BOTH, lambda p: p.elsewhere.open_marshal()),
    _do("list.all", "all targets", "F2", BOTH, lambda p: p.listing.set_filter(Filter.ALL)),
    _do(
        "list.science", "science: all targets, no standards", "F3", BOTH, lambda p: p.opening.go_through(Filter.SCIENCE)
    ),
    _do("list.other", "other: targets not of ZTF", "F4", BOTH, lambda p: p.opening.go_through(Filter.OTHER)),
    _do("list.find", "find a target by its name", "/ Ctrl+F", BOTH, lambda p: p.desk.view.changed("find")),
    _do("list.redo", "redo: what is saved already", "F6", BOTH, lambda p: p.listing.set_filter(Filter.REDO)),
    _do("edit.undo", "undo", "U Ctrl+Z", BOTH, lambda p: p.history.undo(), True),
    _do("edit.redo", "redo what was undone", "Ctrl+Y Ctrl+Shift+Z", BOTH, lambda p: p.history.redo(), True),
    _do("help.keys", "all keys", "? F1", BOTH, lambda p: p.looking.toggle_help()),
)


def keys() -> list[str]:
    """Every key of the table once."""
    return list(dict.fromkeys(key for action in ACTIONS for key in action.keys))


def action_for(key: str, stage: Stage) -> Action | None:
    """What a key does at a stage."""
    return next((action for action in ACTIONS if key in action.keys and stage in action.stages), None)


def repeats(key: str) -> bool:
    """Does a key held down do its action again? Only if it may at every stage at which it means something."""
    return all(action.repeats for action in ACTIONS if key in action.keys)


def press(presenter: Presenter, key: str) -> Action | None:
    """Do what a key stands for now; returns what was done."""
    action = action_for(key, presenter.state.stage)
    if action is not None:
        action.run(presenter)
    return action


def help_text() -> list[tuple[str, list[tuple[str, str]]]]:
    """Groups of (keys, title) for the help overlay; fine steps have a line of their own."""
    groups = (("Scaling", SCALE), ("Placing", PLACE), ("Always", BOTH))
    return [
        (
            name,
            [
                ("  ".join(action.keys), action.title)
                for action in ACTIONS
                if action.stages == stages and not action.ident.endswith("-fine")
            ],
        )
        for name, stages in groups
    ]
