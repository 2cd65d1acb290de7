"""The words of the leaflet, in English and in Welsh.

The Welsh is plain and was written with care, not by a translator: **have a translator check it before it is handed to
anybody** (docs/fitting.md). Both tables have the same keys; a test holds them to that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Language = Literal["en", "cy"]


@dataclass(frozen=True, slots=True)
class Words:
    """One language. ``days`` begin with Monday, ``months`` with January; ``said`` are the sentences by name."""

    language: Language
    days: tuple[str, ...]
    months: tuple[str, ...]
    every_day: str
    conjunction: str
    day_prefix: str
    through: str
    """From one day to another."""
    parts_of_day: tuple[str, str, str]
    """Before 12:00, before 18:00, after; put behind the hour."""
    midday: str
    midnight: str
    next_day: str
    addresses: Mapping[str, str]
    said: Mapping[str, str]

    def clock(self, minutes: int) -> str:
        """``19:00 (7pm)``: a civil time, minutes after midnight, so that nobody takes morning for evening."""
        minutes %= 24 * 60
        hour, minute = divmod(minutes, 60)
        plain = f"{hour:02d}:{minute:02d}"
        if minute == 0 and hour in (0, 12):
            return f"{plain} ({self.midday if hour else self.midnight})"
        part = self.parts_of_day[0 if hour < 12 else 1 if hour < 18 else 2]
        twelve = (hour - 1) % 12 + 1
        return f"{plain} ({twelve}{f':{minute:02d}' if minute else ''}{part})"

    def on_days(self, days: Sequence[int]) -> str:
        """``Monday to Friday``, ``Monday, Tuesday and Friday``."""
        if len(set(days)) == 7:
            return self.every_day
        run = sorted(set(days))
        if len(run) > 2 and run[-1] - run[0] == len(run) - 1:
            return self.through.format(self.days[run[0]], self.days[run[-1]])
        names = [self.day_prefix + self.days[day] for day in run]
        told = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {self.conjunction} {names[-1]}"
        return told[:1].upper() + told[1:]

    def date(self, year: int, month: int, day: int) -> str:
        """``22 January 2026``."""
        return f"{day} {self.months[month - 1]} {year}"


ENGLISH = Words(
    language="en",
    days=("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    months=(
        *("January", "February", "March", "April", "May", "June"),
        *("July", "August", "September", "October", "November", "December"),
    ),
    every_day="Every day",
    conjunction="and",
    day_prefix="",
    through="{} to {}",
    parts_of_day=("am", "pm", "pm"),
    midday="midday",
    midnight="midnight",
    next_day="the next day",
    addresses={
        "primary": "at your main address",
        "secondary": "at your second address",
        "tertiary": "at your third address",
        "home": "at home",
    },
    said={
        "title": "Your tag",
        "reference": "Order reference",
        "device": "Number of your tag",
        "does": "What the tag does",
        "does gps_tag": "The tag records where you are, day and night, and sends it to the monitoring centre.",
        "does rf_tag": "The tag and the box in your home tell the monitoring centre when you are at home. They do not "
        "record where you go.",
        "does alcohol_tag": "Every half hour the tag measures alcohol that comes through your skin.",
        "also": "It also tells when the strap or the case is opened, and when the battery is low.",
        "no sound": "It does not record sound or pictures.",
        "charge": "Charging",
        "charge gps_tag": "Charge the tag every day until its light stays on. You can wear it while it charges.",
        "charge alcohol_tag": "Charge the tag every day until its light stays on. You can wear it while it charges.",
        "charge rf_tag": "You do not charge this tag. Leave the box in your home plugged in and switched on. Do not "
        "move it.",
        "strap": "Do not open, cut or stretch the strap.",
        "home": "When you must be at home",
        "hours": "{days}: from {start} until {end}, {where}.",
        "hours anywhere": "{days}: from {start} until {end}.",
        "dates": "This holds from {start} until {end}.",
        "dates from": "This holds from {start}.",
        "dates until": "This holds until {end}.",
        "agreed": "If a time has to change, ask your responsible officer first. A change holds only when they have "
        "told you so.",
        "places": "Places",
        "exclusion": "Area {number}: you must not go there.",
        "inclusion": "Area {number} ({name}): you must be there.",
        "restriction": "Area {number} ({name}): you must not leave it.",
        "attendance": "Appointment ({name}): you must be there on time.",
        "always": "At all times.",
        "at these times": "At these times:",
        "once": "{date}, from {start} until {end}.",
        "map": "The areas are shown on the map of your order. If you have no map, ask your responsible officer.",
        "alcohol": "Alcohol",
        "abstinence": "You must not drink alcohol.",
        "limit": "You must not drink more alcohol than your order allows.",
        "products": "Do not put creams, perfume or liquids with alcohol on the skin near the tag.",
        "withdrawal": "If you feel very ill, shake or sweat after you stop drinking, get medical help at once: call "
        "111, or 999 in an emergency.",
        "recorded": "What is kept, and who sees it",
        "who sees": "Your responsible officer and the staff of the monitoring centre may look at what the tag "
        "records, for your order. The police or a court may ask for it.",
        "looks": "Each time somebody looks at it, that is written down.",
        "ask": "You can ask what is kept about you.",
        "wrong": "If something is wrong",
        "call if": "Call us if:",
        "wrong 1": "the tag hurts, or your skin is sore or swollen",
        "wrong 2": "the tag, the strap or the box is damaged, or does not charge",
        "wrong 3": "you can not be where you must be, because of illness or another good reason",
        "wrong 4": "you are pregnant, or have a pacemaker or another implant, and have not told us",
        "wrong 5": "you are going to move house",
        "emergency": "In a medical emergency call 999 first. The staff of a hospital may take the tag off. Tell us as "
        "soon as you can.",
        "call": "Who to call",
        "phone": "Telephone",
        "open": "Open",
        "by hand": "Your officer writes the number here:",
        "interpreter": "Tell us if you need an interpreter, or this leaflet in another form.",
    },
)

WELSH = Words(
    language="cy",
    days=("Llun", "Mawrth", "Mercher", "Iau", "Gwener", "Sadwrn", "Sul"),
    months=(
        *("Ionawr", "Chwefror", "Mawrth", "Ebrill", "Mai", "Mehefin"),
        *("Gorffennaf", "Awst", "Medi", "Hydref", "Tachwedd", "Rhagfyr"),
    ),
    every_day="Bob dydd",
    conjunction="a",
    day_prefix="dydd ",
    through="Dydd {} i ddydd {}",
    parts_of_day=(" y bore", " y prynhawn", " yr hwyr"),
    midday="canol dydd",
    midnight="hanner nos",
    next_day="drannoeth",
    addresses={
        "primary": "yn eich prif gyfeiriad",
        "secondary": "yn eich ail gyfeiriad",
        "tertiary": "yn eich trydydd cyfeiriad",
        "home": "gartref",
    },
    said={
        "title": "Eich tag",
        "reference": "Cyfeirnod y gorchymyn",
        "device": "Rhif eich tag",
        "does": "Beth mae'r tag yn ei wneud",
        "does gps_tag": "Mae'r tag yn cofnodi ble rydych chi, ddydd a nos, ac yn anfon hynny i'r ganolfan fonitro.",
        "does rf_tag": "Mae'r tag a'r blwch yn eich cartref yn dweud wrth y ganolfan fonitro pryd rydych chi gartref. "
        "Nid ydynt yn cofnodi ble rydych chi'n mynd.",
        "does alcohol_tag": "Bob hanner awr mae'r tag yn mesur alcohol sy'n dod drwy eich croen.",
        "also": "Mae hefyd yn dweud pan fydd y strap neu'r cas yn cael ei agor, a phan fydd y batri'n isel.",
        "no sound": "Nid yw'n recordio sŵn na lluniau.",
        "charge": "Gwefru",
        "charge gps_tag": "Gwefrwch y tag bob dydd nes bod ei olau'n aros ymlaen. Gallwch ei wisgo tra bydd yn gwefru.",
        "charge alcohol_tag": "Gwefrwch y tag bob dydd nes bod ei olau'n aros ymlaen. Gallwch ei wisgo tra bydd yn "
        "gwefru.",
        "charge rf_tag": "Nid ydych chi'n gwefru'r tag hwn. Gadewch y blwch yn eich cartref wedi'i blygio i mewn ac "
        "ymlaen. Peidiwch â'i symud.",
        "strap": "Peidiwch ag agor, torri nac ymestyn y strap.",
        "home": "Pryd mae'n rhaid i chi fod gartref",
        "hours": "{days}: o {start} tan {end}, {where}.",
        "hours anywhere": "{days}: o {start} tan {end}.",
        "dates": "Mae hyn yn gymwys o {start} tan {end}.",
        "dates from": "Mae hyn yn gymwys o {start}.",
        "dates until": "Mae hyn yn gymwys tan {end}.",
        "agreed": "Os oes angen newid amser, gofynnwch i'ch swyddog cyfrifol yn gyntaf. Dim ond pan fydd y swyddog "
        "wedi dweud hynny wrthych y bydd y newid yn gymwys.",
        "places": "Lleoedd",
        "exclusion": "Ardal {number}: ni chewch fynd yno.",
        "inclusion": "Ardal {number} ({name}): rhaid i chi fod yno.",
        "restriction": "Ardal {number} ({name}): ni chewch ei gadael.",
        "attendance": "Apwyntiad ({name}): rhaid i chi fod yno ar amser.",
        "always": "Ar bob adeg.",
        "at these times": "Ar yr adegau hyn:",
        "once": "{date}, o {start} tan {end}.",
        "map": "Mae'r ardaloedd i'w gweld ar fap eich gorchymyn. Os nad oes gennych fap, gofynnwch i'ch swyddog "
        "cyfrifol.",
        "alcohol": "Alcohol",
        "abstinence": "Ni chewch yfed alcohol.",
        "limit": "Ni chewch yfed mwy o alcohol nag y mae eich gorchymyn yn ei ganiatáu.",
        "products": "Peidiwch â rhoi hufen, persawr na hylif ag alcohol ynddo ar y croen ger y tag.",
        "withdrawal": "Os byddwch yn teimlo'n sâl iawn, yn crynu neu'n chwysu ar ôl rhoi'r gorau i yfed, gofynnwch am "
        "gymorth meddygol ar unwaith: ffoniwch 111, neu 999 mewn argyfwng.",
        "recorded": "Beth sy'n cael ei gadw, a phwy sy'n ei weld",
        "who sees": "Caiff eich swyddog cyfrifol a staff y ganolfan fonitro edrych ar yr hyn y mae'r tag yn ei "
        "gofnodi, ar gyfer eich gorchymyn. Gall yr heddlu neu lys ofyn amdano.",
        "looks": "Bob tro y bydd rhywun yn edrych arno, bydd hynny'n cael ei gofnodi.",
        "ask": "Cewch ofyn beth sy'n cael ei gadw amdanoch chi.",
        "wrong": "Os oes rhywbeth o'i le",
        "call if": "Ffoniwch ni:",
        "wrong 1": "os yw'r tag yn brifo, neu os yw eich croen yn ddolurus neu wedi chwyddo",
        "wrong 2": "os yw'r tag, y strap neu'r blwch wedi'i ddifrodi, neu os nad yw'n gwefru",
        "wrong 3": "os na allwch fod lle mae'n rhaid i chi fod, oherwydd salwch neu reswm da arall",
        "wrong 4": "os ydych chi'n feichiog, neu os oes gennych reolydd calon neu fewnblaniad arall, ac nad ydych "
        "chi wedi dweud wrthym",
        "wrong 5": "os ydych chi'n mynd i symud tŷ",
        "emergency": "Mewn argyfwng meddygol ffoniwch 999 yn gyntaf. Caiff staff ysbyty dynnu'r tag. Dywedwch wrthym "
        "cyn gynted ag y gallwch.",
        "call": "Pwy i'w ffonio",
        "phone": "Ffôn",
        "open": "Ar agor",
        "by hand": "Bydd eich swyddog yn ysgrifennu'r rhif yma:",
        "interpreter": "Dywedwch wrthym os oes arnoch angen cyfieithydd, neu'r daflen hon mewn ffurf arall.",
    },
)

LANGUAGES: Mapping[Language, Words] = {"en": ENGLISH, "cy": WELSH}
