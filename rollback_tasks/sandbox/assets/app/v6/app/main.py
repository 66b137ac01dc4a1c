import logging
import os

from fastapi import FastAPI
from fastapi.responses import JSONResponse
from sqlalchemy import func, select
from sqlalchemy.orm import Session as Work

from app.database import engine
from app.health import check
from app.models import Base, User

RELEASE = os.environ["RELEASE"]

app = FastAPI(title="Comic Pile")


@app.get("/health")
def health() -> JSONResponse:
    try:
        status = check()
    except Exception:  # whatever is wrong, the answer is a 500 that tells the release, not a page of the server
        logging.getLogger("uvicorn.error").exception("the health check failed")
        status = 500
    word = {200: "ok", 503: "starting"}.get(status, "error")
    return JSONResponse({"status": word, "release": RELEASE}, status_code=status)


@app.get("/counts")
def counts() -> dict[str, int]:
    with Work(engine) as work:
        tables = Base.metadata.sorted_tables
        return {table.name: work.scalar(select(func.count()).select_from(table)) or 0 for table in tables}


@app.get("/readers/{number}")
def reader(number: int) -> dict[str, str | None]:
    with Work(engine) as work:
        user = work.get_one(User, number)
        return {"name": user.name, "nickname": user.nickname}
