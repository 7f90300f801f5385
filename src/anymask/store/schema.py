"""The tables of a project. Times are seconds since 1970, JSON is text in one canonical spelling.

Annotations are rows that are written once: a mask that is edited is a new row whose `parent` is the old one.
Only `removed` is ever set, by the event that removes it: the state of an image is what its events say.
"""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

settings = Table(
    "settings",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)

users = Table(
    "users",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("role", String(16), nullable=False),  # admin, reviewer, annotator
    Column("password_hash", Text),  # None: nobody can sign in with a password
    Column("disabled", Boolean, nullable=False, default=False),
    Column("at", Float, nullable=False),
)

sessions = Table(  # what lets somebody in: of a browser, a program, or an invitation
    "sessions",
    metadata,
    Column("token_sha256", String(64), primary_key=True),  # the token itself is nowhere
    Column("user", String(64), ForeignKey("users.name"), nullable=False, index=True),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("kind", String(16), nullable=False),  # session, token, invite
    Column("label", Text),  # for its owner, to tell one from another
)

images = Table(
    "images",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("hash", String(64), nullable=False, unique=True),  # SHA-256 of the file
    Column("name", Text, nullable=False, unique=True),
    Column("path", Text, nullable=False),  # of the file; `blob:HASH` where the project has a copy
    Column("height", Integer, nullable=False),
    Column("width", Integer, nullable=False),
    Column("fixed", Boolean, nullable=False, default=False),  # for evaluation only, never trained on
    Column("state", String(16), nullable=False, default="new", index=True),
    # new, prefilled, annotated, skipped, automatic
)

layers = Table(  # the head of a chain of events: layer 0 is the image's own, others are blind second opinions
    "layers",
    metadata,
    Column("image_id", Integer, ForeignKey("images.id"), primary_key=True),
    Column("layer", Integer, primary_key=True),
    Column("revision", Integer, nullable=False, default=0),
    Column("masks", Integer, nullable=False, default=0),
    Column("digest", String(64), nullable=False, default=""),  # of the last event, which covers those before
)

events = Table(
    "events",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("image_id", Integer, ForeignKey("images.id"), nullable=False),
    Column("layer", Integer, nullable=False),
    Column("sequence", Integer, nullable=False),  # in the layer, from 1; branches count from -1 down
    Column("key", String(64), nullable=False, unique=True),  # idempotency key
    Column("request", String(64), nullable=False),  # SHA-256 of the action as it was sent
    Column("author", String(64), nullable=False),
    Column("at", Float, nullable=False),
    Column("body", Text, nullable=False),
    Column("digest", String(64), nullable=False),
    UniqueConstraint("image_id", "layer", "sequence"),
)

mask_rows = Table(
    "masks",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("image_id", Integer, ForeignKey("images.id"), nullable=False),
    Column("layer", Integer, nullable=False),
    Column("uid", String(40), nullable=False),
    Column("counts", Text, nullable=False),  # run lengths as COCO compresses them
    Column("x", Integer, nullable=False),
    Column("y", Integer, nullable=False),
    Column("w", Integer, nullable=False),
    Column("h", Integer, nullable=False),
    Column("area", Integer, nullable=False),
    Column("category", Text),
    Column("author", String(64), nullable=False),
    Column("stage", String(16), nullable=False),  # manual, prefilled, semi, automatic, imported
    Column("round", Integer, nullable=False, default=0),
    Column("model", String(64)),
    Column("probability", Float),
    Column("seconds", Float),  # active time of a person
    Column("parent", String(40)),
    Column("more", Text),  # JSON: prompts, candidates offered, which was taken, fields of a format
    Column("added", Integer, nullable=False),  # sequence of the event
    Column("removed", Integer),
    UniqueConstraint("image_id", "layer", "uid"),
)

tasks = Table(
    "tasks",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("image_id", Integer, ForeignKey("images.id"), nullable=False),
    Column("kind", String(16), nullable=False),  # annotate, review, audit
    Column("round", Integer, nullable=False, default=0),
    Column("slot", Integer, nullable=False, default=0),  # the layer it works on
    Column("priority", Float, nullable=False, default=0.0),
    Column("state", String(16), nullable=False, default="open"),  # open, leased, done, skipped
    Column("user", String(64)),  # who holds it or did it
    Column("wanted", String(64)),  # the only one who may take it: fixes go back to the same person
    Column("token", Integer, nullable=False, default=0),  # fencing token: counts the leases
    Column("lease_until", Float),
    Column("revision", Integer),  # of the layer when it was submitted
    Column("first_user", String(64)),  # who submitted it and what, before anybody else corrected it
    Column("first_revision", Integer),
    Column("verdict", String(16)),  # of a review: accepted, returned
    Column("reason", Text),
    Column("seconds", Float),
    Column("opened", Float, nullable=False),
    Column("closed", Float),
    UniqueConstraint("image_id", "kind", "round", "slot"),
    Index("ix_tasks_queue", "state", "kind", text("priority DESC"), "id"),
    Index("ix_tasks_lease", "state", "lease_until"),
    Index("ix_tasks_user", "user", "image_id"),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column(
        "key", String(200), nullable=False, unique=True
    ),  # one unit of work: kind, image, model, parameters
    Column("kind", String(32), nullable=False),
    Column("body", Text, nullable=False),
    Column("state", String(16), nullable=False, default="queued"),  # queued, running, done, failed, cancelled
    Column("priority", Float, nullable=False, default=0.0),
    Column("tries", Integer, nullable=False, default=0),
    Column("worker", String(64)),
    Column("token", Integer, nullable=False, default=0),
    Column("lease_until", Float),
    Column("cancel", Boolean, nullable=False, default=False),
    Column("done", Integer, nullable=False, default=0),
    Column("total", Integer, nullable=False, default=1),
    Column("message", Text),
    Column("result", Text),
    Column("created", Float, nullable=False),
    Column("finished", Float),
    Index("ix_jobs_queue", "state", "priority", "id"),
)

models = Table(
    "models",
    metadata,
    Column("id", String(64), primary_key=True),  # SHA-256 of the weights
    Column("name", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("parent", String(64)),
    Column("round", Integer, nullable=False, default=0),
    Column("metrics", Text, nullable=False, default="{}"),
    Column("created", Float, nullable=False),
)

rounds = Table(
    "rounds",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("stage", String(16), nullable=False),
    Column("state", String(16), nullable=False),  # running, promoted, kept, failed
    Column("snapshot", String(64)),
    Column("before", String(64)),
    Column("after", String(64)),
    Column("why", Text),
    Column("metrics", Text, nullable=False, default="{}"),
    Column("started", Float, nullable=False),
    Column("finished", Float),
)

log = Table(  # what happened to the project, for people
    "log",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", Float, nullable=False),
    Column("author", String(64), nullable=False),
    Column("what", String(32), nullable=False, index=True),
    Column("detail", Text, nullable=False),
)
