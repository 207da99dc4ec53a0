"""Which avatars there are, for those who have a key."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import get_args

from starlette.requests import Request
from starlette.responses import Response

from avatar.errors import AvatarNotFound
from models.loading import AvatarSummary, Catalogue
from server import errors
from server.callers import owner_of
from server.http import answer
from server.operations import Operation, spelled
from server.rest_types import Avatar, Avatars, Quality
from server.video_size import size_of_quality


def avatar_operations(catalogue: Catalogue) -> Sequence[Operation]:
    """``GET /avatars`` and ``GET /avatars/{avatar_id}``."""

    async def list_avatars(request: Request) -> Response:
        owner_of(request)
        return answer(Avatars([described(one) for one in await asyncio.to_thread(catalogue.summaries)]))

    async def show_avatar(request: Request) -> Response:
        owner_of(request)
        found = {one.id: one for one in await asyncio.to_thread(catalogue.summaries)}
        avatar_id = request.path_params["avatar_id"]
        if avatar_id not in found:
            raise AvatarNotFound(avatar_id, tuple(found))
        return answer(described(found[avatar_id]))

    return (
        Operation("GET", spelled("/avatars"), list_avatars, "The avatars of this server.", None, Avatars),
        Operation(
            "GET",
            spelled("/avatars/{avatar_id}"),
            show_avatar,
            "One avatar; its `actions` are what an agent's `avatar.actions` takes.",
            None,
            Avatar,
            (errors.AvatarUnknown,),
        ),
    )


def described(summary: AvatarSummary) -> Avatar:
    """An avatar as clients and ``avatar list --json`` show it."""
    sizes = {quality: size_of_quality(quality, summary.size) for quality in get_args(Quality)}
    return Avatar(
        id=summary.id,
        name=summary.name,
        version=summary.version,
        width=summary.size.width,
        height=summary.size.height,
        fps=float(summary.fps),
        states=list(summary.states),
        gestures=list(summary.gestures),
        actions=[name.lower() for name in summary.gestures],
        sizes={quality: (size.width, size.height) for quality, size in sizes.items()},
        model=summary.model_kind,
        licences=list(summary.licences),
    )
