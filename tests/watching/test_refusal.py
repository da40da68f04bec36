"""What a dashboard refuses."""

from __future__ import annotations

import pytest

from nas.watching.refusal import no_new_studies, only_reads


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_reading_is_allowed(method: str) -> None:
    assert only_reads(method, "/api/studies") is None
    assert no_new_studies(method, "/api/studies") is None


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "get", ""])
def test_everything_else_is_not(method: str) -> None:
    assert "read only" in (only_reads(method, "/api/studies") or "")


@pytest.mark.parametrize("path", ["/api/studies", "/api/studies/", "/api/studies/5/rename", "/api/studies/5/rename//"])
def test_studies_are_neither_created_nor_renamed(path: str) -> None:
    assert no_new_studies("POST", path)


@pytest.mark.parametrize("path", ["/api/studies/5", "/api/studies/5/preference", "/api/trials/5/tell"])
def test_other_writes_are_allowed(path: str) -> None:
    assert no_new_studies("POST", path) is None
