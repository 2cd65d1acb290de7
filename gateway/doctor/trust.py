"""What the doctor concludes about what trust rests on: certificates, devices' keys, and who may read them."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.doctor.facts import DAY_MS, EXPIRES_PROBLEM_DAYS, EXPIRES_WARNING_DAYS, KEY_WAITS_DAYS, Facts
from gateway.findings import Finding


def certificates(facts: Facts) -> list[Finding]:
    """Will tags still be let in tomorrow, and do they find the name that they dial?"""
    found: list[Finding] = []
    why = "When it has expired no tag can connect any more."
    for one in facts.certificates:
        if one.problem:
            found.append(
                Finding(
                    "certificates",
                    "problem",
                    f"the certificate {one.name} can not be used: {one.problem}",
                    why,
                    "Restore the folder `authority` from the backup. Do not delete it: every tag trusts it alone.",
                )
            )
            continue
        if one.expires_ms is None:
            continue
        days = (one.expires_ms - facts.clock.now_ms) // DAY_MS
        if days < EXPIRES_WARNING_DAYS:
            told = f"ends in {days} days" if days >= 0 else f"ended {-days} days ago"
            found.append(
                Finding(
                    "certificates",
                    "problem" if days < EXPIRES_PROBLEM_DAYS else "warning",
                    f"the certificate {one.name} {told}",
                    why,
                    "Begin with `tagwatch keys rotate-authority` (docs/identities.md)."
                    if one.name.startswith("ca")
                    else "Restart the gateway: it makes anew what ends within a year.",
                )
            )
        else:
            found.append(Finding("certificates", "good", f"the certificate {one.name} lasts {days} days"))
        missing = [name for name in one.wanted if name not in one.names]
        if missing:
            found.append(
                Finding(
                    "certificates",
                    "warning",
                    f"the certificate {one.name} does not stand for {', '.join(missing)}",
                    "Tags check the name that they dial.",
                    "Restart the gateway: it makes the certificate anew when server_names have changed.",
                )
            )
    if not facts.certificates:
        found.append(
            Finding(
                "certificates",
                "note",
                "there are none yet",
                "They are made at the first start.",
                "Start the gateway.",
            )
        )
    held = facts.store
    if held is not None and held.devices_expired:
        found.append(
            Finding(
                "certificates",
                "problem",
                f"the certificates of {held.devices_expired} devices have ended",
                "They can not connect any more.",
                "`tagwatch device renew ID`, and provision them at the next visit (docs/identities.md).",
            )
        )
    if held is not None and held.devices_expiring:
        found.append(
            Finding(
                "certificates",
                "warning",
                f"the certificates of {held.devices_expiring} devices end within {EXPIRES_WARNING_DAYS} days",
                "They can not connect from then on.",
                "`tagwatch device renew ID`, and provision them before that (docs/identities.md).",
            )
        )
    if held is not None and held.keys_waiting:
        found.append(
            Finding(
                "certificates",
                "warning",
                f"{held.keys_waiting} devices have not changed to the key that was made for them "
                f"{KEY_WAITS_DAYS} days ago or earlier",
                "Until they have, the old key is believed, too.",
                "`tagwatch device keys` names them: charge them where the gateway hears them, or use the console.",
            )
        )
    if held is not None and held.to_swap:
        found.append(
            Finding(
                "devices",
                "warning",
                f"{held.to_swap} devices in quarantine are in use",
                "Their wearers are monitored by what may be faulty; what they say counts until they are swapped.",
                "`tagwatch device list --state quarantined` names them, `tagwatch order tasks` the visits to make.",
            )
        )
    if any(one.name == "ca.next" for one in facts.certificates):
        found.append(
            Finding(
                "certificates",
                "note",
                "the authority is being changed: two are trusted",
                "Who has the old one's key could still pretend to be the broker to a device that was not renewed.",
                "Renew every device, then `tagwatch keys rotate-authority --finish` (docs/identities.md).",
            )
        )
    return found


def secrets(facts: Facts) -> list[Finding]:
    """Can others on this box read keys and people's data; can the gateway?"""
    found = []
    open_ones = [one for one in facts.secrets if one.mode & 0o077]
    if open_ones:
        found.append(
            Finding(
                "files",
                "problem",
                f"others on this machine may read {_some([one.path for one in open_ones])}",
                "They hold keys and people's movements.",
                "chmod go-rwx " + " ".join(one.path for one in open_ones[:5]),
            )
        )
    owner = facts.folder_owner
    foreign = [one for one in facts.secrets if owner is not None and one.owner != owner]
    if foreign:
        found.append(
            Finding(
                "files",
                "problem",
                f"not of the data folder's owner: {_some([one.path for one in foreign])}",
                "The gateway runs as that owner, and may not be able to use them.",
                "Run commands as the gateway's user (`sudo -u tagwatch tagwatch …`); chown what is there to it.",
            )
        )
    if owner is not None and facts.user not in (0, owner):
        found.append(
            Finding(
                "files",
                "warning",
                "this command runs as another user than the gateway",
                "What this user may not see it could not check.",
                "sudo -u tagwatch tagwatch doctor",
            )
        )
    if facts.secrets and not found:
        found.append(Finding("files", "good", f"{len(facts.secrets)} secret files are their owner's alone"))
    return found


def keys(facts: Facts) -> list[Finding]:
    """Do keys lie open that nobody needs any more?"""
    if not facts.provisioning:
        return [Finding("keys", "good", "no device's key lies open")]
    return [
        Finding(
            "keys",
            "note",
            f"the keys of {facts.provisioning} devices lie open in the devices folder",
            "They are there for provisioning; the gateway does not need them.",
            "tagwatch device provisioned ID, when a device has got them.",
        )
    ]


def _some(names: Sequence[str]) -> str:
    few = ", ".join(names[:5])
    return few if len(names) <= 5 else f"{few} and {len(names) - 5} more"
