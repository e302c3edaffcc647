#!/usr/bin/env python3
"""Trains the paper's network in PyTorch on the same annotated slices and for the same time as u3d. It is the
counterpart of `u3d train --net paper-bn --set augment=flips`, with the same settings.

usage: peer_torch.py IMAGE ANNOTATION OUTPUT --time 10m [--base 32] [--unlabeled 255] [--seed 1] [--size 132x132x116]

IMAGE and ANNOTATION are NIfTI files on the same grid, on which the segmentation is written. The network uses batch
normalisation with the statistics of the tile, SGD with learning rate 0.01 and momentum 0.99, and cross-entropy with
weights that balance the labels. Patches are centred on a labelled voxel, mirrored beyond the volume, and randomly
flipped. --time counts from the start of the program to the end of training. Needs torch and numpy.
"""
import time

began = time.monotonic()

import argparse, gzip, struct
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

MARGIN = 44  # voxels by which valid convolutions shrink each side
TYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4"}


def read_nifti(path):
    """Returns the header bytes and the voxels (z,y,x) of a little-endian NIfTI-1 file."""
    data = (gzip.open if path.endswith(".gz") else open)(path, "rb").read()
    size, kind, offset = struct.unpack("<3h", data[42:48]), struct.unpack("<h", data[70:72])[0], int(struct.unpack("<f", data[108:112])[0])
    voxels = np.frombuffer(data, "<" + TYPES[kind], size[0] * size[1] * size[2], offset)
    return data[:offset], voxels.reshape(size[::-1])


def write_labels(path, header, labels):
    header = bytearray(header)
    header[70:74] = struct.pack("<2h", 2, 8)  # uint8
    header[112:120] = struct.pack("<2f", 1, 0)
    with gzip.open(path, "wb") as f:
        f.write(bytes(header) + labels.astype("u1").tobytes())


def block(inputs, outputs):
    return nn.Sequential(nn.Conv3d(inputs, outputs, 3, bias=False), nn.BatchNorm3d(outputs, track_running_stats=False), nn.ReLU(inplace=True))


