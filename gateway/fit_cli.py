"""`tagwatch fit`: the fitting visit at the command line, for an officer with a cable, or for a program."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.status import Status
from typer.core import TyperGroup

from gateway import officer_cli
from gateway.command_line import DataDir, Refused, logged_in, opened, settings_of

if TYPE_CHECKING:
    from gateway.fitting import Asked, Fitted, Stop
    from gateway.fitting.context import Purpose
    from gateway.simulated import Simulated

STOPPED = 1
"""Exit code of a visit that can not go on, or not yet; what it says on standard error is what to do next."""
ENDED_AT_THE_DOOR = 3
"""Exit code of a visit that is over and at which nothing was done: no answer, refused, unsafe, rebook."""
UNFINISHED = 4
"""Exit code of a visit that has done all it can, and waits for a connection or a first reading."""

WORDS = ("check", "remove", "swap")
"""What a visit can be for, beside a fitting."""

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on standard output, and no questions.")]


VISIT = "visit"


class _OrderOrCommand(TyperGroup):
    """`tagwatch fit ORDER …` is `tagwatch fit visit ORDER …`: what is no command is an order."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, *ctx.help_option_names):
            args = [VISIT, *args]
        return super().parse_args(ctx, args)


def register(app: typer.Typer) -> None:
    """Add the command, and those for officers away from the gateway, to ``app``."""
    group = typer.Typer(
        cls=_OrderOrCommand,
        no_args_is_help=True,
        help="Fit a tag: `tagwatch fit ORDER`; what may be said with it tells `tagwatch fit visit --help`.",
    )
    group.command(VISIT)(fit)
    officer_cli.register(group)
    app.add_typer(group, name="fit")


