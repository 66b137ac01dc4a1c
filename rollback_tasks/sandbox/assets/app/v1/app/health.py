from sqlalchemy import select
from sqlalchemy.orm import Session as Work

from app.database import engine
from app.models import Event, User


def check() -> int:
    """Read what every page needs; an exception means that this release does not work."""
    with Work(engine) as work:
        work.scalars(select(User).limit(1)).first()
        work.scalars(select(Event).limit(1)).first()
    return 200
