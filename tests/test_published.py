"""NVIDIA's published networks and pickles at other URLs: the licence first, one download, names that do not collide."""

import dataclasses
import re

import pytest
from tiny_server import CONTENT, serving

from stylegan_tf.files.published import PUBLISHED, is_published, obtain_network


@pytest.fixture(scope="module")
def server():
    with serving() as server:
        yield server


@pytest.fixture
def site(server, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return server.reset()


def test_what_there_is():
    first = {name: network for name, network in PUBLISHED.items() if network.family == "StyleGAN"}
    assert sorted(first) == ["bedrooms-256", "cars-512", "cats-256", "celebahq-1024", "ffhq-1024"]
    for name, network in first.items():
        assert name.endswith(f"-{network.resolution}")
        assert re.fullmatch(rf"karras2019stylegan-{name.split('-')[0]}-\d+x\d+\.pkl", network.file)
        assert re.fullmatch(
            r"https://drive\.usercontent\.google\.com/download\?id=[\w-]{33}&\S+&confirm=t", network.url
        )
        assert "CC BY-NC 4.0" in network.description
    for name, network in PUBLISHED.items() - first.items():
        kind = "stylegan2-ada-pytorch/pretrained" if name.startswith("ada-") else "stylegan2/networks"
        file = f"{name.removeprefix('ada-')}.pkl" if name.startswith("ada-") else f"stylegan2-{name}.pkl"
        assert network.url == f"https://nvlabs-fi-cdn.nvidia.com/{kind}/{file}"
        for words in ("NVIDIA Source Code License", "not for commercial use", f"/{kind.split('/')[0]}/license.html"):
            assert words in network.description
    assert {"ffhq-config-f", "car-config-f", "cat-config-f", "church-config-f", "horse-config-f"} < PUBLISHED.keys()
    for unique in ("url", "file"):
        assert len({getattr(network, unique) for network in PUBLISHED.values()}) == len(PUBLISHED)
    # Cars are wider than high.
    cars = {name for name, network in PUBLISHED.items() if network.rows == (64, 448)}
    assert cars == {"cars-512", *(f"car-config-{config}" for config in "abcdef")}


def test_licence_before_the_first_request(site, tmp_path, capfd, monkeypatch):
    entry = dataclasses.replace(PUBLISHED["cars-512"], url=f"{site.address}/cars")
    monkeypatch.setitem(PUBLISHED, "cars-512", entry)
    site.refused = [404]
    with pytest.raises(
        OSError, match=r"\(HTTP status 404\)\. Put \S+/cars at \S+512x384\.pkl, or .* with --network\.$"
    ):
        obtain_network("cars-512", tmp_path)
    said = capfd.readouterr()
    for word in ("cars-512", "NVIDIA", "LSUN Car", "CC BY-NC 4.0", "not for commercial use", "/by-nc/4.0/", entry.url):
        assert word in said.err
    assert said.out == "" and said.err.count("\n") == 1
    path = obtain_network("cars-512", tmp_path)
    assert path == tmp_path / "networks" / "karras2019stylegan-cars-512x384.pkl" and path.read_bytes() == CONTENT
    assert "CC BY-NC 4.0" in capfd.readouterr().err
    assert obtain_network("cars-512", str(tmp_path)) == path
    assert len(site.requests) == 2 and capfd.readouterr() == ("", "")


def test_nothing_is_asked_for_before_the_licence(site, tmp_path, monkeypatch):
    """A reader who stops at the licence has not downloaded anything."""

    def stop(text, **_):
        raise KeyboardInterrupt

    monkeypatch.setattr("click.echo", stop)
    with pytest.raises(KeyboardInterrupt):
        obtain_network(f"{site.address}/network.pkl", tmp_path)
    assert not site.requests and not list(tmp_path.iterdir())


def test_urls(site, tmp_path, capfd):
    urls = [f"{site.address}/{path}" for path in ("a/network.pkl", "b/network.pkl", "b/network.pkl?version=2", "")]
    urls += [f"{site.address}/..%2F..%2Fetc/{'x' * 300}.pkl", f"{site.address}/..", f"{site.address}/.hidden.pkl"]
    paths = [obtain_network(url, tmp_path) for url in urls]
    assert len(set(paths)) == len(urls) == len(site.requests)
    for url, path in zip(urls, paths, strict=True):
        assert path.parent == tmp_path / "networks" and re.fullmatch(r"[\w-]+-[0-9a-f]{8}\.pkl", path.name)
        assert len(path.name) < 100 and path.read_bytes() == CONTENT
        assert obtain_network(url, tmp_path) == path
    assert paths[0].name.startswith("network-")
    said = capfd.readouterr().err
    assert said.count("\n") == said.count("its licence is its publisher's") == len(urls) == len(site.requests)
    assert all(f"From {url} to {path}." in said for url, path in zip(urls, paths, strict=True))


def test_what_is_published(tmp_path):
    assert all(is_published(source) for source in [*PUBLISHED, "http://a/b.pkl", "HTTPS://a/b"])
    for source in ("ffhq", "results/00000", "network.pkl", "ftp://a/b.pkl", "file:///a.pkl", "", tmp_path):
        assert not is_published(source)
    with pytest.raises(
        ValueError, match=r"no published network ffhq; there are ffhq-1024, .*, ada-cifar10\. Or give a URL"
    ):
        obtain_network("ffhq", tmp_path)
    with pytest.raises(ValueError, match="IPv6"):
        obtain_network("http://[", tmp_path)
    assert not list(tmp_path.iterdir())
