"""SkyPortal, the marshal (Fritz is one): its REST API as published at https://skyportal.io/docs/api.html.

A spectrum is asked for before it is posted, by the checksum in its ``altdata``: a connection that was cut after the
server took it, or a ledger that was lost, leads to no second one.
"""

from __future__ import annotations

import base64
import json
import re
import time
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sedmd.after.deliver.backend import Closed, Receipt, Refused, TryLater
from sedmd.after.deliver.http import NoAnswer, ask
from sedmd.after.deliver.outgoing import Outgoing
from sedmd.after.deliver.secret import Secret
from sedmd.core.config import ALL_GROUPS
from sedmd.host.foreign_file import plain, product_bytes

#: Key of the checksum in `altdata`.
CHECKSUM = "sedmd_sha256"
#: Name under which the classification is kept with the spectrum.
ORIGIN = "sedm:SNID"
#: SkyPortal's name of our unit.
UNITS = "erg/s/cm/cm/AA"
#: Answers after which the same request may succeed; 405 is what Fritz gives while it restarts.
PASSING = (405, 408, 425, 429, 500, 502, 503, 504)
#: All requests of a delivery together may take so many times the limit of one.
DELIVERY = 4.0
#: A follow-up request in one of these states (first word) is not what the spectrum was taken for.
WITHDRAWN = ("deleted", "rejected", "failed", "expired")


class _Conflict(Refused):
    """The server says that it is there already."""