def fit(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[check|remove|swap] ORDER",
            help="The order of the wearer; before it what the visit is for, where it is no fitting.",
        ),
    ],
    device: Annotated[
        str | None, typer.Option(help="The number on the tag's case; needed where the tag is new.")
    ] = None,
    unit: Annotated[
        str | None, typer.Option(help="The number on the home unit's case; needed where it is new.")
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(help="At which address of the order the home unit stands, where it has several."),
    ] = None,
    port: Annotated[
        list[str] | None, typer.Option(help="Look at this serial port only; may be said more than once.")
    ] = None,
    room: Annotated[
        list[str] | None,
        typer.Option(help="A room from which the home unit is to hear the tag; said once for each."),
    ] = None,
    settings_file: Annotated[
        Path | None, typer.Option("--settings", help="JSON that came with the device, as its calibration.")
    ] = None,
    simulated: Annotated[
        str | None, typer.Option(help="No hardware: gps, rf (with its home unit) or alcohol.")
    ] = None,
    check: Annotated[
        bool,
        typer.Option("--check", help="Not a fitting: see that what the wearer has on is well, and pass it."),
    ] = False,
    remove: Annotated[
        bool, typer.Option("--remove", help="Take off what the wearer has on, and end its activation.")
    ] = False,
    swap: Annotated[
        bool,
        typer.Option("--swap", help="Another tag takes the place of what the wearer has on, in one visit."),
    ] = False,
    lost: Annotated[
        bool,
        typer.Option("--lost", help="With --remove or --swap: the tag that goes is gone, or silent."),
    ] = False,
    old: Annotated[
        str | None, typer.Option(help="With --swap: the number of the tag that goes, where several are worn.")
    ] = None,
    answers_file: Annotated[
        Path | None,
        typer.Option("--answers", help="JSON with answers to the questions at the door (docs/fitting.md)."),
    ] = None,
    answer: Annotated[
        list[str] | None,
        typer.Option(help="One of them, NAME=WORD, as skin=no; said once for each."),
    ] = None,
    outcome: Annotated[
        str | None,
        typer.Option(help="The visit ends at the door: no_answer, refused, unsafe or rebook."),
    ] = None,
    note: Annotated[
        str | None, typer.Option(help="With --outcome: what happened, in few words and without names.")
    ] = None,
    leaflet: Annotated[
        str,
        typer.Option(
            help="The wearer's leaflet in en, cy (Welsh) or both; left out: in the order's language."
        ),
    ] = "",
    pdf: Annotated[bool, typer.Option("--pdf/--no-pdf", help="Draw the papers as PDF, too.")] = True,
    by: Annotated[
        str | None, typer.Option("--by", help="The officer's name; left out: who is logged in.")
    ] = None,
    gateway: Annotated[
        str | None,
        typer.Option(help="The gateway's address (https://…); left out: where `tagwatch fit login` was."),
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option(
            help="No connection here: the enrolment bundle that was fetched (`tagwatch fit bundle`)."
        ),
    ] = None,
    at_source: Annotated[
        bool,
        typer.Option("--at-source", help="In a prison before the release: monitoring begins at the release."),
    ] = False,
    release: Annotated[
        str | None,
        typer.Option(
            help="With --at-source: when, as 2026-11-25T09:00+00:00; left out: the start of the order."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only look: say what would be done, and change nothing.")
    ] = False,
    no_input: Annotated[
        bool, typer.Option("--no-input", help="Ask nothing: stop, and say what to give.")
    ] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Fit the tag that is plugged in to the wearer of an order. Type it again where it stopped: it goes on."""
    from gateway.fitting import Asked, Stop
    from gateway.fitting.answers import OUTCOMES
    from gateway.fitting.papers import CHOICES
    from gateway.simulated import KINDS

    if simulated is not None and KINDS.get(simulated) not in ("gps_tag", "rf_tag", "alcohol_tag"):
        raise typer.BadParameter(f"{simulated!r} is none of gps, rf and alcohol")
    if leaflet not in ("", *CHOICES):
        raise typer.BadParameter(f"--leaflet {leaflet!r} is none of {', '.join(CHOICES)}")
    word, order = _word_and_order(words)
    asked_for: dict[Purpose, bool] = {
        "check": check or word == "check",
        "remove": remove or word == "remove",
        "swap": swap or word == "swap",
    }
    purposes = [one for one, is_meant in asked_for.items() if is_meant]
    if (
        len(purposes) > 1
        or (lost and purposes not in (["remove"], ["swap"]))
        or (old and purposes != ["swap"])
    ):
        raise typer.BadParameter(
            "give one of --check, --remove and --swap, --lost only with --remove or --swap, --old only with --swap"
        )
    if (at_source and purposes) or (release and not at_source):
        raise typer.BadParameter("--at-source is for a fitting, and --release for --at-source")
    released_ms = officer_cli.instant_ms(release)
    quiet = as_json or no_input or not sys.stdin.isatty()
    try:
        extra: dict[str, Any] = json.loads(settings_file.read_text("utf-8")) if settings_file else {}
    except (OSError, ValueError) as error:
        raise Refused(f"{settings_file} can not be used ({error}): name the file again") from None
    teller = _teller(as_json)
    given = _answers(answers_file, answer or [], outcome, note)
    with _behind_a_port(simulated, data_dir) as standing:
        asked = Asked(
            order_id=order,
            by=by or "",
            device=device or (f"sim{simulated}"[:12] + "01" if simulated else None),
            unit=unit or ("simunit01" if simulated == "rf" else None),
            address=address,
            ports=standing.ports if standing else tuple(port or ()),
            extra=extra | dict(standing.extra if standing else {}),
            rooms=tuple(room or ()),
            ask=None if quiet else teller.ask,
            answers=given,
            leaflet=leaflet,
            pdf=pdf,
            dry_run=dry_run,
            at_source=at_source,
            release_ms=released_ms,
            lost=lost,
            old=old,
        )
        try:
            done = _run(asked, teller, data_dir, gateway, bundle, purposes[0] if purposes else "fit")
        except Stop as stop:
            teller.stopped(stop)
            raise typer.Exit(STOPPED) from None
        except KeyboardInterrupt:
            teller.end()
            typer.secho("stopped: type the same command again, and it goes on where it was", err=True)
            raise typer.Exit(130) from None
    teller.finished(done)
    if done.outcome == officer_cli.NOT_FINISHED:
        raise typer.Exit(UNFINISHED)
    if done.outcome in OUTCOMES:
        raise typer.Exit(ENDED_AT_THE_DOOR)


def _word_and_order(words: list[str]) -> tuple[str, str]:
    """``ORDER``, or ``remove ORDER``. An order that is itself called so is meant where the word stands alone."""
    if len(words) == 1:
        return "", words[0]
    if len(words) == 2 and words[0] in WORDS:
        return words[0], words[1]
    raise typer.BadParameter(
        f"{' '.join(words)!r}: give one order, and before it {', '.join(WORDS)} or nothing"
    )


def _answers(
    file: Path | None, one_by_one: list[str], outcome: str | None, note: str | None
) -> dict[str, str]:
    """What was answered beforehand; where that can not be used the command ends."""
    from gateway.fitting import answers
    from gateway.fitting.answers import ARRIVAL, NOTE, OUTCOMES, AnswersError

    said: list[tuple[str, object]] = []
    try:
        if file is not None:
            said += answers.from_file(file).items()
        for one in one_by_one:
            name, equals, word = one.partition("=")
            if not equals:
                raise AnswersError(f"{one!r} is no answer: write NAME=WORD")
            said.append((name, word))
        if outcome is not None and outcome not in OUTCOMES:
            raise AnswersError(f"{outcome!r} is none of {', '.join(OUTCOMES)}")
        said += [(name, word) for name, word in ((ARRIVAL, outcome), (NOTE, note)) if word is not None]
        return answers.checked(said)
    except AnswersError as error:
        raise typer.BadParameter(str(error)) from None


def _run(
    asked: Asked,
    teller: Teller,
    data_dir: Path | None,
    gateway: str | None,
    bundle: Path | None,
    purpose: Purpose,
) -> Fitted:
    from gateway.fitting import Stop, fit, visit
    from gateway.seal import SealError

    folder = settings_of(data_dir).data_dir
    if bundle is not None:
        opened_bundle = officer_cli.bundle_desk(folder, bundle)
        named = replace(asked, by=asked.by or opened_bundle.bundle.said["full_name"])
        return visit(opened_bundle, folder, named, teller, purpose)
    if officer_cli.is_officers(folder, gateway):
        with officer_cli.remote_desk(folder, gateway) as desk:
            named = replace(asked, by=asked.by or desk.officer.full_name)
            return visit(desk, folder, named, teller, purpose)
    asked = replace(asked, by=asked.by or logged_in(""))
    with opened(data_dir) as (settings, store):
        try:
            return fit(settings, store, asked, teller, purpose)
        except SealError as error:
            raise Stop(str(error), "call the gateway's operator") from None


@contextlib.contextmanager
def _behind_a_port(kind: str | None, data_dir: Path | None) -> Iterator[Simulated | None]:
    from gateway.simulated import starters

    if kind is None:
        yield None
        return
    if not starters:
        raise Refused("there is no simulator here: install the extra 'sim' (pip install 'tagwatch[sim]')")
    with starters[0](kind, settings_of(data_dir).data_dir / "simulated") as standing:
        yield standing


class Teller:
    """Shows a visit: live on a terminal, line by line elsewhere, not at all for a program."""

    def __init__(self, *, silent: bool, console: Console) -> None:
        self._silent = silent
        self._console = console
        self._status: Status | None = None
        self._doing = ""
        self._step = ""
        self._said = ""

    def begun(self, step: str, doing: str) -> None:
        """A step begins."""
        self._step, self._doing, self._said = step, doing, ""
        if self._silent:
            return
        if self._console.is_terminal:
            self.end()
            self._status = self._console.status(doing)
            self._status.start()

    def says(self, text: str) -> None:
        """How it fares; elsewhere than on a terminal only what is new but for the seconds."""
        if self._status is not None:
            self._status.update(f"{self._doing}: {text}")
        elif not self._silent:
            kept = text.rpartition(", ")[0] if text.endswith("s left") else text
            if kept != self._said:
                self._said = kept
                self._console.print(f"  … {self._doing}: {kept}", highlight=False, markup=False)

    def done(self, step: str, verdict: str, *, good: bool) -> None:
        """A step is over."""
        self.end()
        if not self._silent:
            mark, style = ("✓", "green") if good else ("!", "yellow")
            self._console.print(
                f"{mark} {self._doing}: {verdict}", style=style, highlight=False, markup=False
            )

    def ask(self, question: str) -> str:
        """Put a question to who sits here."""
        self.end()
        return self._console.input(f"{question}: ", markup=False)

    def end(self) -> None:
        """What moves on the terminal stands still."""
        if self._status is not None:
            self._status.stop()
            self._status = None

    def stopped(self, stop: Stop) -> None:
        """The visit can not go on."""
        from gateway.fitting.door import NotAsked

        self.end()
        if self._silent:
            typer.echo(
                json.dumps(
                    {"outcome": "stopped", "step": self._step, "problem": stop.fact, "next": stop.remedy}
                    | ({"missing": stop.missing} if isinstance(stop, NotAsked) else {})
                )
            )
        typer.secho(f"tagwatch: {stop}", err=True, fg=typer.colors.RED)

    def finished(self, done: Fitted) -> None:
        """The visit is over."""
        from gateway.fitting.answers import OUTCOMES

        if self._silent:
            typer.echo(
                json.dumps(
                    {
                        "outcome": done.outcome,
                        "visit": done.visit or None,
                        "device": done.device or None,
                        "activation": done.activation,
                        "resumed": done.resumed,
                        "folder": str(done.folder) if done.folder else None,
                        "steps": done.steps,
                    }
                )
            )
        elif done.outcome in OUTCOMES:
            self._console.print(
                f"The visit is over: {done.outcome.replace('_', ' ')}. Nothing was done; a task waits for the "
                f"practitioner. The record lies in {done.folder}",
                highlight=False,
                markup=False,
                soft_wrap=True,
            )
        elif done.outcome == officer_cli.NOT_FINISHED:
            self._console.print(
                officer_cli.unfinished_words(done),
                highlight=False,
                markup=False,
                soft_wrap=True,
            )
        elif done.activation is None:
            self._console.print("Nothing was changed: this was a dry run.")
        else:
            self._console.print(
                f"{done.device} is {done.outcome}: activation {done.activation}. The record lies in {done.folder}",
                highlight=False,
                markup=False,
                soft_wrap=True,
            )


def _teller(silent: bool) -> Teller:
    return Teller(silent=silent, console=Console())
