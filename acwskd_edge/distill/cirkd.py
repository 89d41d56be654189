"""CIRKD: how the pixels of different images relate."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from acwskd_edge.distill.base import weigh
from acwskd_edge.distill.losses import distill, segmentation_loss
from acwskd_edge.distill.regions import labels_on
from acwskd_edge.distill.teacher import Offline, OfflineSettings
from acwskd_edge.models.taps import Tapped


@dataclass
class CirkdSettings(OfflineSettings):
    """The repository's values; `side` is ours."""

    kd: float = 1.0  # weight of KL(teacher || student) per pixel at T = 1
    mini_batch: float = 1.0  # weight of the pixel similarities inside the batch
    pixel: float = 0.1  # weight of the similarities to remembered pixels
    region: float = 0.1  # weight of the similarities to remembered class means
    temperature: float = 0.1  # of the similarities
    pixel_memory: int = 20000  # vectors remembered per class
    region_memory: int = 2000
    pixel_sample: int = 4096  # vectors compared with, shared by the classes
    region_sample: int = 1024
    pixels_kept: int = 16  # new vectors per class and image
    side: int = 16  # features are average-pooled to side x side places, so that all pairs fit into memory


class Cirkd(Offline):
    """L = L_seg(z) + kd KL + mini_batch S_batch + pixel S_pixel + region S_region.

    Yang et al., Cross-image relational knowledge distillation for semantic segmentation, CVPR 2022; winycg/CIRKD.
    Each S is KL(softmax(sim_t / T) || softmax(sim / T)), the mean over pixels; sim are cosines of a pixel with those
    of one image of the batch (mean over pairs of images), or with the teacher's remembered pixels or class means.
    The features are penultimate ones, the student's projected to the teacher's channels for the memories.
    """

    settings: CirkdSettings

    def __init__(self, network: Tapped, classes: int, settings: CirkdSettings, teacher: Tapped) -> None:
        super().__init__(network, classes, settings, teacher)
        ours, theirs = network.feature_channels[-1], teacher.feature_channels[-1]
        self.project = nn.Sequential(
            nn.Conv2d(ours, theirs, 1, bias=False),
            nn.BatchNorm2d(theirs),
            nn.ReLU(inplace=True),
            nn.Conv2d(theirs, theirs, 1, bias=False),
        )
        self.pixels = Queue(classes, settings.pixel_memory, theirs)
        self.regions = Queue(classes, settings.region_memory, theirs)

    def forward(
        self, network: Tapped, images: Tensor, labels: Tensor, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Objective`."""
        use = self.settings
        ours, theirs = network.taps(images), self.ask(images)
        student, teacher = self.pool(ours.penultimate), self.pool(theirs.penultimate)
        projected, target = rows(self.project(student)), rows(teacher)
        self.remember(target, labels_on(labels, teacher).flatten(1))
        pixels = self.pixels.sample(use.pixel_sample // self.classes + 1)
        regions = self.regions.sample(use.region_sample // self.classes + 1)
        terms = {
            "seg": segmentation_loss(ours.logits, labels),
            "kd": distill(ours.logits, theirs.logits, 1.0),
            "mini_batch": relation(rows(student), target, rows(student), target, use.temperature),
            "pixel": relation(projected, target, pixels, pixels, use.temperature),
            "region": relation(projected, target, regions, regions, use.temperature),
        }
        return weigh(terms, kd=use.kd, mini_batch=use.mini_batch, pixel=use.pixel, region=use.region)

    def pool(self, feature: Tensor) -> Tensor:
        """(B, C, h, w) -> at most `side` places a side."""
        size = (min(self.settings.side, feature.shape[-2]), min(self.settings.side, feature.shape[-1]))
        return F.adaptive_avg_pool2d(feature, size)

    @torch.no_grad()
    def remember(self, target: Tensor, labels: Tensor) -> None:
        """Put the teacher's class means and some of its pixels, (B, N, C) with labels (B, N), into the memories."""
        for vectors, of_place in zip(target, labels, strict=True):
            for k in of_place.unique().tolist():
                inside = vectors[of_place == k]
                self.regions.push(k, F.normalize(inside.mean(dim=0, keepdim=True), dim=1))
                some = torch.randperm(len(inside), device=inside.device)[: self.settings.pixels_kept]
                self.pixels.push(k, inside[some])


class Queue(nn.Module):
    """The last `size` unit vectors of every class, in buffers; random ones at first."""

    vectors: Tensor  # (K, size, C) float32
    place: Tensor  # (K,) int64: where the next vector of a class goes

    def __init__(self, classes: int, size: int, channels: int) -> None:
        super().__init__()
        self.register_buffer("vectors", F.normalize(torch.randn(classes, size, channels), dim=2))
        self.register_buffer("place", torch.zeros(classes, dtype=torch.int64))

    def push(self, k: int, new: Tensor) -> None:
        """Replace the oldest vectors of class k by `new` (n, C)."""
        size = self.vectors.shape[1]
        where = (self.place[k] + torch.arange(len(new), device=new.device)) % size
        self.vectors[k, where] = new
        self.place[k] = (self.place[k] + len(new)) % size

    def sample(self, count: int) -> Tensor:
        """(1, K * min(count, size), C): the same random places of every class."""
        size = self.vectors.shape[1]
        some = torch.randperm(size, device=self.vectors.device)[:count]
        return self.vectors[:, some].flatten(0, 1)[None]


def rows(feature: Tensor) -> Tensor:
    """(B, C, h, w) -> the places' vectors at unit length, (B, h w, C) float32."""
    return F.normalize(feature.float().flatten(2).transpose(1, 2), dim=2)


def relation(student: Tensor, teacher: Tensor, keys: Tensor, teacher_keys: Tensor, temperature: float) -> Tensor:
    """KL(softmax(teacher teacher_keys' / T) || softmax(student keys' / T)), over the keys of one image at a time.

    Args:
        student, teacher: (B, N, C), the widths may differ; keys, teacher_keys: (B', M, C). Only the student learns.
    Returns:
        mean over the B N rows and the B' images of keys.
    """
    with torch.autocast(student.device.type, enabled=False):  # it would round the cosines to bfloat16
        given = torch.einsum("bnc,jmc->bnjm", student, keys) / temperature
        wanted = torch.einsum("bnc,jmc->bnjm", teacher.detach(), teacher_keys.detach()) / temperature
    return F.kl_div(given.log_softmax(3), wanted.log_softmax(3), reduction="none", log_target=True).sum(dim=3).mean()
