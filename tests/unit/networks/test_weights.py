"""Where weights are looked for, what is refused, and what is said when they are out of reach."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save, save_file

from lossnets.errors import ConfigError, WeightsError
from lossnets.file_hash import content_hash
from lossnets.networks import weights
from lossnets.networks.spec import WeightsSpec
from lossnets.networks.weights import find, locate, verify_file, weights_folder

CONTENT = save({"w": torch.arange(1000.0)})
SHA = hashlib.sha256(CONTENT).hexdigest()
SPEC = WeightsSpec("V1", "net-12345678.safetensors", "http://127.0.0.1:9/net", sha256_prefix=SHA[:8])


def put(path: Path, content: bytes = CONTENT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.fixture
def ours() -> Path:
    return Path(os.environ["LOSSNETS_HOME"]) / "weights" / str(SPEC.filename)


@pytest.fixture
def torchs() -> Path:
    return Path(os.environ["TORCH_HOME"]) / "hub" / "checkpoints" / str(SPEC.filename)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """A server that is online: ``content`` is what it sends, ``requests`` what it was asked for."""
    state: dict[str, Any] = {"content": CONTENT, "requests": []}

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: Any) -> None: ...

        def do_GET(self) -> None:
            state["requests"].append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", str(len(state["content"])))
            self.end_headers()
            self.wfile.write(state["content"])

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    state["spec"] = dataclasses.replace(SPEC, url=f"http://127.0.0.1:{server.server_port}/net")
    monkeypatch.setenv("LOSSNETS_OFFLINE", "0")
    monkeypatch.setenv("no_proxy", "*")
    yield state
    server.shutdown()
    server.server_close()
    thread.join()


class TestLocate:
    def test_nothing_there(self):
        assert locate(SPEC) is None

    def test_our_folder_comes_before_torchs(self, ours, torchs):
        put(torchs)
        assert locate(SPEC) == torchs
        put(ours)
        assert locate(SPEC) == ours
        assert weights_folder() == ours.parent

    @pytest.mark.parametrize("bad", [CONTENT[:-1], CONTENT[:-1] + b"x", b"", b"<html>", CONTENT + b"x"])
    def test_a_bad_copy_is_skipped_with_a_warning_and_stays(self, bad, ours, torchs, caplog):
        put(ours, bad)
        put(torchs)
        with caplog.at_level(logging.WARNING, "lossnets"):
            assert locate(SPEC) == torchs
        assert f"skipped: weights file {ours} is refused" in caplog.text
        assert ours.read_bytes() == bad

    def test_a_truncated_file_in_torchs_cache_is_not_taken(self, torchs, caplog):
        put(torchs, CONTENT[:500])
        assert locate(SPEC) is None
        assert "is truncated: 500 of" in caplog.text

    def test_a_truncated_file_without_a_published_hash_is_not_taken_either(self, torchs):
        spec = dataclasses.replace(SPEC, sha256_prefix=None)
        put(torchs, CONTENT[:500])
        assert locate(spec) is None
        put(torchs)
        assert locate(spec) == torchs

    def test_a_file_that_is_replaced_is_looked_at_again(self, ours):
        put(ours)
        assert locate(SPEC) == ours
        put(ours, CONTENT[:-1] + b"x")
        os.utime(ours, ns=(1, 1))
        assert locate(SPEC) is None

    def test_the_cache_of_hugging_face(self, tmp_path, monkeypatch):
        hub = pytest.importorskip("huggingface_hub")
        asked = []

        def cached(repository: str, file: str, revision: str, cache_dir: Path | None) -> str:
            asked.append((repository, file, revision, cache_dir))
            return str(put(tmp_path / "blob"))

        monkeypatch.setattr(hub, "try_to_load_from_cache", cached)
        url = "https://huggingface.co/timm/net.tag/resolve/main/model.safetensors"
        spec = dataclasses.replace(SPEC, url=url, sha256_prefix=None)
        assert locate(spec) == tmp_path / "blob"
        assert asked == [("timm/net.tag", "model.safetensors", "main", None)]
        for nothing in (None, object()):  # not cached; known not to exist
            monkeypatch.setattr(hub, "try_to_load_from_cache", lambda *a, _got=nothing, **k: _got)
            assert locate(spec) is None

    @pytest.mark.parametrize(
        ("variable", "below"), [("HF_HUB_CACHE", ""), ("HUGGINGFACE_HUB_CACHE", ""), ("HF_HOME", "hub")]
    )
    @pytest.mark.parametrize("mirror", ["", "https://mirror.example"])
    def test_the_cache_is_where_the_environment_says_whatever_the_mirror(
        self, tmp_path, monkeypatch, variable, below, mirror
    ):
        pytest.importorskip("huggingface_hub")
        for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv(variable, str(tmp_path))
        monkeypatch.setenv("HF_ENDPOINT", mirror)
        folder, revision = tmp_path / below / "models--timm--net.tag", "a" * 40
        for part in (f"snapshots/{revision}", "refs"):
            (folder / part).mkdir(parents=True)
        (folder / "refs/main").write_text(revision)
        put(folder / f"snapshots/{revision}/model.safetensors")
        url = "https://huggingface.co/timm/net.tag/resolve/main/model.safetensors"
        found = locate(dataclasses.replace(SPEC, url=url))
        assert found is not None
        assert found.read_bytes() == CONTENT

    @pytest.mark.parametrize(
        "spec", [WeightsSpec("V1"), WeightsSpec("packaged", "x (package)", package="some-package")]
    )
    def test_weights_without_a_file_of_their_own(self, spec):
        assert locate(spec) is None

    def test_a_home_that_is_a_file(self, tmp_path, monkeypatch):
        monkeypatch.setenv("LOSSNETS_HOME", str(put(tmp_path / "file")))
        with pytest.raises(ConfigError, match="LOSSNETS_HOME must be a folder"):
            locate(SPEC)


class TestVerify:
    def test_gives_the_full_hash(self, tmp_path):
        path = put(tmp_path / "a.safetensors")
        assert verify_file(path) == SHA
        assert verify_file(str(path), sha256=SHA.upper(), sha256_prefix=SHA[:8], size=len(CONTENT)) == SHA

    @pytest.mark.parametrize(
        ("content", "options", "message"),
        [
            (None, {}, "it does not exist"),
            (CONTENT[:-4], {}, f"it is truncated: {len(CONTENT) - 4} of {len(CONTENT)} bytes"),
            (CONTENT, {"size": 5}, f"it has {len(CONTENT)} bytes, expected 5"),
            (CONTENT, {"sha256": "0" * 64}, f"it has sha256 {SHA}, expected 0000"),
            (CONTENT, {"sha256_prefix": "00"}, f"it has sha256 {SHA}, expected one that begins with 00"),
            (b"<!DOCTYPE html>", {}, "it is a web page"),
        ],
    )
    def test_refuses_and_says_the_way_out(self, content, options, message, tmp_path):
        path = tmp_path / "a.safetensors"
        if content is not None:
            put(path, content)
        with pytest.raises(WeightsError) as caught:
            verify_file(path, **options)
        assert str(caught.value).startswith(f"weights file {path} is refused: {message}")
        assert "weights=PATH" in str(caught.value)

    def test_a_folder(self, tmp_path):
        with pytest.raises(WeightsError, match="it is a folder, not a file"):
            verify_file(tmp_path)

    @pytest.mark.shared
    def test_the_hash_in_the_name_of_a_real_file(self, shared_weights):
        digest = verify_file(shared_weights / "mobilenet_v2-b0353104.pth", sha256_prefix="b0353104")
        assert digest == content_hash(shared_weights / "mobilenet_v2-b0353104.pth")


class TestFind:
    def test_what_is_here_is_not_downloaded(self, ours, served):
        put(ours)
        assert find(served["spec"]) == ours
        assert served["requests"] == []

    def test_downloads_to_our_folder_once(self, ours, served):
        seen = []
        assert find(served["spec"], progress=lambda done, total: seen.append((done, total))) == ours
        assert ours.read_bytes() == CONTENT
        assert seen[-1] == (len(CONTENT), len(CONTENT))
        assert find(served["spec"]) == ours
        assert served["requests"] == ["/net"]
        assert [p.name for p in ours.parent.iterdir()] == [SPEC.filename]

    def test_replaces_a_truncated_copy(self, ours, served):
        put(ours, CONTENT[:-1])
        assert find(served["spec"]) == ours
        assert ours.read_bytes() == CONTENT

    @pytest.mark.parametrize("prefix", [None, "00000000"])
    def test_a_web_page_instead_of_the_file(self, prefix, ours, served):
        """A login page, say: caught with and without a published hash, and nothing stays."""
        served["content"] = b"<html>please log in</html>"
        with pytest.raises(WeightsError, match="it is a web page, not a weights file"):
            find(dataclasses.replace(served["spec"], sha256_prefix=prefix))
        assert list(ours.parent.iterdir()) == []

    def test_another_file_than_published(self, ours, served):
        served["content"] = save({"w": torch.zeros(3)})
        with pytest.raises(WeightsError, match=f"expected one that begins with {SHA[:8]}"):
            find(served["spec"])
        assert not ours.exists()

    def test_offline_says_everything_that_one_needs(self, ours):
        with pytest.raises(WeightsError) as caught:
            find(SPEC)
        assert str(caught.value) == (
            "weights file 'net-12345678.safetensors' (V1) is not on this machine, and lossnets is offline "
            "(LOSSNETS_OFFLINE)\n"
            "  source: http://127.0.0.1:9/net\n"
            f"  sha256: begins with {SHA[:8]}\n"
            f"  put it at: {ours}\n"
            "  or name a file anywhere with weights=PATH, or take weights='random', or a network whose "
            "weights are packaged"
        )

    def test_what_the_error_says_works(self, ours):
        with pytest.raises(WeightsError, match="put it at"):
            find(SPEC)
        put(ours)
        assert find(SPEC) == ours

    def test_a_failed_download_says_the_same_and_why(self, ours, monkeypatch):
        monkeypatch.setenv("LOSSNETS_OFFLINE", "0")
        monkeypatch.setenv("no_proxy", "*")
        monkeypatch.setattr("lossnets.download.time.sleep", lambda seconds: None)
        with pytest.raises(WeightsError, match="no connection") as caught:
            find(dataclasses.replace(SPEC, sha256=SHA))
        for text in (f"sha256: {SHA}", f"put it at: {ours}", "source: http://127.0.0.1:9/net"):
            assert text in str(caught.value)

    def test_hugging_faces_own_switch_is_named(self, monkeypatch):
        monkeypatch.setenv("LOSSNETS_OFFLINE", "0")
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        monkeypatch.setattr("lossnets.download.urllib.request.urlopen", lambda *a, **k: pytest.fail("asked"))
        url = "https://huggingface.co/timm/net.tag/resolve/main/model.safetensors"
        with pytest.raises(WeightsError, match="HF_HUB_OFFLINE forbids Hugging Face's hub"):
            find(dataclasses.replace(SPEC, url=url))

    @pytest.mark.parametrize(
        ("spec", "message"),
        [
            (WeightsSpec("own"), "weights 'own' have no file; name a local one with weights=PATH"),
            (
                WeightsSpec("own", "a.pth"),
                "is not published for download\n  source: not published\n  sha256: n",
            ),
            (
                WeightsSpec("packaged", "a", package="some-package"),
                "pip install some-package, or name a local file",
            ),
        ],
    )
    def test_weights_that_cannot_be_downloaded(self, spec, message):
        with pytest.raises(WeightsError, match=message):
            find(spec)

    def test_a_full_circle_through_a_file(self, ours):
        ours.parent.mkdir(parents=True)
        save_file({"w": torch.arange(1000.0)}, ours)
        assert torch.equal(weights.read_state_dict(find(SPEC))["w"], torch.arange(1000.0))
