"""Routes of the jobs: what ran by the clock, and which boxes and cameras are silent."""

from typing import Annotated, Protocol, cast

from fastapi import APIRouter, Depends, Query, Request

from server.access.api import require_role
from server.access.models import Scope
from server.jobs.models import JobRun, Silence
from server.jobs.service import JobsService

router = APIRouter(prefix="/api/v1", tags=["jobs"])


class _State(Protocol):
    jobs: JobsService


def _service(request: Request) -> JobsService:
    return cast("_State", request.app.state.services).jobs


@router.get("/jobs/runs", summary="What ran by the clock")
def list_runs(
    request: Request,
    scope: Annotated[Scope, Depends(require_role("admin", "hq"))],
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[JobRun]:
    """The latest runs with their outcome, latest first; idle runs in a row are one, with their number."""
    return _service(request).runs(scope, limit)


@router.get("/silences", summary="Boxes and cameras that are silent")
def list_silences(
    request: Request,
    scope: Annotated[Scope, Depends(require_role("admin", "hq", "region", "manager"))],
    store: Annotated[str | None, Query(max_length=32, description="All of yours if left out.")] = None,
    past: Annotated[bool, Query(description="Also silences that ended.")] = False,
    limit: Annotated[int, Query(ge=1, le=5000)] = 500,
) -> list[Silence]:
    """The latest noticed first; one ends by itself when the box or camera is heard again."""
    return _service(request).silences(scope, store, past=past, limit=limit)
