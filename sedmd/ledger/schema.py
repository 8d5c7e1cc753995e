"""The tables of the ledger, as numbered steps: each brings a ledger of the version before it to the next one."""

from __future__ import annotations

#: (what the step does, SQL). A step that was released is never edited; a change is a new step at the end.
MIGRATIONS = (
    (
        "1: frames, jobs, products, events",
        """
        CREATE TABLE frame (
            path TEXT PRIMARY KEY, night TEXT NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL,
            size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, arrived TEXT NOT NULL,
            rules TEXT NOT NULL, checksum TEXT NOT NULL, body TEXT
        );
        CREATE INDEX frame_checksum ON frame (checksum);
        CREATE INDEX frame_night ON frame (night);
        CREATE TABLE job (
            key TEXT PRIMARY KEY, night TEXT NOT NULL, step TEXT NOT NULL, label TEXT NOT NULL, state TEXT NOT NULL,
            reason TEXT NOT NULL DEFAULT '', detail TEXT NOT NULL DEFAULT '', tries INTEGER NOT NULL DEFAULT 0,
            not_before TEXT, started TEXT, ended TEXT, seconds REAL, figures TEXT NOT NULL DEFAULT '{}',
            warnings TEXT NOT NULL DEFAULT '[]'
        );
        CREATE INDEX job_night ON job (night);
        CREATE TABLE product (
            path TEXT PRIMARY KEY, night TEXT NOT NULL, name TEXT NOT NULL, job TEXT NOT NULL, role TEXT NOT NULL,
            sha256 TEXT NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, made TEXT NOT NULL
        );
        CREATE INDEX product_night ON product (night);
        CREATE TABLE event (
            id INTEGER PRIMARY KEY, time TEXT NOT NULL, night TEXT NOT NULL, subject TEXT NOT NULL, text TEXT NOT NULL
        );
        CREATE INDEX event_subject ON event (subject);
        """,
    ),
    (
        "2: the versions of the steps, so that status need not load them",
        "CREATE TABLE step (name TEXT PRIMARY KEY, version TEXT NOT NULL);",
    ),
    (
        "3: leases and inputs of jobs, raw directories, operators' requests and marks",
        """
        ALTER TABLE job ADD COLUMN owner TEXT NOT NULL DEFAULT '';
        ALTER TABLE job ADD COLUMN lease_until TEXT;
        ALTER TABLE job ADD COLUMN inputs TEXT NOT NULL DEFAULT '[]';
        CREATE INDEX job_step ON job (step, night);
        CREATE INDEX event_night ON event (night);
        CREATE TABLE folder (path TEXT PRIMARY KEY, mtime_ns INTEGER NOT NULL);
        CREATE TABLE mark (
            kind TEXT NOT NULL, night TEXT NOT NULL, subject TEXT NOT NULL, text TEXT NOT NULL, time TEXT NOT NULL,
            PRIMARY KEY (kind, night, subject)
        );
        CREATE TABLE request (
            id INTEGER PRIMARY KEY, time TEXT NOT NULL, verb TEXT NOT NULL, night TEXT NOT NULL,
            subject TEXT NOT NULL, who TEXT NOT NULL, answer TEXT
        );
        UPDATE frame SET state = 'deferred' WHERE state = 'incomplete';
        """,
    ),
    (
        "4: what is sent to others: spectra and reports, each content once",
        """
        CREATE TABLE delivery (
            service TEXT NOT NULL, night TEXT NOT NULL, product TEXT NOT NULL, content TEXT NOT NULL,
            state TEXT NOT NULL, receipt TEXT NOT NULL DEFAULT '', reason TEXT NOT NULL DEFAULT '',
            beside TEXT NOT NULL DEFAULT '', tries INTEGER NOT NULL DEFAULT 0, not_before TEXT, changed TEXT NOT NULL,
            PRIMARY KEY (service, night, product, content)
        );
        """,
    ),
    (
        "5: corrections of header cards",
        "ALTER TABLE request ADD COLUMN cards TEXT NOT NULL DEFAULT '';",
    ),
)