@dataclass(frozen=True, slots=True)
class _FollowUp:
    number: int | None
    status: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SkyPortal:
    """A SkyPortal server.

    Parameters
    ----------
    url : str
        Without a slash at the end.
    token : Secret
        Of a user with the permissions Upload data, Annotate and Comment.
    instrument_id : int
    group_ids, observed_by, reduced_by : tuple of int
    request_from : "source", "header" or "none"
    timeout_s : float
    clock : callable
    """

    url: str
    token: Secret
    instrument_id: int
    clock: Callable[[], datetime]
    group_ids: tuple[int | str, ...] = ()
    observed_by: tuple[int, ...] = ()
    reduced_by: tuple[int, ...] = ()
    request_from: str = "source"
    timeout_s: float = 30.0
    _until: list[float] = field(default_factory=list, repr=False)

    @property
    def name(self) -> str:
        """Kind and place."""
        return f"skyportal {self.url}"

    def send(self, spectrum: Outgoing) -> Receipt:
        """The spectrum, then the status of its follow-up request, its classification and its plot; each once."""
        self._until[:] = [time.monotonic() + DELIVERY * self.timeout_s]
        there = self._find(spectrum)
        follow_up = self._follow_up(spectrum)
        notes = [follow_up.note] if follow_up.note else []
        if there is None:
            there = self._post(spectrum, follow_up)
        number = there["id"]
        steps: tuple[tuple[str, Callable[[], str]], ...] = (
            ("status", lambda: self._status(spectrum, follow_up)),
            ("classification", lambda: self._annotate(spectrum, number, _tables(there.get("annotations")))),
            ("plot", lambda: self._attach(spectrum, number, _tables(there.get("comments")))),
        )
        for what, step in steps:
            try:
                if done := step():
                    notes.append(done)
            except Refused as error:  # the spectrum is there, which is what counts
                notes.append(f"{what} REFUSED: {error}")
            except TryLater as error:
                raise TryLater(
                    f"spectrum {number} is uploaded, its {what} not yet: {error}", after_s=error.after_s
                ) from None
        link = f"{self.url}/source/{urllib.parse.quote(spectrum.target, safe='')}"
        return Receipt(number=f"spectrum {number}", link=link, notes=tuple(notes))

    def withdraw(self, content: str, receipt: str) -> str:
        """Delete the spectrum whose number the receipt tells, if it is the one that was sent."""
        named = re.match(r"spectrum (\d{1,18})\b", receipt)
        if named is None:
            raise Refused(f"the receipt {receipt[:80]!r} has no number; delete the spectrum on {self.url}")
        path = f"/api/spectrum/{named[1]}"
        try:
            there = self._ask("GET", path)
        except Refused as error:
            if str(error).startswith(("400", "404")):  # an id that it does not have: SkyPortal answers 400 or 404
                return f"spectrum {named[1]} no longer existed"
            raise
        known = there.get("altdata") if isinstance(there, dict) else None
        if not isinstance(known, dict) or known.get(CHECKSUM) != content:
            raise Refused(f"spectrum {named[1]} is not the one that was sent; nothing was deleted")
        self._ask("DELETE", path)
        return f"spectrum {named[1]} deleted"

    def preview(self, spectrum: Outgoing, *, full: bool) -> list[str]:
        """The requests of `send`, with the token hidden; numbers and the plot shortened unless `full`."""
        follow_up = _FollowUp(spectrum.req_id or None) if self.request_from == "header" else _FollowUp(None)
        requests: list[tuple[str, str, Any]] = [
            ("GET", self._spectra(spectrum), None),
            *([("GET", self._requests(spectrum), None)] if self.request_from == "source" else []),
            ("POST", "/api/spectrum", self.payload(spectrum, follow_up.number)),
        ]
        if self.request_from != "none":
            number: Any = follow_up.number or "as found"
            requests.append(("POST", "/api/facility", self._status_payload(spectrum, number)))
        if spectrum.classification:
            requests.append(("POST", "/api/spectra/NEW/annotations", self._annotation(spectrum)))
        if spectrum.page.is_file():
            requests.append(("POST", "/api/spectra/NEW/comments", self._comment(spectrum)))
        lines = []
        for method, path, body in requests:
            lines.append(f"{method} {self.url}{path}   Authorization: token {self.token}")
            if body is not None:
                lines.append(f"  {json.dumps(body if full else _shortened(body))}")
        return lines

    def payload(self, spectrum: Outgoing, request: int | None) -> dict[str, Any]:
        """The body of ``POST /api/spectrum`` (SpectrumPost)."""
        body: dict[str, Any] = {
            "obj_id": spectrum.target,
            "instrument_id": self.instrument_id,
            "observed_at": spectrum.observed_at,
            "wavelengths": list(spectrum.wavelength),
            "fluxes": list(spectrum.flux),
            "errors": list(spectrum.error),
            "units": UNITS,
            "origin": "sedmd",
            "type": "source",
            "group_ids": self._groups(),
            "observed_by": list(self.observed_by),
            "reduced_by": list(self.reduced_by),
            "altdata": {
                CHECKSUM: spectrum.content,
                "filename": spectrum.ascii.name,
                "night": spectrum.night,
                "quality": spectrum.quality,
                "reducer": spectrum.reducer,
                "wavelengths": "air",
                **spectrum.facts,
            },
        }
        if self.reduced_by and spectrum.reducer:  # the server takes a name only together with a user
            body["external_reducer"] = spectrum.reducer
        if request is not None:
            body["followup_request_id"] = request
        return body

    def _spectra(self, spectrum: Outgoing) -> str:
        return f"/api/sources/{urllib.parse.quote(spectrum.target, safe='')}/spectra"

    def _requests(self, spectrum: Outgoing) -> str:
        query = {"sourceID": spectrum.target, "instrumentID": self.instrument_id, "numPerPage": 100}
        return f"/api/followup_request?{urllib.parse.urlencode(query)}"

    def _find(self, spectrum: Outgoing) -> dict[str, Any] | None:
        """The spectrum as the server has it, by its checksum."""
        try:
            data = self._ask("GET", self._spectra(spectrum))
        except Refused as error:
            msg = (
                f"the server does not show source {spectrum.target!r} ({error}); save it there and let the token's "
                f"user see it, then: sedmd upload {spectrum.night} --again"
            )
            raise Refused(msg) from None
        spectra = data.get("spectra") if isinstance(data, dict) else None
        if not isinstance(spectra, list):
            raise TryLater("the server's list of spectra is none; expected an object with 'spectra'")
        for one in spectra:
            known = one.get("altdata") if isinstance(one, dict) and _is_number(one.get("id")) else None
            if isinstance(known, dict) and known.get(CHECKSUM) == spectrum.content:
                return dict(one)
        return None

    def _post(self, spectrum: Outgoing, follow_up: _FollowUp) -> dict[str, Any]:
        try:
            data = self._ask("POST", "/api/spectrum", self.payload(spectrum, follow_up.number))
        except _Conflict as error:
            if (there := self._find(spectrum)) is None:
                raise Refused(str(error)) from None
            return there
        if not isinstance(data, dict) or not _is_number(data.get("id")):
            raise TryLater("the server accepted the spectrum but returned no number; it will be queried")
        return {"id": data["id"]}

    def _follow_up(self, spectrum: Outgoing) -> _FollowUp:
        """The request that the spectrum was taken for: the newest open one of the source for this instrument."""
        if self.request_from == "none":
            return _FollowUp(None)
        if self.request_from == "header":
            number = spectrum.req_id or None
            return _FollowUp(number, note="" if number else "no follow-up request (REQ_ID is 0)")
        try:
            data = self._ask("GET", self._requests(spectrum))
        except Refused as error:
            return _FollowUp(None, note=f"follow-up request not found: {error}")
        listed = data.get("followup_requests") if isinstance(data, dict) else None
        found = [
            _FollowUp(one["id"], str(one.get("status") or ""))
            for one in (listed if isinstance(listed, list) else [])
            # sourceID matches parts of names too
            if isinstance(one, dict) and one.get("obj_id") == spectrum.target and _is_number(one.get("id"))
        ]
        alive = [one for one in found if not one.status.lower().startswith(WITHDRAWN)]
        if not alive:
            return _FollowUp(None, note="no follow-up request of this source")
        return max(alive, key=lambda one: (not one.status.lower().startswith("completed"), one.number or 0))

    def _status_payload(self, spectrum: Outgoing, number: Any) -> dict[str, Any]:
        how = "Manually" if spectrum.by_observer else "Automatically"
        return {"followup_request_id": number, "new_status": f"Completed {how} {self.clock():%Y-%m-%d %H:%M:%S}"}

    def _status(self, spectrum: Outgoing, follow_up: _FollowUp) -> str:
        if follow_up.number is None:
            return ""
        if not follow_up.status.lower().startswith("completed"):
            self._ask("POST", "/api/facility", self._status_payload(spectrum, follow_up.number))
        return f"request {follow_up.number} completed"

    def _annotation(self, spectrum: Outgoing) -> dict[str, Any]:
        return self._shared({"origin": ORIGIN, "data": dict(spectrum.classification)})

    def _annotate(self, spectrum: Outgoing, number: int, there: list[dict[str, Any]]) -> str:
        if not spectrum.classification:
            return ""
        mine = [one for one in there if one.get("origin") == ORIGIN and _is_number(one.get("id"))]
        if not mine:
            self._ask("POST", f"/api/spectra/{number}/annotations", self._annotation(spectrum))
        elif mine[0].get("data") != dict(spectrum.classification):  # one annotation of a name: it is brought up to date
            body = {"data": dict(spectrum.classification)}
            self._ask("PUT", f"/api/spectra/{number}/annotations/{mine[0]['id']}", body)
        return "classification"

    def _comment(self, spectrum: Outgoing) -> dict[str, Any]:
        body = base64.b64encode(product_bytes(spectrum.page)).decode()
        text = f"{spectrum.page.name} (quality {spectrum.quality}, {spectrum.reducer or 'sedmd'})"
        return self._shared({"text": text, "attachment": {"name": spectrum.page.name, "body": body}})

    def _attach(self, spectrum: Outgoing, number: int, there: list[dict[str, Any]]) -> str:
        if not spectrum.page.is_file():
            return "no plot"
        if not any(one.get("attachment_name") == spectrum.page.name for one in there):
            try:
                comment = self._comment(spectrum)
            except OSError as error:
                return f"plot cannot be read ({error.strerror or error})"
            self._ask("POST", f"/api/spectra/{number}/comments", comment)
        return "plot"

    def _shared(self, body: dict[str, Any]) -> dict[str, Any]:
        # who may see everything need not be named: without groups it is for all that the token's user is in
        shared = self.group_ids and self.group_ids != ALL_GROUPS
        return {**body, **({"group_ids": list(self.group_ids)} if shared else {})}

    def _groups(self) -> Any:
        """Who may see it: numbers, or "all" for everybody."""
        return "all" if self.group_ids == ALL_GROUPS else list(self.group_ids)

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The ``data`` of an answer that says success.

        Raises
        ------
        TryLater, Refused, Closed
        """
        headers = {"Authorization": f"token {self.token.text}", "Accept": "application/json", "User-Agent": "sedmd"}
        left_s = min([self.timeout_s, *(until - time.monotonic() for until in self._until)])
        if left_s <= 0:
            raise TryLater(f"{self.url}: not done after {DELIVERY * self.timeout_s:g} s in all")
        try:
            answer = ask(method, self.url + path, headers=headers, body=body, timeout_s=left_s)
        except NoAnswer as error:
            raise TryLater(self.token.hide(f"{self.url}: {error}")) from None
        given = answer.json()
        message = str(given.get("message") or "")[:2000] if isinstance(given, dict) else ""
        said = plain(self.token.hide(" ".join(f"{answer.status} {message}".split())[:300]))
        if answer.status in PASSING:
            raise TryLater(f"{self.url} answered {said}", after_s=answer.wait_s(self.clock()))
        if answer.status == 401:
            raise Closed(f"{self.url} does not accept the token ({said}); create a new one there and replace it")
        if 300 <= answer.status < 400:
            where = plain(self.token.hide(answer.headers.get("location", "elsewhere")[:300]))
            raise Closed(f"{self.url} has moved to {where} ({answer.status}); correct [upload] url")
        if answer.status == 404 and message == "":
            raise Closed(
                f"{self.url}{path.partition('?')[0]} is not a SkyPortal ({answer.status}); correct [upload] url"
            )
        if answer.status == 403:
            raise Refused(f"{said}; give the token's user the right (Upload data, Annotate, Comment, the groups)")
        if answer.status == 409:
            raise _Conflict(said)
        if answer.status >= 400:
            raise Refused(said)
        if not isinstance(given, dict) or given.get("status") not in ("success", "error"):
            raise TryLater(f"{self.url} answered {answer.status} without SkyPortal's JSON; is a proxy in between?")
        if given["status"] == "error":
            raise Refused(said)
        return given.get("data")


def _is_number(value: Any) -> bool:
    """What a server numbers its things with."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**63


def _tables(value: Any) -> list[dict[str, Any]]:
    """Those of a server's list that are what they should be; none where it is no list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _shortened(value: Any) -> Any:
    """The same with long lists and texts cut."""
    if isinstance(value, dict):
        return {key: _shortened(one) for key, one in value.items()}
    if isinstance(value, list) and len(value) > 8:
        return [value[0], f"... {len(value) - 2} more ...", value[-1]]
    if isinstance(value, str) and len(value) > 120:
        return f"{value[:40]}... ({len(value)} characters)"
    return value