def crop(skip, like):
    at = [(a - b) // 2 for a, b in zip(skip.shape[2:], like.shape[2:])]
    return skip[:, :, at[0] : at[0] + like.shape[2], at[1] : at[1] + like.shape[3], at[2] : at[2] + like.shape[4]]


class UNet3D(nn.Module):
    """Four levels; channels are doubled before each pooling (Cicek et al. 2016)."""

    def __init__(self, labels, base):
        super().__init__()
        out = [base * 2 ** (level + 1) for level in range(4)]
        self.down = nn.ModuleList(nn.Sequential(block(([1] + out)[l], out[l] // 2), block(out[l] // 2, out[l])) for l in range(4))
        self.up = nn.ModuleList(nn.ConvTranspose3d(out[l + 1], out[l + 1], 2, 2, bias=False) for l in (2, 1, 0))
        self.join = nn.ModuleList(nn.Sequential(block(out[l + 1] + out[l], out[l]), block(out[l], out[l])) for l in (2, 1, 0))
        self.head = nn.Conv3d(out[0], labels, 1)
        for m in self.modules():
            if isinstance(m, (nn.Conv3d, nn.ConvTranspose3d)):  # an up-convolution has one tap per channel and output voxel
                taps = m.in_channels * (27 if m.kernel_size == (3, 3, 3) else 1)
                nn.init.normal_(m.weight, 0, (2 / taps) ** 0.5)
        nn.init.zeros_(self.head.bias)

    def forward(self, x):
        skips = []
        for level, down in enumerate(self.down):
            x = down(F.max_pool3d(x, 2) if level else x)
            skips.append(x)
        skips.pop()
        for up, join in zip(self.up, self.join):
            x = up(x)
            x = join(torch.cat([x, crop(skips.pop(), x)], 1))
        return self.head(x)


def mirrored(start, length, size):
    """Returns the indices start .. start + length - 1, mirrored at 0 and at size - 1."""
    period = max(2 * (size - 1), 1)
    at = np.arange(start, start + length) % period
    return np.minimum(at, period - at)


def patch(volume, start, size):
    return volume[np.ix_(*(mirrored(s, n, edge) for s, n, edge in zip(start, size, volume.shape)))]


def train(net, image, labels, unlabeled, size, seconds, random):
    values = [int(v) for v in np.unique(labels) if v != unlabeled]
    target = np.full(labels.shape, 255, np.uint8)
    for index, value in enumerate(values):
        target[labels == value] = index
    counts = np.array([(target == i).sum() for i in range(len(values))], float)
    weights = 1 / counts
    weights = torch.tensor(np.clip(weights * len(values) / weights.sum(), 0.1, 10), dtype=torch.float32)
    known = np.argwhere(target != 255)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.99)
    inner = [n - 2 * MARGIN for n in size]
    iterations, longest = 0, 0.0
    while time.monotonic() + longest < began + seconds:
        start_s = time.monotonic()
        centre = known[random.integers(len(known))]
        x = patch(image, [c - n // 2 for c, n in zip(centre, size)], size)
        y = patch(target, [c - n // 2 for c, n in zip(centre, inner)], inner)
        for axis in range(3):
            if random.random() < 0.5:
                x, y = np.flip(x, axis), np.flip(y, axis)
        logits = net(torch.from_numpy(np.ascontiguousarray(x))[None, None])
        loss = F.cross_entropy(logits, torch.from_numpy(np.ascontiguousarray(y)).long()[None], weights, ignore_index=255)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 12)
        optimizer.step()
        iterations += 1
        longest = max(longest, time.monotonic() - start_s)
        if iterations % 10 == 0:
            print(f"iteration {iterations}, loss {loss.item():.4f}, {time.monotonic() - began:.0f} s", flush=True)
    print(f"{iterations} iterations in {time.monotonic() - began:.1f} s", flush=True)
    return values


def predict(net, image, values, size):
    inner = [n - 2 * MARGIN for n in size]
    out = np.empty(image.shape, np.uint8)
    with torch.no_grad():
        for z in range(0, image.shape[0], inner[0]):
            for y in range(0, image.shape[1], inner[1]):
                for x in range(0, image.shape[2], inner[2]):
                    tile = np.ascontiguousarray(patch(image, [z - MARGIN, y - MARGIN, x - MARGIN], size))
                    best = net(torch.from_numpy(tile)[None, None])[0].argmax(0).numpy()
                    part = out[z : z + inner[0], y : y + inner[1], x : x + inner[2]]
                    part[:] = np.array(values, np.uint8)[best][: part.shape[0], : part.shape[1], : part.shape[2]]
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image")
    parser.add_argument("annotation")
    parser.add_argument("output")
    parser.add_argument("--time", required=True)
    parser.add_argument("--base", type=int, default=32)
    parser.add_argument("--unlabeled", type=int, default=255)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--size", default="132x132x116")
    a = parser.parse_args()
    seconds = float(a.time[:-1]) * {"s": 1, "m": 60, "h": 3600}[a.time[-1]]
    torch.manual_seed(a.seed)
    size = [int(n) for n in a.size.split("x")][::-1]
    header, image = read_nifti(a.image)
    image = image.astype(np.float32)
    image = (image - image.mean()) / image.std()
    _, labels = read_nifti(a.annotation)
    net = UNet3D(len([v for v in np.unique(labels) if v != a.unlabeled]), a.base)
    values = train(net, image, labels, a.unlabeled, size, seconds, np.random.default_rng(a.seed))
    predicting = time.monotonic()
    labels = predict(net, image, values, size)
    print(f"predicted in {time.monotonic() - predicting:.1f} s", flush=True)
    write_labels(a.output, header, labels)


main()
